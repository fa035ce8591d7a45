// Complex numbers: arithmetic, and functions in double.
#ifndef TK_COMPLEX_CUH
#define TK_COMPLEX_CUH
#include "types.cuh"

template <class F> struct alignas(2 * sizeof(F)) tk_complex { F re, im; };

#define TK_COMPLEX_TYPES(X) X(tk_complex<float>, c64) X(tk_complex<double>, c128)

typedef tk_complex<double> tk_pair;
TK_DEVICE tk_pair pair(double re, double im) { tk_pair z = {re, im}; return z; }

template <class F> TK_DEVICE tk_complex<F> operator+(tk_complex<F> a, tk_complex<F> b) { tk_complex<F> z = {a.re + b.re, a.im + b.im}; return z; }
template <class F> TK_DEVICE tk_complex<F> operator-(tk_complex<F> a, tk_complex<F> b) { tk_complex<F> z = {a.re - b.re, a.im - b.im}; return z; }
template <class F> TK_DEVICE tk_complex<F> operator-(tk_complex<F> a) { tk_complex<F> z = {-a.re, -a.im}; return z; }
/// Without C's repair of infinities, as the field computes them.
template <class F> TK_DEVICE tk_complex<F> operator*(tk_complex<F> a, tk_complex<F> b) {
    tk_complex<F> z = {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    return z;
}
/// Smith's division (1962): no overflow on the way.
template <class F> TK_DEVICE tk_complex<F> operator/(tk_complex<F> a, tk_complex<F> b) {
    tk_complex<F> z;
    if (fabs(b.re) >= fabs(b.im)) {
        if (b.re == 0 && b.im == 0) { z.re = a.re / fabs(b.re); z.im = a.im / fabs(b.im); return z; }
        F r = b.im / b.re, t = (F)1 / (b.re + b.im * r);
        z.re = (a.re + a.im * r) * t;
        z.im = (a.im - a.re * r) * t;
    } else {
        F r = b.re / b.im, t = (F)1 / (b.re * r + b.im);
        z.re = (a.re * r + a.im) * t;
        z.im = (a.im * r - a.re) * t;
    }
    return z;
}
template <class F> TK_DEVICE bool operator==(tk_complex<F> a, tk_complex<F> b) { return a.re == b.re && a.im == b.im; }
template <class F> TK_DEVICE bool operator!=(tk_complex<F> a, tk_complex<F> b) { return a.re != b.re || a.im != b.im; }

TK_DEVICE tk_pair to_pair(tk_complex<float> z) { return pair(z.re, z.im); }
TK_DEVICE tk_pair to_pair(tk_complex<double> z) { return z; }
template <class F> TK_DEVICE tk_complex<F> from_pair(tk_pair z) { tk_complex<F> out = {(F)z.re, (F)z.im}; return out; }

/// i z and z / i.
TK_DEVICE tk_pair turned(tk_pair z) { return pair(-z.im, z.re); }
TK_DEVICE tk_pair turned_back(tk_pair z) { return pair(z.im, -z.re); }

// Functions after Kahan ("Branch cuts for complex elementary functions", 1987), signed zeros and infinities included. The larger ones
// are called, not repeated wherever they are used.
TK_CALLED tk_pair complex_sqrt(tk_pair z) {
    double x = fabs(z.re), y = fabs(z.im), scale = 1;
    if (z.re == 0 && z.im == 0) return pair(0, z.im);
    if (y == tk_infinity(0.0)) return pair(y, z.im);
    if (x == tk_infinity(0.0)) {
        if (z.re > 0) return pair(x, z.im != z.im ? z.im : copysign(0.0, z.im));
        return pair(z.im != z.im ? z.im : 0, z.im != z.im ? x : copysign(x, z.im));
    }
    if (x > 1e300 || y > 1e300) { x *= 0.0625; y *= 0.0625; scale = 4; }
    if (x < 1e-290 && y < 1e-290) { x *= 0x1p600; y *= 0x1p600; scale = 0x1p-300; }
    double t = sqrt(0.5 * (x + hypot(x, y))), other = y / (2 * t) * scale;
    t *= scale;
    return z.re >= 0 ? pair(t, copysign(other, z.im)) : pair(other, copysign(t, z.im));
}
TK_CALLED tk_pair complex_exp(tk_pair z) {
    double size = exp(z.re);
    if (z.im == 0) return pair(size, z.im);
    if (size == 0 && fabs(z.im) == tk_infinity(0.0)) return pair(0, 0);
    double s, c;
    sincos(z.im, &s, &c);
    return pair(size * c, size * s);
}
TK_CALLED tk_pair complex_log(tk_pair z) {
    double x = fabs(z.re), y = fabs(z.im), high = x > y ? x : y, low = x > y ? y : x, size = hypot(x, y), re;
    // Near the unit circle the logarithm of the size would have lost its digits.
    if (size > 0.5 && size < 2) re = 0.5 * log1p((high - 1) * (high + 1) + low * low);
    else if (size == tk_infinity(0.0) && high < size) re = log(hypot(0.5 * x, 0.5 * y)) + 0.69314718055994530942;
    else re = log(size);
    return pair(re, atan2(z.im, z.re));
}
TK_CALLED tk_pair complex_sinh(tk_pair z) {
    double s, c;
    if (z.im == 0) return pair(sinh(z.re), z.im);
    sincos(z.im, &s, &c);
    return pair(z.re == 0 ? copysign(0.0, z.re * c) : sinh(z.re) * c, cosh(z.re) * s);
}
TK_CALLED tk_pair complex_cosh(tk_pair z) {
    double s, c;
    if (z.im == 0) return pair(cosh(z.re), z.re * z.im == 0 ? z.re * z.im : 0);
    sincos(z.im, &s, &c);
    return pair(cosh(z.re) * c, z.re == 0 ? copysign(0.0, z.re * s) : sinh(z.re) * s);
}
TK_CALLED tk_pair complex_tanh(tk_pair z) {
    double s, c;
    if (fabs(z.re) > 22) {
        if (fabs(z.im) == tk_infinity(0.0)) return pair(copysign(1.0, z.re), copysign(0.0, z.im));
        sincos(z.im, &s, &c);
        return pair(copysign(1.0, z.re), 4 * s * c * exp(-2 * fabs(z.re)));
    }
    double t = tan(z.im), sh = sinh(z.re), b = 1 + t * t, d = 1 + b * sh * sh;
    return pair(b * sqrt(1 + sh * sh) * sh / d, t / d);
}
TK_CALLED tk_pair complex_asin(tk_pair z) {
    tk_pair below = complex_sqrt(pair(1 - z.re, -z.im)), above = complex_sqrt(pair(1 + z.re, z.im));
    return pair(atan2(z.re, below.re * above.re - below.im * above.im), asinh(below.re * above.im - below.im * above.re));
}
TK_CALLED tk_pair complex_acos(tk_pair z) {
    tk_pair below = complex_sqrt(pair(1 - z.re, -z.im)), above = complex_sqrt(pair(1 + z.re, z.im));
    return pair(2 * atan2(below.re, above.re), asinh(above.re * below.im - above.im * below.re));
}
TK_CALLED tk_pair complex_acosh(tk_pair z) {
    tk_pair below = complex_sqrt(pair(z.re - 1, z.im)), above = complex_sqrt(pair(z.re + 1, z.im));
    return pair(asinh(below.re * above.re + below.im * above.im), 2 * atan2(below.im, above.re));
}
TK_CALLED tk_pair complex_atanh(tk_pair z) {
    double x = fabs(z.re), y = fabs(z.im), rest = 1 - x;
    if (x > 1e150 || y > 1e150) {   // a quarter turn, and 1 / z
        double size = hypot(z.re * 0.5, z.im * 0.5);
        return pair(z.re / size / size * 0.25, copysign(1.57079632679489661923, z.im));
    }
    return pair(copysign(0.25 * log1p(4 * x / (rest * rest + y * y)), z.re), 0.5 * atan2(2 * z.im, rest * (1 + x) - y * y));
}
TK_DEVICE tk_pair complex_expm1(tk_pair z) {   // e^x cos y - 1 without cancellation near 0
    double s = sin(z.im / 2);
    return pair(expm1(z.re) * cos(z.im) - 2 * s * s, exp(z.re) * sin(z.im));
}
TK_DEVICE tk_pair complex_log1p(tk_pair z) {
    double x = z.re, y = z.im;
    return pair(fabs(x) < 0.5 && fabs(y) < 0.5 ? 0.5 * log1p(x * (2 + x) + y * y) : log(hypot(1 + x, y)), atan2(y, 1 + x));
}
TK_DEVICE tk_pair complex_power(tk_pair a, tk_pair b) {
    if (b.re == 0 && b.im == 0) return pair(1, 0);
    if (a.re == 0 && a.im == 0) return b.re > 0 ? pair(0, 0) : pair(tk_nan(0.0), tk_nan(0.0));
    if (b.im == 0 && b.re == 2) return a * a;
    return complex_exp(b * complex_log(a));
}

#endif
