// Comparisons and choices between elements, broadcast by strides.
#include <math.h>
#include <string.h>

#include "elementwise.h"
#include "stream.h"
#include "strided.h"

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

void tk_compare_row(int op, int dtype, const void *a, int64_t sa, const void *b, int64_t sb, bool *out, int64_t n) {
    switch (dtype) {
    case TK_F32:
        if (sa == 1 && sb == 1) tk_current_level()->compare(op, a, b, out, n);
        else COMPARE(float, PLAIN)
        break;
    case TK_F64: COMPARE(double, PLAIN) break;
    case TK_I8: COMPARE(int8_t, PLAIN) break;
    case TK_I32: COMPARE(int32_t, PLAIN) break;
    case TK_I64: COMPARE(int64_t, PLAIN) break;
    case TK_U8: case TK_BOOL: COMPARE(uint8_t, PLAIN) break;
    case TK_C64: COMPARE_PAIRS(float) break;
    case TK_C128: COMPARE_PAIRS(double) break;
    default: {
        const tk_level *l = tk_current_level();
        for (int64_t k = 0; k < n; k += TK_ELEMENTS) {
            float u[TK_ELEMENTS], v[TK_ELEMENTS];
            int64_t m = n - k < TK_ELEMENTS ? n - k : TK_ELEMENTS;
            tk_load_half(l, dtype, (const uint16_t *)a + k * sa, sa, u, m);
            tk_load_half(l, dtype, (const uint16_t *)b + k * sb, sb, v, m);
            tk_compare_row(op, TK_F32, u, 1, v, 1, out + k, m);
        }
    }
    }
}

typedef struct { int op, dtype; const char *a, *b; bool *out; } compare_context;

static void compare_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t width) {
    const compare_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    tk_compare_row(c->op, c->dtype, c->a + o[0] * size, tk_inner_stride(w, 0), c->b + o[1] * size, tk_inner_stride(w, 1),
                c->out + o[2], width);
}

void tk_compare(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides, const void *b,
                const int64_t *b_strides, bool *out) {
    int64_t so[rank + 1];
    tk_dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 3, (const int64_t *const[]){a_strides, b_strides, so})) return;
    compare_context c = {op, dtype, a, b, out};
    tk_walk_run(&w, compare_walk_row, &c);
}

#define WHERE(T)                                                                                                          \
    if (sc == 1 && sa == 1 && sb == 1)                                                                                    \
        for (int64_t i = 0; i < n; i++) { T u = ((const T *)a)[i], v = ((const T *)b)[i]; ((T *)out)[i] = c[i] ? u : v; } \
    else for (int64_t i = 0; i < n; i++) ((T *)out)[i] = c[i * sc] ? ((const T *)a)[i * sa] : ((const T *)b)[i * sb]

void tk_where_row(int64_t size, const bool *c, int64_t sc, const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n) {
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

typedef struct { int64_t size; const bool *c; const char *a, *b; char *out; int64_t sc, sa, sb; bool stream; } where_context;

static void where_piece(const void *p, int64_t at, char *out, int64_t n) {
    const where_context *x = p;
    tk_where_row(x->size, x->c + at * x->sc, x->sc, x->a + at * x->sa * x->size, x->sa, x->b + at * x->sb * x->size, x->sb, out, n);
}

static void where_walk_row(void *p, const tk_walk *w, const int64_t *o, int64_t n) {
    where_context x = *(const where_context *)p;
    x.c += o[0], x.a += o[1] * x.size, x.b += o[2] * x.size, x.out += o[3] * x.size;
    x.sc = tk_inner_stride(w, 0), x.sa = tk_inner_stride(w, 1), x.sb = tk_inner_stride(w, 2);
    if (x.stream && x.size == 4 && x.sc == 1 && x.sa == 1 && x.sb == 1 && (uintptr_t)x.out % 64 == 0)
        tk_current_level()->select(x.c, (const float *)x.a, (const float *)x.b, (float *)x.out, n, true);
    else tk_pieces(x.stream, x.out, 0, n, x.size, where_piece, &x);
}

void tk_where(int dtype, int rank, const int64_t *dims, const bool *c, const int64_t *c_strides, const void *a,
              const int64_t *a_strides, const void *b, const int64_t *b_strides, void *out) {
    int64_t so[rank + 1];
    tk_dense_strides(rank, dims, so);
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 4, (const int64_t *const[]){c_strides, a_strides, b_strides, so})) return;
    int64_t size = tk_element_size(dtype);
    where_context x = {size, c, a, b, out, 0, 0, 0, out != a && out != b && tk_streams(w.rows * w.width * size)};
    tk_walk_run(&w, where_walk_row, &x);
    if (x.stream) tk_stream_fence();
}
