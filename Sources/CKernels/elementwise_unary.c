// Elementwise functions of one argument, their derivatives, clamping: choosing the loop for a type, splitting over the pool.
#include <math.h>
#include <string.h>

#include "elementwise.h"
#include "stream.h"

enum { BLOCK = TK_ELEMENTS };

// ---- unary ----

static void unary_f64(int op, const double *x, double *y, int64_t n) {
#define CASE(OP, EXPR) case OP: for (int64_t i = 0; i < n; i++) { double v = x[i]; y[i] = (EXPR); } break;
    switch (op) {
        CASE(TK_NEG, -v) CASE(TK_ABS, fabs(v)) CASE(TK_SIGN, v > 0 ? 1 : v < 0 ? -1 : v != v ? v : 0)
        CASE(TK_SQUARE, v * v) CASE(TK_SQRT, sqrt(v)) CASE(TK_RSQRT, 1 / sqrt(v)) CASE(TK_RECIPROCAL, 1 / v)
        CASE(TK_EXP, exp(v)) CASE(TK_EXPM1, expm1(v)) CASE(TK_LOG, log(v)) CASE(TK_LOG1P, log1p(v))
        CASE(TK_LOG2, log2(v)) CASE(TK_LOG10, log10(v)) CASE(TK_EXP2, exp2(v)) CASE(TK_SIN, sin(v))
        CASE(TK_COS, cos(v)) CASE(TK_TAN, tan(v)) CASE(TK_ASIN, asin(v)) CASE(TK_ACOS, acos(v)) CASE(TK_ATAN, atan(v))
        CASE(TK_SINH, sinh(v)) CASE(TK_COSH, cosh(v)) CASE(TK_TANH, tanh(v)) CASE(TK_ERF, erf(v)) CASE(TK_ERFC, erfc(v))
        CASE(TK_SIGMOID, 1 / (1 + exp(-v)))
        CASE(TK_LOG_SIGMOID, (v < 0 ? v : 0) - log1p(exp(-fabs(v))) + (v != v ? v : 0))
        CASE(TK_SOFTPLUS, (v > 0 ? v : 0) + log1p(exp(-fabs(v))) + (v != v ? v : 0))
        CASE(TK_RELU, v < 0 ? 0 : v)
        CASE(TK_GELU_ERF, v < -1e3 ? -0.0 : 0.5 * v * erfc(-v * 0.70710678118654752440))
        CASE(TK_GELU_TANH, v < -1e3 ? -0.0 : 0.5 * v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))))
        CASE(TK_SILU, v < -1e3 ? -0.0 : v / (1 + exp(-v)))
        CASE(TK_FLOOR, floor(v)) CASE(TK_CEIL, ceil(v)) CASE(TK_ROUND, nearbyint(v)) CASE(TK_TRUNC, trunc(v))
    }
#undef CASE
}

#define INTEGER_UNARY(NAME, T, U)                                                              \
    static void NAME(int op, const T *x, T *y, int64_t n) {                                    \
        switch (op) {                                                                          \
        case TK_NEG: for (int64_t i = 0; i < n; i++) y[i] = (T)(0 - (U)x[i]); break;            \
        case TK_ABS: for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? (T)(0 - (U)x[i]) : x[i]; break; \
        case TK_SIGN: for (int64_t i = 0; i < n; i++) y[i] = (T)((x[i] > 0) - (x[i] < 0)); break; \
        case TK_SQUARE: for (int64_t i = 0; i < n; i++) y[i] = (T)((U)x[i] * (U)x[i]); break;   \
        case TK_RELU: for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0; break;        \
        case TK_NOT: for (int64_t i = 0; i < n; i++) y[i] = (T)~x[i]; break;                    \
        }                                                                                      \
    }
INTEGER_UNARY(unary_i8, int8_t, uint32_t)
INTEGER_UNARY(unary_u8, uint8_t, uint32_t)
INTEGER_UNARY(unary_i32, int32_t, uint32_t)
INTEGER_UNARY(unary_i64, int64_t, uint64_t)

void tk_unary_row(int op, int dtype, const void *from, void *to, int64_t n) {
    const char *x = from;
    char *y = to;
    const tk_level *l = tk_current_level();
    int64_t size = tk_element_size(dtype);
    if (op > TK_NOT && !tk_is_complex(dtype)) {
        for (int64_t i = 0; i < n; i += BLOCK) {
            double v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            tk_cast(dtype, TK_F64, x + i * size, v, m);
            tk_unary_special(op, v, v, m);
            tk_cast(TK_F64, dtype, v, y + i * size, m);
        }
        return;
    }
    switch (dtype) {
    case TK_F32: l->unary(op, (const float *)x, (float *)y, n, false); break;
    case TK_F64: unary_f64(op, (const double *)x, (double *)y, n); break;
    case TK_F16: case TK_BF16:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            l->half_to_float(dtype, (const uint16_t *)x + i, u, m);
            l->unary(op, u, v, m, false);
            l->float_to_half(dtype, v, (uint16_t *)y + i, m);
        }
        break;
    case TK_C64: case TK_C128: tk_unary_complex(op, dtype, x, y, n); break;
    case TK_I8: unary_i8(op, (const int8_t *)x, (int8_t *)y, n); break;
    case TK_U8: unary_u8(op, (const uint8_t *)x, (uint8_t *)y, n); break;
    case TK_I32: unary_i32(op, (const int32_t *)x, (int32_t *)y, n); break;
    case TK_I64: unary_i64(op, (const int64_t *)x, (int64_t *)y, n); break;
    case TK_BOOL: for (int64_t i = 0; i < n; i++) y[i] = !x[i]; break;
    }
}

typedef struct { int op, dtype; const char *x, *g; char *y; bool stream; } unary_context;

static void unary_piece(const void *p, int64_t at, char *out, int64_t n) {
    const unary_context *c = p;
    tk_unary_row(c->op, c->dtype, c->x + at * tk_element_size(c->dtype), out, n);
}

static void unary_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    if (c->stream && c->dtype == TK_F32 && c->op <= TK_NOT) {  // straight from registers
        int64_t at = low + tk_stream_head(c->y, low, high, 4);
        unary_piece(c, low, c->y + low * 4, at - low);
        tk_current_level()->unary(c->op, (const float *)c->x + at, (float *)c->y + at, high - at, true);
        return;
    }
    tk_pieces(c->stream, c->y, low, high, tk_element_size(c->dtype), unary_piece, c);
}

void tk_unary(int op, int dtype, const void *x, void *y, int64_t n) {
    unary_context c = {op, dtype, x, 0, y, false};
    if (n <= TK_GRAIN) { unary_range(&c, 0, n); return; }
    c.stream = x != y && tk_streams(n * tk_element_size(dtype));
    tk_parallel_ranges(n, TK_GRAIN, unary_range, &c);
    if (c.stream) tk_stream_fence();
}

// ---- derivatives ----

static void unary_grad_f64(int op, const double *s, const double *g, double *dx, int64_t n) {
#define CASE(OP, EXPR) case OP: for (int64_t i = 0; i < n; i++) { double v = s[i], d = g[i]; dx[i] = (EXPR); } break;
    const double c = 0.79788456080286535588;
    switch (op) {
        CASE(TK_GRAD_TANH_Y, d * (1 - v * v)) CASE(TK_GRAD_SIGMOID_Y, d * v * (1 - v)) CASE(TK_GRAD_RELU_Y, v > 0 ? d : 0)
        CASE(TK_GRAD_GELU_ERF_X, d * (0.5 * erfc(-v * 0.70710678118654752440) + v * 0.39894228040143267794 * exp(-0.5 * v * v)))
        case TK_GRAD_GELU_TANH_X:
            for (int64_t i = 0; i < n; i++) {
                double v = s[i], t = tanh(c * (v + 0.044715 * v * v * v));
                dx[i] = g[i] * (0.5 * (1 + t) + 0.5 * c * v * (1 - t * t) * (1 + 3 * 0.044715 * v * v));
            }
            break;
        case TK_GRAD_SILU_X:
            for (int64_t i = 0; i < n; i++) { double z = 1 / (1 + exp(-s[i])); dx[i] = g[i] * z * (1 + s[i] * (1 - z)); }
            break;
        CASE(TK_GRAD_LOG_SIGMOID_X, d / (1 + exp(v))) CASE(TK_GRAD_SOFTPLUS_X, d / (1 + exp(-v)))
    }
#undef CASE
}

void tk_unary_grad_row(int op, int dtype, const void *s, const void *g, void *y, int64_t n) {
    const tk_level *l = tk_current_level();
    switch (dtype) {
    case TK_F32: l->unary_grad(op, (const float *)s, (const float *)g, (float *)y, n, false); break;
    case TK_F64: unary_grad_f64(op, (const double *)s, (const double *)g, (double *)y, n); break;
    default:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK], w[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            l->half_to_float(dtype, (const uint16_t *)s + i, u, m);
            l->half_to_float(dtype, (const uint16_t *)g + i, v, m);
            l->unary_grad(op, u, v, w, m, false);
            l->float_to_half(dtype, w, (uint16_t *)y + i, m);
        }
    }
}

static void unary_grad_piece(const void *p, int64_t at, char *out, int64_t n) {
    const unary_context *c = p;
    int64_t start = at * tk_element_size(c->dtype);
    tk_unary_grad_row(c->op, c->dtype, c->x + start, c->g + start, out, n);
}

static void unary_grad_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    if (c->stream && c->dtype == TK_F32) {
        int64_t at = low + tk_stream_head(c->y, low, high, 4);
        unary_grad_piece(c, low, c->y + low * 4, at - low);
        tk_current_level()->unary_grad(c->op, (const float *)c->x + at, (const float *)c->g + at, (float *)c->y + at, high - at, true);
        return;
    }
    tk_pieces(c->stream, c->y, low, high, tk_element_size(c->dtype), unary_grad_piece, c);
}

void tk_unary_grad(int op, int dtype, const void *s, const void *g, void *dx, int64_t n) {
    unary_context c = {op, dtype, s, g, dx, false};
    if (n <= TK_GRAIN) { unary_grad_range(&c, 0, n); return; }
    c.stream = dx != s && dx != g && tk_streams(n * tk_element_size(dtype));
    tk_parallel_ranges(n, TK_GRAIN, unary_grad_range, &c);
    if (c.stream) tk_stream_fence();
}

void tk_classify_row(int op, int dtype, const void *x, bool *y, int64_t n) {
    for (int64_t i = 0; i < n; i += BLOCK) {
        double v[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        tk_cast(dtype, TK_F64, (const char *)x + i * tk_element_size(dtype), v, m);
        for (int64_t k = 0; k < m; k++)
            y[i + k] = op == TK_ISNAN ? isnan(v[k]) : op == TK_ISINF ? isinf(v[k]) != 0 : isfinite(v[k]) != 0;
    }
}

static void classify_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    tk_classify_row(c->op, c->dtype, c->x + low * tk_element_size(c->dtype), (bool *)c->y + low, high - low);
}

void tk_classify(int op, int dtype, const void *x, bool *y, int64_t n) {
    unary_context c = {op, dtype, x, 0, (char *)y, false};
    tk_parallel_ranges(n, TK_GRAIN, classify_range, &c);
}

// ---- clamp ----

#define CLAMP(T, LOW, HIGH)                                                         \
    {                                                                               \
        const T lo = (LOW), hi = (HIGH);                                            \
        for (int64_t i = 0; i < n; i++) {                                           \
            T v = ((const T *)x)[i];                                                \
            v = v < lo ? lo : v;                                                    \
            ((T *)y)[i] = v > hi ? hi : v;                                          \
        }                                                                           \
    }

static int64_t saturate(double v, int64_t low, int64_t high) {
    return v <= (double)low ? low : v >= (double)high ? high : (int64_t)v;
}

void tk_clamp_row(int dtype, const void *x, void *y, int64_t n, double low, double high) {
    switch (dtype) {
    case TK_F32: tk_current_level()->clamp(x, y, n, (float)low, (float)high); break;
    case TK_F64: CLAMP(double, low, high) break;
    case TK_I8: CLAMP(int8_t, (int8_t)saturate(ceil(low), INT8_MIN, INT8_MAX), (int8_t)saturate(floor(high), INT8_MIN, INT8_MAX)) break;
    case TK_U8: CLAMP(uint8_t, (uint8_t)saturate(ceil(low), 0, 255), (uint8_t)saturate(floor(high), 0, 255)) break;
    case TK_I32: CLAMP(int32_t, (int32_t)saturate(ceil(low), INT32_MIN, INT32_MAX), (int32_t)saturate(floor(high), INT32_MIN, INT32_MAX)) break;
    case TK_I64: CLAMP(int64_t, saturate(ceil(low), INT64_MIN, INT64_MAX), saturate(floor(high), INT64_MIN, INT64_MAX)) break;
    default:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            const tk_level *l = tk_current_level();
            l->half_to_float(dtype, (const uint16_t *)x + i, u, m);
            tk_clamp_row(TK_F32, u, u, m, low, high);
            l->float_to_half(dtype, u, (uint16_t *)y + i, m);
        }
    }
}

typedef struct { int dtype; const char *x; char *y; double low, high; bool stream; } clamp_context;

static void clamp_piece(const void *p, int64_t at, char *out, int64_t n) {
    const clamp_context *c = p;
    tk_clamp_row(c->dtype, c->x + at * tk_element_size(c->dtype), out, n, c->low, c->high);
}

static void clamp_range(void *p, int64_t low, int64_t high) {
    const clamp_context *c = p;
    tk_pieces(c->stream, c->y, low, high, tk_element_size(c->dtype), clamp_piece, c);
}

void tk_clamp(int dtype, const void *x, void *y, int64_t n, double low, double high) {
    clamp_context c = {dtype, x, y, low, high, x != y && tk_streams(n * tk_element_size(dtype))};
    tk_parallel_ranges(n, TK_GRAIN, clamp_range, &c);
    if (c.stream) tk_stream_fence();
}
