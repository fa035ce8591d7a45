// Elementwise functions, in float or double. The numbers of the operations are those of the CPU kernels.
#ifndef TK_FUNCTIONS_CUH
#define TK_FUNCTIONS_CUH
#include "types.cuh"

enum { OP_NEG = 0, OP_ABS, OP_SIGN, OP_SQUARE, OP_SQRT, OP_RSQRT, OP_RECIPROCAL, OP_EXP, OP_EXPM1, OP_LOG, OP_LOG1P, OP_LOG2, OP_LOG10,
       OP_EXP2, OP_SIN, OP_COS, OP_TAN, OP_ASIN, OP_ACOS, OP_ATAN, OP_SINH, OP_COSH, OP_TANH, OP_ERF, OP_ERFC, OP_SIGMOID,
       OP_LOG_SIGMOID, OP_SOFTPLUS, OP_RELU, OP_GELU_ERF, OP_GELU_TANH, OP_SILU, OP_FLOOR, OP_CEIL, OP_ROUND, OP_TRUNC, OP_NOT, OP_ASINH,
       OP_ACOSH, OP_ATANH, OP_LGAMMA, OP_DIGAMMA, OP_ERFINV, OP_ERFCX, OP_I0, OP_I0E, OP_I1, OP_I1E, OP_NDTRI, OP_LOG_NDTR, OP_SINC };
enum { OP_ADD = 0, OP_SUB, OP_MUL, OP_DIV, OP_POW, OP_MAX, OP_MIN, OP_REMAINDER, OP_FLOOR_DIV, OP_AND, OP_OR, OP_XOR, OP_ATAN2, OP_HYPOT,
       OP_FMOD, OP_GCD, OP_LCM, OP_LEFT_SHIFT, OP_RIGHT_SHIFT, OP_FMAX, OP_FMIN, OP_COPYSIGN, OP_NEXTAFTER, OP_LOGADDEXP, OP_LOGADDEXP2,
       OP_XLOGY, OP_XLOG1PY, OP_ZETA, OP_HEAVISIDE };
enum { OP_GRAD_TANH = 0, OP_GRAD_SIGMOID, OP_GRAD_RELU, OP_GRAD_GELU_ERF, OP_GRAD_GELU_TANH, OP_GRAD_SILU, OP_GRAD_LOG_SIGMOID,
       OP_GRAD_SOFTPLUS };
enum { OP_EQUAL = 0, OP_NOT_EQUAL, OP_LESS, OP_LESS_EQUAL, OP_GREATER, OP_GREATER_EQUAL };
enum { OP_REDUCE_SUM = 0, OP_REDUCE_PROD, OP_REDUCE_MAX, OP_REDUCE_MIN, OP_REDUCE_ANY, OP_REDUCE_ALL };

template <class F> TK_DEVICE F sigmoid(F x) { return (F)1 / ((F)1 + exp(-x)); }
template <class F> TK_DEVICE F softplus(F x) { return (x > 0 ? x : (F)0) + log1p(exp(-fabs(x))) + (x != x ? x : (F)0); }
/// Where nothing is left of an activation, and -∞ would give NaN.
template <class F> TK_DEVICE F vanishing(F x, F y) { return x < (F)-1e3 ? (F)-0.0 : y; }
template <class F> TK_DEVICE F gelu_erf(F x) { return vanishing(x, (F)0.5 * x * erfc(-x * (F)0.70710678118654752440)); }
template <class F> TK_DEVICE F gelu_inner(F x) { return tanh((F)0.79788456080286535588 * (x + (F)0.044715 * x * x * x)); }
template <class F> TK_DEVICE F gelu_tanh(F x) { return vanishing(x, (F)0.5 * x * ((F)1 + gelu_inner(x))); }
template <class F> TK_DEVICE F silu(F x) { return vanishing(x, x / ((F)1 + exp(-x))); }
template <class F> TK_DEVICE F signum(F x) { return x > 0 ? (F)1 : x < 0 ? (F)-1 : x != x ? x : (F)0; }
/// NaN is larger and smaller than anything.
template <class F> TK_DEVICE F larger(F a, F b) { return a != a ? a : b != b ? b : a > b ? a : b; }
template <class F> TK_DEVICE F smaller(F a, F b) { return a != a ? a : b != b ? b : a < b ? a : b; }

template <class F> TK_DEVICE F slope(int op, F saved, F g) {
    switch (op) {
    case OP_GRAD_TANH: return g * ((F)1 - saved * saved);
    case OP_GRAD_SIGMOID: return g * saved * ((F)1 - saved);
    case OP_GRAD_RELU: return saved > 0 ? g : (F)0;
    case OP_GRAD_GELU_ERF: {
        F density = (F)0.39894228040143267794 * exp((F)-0.5 * saved * saved);
        F rest = saved * density;
        return g * ((F)0.5 * erfc(-saved * (F)0.70710678118654752440) + (rest != rest && saved == saved ? (F)0 : rest));
    }
    case OP_GRAD_GELU_TANH: {
        F t = gelu_inner(saved), c = (F)0.79788456080286535588;
        return g * ((F)0.5 * ((F)1 + t) + (F)0.5 * c * saved * ((F)1 - t * t) * ((F)1 + (F)0.134145 * saved * saved));
    }
    case OP_GRAD_SILU: {
        F s = sigmoid(saved);
        return g * (s * ((F)1 + saved * ((F)1 - s)));
    }
    case OP_GRAD_LOG_SIGMOID: return g * sigmoid(-saved);
    default: return g * sigmoid(saved);
    }
}

template <class F> TK_DEVICE F remainder_of(F a, F b) {
    F r = fmod(a, b);
    return r != 0 && ((r < 0) != (b < 0)) ? r + b : r == 0 ? copysign((F)0, b) : r;
}
template <class F> TK_DEVICE F floor_quotient(F a, F b) {
    if (b == 0) return a / b;
    F r = fmod(a, b), q = (a - r) / b;
    if (r != 0 && ((r < 0) != (b < 0))) q -= 1;
    if (q == 0) return copysign((F)0, a / b);
    F whole = floor(q);
    return q - whole > (F)0.5 ? whole + 1 : whole;
}

template <class F> TK_DEVICE bool related(int op, F a, F b) {
    switch (op) {
    case OP_EQUAL: return a == b;
    case OP_NOT_EQUAL: return a != b;
    case OP_LESS: return a < b;
    case OP_LESS_EQUAL: return a <= b;
    case OP_GREATER: return a > b;
    default: return a >= b;
    }
}

#endif
