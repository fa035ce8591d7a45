// Special functions in double, as the CPU kernels have them. Where a formula is not standard its source stands beside it.
#ifndef TK_SPECIAL_CUH
#define TK_SPECIAL_CUH
#include "functions.cuh"

/// ψ(x): reflection below ½, recurrence up to 10, then the asymptotic series (Abramowitz and Stegun, 6.3.18).
TK_CALLED double special_digamma(double x) {
    const double pi = 3.14159265358979323846;
    if (x == 0) return copysign(tk_infinity(0.0), -x);
    if (fabs(x) == tk_infinity(0.0)) return x > 0 ? x : tk_nan(0.0);
    double result = 0;
    if (x < 0.5) {
        if (x == floor(x)) return tk_nan(0.0);
        result = -pi / tan(pi * (x - trunc(x)));
        x = 1 - x;
    }
    while (x < 10) { result -= 1 / x; x += 1; }
    double r = 1 / (x * x);
    double series = r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * (691.0 / 32760 - r / 12))))));
    return result + log(x) - 0.5 / x - series;
}

/// (2k)! / B2k, k from 1.
TK_DEVICE double zeta_divisor(int k) {
    switch (k) {
    case 0: return 12.0;
    case 1: return -720.0;
    case 2: return 30240.0;
    case 3: return -1209600.0;
    case 4: return 47900160.0;
    case 5: return -1.8924375803183791606e9;
    case 6: return 7.47242496e10;
    case 7: return -2.950130727918164224e12;
    case 8: return 1.1646782814350067249e14;
    case 9: return -4.5979787224074726105e15;
    case 10: return 1.8152105401943546773e17;
    default: return -7.1661652561756670113e18;
    }
}

/// Hurwitz's ζ(s, q) = Σ (q + k)^-s by Euler-Maclaurin summation.
TK_CALLED double special_zeta(double s, double q) {
    if (s == 1) return tk_infinity(0.0);
    if (s < 1 || s != s || q != q) return tk_nan(0.0);
    if (q <= 0) {
        if (q == floor(q)) return tk_infinity(0.0);
        if (s != floor(s)) return tk_nan(0.0);
    }
    double sum = 0, t = q, term = 0;
    for (int i = 0; i < 10 || t <= 9; i++) {   // the first term, then nine or more
        if (i > 0) t += 1;
        term = pow(t, -s);
        sum += term;
        if (i > 0 && fabs(term) < 1e-17 * fabs(sum)) return sum;
    }
    sum += term * t / (s - 1) - 0.5 * term;
    double factor = 1, k = 0;
    for (int i = 0; i < 12; i++) {
        factor *= s + k;
        term /= t;
        double step = factor * term / zeta_divisor(i);
        sum += step;
        if (fabs(step) < 1e-17 * fabs(sum)) break;
        k += 1;
        factor *= s + k;
        term /= t;
        k += 1;
    }
    return sum;
}

/// e^(x²) erfc(x): directly where neither factor overflows, by the continued fraction above.
TK_CALLED double special_erfcx(double x) {
    if (x < 12) return x < -26.7 ? tk_infinity(0.0) : exp(x * x) * erfc(x);
    double f = 0;
    for (int k = 40; k > 0; k--) f = 0.5 * k / (x + f);
    return 0.56418958354775628695 / (x + f);
}

/// x with erfc(x) = p, 0 < p < 2: a rational start, then Halley steps on erfc, whose relative accuracy carries over.
TK_CALLED double special_erfc_inverse(double p) {
    if (!(p > 0 && p < 2)) return p == 0 ? tk_infinity(0.0) : p == 2 ? -tk_infinity(0.0) : tk_nan(0.0);
    double tail = p < 1 ? p : 2 - p, t = sqrt(-2 * log(tail / 2));
    double x = -0.70711 * ((2.30753 + t * 0.27061) / (1 + t * (0.99229 + t * 0.04481)) - t);
    for (int i = 0; i < 3; i++) {
        double error = erfc(x) - tail;
        x += error / (1.12837916709551257 * exp(-x * x) - x * error);
    }
    return p < 1 ? x : -x;
}

TK_CALLED double special_erf_inverse(double y) {
    if (!(fabs(y) <= 1)) return tk_nan(0.0);
    if (fabs(y) > 0.5) return y > 0 ? special_erfc_inverse(1 - y) : -special_erfc_inverse(1 + y);
    double x = y * 0.88622692545275801365;
    x += x * x * x / 3;
    for (int i = 0; i < 4; i++) {
        double error = erf(x) - y;
        x -= error / (1.12837916709551257 * exp(-x * x) + x * error);
    }
    return x;
}

/// Φ⁻¹(p).
TK_DEVICE double special_ndtri(double p) {
    const double root2 = 1.41421356237309504880;
    if (!(p >= 0 && p <= 1)) return tk_nan(0.0);
    if (p > 0.25 && p < 0.75) return root2 * special_erf_inverse(2 * p - 1);
    return p <= 0.5 ? -root2 * special_erfc_inverse(2 * p) : root2 * special_erfc_inverse(2 * (1 - p));
}

/// ln Φ(x), without underflow.
TK_DEVICE double special_log_ndtr(double x) {
    double t = x * 0.70710678118654752440;
    return x < -1 ? log(special_erfcx(-t) / 2) - t * t : log1p(-erfc(t) / 2);
}

/// e^-|x| I_n(x), n = 0 or 1: the series, whose terms are all positive, or the asymptotic one (Abramowitz and Stegun, 9.7.1).
TK_CALLED double special_bessel(int n, double x) {
    double a = fabs(x), sum = 1, term = 1;
    if (a != a) return x;
    if (a == tk_infinity(0.0)) return n && x < 0 ? -0.0 : 0;
    if (a <= 30) {
        double quarter = a * a / 4;
        for (int k = 1; term > 1e-18 * sum; k++) { term *= quarter / ((double)k * (k + n)); sum += term; }
        sum *= exp(-a) * (n ? a / 2 : 1);
    } else {
        double mu = 4.0 * n * n;
        for (int k = 1; k < 30; k++) {
            double odd = 2 * k - 1, next = -term * (mu - odd * odd) / (8 * k * a);
            if (fabs(next) >= fabs(term)) break;
            term = next;
            sum += term;
        }
        sum /= sqrt(6.28318530717958647693 * a);
    }
    return n && x < 0 ? -sum : sum;
}

TK_DEVICE double special_unary(int op, double v) {
    switch (op) {
    case OP_DIGAMMA: return special_digamma(v);
    case OP_ERFINV: return special_erf_inverse(v);
    case OP_ERFCX: return special_erfcx(v);
    case OP_I0: return special_bessel(0, v) * exp(fabs(v));
    case OP_I0E: return special_bessel(0, v);
    case OP_I1: return special_bessel(1, v) * exp(fabs(v));
    case OP_I1E: return special_bessel(1, v);
    case OP_NDTRI: return special_ndtri(v);
    default: return special_log_ndtr(v);
    }
}

#endif
