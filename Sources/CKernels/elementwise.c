// Elementwise operations: choosing the loop for a type, splitting over the pool.
#include <math.h>
#include <string.h>

#include "levels.h"
#include "stream.h"
#include "strided.h"

enum { BLOCK = 512, STREAM_BLOCK = 1024 };   // elements; bytes

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

typedef struct { int op, dtype; const char *x, *g; char *y; bool stream; } unary_context;

static void unary_row(const unary_context *c, const char *x, char *y, int64_t n) {
    const tk_level *l = tk_current_level();
    int64_t size = tk_element_size(c->dtype);
    if (c->op > TK_NOT && !tk_is_complex(c->dtype)) {
        for (int64_t i = 0; i < n; i += BLOCK) {
            double v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            tk_cast(c->dtype, TK_F64, x + i * size, v, m);
            tk_unary_special(c->op, v, v, m);
            tk_cast(TK_F64, c->dtype, v, y + i * size, m);
        }
        return;
    }
    switch (c->dtype) {
    case TK_F32: l->unary(c->op, (const float *)x, (float *)y, n); break;
    case TK_F64: unary_f64(c->op, (const double *)x, (double *)y, n); break;
    case TK_F16: case TK_BF16:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            l->half_to_float(c->dtype, (const uint16_t *)x + i, u, m);
            l->unary(c->op, u, v, m);
            l->float_to_half(c->dtype, v, (uint16_t *)y + i, m);
        }
        break;
    case TK_C64: case TK_C128: tk_unary_complex(c->op, c->dtype, x, y, n); break;
    case TK_I8: unary_i8(c->op, (const int8_t *)x, (int8_t *)y, n); break;
    case TK_U8: unary_u8(c->op, (const uint8_t *)x, (uint8_t *)y, n); break;
    case TK_I32: unary_i32(c->op, (const int32_t *)x, (int32_t *)y, n); break;
    case TK_I64: unary_i64(c->op, (const int64_t *)x, (int64_t *)y, n); break;
    case TK_BOOL: for (int64_t i = 0; i < n; i++) y[i] = !x[i]; break;
    }
}

static void unary_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    int64_t size = tk_element_size(c->dtype), n = high - low;
    const char *x = c->x + low * size;
    char *y = c->y + low * size;
    if (!c->stream) { unary_row(c, x, y, n); return; }
    _Alignas(64) char block[STREAM_BLOCK];
    for (int64_t i = 0; i < n; i += STREAM_BLOCK / size) {
        int64_t m = n - i < STREAM_BLOCK / size ? n - i : STREAM_BLOCK / size;
        unary_row(c, x + i * size, block, m);
        tk_stream_copy(y + i * size, block, m * size);
    }
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

static void unary_grad_row(const unary_context *c, const char *s, const char *g, char *y, int64_t n) {
    const tk_level *l = tk_current_level();
    switch (c->dtype) {
    case TK_F32: l->unary_grad(c->op, (const float *)s, (const float *)g, (float *)y, n); break;
    case TK_F64: unary_grad_f64(c->op, (const double *)s, (const double *)g, (double *)y, n); break;
    default:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK], w[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            l->half_to_float(c->dtype, (const uint16_t *)s + i, u, m);
            l->half_to_float(c->dtype, (const uint16_t *)g + i, v, m);
            l->unary_grad(c->op, u, v, w, m);
            l->float_to_half(c->dtype, w, (uint16_t *)y + i, m);
        }
    }
}

static void unary_grad_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    int64_t size = tk_element_size(c->dtype), n = high - low;
    const char *s = c->x + low * size, *g = c->g + low * size;
    char *y = c->y + low * size;
    if (!c->stream) { unary_grad_row(c, s, g, y, n); return; }
    _Alignas(64) char block[STREAM_BLOCK];
    for (int64_t i = 0; i < n; i += STREAM_BLOCK / size) {
        int64_t m = n - i < STREAM_BLOCK / size ? n - i : STREAM_BLOCK / size;
        unary_grad_row(c, s + i * size, g + i * size, block, m);
        tk_stream_copy(y + i * size, block, m * size);
    }
}

void tk_unary_grad(int op, int dtype, const void *s, const void *g, void *dx, int64_t n) {
    unary_context c = {op, dtype, s, g, dx, false};
    if (n <= TK_GRAIN) { unary_grad_range(&c, 0, n); return; }
    c.stream = dx != s && dx != g && tk_streams(n * tk_element_size(dtype));
    tk_parallel_ranges(n, TK_GRAIN, unary_grad_range, &c);
    if (c.stream) tk_stream_fence();
}

static void classify_range(void *p, int64_t low, int64_t high) {
    const unary_context *c = p;
    for (int64_t i = low; i < high; i += BLOCK) {
        double v[BLOCK];
        int64_t m = high - i < BLOCK ? high - i : BLOCK;
        tk_cast(c->dtype, TK_F64, c->x + i * tk_element_size(c->dtype), v, m);
        bool *y = (bool *)c->y + i;
        for (int64_t k = 0; k < m; k++)
            y[k] = c->op == TK_ISNAN ? isnan(v[k]) : c->op == TK_ISINF ? isinf(v[k]) != 0 : isfinite(v[k]) != 0;
    }
}

void tk_classify(int op, int dtype, const void *x, bool *y, int64_t n) {
    unary_context c = {op, dtype, x, 0, (char *)y, false};
    tk_parallel_ranges(n, TK_GRAIN, classify_range, &c);
}

// ---- binary ----

static int64_t power_i64(int64_t base, int64_t exponent) {
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    uint64_t result = 1, b = (uint64_t)base;
    for (; exponent; exponent >>= 1, b *= b) if (exponent & 1) result *= b;
    return (int64_t)result;
}

static int64_t gcd_i64(int64_t a, int64_t b) {
    uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    while (y) { uint64_t r = x % y; x = y; y = r; }
    return (int64_t)x;
}

#define INTEGER_BINARY(NAME, T, U, MIN)                                                                   \
    static inline T NAME##_one(int op, T u, T v) {                                                        \
        switch (op) {                                                                                     \
        case TK_ADD: return (T)((U)u + (U)v);                                                             \
        case TK_SUB: return (T)((U)u - (U)v);                                                             \
        case TK_MUL: return (T)((U)u * (U)v);                                                             \
        case TK_DIV: return v == 0 ? 0 : (MIN && v == (T)-1) ? (T)(0 - (U)u) : (T)(u / v);                \
        case TK_POW: return (T)power_i64((int64_t)u, (int64_t)v);                                         \
        case TK_MAX: return u > v ? u : v;                                                                \
        case TK_MIN: return u < v ? u : v;                                                                \
        case TK_REMAINDER: { if (v == 0 || (MIN && v == (T)-1)) return 0; T r = (T)(u % v); return r != 0 && ((r < 0) != (v < 0)) ? (T)(r + v) : r; } \
        case TK_FLOOR_DIV: { if (v == 0) return 0; if (MIN && v == (T)-1) return (T)(0 - (U)u); T q = (T)(u / v); return (u % v != 0 && ((u < 0) != (v < 0))) ? (T)(q - 1) : q; } \
        case TK_AND: return (T)(u & v);                                                                   \
        case TK_OR: return (T)(u | v);                                                                    \
        case TK_FMOD: return v == 0 || (MIN && v == (T)-1) ? 0 : (T)(u % v);                              \
        case TK_GCD: return (T)gcd_i64((int64_t)u, (int64_t)v);                                           \
        case TK_LCM: { int64_t g = gcd_i64((int64_t)u, (int64_t)v); int64_t m = g == 0 ? 0 : (int64_t)((uint64_t)((int64_t)u / g) * (uint64_t)v); return (T)(m < 0 ? 0 - (uint64_t)m : (uint64_t)m); } \
        case TK_LEFT_SHIFT: return v < 0 || v >= (T)(8 * sizeof(T)) ? 0 : (T)((U)u << v);                 \
        case TK_RIGHT_SHIFT: return v < 0 || v >= (T)(8 * sizeof(T)) ? (u < 0 ? (T)-1 : 0) : (T)(u >> v); \
        default: return (T)(u ^ v);                                                                       \
        }                                                                                                 \
    }                                                                                                     \
    static void NAME(int op, const T *a, int64_t sa, const T *b, int64_t sb, T *out, int64_t n) {         \
        switch (op) {                                                                                     \
        case TK_ADD: for (int64_t i = 0; i < n; i++) out[i] = NAME##_one(TK_ADD, a[i * sa], b[i * sb]); break; \
        case TK_SUB: for (int64_t i = 0; i < n; i++) out[i] = NAME##_one(TK_SUB, a[i * sa], b[i * sb]); break; \
        case TK_MUL: for (int64_t i = 0; i < n; i++) out[i] = NAME##_one(TK_MUL, a[i * sa], b[i * sb]); break; \
        default: for (int64_t i = 0; i < n; i++) out[i] = NAME##_one(op, a[i * sa], b[i * sb]);           \
        }                                                                                                 \
    }
INTEGER_BINARY(binary_i8, int8_t, uint32_t, 1)
INTEGER_BINARY(binary_u8, uint8_t, uint32_t, 0)
INTEGER_BINARY(binary_i32, int32_t, uint32_t, 1)
INTEGER_BINARY(binary_i64, int64_t, uint64_t, 1)

static void load_half(const tk_level *l, int dtype, const uint16_t *x, int64_t step, float *y, int64_t n) {
    if (step == 1) { l->half_to_float(dtype, x, y, n); return; }
    uint16_t dense[BLOCK];
    for (int64_t i = 0; i < n; i++) dense[i] = x[i * step];
    l->half_to_float(dtype, dense, y, n);
}

static void load_double(int dtype, const char *x, int64_t step, double *y, int64_t n) {
    switch (dtype) {
    case TK_F32: for (int64_t i = 0; i < n; i++) y[i] = ((const float *)x)[i * step]; break;
    case TK_F64: for (int64_t i = 0; i < n; i++) y[i] = ((const double *)x)[i * step]; break;
    default: {
        float u[BLOCK];
        load_half(tk_current_level(), dtype, (const uint16_t *)x, step, u, n);
        for (int64_t i = 0; i < n; i++) y[i] = u[i];
    }
    }
}

static void binary_row_special(int op, int dtype, const char *a, int64_t sa, const char *b, int64_t sb, char *out, int64_t n) {
    int64_t size = tk_element_size(dtype);
    for (int64_t i = 0; i < n; i += BLOCK) {
        double u[BLOCK], v[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        load_double(dtype, a + i * sa * size, sa, u, m);
        load_double(dtype, b + i * sb * size, sb, v, m);
        if (op == TK_NEXTAFTER && dtype == TK_F32) for (int64_t k = 0; k < m; k++) u[k] = nextafterf((float)u[k], (float)v[k]);
        else tk_binary_special(op, u, v, u, m);
        tk_cast(TK_F64, dtype, u, out + i * size, m);
    }
}

/// One row: any steps for the inputs, dense output.
static void binary_row(int op, int dtype, const char *a, int64_t sa, const char *b, int64_t sb, char *out, int64_t n) {
    const tk_level *l = tk_current_level();
    if (op > TK_HYPOT && dtype <= TK_BF16) { binary_row_special(op, dtype, a, sa, b, sb, out, n); return; }
    switch (dtype) {
    case TK_C64: case TK_C128: tk_binary_complex(op, dtype, a, sa, b, sb, out, n); break;
    case TK_F32: l->binary_f32(op, (const float *)a, sa, (const float *)b, sb, (float *)out, n); break;
    case TK_F64: l->binary_f64(op, (const double *)a, sa, (const double *)b, sb, (double *)out, n); break;
    case TK_F16: case TK_BF16:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            load_half(l, dtype, (const uint16_t *)a + i * sa, sa, u, m);
            load_half(l, dtype, (const uint16_t *)b + i * sb, sb, v, m);
            l->binary_f32(op, u, 1, v, 1, u, m);
            l->float_to_half(dtype, u, (uint16_t *)out + i, m);
        }
        break;
    case TK_I8: binary_i8(op, (const int8_t *)a, sa, (const int8_t *)b, sb, (int8_t *)out, n); break;
    case TK_I32: binary_i32(op, (const int32_t *)a, sa, (const int32_t *)b, sb, (int32_t *)out, n); break;
    case TK_I64: binary_i64(op, (const int64_t *)a, sa, (const int64_t *)b, sb, (int64_t *)out, n); break;
    default: binary_u8(op, (const uint8_t *)a, sa, (const uint8_t *)b, sb, (uint8_t *)out, n);  // bools are 0 and 1
    }
}

typedef struct { int op, dtype; const char *a, *b, *c; char *out; int64_t sa, sb; bool stream; } binary_context;

/// `binary_row`, through a block of its own where the output is streamed.
static void binary_piece(const binary_context *c, const char *a, int64_t sa, const char *b, int64_t sb, char *out, int64_t n) {
    if (!c->stream) { binary_row(c->op, c->dtype, a, sa, b, sb, out, n); return; }
    if (c->op <= TK_DIV && c->dtype == TK_F32 && (sa | sb) >> 1 == 0) {
        int64_t head = (int64_t)(-(uintptr_t)out & 63) / 4;
        if (head > n) head = n;
        binary_row(c->op, c->dtype, a, sa, b, sb, out, head);
        tk_current_level()->binary_stream(c->op, (const float *)a + head * sa, sa, (const float *)b + head * sb, sb, (float *)out + head,
                                          n - head);
        return;
    }
    int64_t size = tk_element_size(c->dtype), most = STREAM_BLOCK / size;
    _Alignas(64) char block[STREAM_BLOCK];
    for (int64_t i = 0; i < n; i += most) {
        int64_t m = n - i < most ? n - i : most;
        binary_row(c->op, c->dtype, a + i * sa * size, sa, b + i * sb * size, sb, block, m);
        tk_stream_copy(out + i * size, block, m * size);
    }
}

static void binary_range(void *p, int64_t low, int64_t high) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    binary_piece(c, c->a + low * size * c->sa, c->sa, c->b + low * size * c->sb, c->sb, c->out + low * size, high - low);
}

void tk_binary_dense(int op, int dtype, const void *a, int a_step, const void *b, int b_step, void *out, int64_t n) {
    binary_context c = {op, dtype, a, b, 0, out, a_step, b_step, false};
    if (n <= TK_GRAIN) { binary_range(&c, 0, n); return; }
    c.stream = out != a && out != b && tk_streams(n * tk_element_size(dtype));
    tk_parallel_ranges(n, TK_GRAIN, binary_range, &c);
    if (c.stream) tk_stream_fence();
}

static void binary_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t width) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    binary_piece(c, c->a + o[0] * size, tk_inner_stride(w, 0), c->b + o[1] * size, tk_inner_stride(w, 1), c->out + o[2] * size,
                 width);
}

/// Row-major strides of the output.
static void dense_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t step = 1;
    for (int d = rank - 1; d >= 0; d--) { strides[d] = step; step *= dims[d]; }
}

void tk_binary(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides, const void *b,
               const int64_t *b_strides, void *out) {
    int64_t so[rank + 1];
    dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 3, (const int64_t *const[]){a_strides, b_strides, so})) return;
    binary_context c = {op, dtype, a, b, 0, out, 0, 0, false};
    c.stream = out != a && out != b && tk_streams(w.rows * w.width * tk_element_size(dtype));
    tk_walk_run(&w, binary_walk_row, &c);
    if (c.stream) tk_stream_fence();
}

#define COMPARE(T, LOAD)                                                                                \
    switch (op) {                                                                                       \
    case TK_EQ: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) == LOAD(T, b, i * sb); break; \
    case TK_NE: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) != LOAD(T, b, i * sb); break; \
    case TK_LT: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) < LOAD(T, b, i * sb); break;  \
    case TK_LE: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) <= LOAD(T, b, i * sb); break; \
    case TK_GT: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) > LOAD(T, b, i * sb); break;  \
    default: for (int64_t i = 0; i < n; i++) out[i] = LOAD(T, a, i * sa) >= LOAD(T, b, i * sb);           \
    }
#define PLAIN(T, p, i) ((const T *)p)[i]

// Complex numbers are equal or not; they have no order.
#define COMPARE_PAIRS(T)                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                   \
        const T *u = (const T *)a + 2 * i * sa, *v = (const T *)b + 2 * i * sb;                         \
        out[i] = (u[0] == v[0] && u[1] == v[1]) == (op == TK_EQ);                                       \
    }

static void compare_row(int op, int dtype, const char *a, int64_t sa, const char *b, int64_t sb, bool *out, int64_t n) {
    switch (dtype) {
    case TK_F32: COMPARE(float, PLAIN) break;
    case TK_F64: COMPARE(double, PLAIN) break;
    case TK_I8: COMPARE(int8_t, PLAIN) break;
    case TK_I32: COMPARE(int32_t, PLAIN) break;
    case TK_I64: COMPARE(int64_t, PLAIN) break;
    case TK_U8: case TK_BOOL: COMPARE(uint8_t, PLAIN) break;
    case TK_C64: COMPARE_PAIRS(float) break;
    case TK_C128: COMPARE_PAIRS(double) break;
    default: {
        const tk_level *l = tk_current_level();
        for (int64_t k = 0; k < n; k += BLOCK) {
            float u[BLOCK], v[BLOCK];
            int64_t m = n - k < BLOCK ? n - k : BLOCK;
            load_half(l, dtype, (const uint16_t *)a + k * sa, sa, u, m);
            load_half(l, dtype, (const uint16_t *)b + k * sb, sb, v, m);
            compare_row(op, TK_F32, (const char *)u, 1, (const char *)v, 1, out + k, m);
        }
    }
    }
}

static void compare_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t width) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    compare_row(c->op, c->dtype, c->a + o[0] * size, tk_inner_stride(w, 0), c->b + o[1] * size, tk_inner_stride(w, 1),
                (bool *)c->out + o[2], width);
}

void tk_compare(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides, const void *b,
                const int64_t *b_strides, bool *out) {
    int64_t so[rank + 1];
    dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 3, (const int64_t *const[]){a_strides, b_strides, so})) return;
    binary_context c = {op, dtype, a, b, 0, (char *)out, 0, 0, false};
    tk_walk_run(&w, compare_walk_row, &c);
}

#define WHERE(T)                                                                                                          \
    if (sc == 1 && sa == 1 && sb == 1)                                                                                    \
        for (int64_t i = 0; i < n; i++) { T u = ((const T *)a)[i], v = ((const T *)b)[i]; ((T *)out)[i] = c[i] ? u : v; } \
    else for (int64_t i = 0; i < n; i++) ((T *)out)[i] = c[i * sc] ? ((const T *)a)[i * sa] : ((const T *)b)[i * sb]

static void where_row(int64_t size, const bool *c, int64_t sc, const char *a, int64_t sa, const char *b, int64_t sb, char *out, int64_t n) {
    if (size == 4 && sc == 1 && sa == 1 && sb == 1) {
        tk_current_level()->select(c, (const float *)a, (const float *)b, (float *)out, n, false);
        return;
    }
    switch (size) {
    case 1: WHERE(uint8_t); break;
    case 2: WHERE(uint16_t); break;
    case 4: WHERE(uint32_t); break;
    case 8: WHERE(uint64_t); break;
    default: WHERE(tk_pair);
    }
}

static void where_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t n) {
    const binary_context *x = p;
    int64_t size = tk_element_size(x->dtype);
    int64_t sc = tk_inner_stride(w, 0), sa = tk_inner_stride(w, 1), sb = tk_inner_stride(w, 2);
    const bool *c = (const bool *)x->c + o[0];
    const char *a = x->a + o[1] * size, *b = x->b + o[2] * size;
    char *out = x->out + o[3] * size;
    if (!x->stream) { where_row(size, c, sc, a, sa, b, sb, out, n); return; }
    if (size == 4 && sc == 1 && sa == 1 && sb == 1 && (uintptr_t)out % 64 == 0) {
        tk_current_level()->select(c, (const float *)a, (const float *)b, (float *)out, n, true);
        return;
    }
    _Alignas(64) char block[STREAM_BLOCK];
    for (int64_t i = 0; i < n; i += STREAM_BLOCK / size) {
        int64_t m = n - i < STREAM_BLOCK / size ? n - i : STREAM_BLOCK / size;
        where_row(size, c + i * sc, sc, a + i * sa * size, sa, b + i * sb * size, sb, block, m);
        tk_stream_copy(out + i * size, block, m * size);
    }
}

void tk_where(int dtype, int rank, const int64_t *dims, const bool *c, const int64_t *c_strides, const void *a,
              const int64_t *a_strides, const void *b, const int64_t *b_strides, void *out) {
    int64_t so[rank + 1];
    dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 4, (const int64_t *const[]){c_strides, a_strides, b_strides, so})) return;
    binary_context x = {0, dtype, a, b, (const char *)c, out, 0, 0, false};
    x.stream = out != a && out != b && tk_streams(w.rows * w.width * tk_element_size(dtype));
    tk_walk_run(&w, where_walk_row, &x);
    if (x.stream) tk_stream_fence();
}

// ---- clamp, axpy ----

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

static void clamp_row(int dtype, const void *x, void *y, int64_t n, double low, double high) {
    switch (dtype) {
    case TK_F32: CLAMP(float, (float)low, (float)high) break;
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
            clamp_row(TK_F32, u, u, m, low, high);
            l->float_to_half(dtype, u, (uint16_t *)y + i, m);
        }
    }
}

typedef struct { int dtype; const char *x; char *y; double low, high; bool stream; } clamp_context;

static void clamp_range(void *p, int64_t from, int64_t to) {
    const clamp_context *c = p;
    int64_t size = tk_element_size(c->dtype), n = to - from;
    const char *x = c->x + from * size;
    char *y = c->y + from * size;
    if (!c->stream) { clamp_row(c->dtype, x, y, n, c->low, c->high); return; }
    _Alignas(64) char block[STREAM_BLOCK];
    for (int64_t i = 0; i < n; i += STREAM_BLOCK / size) {
        int64_t m = n - i < STREAM_BLOCK / size ? n - i : STREAM_BLOCK / size;
        clamp_row(c->dtype, x + i * size, block, m, c->low, c->high);
        tk_stream_copy(y + i * size, block, m * size);
    }
}

void tk_clamp(int dtype, const void *x, void *y, int64_t n, double low, double high) {
    clamp_context c = {dtype, x, y, low, high, x != y && tk_streams(n * tk_element_size(dtype))};
    tk_parallel_ranges(n, TK_GRAIN, clamp_range, &c);
    if (c.stream) tk_stream_fence();
}

static void axpy_row(int dtype, double alpha, const void *x, void *y, int64_t n) {
    switch (dtype) {
    case TK_F32: for (int64_t i = 0; i < n; i++) ((float *)y)[i] += (float)alpha * ((const float *)x)[i]; break;
    case TK_F64: for (int64_t i = 0; i < n; i++) ((double *)y)[i] += alpha * ((const double *)x)[i]; break;
    default:
        for (int64_t i = 0; i < n; i += BLOCK) {
            float u[BLOCK], v[BLOCK];
            int64_t m = n - i < BLOCK ? n - i : BLOCK;
            const tk_level *l = tk_current_level();
            l->half_to_float(dtype, (const uint16_t *)x + i, u, m);
            l->half_to_float(dtype, (const uint16_t *)y + i, v, m);
            for (int64_t k = 0; k < m; k++) v[k] += (float)alpha * u[k];
            l->float_to_half(dtype, v, (uint16_t *)y + i, m);
        }
    }
}

typedef struct { int dtype; double alpha; const char *x; char *y; } axpy_context;

static void axpy_range(void *p, int64_t low, int64_t high) {
    const axpy_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    axpy_row(c->dtype, c->alpha, c->x + low * size, c->y + low * size, high - low);
}

void tk_axpy(int dtype, double alpha, const void *x, void *y, int64_t n) {
    axpy_context c = {dtype, alpha, x, y};
    tk_parallel_ranges(n, TK_GRAIN, axpy_range, &c);
}
