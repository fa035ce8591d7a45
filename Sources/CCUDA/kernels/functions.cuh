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
// Steps of elementwise programs.
enum { FUSED_UNARY = 0, FUSED_UNARY_GRAD, FUSED_BINARY, FUSED_COMPARE, FUSED_SELECT, FUSED_CLAMP, FUSED_CLASSIFY, FUSED_CAST, FUSED_ROUND,
       FUSED_MULTIPLY_ADD };

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

#define EACH(OP, EXPRESSION)                                     \
    case OP:                                                     \
        _Pragma("unroll") for (int k = 0; k < N; k++) { F v = x[k]; x[k] = (EXPRESSION); } \
        break;

/// The functions that models are made of; see `rare` for the others, and special.cuh.
template <class F, int N> TK_DEVICE void frequent(int op, F (&x)[N]) {
    switch (op) {
        EACH(OP_NEG, -v) EACH(OP_ABS, fabs(v)) EACH(OP_SIGN, signum(v)) EACH(OP_SQUARE, v * v) EACH(OP_SQRT, sqrt(v))
        EACH(OP_RSQRT, (F)1 / sqrt(v)) EACH(OP_RECIPROCAL, (F)1 / v) EACH(OP_EXP, exp(v)) EACH(OP_LOG, log(v)) EACH(OP_TANH, tanh(v))
        EACH(OP_SIGMOID, sigmoid(v)) EACH(OP_SOFTPLUS, softplus(v)) EACH(OP_LOG_SIGMOID, -softplus(-v))
        EACH(OP_RELU, v < 0 ? (F)0 : v) EACH(OP_GELU_ERF, gelu_erf(v)) EACH(OP_GELU_TANH, gelu_tanh(v)) EACH(OP_SILU, silu(v))
        EACH(OP_FLOOR, floor(v)) EACH(OP_CEIL, ceil(v)) EACH(OP_ROUND, rint(v)) EACH(OP_TRUNC, trunc(v))
    }
}
#undef EACH

template <class F> TK_DEVICE F rare(int op, F v) {
    switch (op) {
    case OP_EXPM1: return expm1(v);
    case OP_LOG1P: return log1p(v);
    case OP_LOG2: return log2(v);
    case OP_LOG10: return log10(v);
    case OP_EXP2: return exp2(v);
    case OP_SIN: return sin(v);
    case OP_COS: return cos(v);
    case OP_TAN: return tan(v);
    case OP_ASIN: return asin(v);
    case OP_ACOS: return acos(v);
    case OP_ATAN: return atan(v);
    case OP_SINH: return sinh(v);
    case OP_COSH: return cosh(v);
    case OP_ERF: return erf(v);
    case OP_ERFC: return erfc(v);
    case OP_ASINH: return asinh(v);
    case OP_ACOSH: return acosh(v);
    case OP_ATANH: return atanh(v);
    case OP_LGAMMA: return lgamma(v);
    default: return v == 0 ? (F)1 : sin((F)3.14159265358979323846 * v) / ((F)3.14159265358979323846 * v);
    }
}

/// Whether `frequent` has a function, or special.cuh.
TK_DEVICE bool is_frequent(int op) {
    return op <= OP_EXP || op == OP_LOG || op == OP_TANH || (op >= OP_SIGMOID && op <= OP_TRUNC);
}
TK_DEVICE bool is_special(int op) { return op >= OP_DIGAMMA && op <= OP_LOG_NDTR; }

template <class F> TK_DEVICE F arithmetic(int op, F a, F b) {
    switch (op) {
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_MAX: return larger(a, b);
    default: return smaller(a, b);
    }
}

template <class F> TK_DEVICE F log_add(F a, F b) {
    F high = a > b ? a : b, low = a > b ? b : a;
    if (a != a || b != b) return tk_nan((F)0);
    return fabs(high) == tk_infinity((F)0) ? high : high + log1p(exp(low - high));
}
template <class F> TK_DEVICE F log_add2(F a, F b) {
    F high = a > b ? a : b, low = a > b ? b : a;
    if (a != a || b != b) return tk_nan((F)0);
    return fabs(high) == tk_infinity((F)0) ? high : high + log1p(exp2(low - high)) * (F)1.44269504088896340736;
}

template <class F> TK_DEVICE F rare_binary(int op, F a, F b) {
    switch (op) {
    case OP_POW: return pow(a, b);
    case OP_REMAINDER: return remainder_of(a, b);
    case OP_FLOOR_DIV: return floor_quotient(a, b);
    case OP_ATAN2: return atan2(a, b);
    case OP_HYPOT: return hypot(a, b);
    case OP_FMOD: return fmod(a, b);
    case OP_FMAX: return fmax(a, b);
    case OP_FMIN: return fmin(a, b);
    case OP_COPYSIGN: return copysign(a, b);
    case OP_NEXTAFTER: return nextafter(a, b);
    case OP_LOGADDEXP: return log_add(a, b);
    case OP_LOGADDEXP2: return log_add2(a, b);
    case OP_XLOGY: return b != b ? tk_nan((F)0) : a == 0 ? (F)0 : a * log(b);
    case OP_XLOG1PY: return b != b ? tk_nan((F)0) : a == 0 ? (F)0 : a * log1p(b);
    case OP_HEAVISIDE: return a != a ? a : a < 0 ? (F)0 : a > 0 ? (F)1 : b;
    default: return arithmetic(op, a, b);
    }
}

/// Bounds in the type of the elements; a NaN stays.
template <class F> TK_DEVICE F clamped(F x, F low, F high) {
    F least = x < low ? low : x;
    return least > high ? high : least;
}
/// Whether it is NaN, infinite, or finite.
template <class F> TK_DEVICE bool is_of_class(int op, F x) {
    return op == 0 ? x != x : op == 1 ? fabs(x) == tk_infinity((F)0) : fabs(x) < tk_infinity((F)0);
}

#endif
