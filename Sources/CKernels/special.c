// Special functions in double. Where a formula is not standard its source stands beside it.
#include <math.h>

#include "levels.h"

/// ψ(x): reflection below ½, recurrence up to 10, then the asymptotic series (Abramowitz and Stegun, 6.3.18).
static double digamma(double x) {
    if (x == 0) return copysign(INFINITY, -x);
    if (isinf(x)) return x > 0 ? INFINITY : NAN;
    double result = 0;
    if (x < 0.5) {
        if (x == floor(x)) return NAN;
        double whole;
        double part = modf(x, &whole);
        result = -M_PI / tan(M_PI * part);
        x = 1 - x;
    }
    while (x < 10) { result -= 1 / x; x += 1; }
    double r = 1 / (x * x);
    double series = r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * (691.0 / 32760 - r / 12))))));
    return result + log(x) - 0.5 / x - series;
}

/// Hurwitz's ζ(s, q) = Σ (q + k)^-s by Euler-Maclaurin summation.
static double zeta(double s, double q) {
    static const double a[] = {  // (2k)! / B2k
        12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
        1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18};
    if (s == 1) return INFINITY;
    if (s < 1 || s != s || q != q) return NAN;
    if (q <= 0) {
        if (q == floor(q)) return INFINITY;
        if (s != floor(s)) return NAN;
    }
    double sum = pow(q, -s), t = q, term = 0;
    for (int i = 0; i < 9 || t <= 9; i++) {
        t += 1;
        term = pow(t, -s);
        sum += term;
        if (fabs(term) < 1e-17 * fabs(sum)) return sum;
    }
    sum += term * t / (s - 1) - 0.5 * term;
    double factor = 1, k = 0;
    for (int i = 0; i < 12; i++) {
        factor *= s + k;
        term /= t;
        double step = factor * term / a[i];
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
static double erfcx(double x) {
    if (x < 12) return x < -26.7 ? INFINITY : exp(x * x) * erfc(x);
    double f = 0;
    for (int k = 40; k > 0; k--) f = 0.5 * k / (x + f);
    return 0.56418958354775628695 / (x + f);
}

/// x with erfc(x) = p, 0 < p < 2: a rational start, then Halley steps on erfc, whose relative accuracy carries over.
static double erfc_inverse(double p) {
    if (p <= 0 || p >= 2) return p == 0 ? INFINITY : p == 2 ? -INFINITY : NAN;
    double tail = p < 1 ? p : 2 - p, t = sqrt(-2 * log(tail / 2));
    double x = -0.70711 * ((2.30753 + t * 0.27061) / (1 + t * (0.99229 + t * 0.04481)) - t);
    for (int i = 0; i < 3; i++) {
        double error = erfc(x) - tail;
        x += error / (1.12837916709551257 * exp(-x * x) - x * error);
    }
    return p < 1 ? x : -x;
}

static double erf_inverse(double y) {
    if (fabs(y) > 1) return NAN;
    if (fabs(y) > 0.5) return y > 0 ? erfc_inverse(1 - y) : -erfc_inverse(1 + y);
    double x = y * 0.88622692545275801365;
    x += x * x * x / 3;
    for (int i = 0; i < 4; i++) {
        double error = erf(x) - y;
        x -= error / (1.12837916709551257 * exp(-x * x) + x * error);
    }
    return x;
}

/// Φ⁻¹(p).
static double ndtri(double p) {
    if (p < 0 || p > 1 || p != p) return NAN;
    if (p > 0.25 && p < 0.75) return M_SQRT2 * erf_inverse(2 * p - 1);
    return p <= 0.5 ? -M_SQRT2 * erfc_inverse(2 * p) : M_SQRT2 * erfc_inverse(2 * (1 - p));
}

/// ln Φ(x), without underflow.
static double log_ndtr(double x) {
    double t = x * M_SQRT1_2;
    return x < -1 ? log(erfcx(-t) / 2) - t * t : log1p(-erfc(t) / 2);
}

/// e^-|x| I_n(x), n = 0 or 1: the series, whose terms are all positive, or the asymptotic one (Abramowitz and Stegun, 9.7.1).
static double bessel_i(int n, double x) {
    double a = fabs(x), sum = 1, term = 1;
    if (a != a) return x;
    if (isinf(a)) return n && x < 0 ? -0.0 : 0;
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
        sum /= sqrt(2 * M_PI * a);
    }
    return n && x < 0 ? -sum : sum;
}

static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }

void tk_unary_special(int op, const double *x, double *y, int64_t n) {
#define CASE(OP, EXPR) case OP: for (int64_t i = 0; i < n; i++) { double v = x[i]; y[i] = (EXPR); } break;
    int sign;
    switch (op) {
        CASE(TK_ASINH, asinh(v)) CASE(TK_ACOSH, acosh(v)) CASE(TK_ATANH, atanh(v))
        CASE(TK_LGAMMA, lgamma_r(v, &sign)) CASE(TK_DIGAMMA, digamma(v)) CASE(TK_ERFINV, erf_inverse(v))
        CASE(TK_ERFCX, erfcx(v)) CASE(TK_I0E, bessel_i(0, v)) CASE(TK_I1E, bessel_i(1, v))
        CASE(TK_I0, bessel_i(0, v) * exp(fabs(v))) CASE(TK_I1, bessel_i(1, v) * exp(fabs(v))) CASE(TK_NDTRI, ndtri(v))
        CASE(TK_LOG_NDTR, log_ndtr(v)) CASE(TK_SINC, sinc(v))
    }
#undef CASE
}

static double log_add(double a, double b) {
    double high = a > b ? a : b, low = a > b ? b : a;
    if (a != a || b != b) return NAN;
    return isinf(high) ? high : high + log1p(exp(low - high));
}

static double log_add2(double a, double b) {
    double high = a > b ? a : b, low = a > b ? b : a;
    if (a != a || b != b) return NAN;
    return isinf(high) ? high : high + log1p(exp2(low - high)) / M_LN2;
}

void tk_binary_special(int op, const double *a, const double *b, double *out, int64_t n) {
#define CASE(OP, EXPR) case OP: for (int64_t i = 0; i < n; i++) { double u = a[i], v = b[i]; out[i] = (EXPR); } break;
    switch (op) {
        CASE(TK_FMOD, fmod(u, v)) CASE(TK_FMAX, fmax(u, v)) CASE(TK_FMIN, fmin(u, v)) CASE(TK_COPYSIGN, copysign(u, v))
        CASE(TK_NEXTAFTER, nextafter(u, v)) CASE(TK_LOGADDEXP, log_add(u, v)) CASE(TK_LOGADDEXP2, log_add2(u, v))
        CASE(TK_XLOGY, v != v ? NAN : u == 0 ? 0 : u * log(v)) CASE(TK_XLOG1PY, v != v ? NAN : u == 0 ? 0 : u * log1p(v))
        CASE(TK_ZETA, zeta(u, v)) CASE(TK_HEAVISIDE, u != u ? u : u < 0 ? 0 : u > 0 ? 1 : v)
    }
#undef CASE
}
