// Elementwise functions of two arguments, broadcast by strides; sums of multiples in place.
#include <math.h>
#include <string.h>

#include "elementwise.h"
#include "stream.h"
#include "strided.h"

enum { BLOCK = TK_ELEMENTS };

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

static void load_double(int dtype, const char *x, int64_t step, double *y, int64_t n) {
    switch (dtype) {
    case TK_F32: for (int64_t i = 0; i < n; i++) y[i] = ((const float *)x)[i * step]; break;
    case TK_F64: for (int64_t i = 0; i < n; i++) y[i] = ((const double *)x)[i * step]; break;
    default: {
        float u[BLOCK];
        tk_load_half(tk_current_level(), dtype, (const uint16_t *)x, step, u, n);
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

void tk_binary_row(int op, int dtype, const void *first, int64_t sa, const void *second, int64_t sb, void *to, int64_t n) {
    const char *a = first, *b = second;
    char *out = to;
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
            tk_load_half(l, dtype, (const uint16_t *)a + i * sa, sa, u, m);
            tk_load_half(l, dtype, (const uint16_t *)b + i * sb, sb, v, m);
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

typedef struct { int op, dtype; const char *a, *b; char *out; int64_t sa, sb; bool stream; } binary_context;

static void binary_piece(const void *p, int64_t at, char *out, int64_t n) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    tk_binary_row(c->op, c->dtype, c->a + at * c->sa * size, c->sa, c->b + at * c->sb * size, c->sb, out, n);
}

static void binary_range(void *p, int64_t low, int64_t high) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype), n = high - low;
    if (c->stream && c->op <= TK_DIV && c->dtype == TK_F32 && (c->sa | c->sb) >> 1 == 0) {
        // straight from registers, from the first whole line
        int64_t head = tk_stream_head(c->out, low, high, size), at = low + head;
        binary_piece(c, low, c->out + low * size, head);
        tk_current_level()->binary_stream(c->op, (const float *)c->a + at * c->sa, c->sa, (const float *)c->b + at * c->sb, c->sb,
                                          (float *)c->out + at, n - head);
        return;
    }
    tk_pieces(c->stream, c->out, low, high, size, binary_piece, c);
}

void tk_binary_dense(int op, int dtype, const void *a, int a_step, const void *b, int b_step, void *out, int64_t n) {
    binary_context c = {op, dtype, a, b, out, a_step, b_step, false};
    if (n <= TK_GRAIN) { binary_range(&c, 0, n); return; }
    c.stream = out != a && out != b && tk_streams(n * tk_element_size(dtype));
    tk_parallel_ranges(n, TK_GRAIN, binary_range, &c);
    if (c.stream) tk_stream_fence();
}

static void binary_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t width) {
    const binary_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    binary_context row = {c->op, c->dtype, c->a + o[0] * size, c->b + o[1] * size, c->out + o[2] * size, tk_inner_stride(w, 0),
                          tk_inner_stride(w, 1), c->stream};
    binary_range(&row, 0, width);
}

void tk_binary(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides, const void *b,
               const int64_t *b_strides, void *out) {
    int64_t so[rank + 1];
    tk_dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 3, (const int64_t *const[]){a_strides, b_strides, so})) return;
    binary_context c = {op, dtype, a, b, out, 0, 0, false};
    c.stream = out != a && out != b && tk_streams(w.rows * w.width * tk_element_size(dtype));
    tk_walk_run(&w, binary_walk_row, &c);
    if (c.stream) tk_stream_fence();
}

// ---- axpy ----

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
