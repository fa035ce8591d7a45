// Complex numbers, elementwise. complex64 is computed in double and rounded once, but for sums, differences and products.
#include <complex.h>
#include <math.h>

#include "levels.h"

typedef double _Complex z;

static inline z make(double re, double im) { return __builtin_complex(re, im); }

// Without C's repair of infinities, as the field computes them.
static inline z product(z a, z b) {
    return make(creal(a) * creal(b) - cimag(a) * cimag(b), creal(a) * cimag(b) + cimag(a) * creal(b));
}

/// Smith's division (1962): no overflow on the way.
static inline z quotient(z a, z b) {
    double c = creal(b), d = cimag(b);
    if (fabs(c) >= fabs(d)) {
        if (c == 0 && d == 0) return make(creal(a) / fabs(c), cimag(a) / fabs(d));
        double r = d / c, t = 1 / (c + d * r);
        return make((creal(a) + cimag(a) * r) * t, (cimag(a) - creal(a) * r) * t);
    }
    double r = c / d, t = 1 / (c * r + d);
    return make((creal(a) * r + cimag(a)) * t, (cimag(a) * r - creal(a)) * t);
}

static inline z expm1_(z v) {
    // e^x cos y - 1 without cancellation near 0
    double x = creal(v), y = cimag(v), s = sin(y / 2);
    return make(expm1(x) * cos(y) - 2 * s * s, exp(x) * sin(y));
}

static inline z log1p_(z v) {
    double x = creal(v), y = cimag(v);
    double re = fabs(x) < 0.5 && fabs(y) < 0.5 ? 0.5 * log1p(x * (2 + x) + y * y) : log(hypot(1 + x, y));
    return make(re, atan2(y, 1 + x));
}

static inline z power(z a, z b) {
    if (creal(b) == 0 && cimag(b) == 0) return 1;
    if (creal(a) == 0 && cimag(a) == 0) return creal(b) > 0 ? make(0, 0) : make(NAN, NAN);
    if (cimag(b) == 0 && creal(b) == 2) return product(a, a);
    return cpow(a, b);
}

static z apply(int op, z v) {
    switch (op) {
    case TK_NEG: return -v;
    case TK_SIGN: { double m = cabs(v); return m == 0 ? make(0, 0) : make(creal(v) / m, cimag(v) / m); }
    case TK_SQUARE: return product(v, v);
    case TK_SQRT: return csqrt(v);
    case TK_RSQRT: return quotient(1, csqrt(v));
    case TK_RECIPROCAL: return quotient(1, v);
    case TK_EXP: return cexp(v);
    case TK_EXPM1: return expm1_(v);
    case TK_LOG: return clog(v);
    case TK_LOG1P: return log1p_(v);
    case TK_LOG2: { z l = clog(v); return make(creal(l) / M_LN2, cimag(l) / M_LN2); }
    case TK_LOG10: { z l = clog(v); return make(creal(l) / M_LN10, cimag(l) / M_LN10); }
    case TK_EXP2: return cexp(make(creal(v) * M_LN2, cimag(v) * M_LN2));
    case TK_SIN: return csin(v);
    case TK_COS: return ccos(v);
    case TK_TAN: return ctan(v);
    case TK_ASIN: return casin(v);
    case TK_ACOS: return cacos(v);
    case TK_ATAN: return catan(v);
    case TK_SINH: return csinh(v);
    case TK_COSH: return ccosh(v);
    case TK_TANH: return ctanh(v);
    case TK_ASINH: return casinh(v);
    case TK_ACOSH: return cacosh(v);
    case TK_ATANH: return catanh(v);
    case TK_SIGMOID: return quotient(1, 1 + cexp(-v));
    case TK_SILU: return quotient(v, 1 + cexp(-v));
    case TK_SINC: {
        if (creal(v) == 0 && cimag(v) == 0) return 1;
        z a = make(creal(v) * M_PI, cimag(v) * M_PI);
        return quotient(csin(a), a);
    }
    default: return make(NAN, NAN);
    }
}

void tk_unary_complex(int op, int dtype, const void *x, void *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (dtype == TK_C64) {
            const float *v = (const float *)x + 2 * i;
            z r = apply(op, make(v[0], v[1]));
            ((float *)y)[2 * i] = (float)creal(r);
            ((float *)y)[2 * i + 1] = (float)cimag(r);
        } else {
            const double *v = (const double *)x + 2 * i;
            z r = apply(op, make(v[0], v[1]));
            ((double *)y)[2 * i] = creal(r);
            ((double *)y)[2 * i + 1] = cimag(r);
        }
    }
}

#define PAIRS(T, RE, IM)                                                                                  \
    for (int64_t i = 0; i < n; i++) {                                                                     \
        const T *u = (const T *)a + 2 * i * sa, *v = (const T *)b + 2 * i * sb;                           \
        T re = (RE), im = (IM);                                                                           \
        ((T *)out)[2 * i] = re;                                                                           \
        ((T *)out)[2 * i + 1] = im;                                                                       \
    }
#define BY_DOUBLE(T)                                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                     \
        const T *u = (const T *)a + 2 * i * sa, *v = (const T *)b + 2 * i * sb;                           \
        z r = op == TK_DIV ? quotient(make(u[0], u[1]), make(v[0], v[1])) : power(make(u[0], u[1]), make(v[0], v[1])); \
        ((T *)out)[2 * i] = (T)creal(r);                                                                  \
        ((T *)out)[2 * i + 1] = (T)cimag(r);                                                              \
    }
#define BINARY(T)                                                                                         \
    switch (op) {                                                                                         \
    case TK_ADD: PAIRS(T, u[0] + v[0], u[1] + v[1]) break;                                                \
    case TK_SUB: PAIRS(T, u[0] - v[0], u[1] - v[1]) break;                                                \
    case TK_MUL: PAIRS(T, u[0] * v[0] - u[1] * v[1], u[0] * v[1] + u[1] * v[0]) break;                    \
    default: BY_DOUBLE(T)                                                                                 \
    }

void tk_binary_complex(int op, int dtype, const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n) {
    if (dtype == TK_C64) { BINARY(float) } else { BINARY(double) }
}
