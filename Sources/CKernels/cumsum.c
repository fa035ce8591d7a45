// Running sums along the middle of [outer, n, inner]. f32 adds up in double.
#include "levels.h"
#include "stream.h"

enum { BAND = 1024 };

typedef struct { int dtype; const char *x; char *out; int64_t n, inner; bool stream; } cumsum_context;

#define ROW(T, A)                                                                  \
    {                                                                              \
        const T *v = (const T *)c->x + o * c->n * c->inner + i;                    \
        T *y = (T *)c->out + o * c->n * c->inner + i;                              \
        A s = 0;                                                                   \
        for (int64_t j = 0; j < c->n; j++) {                                       \
            s += (A)v[j * c->inner];                                               \
            y[j * c->inner] = (T)s;                                                \
        }                                                                          \
    }

#define ADD_PLAIN(A, T) for (int64_t i = 0; i < width; i++) { s[i] += (A)v[i]; to[i] = (T)s[i]; }
#define ADD_FLOATS(A, T) tk_current_level()->add_to_sums(v, s, to, width)

// Columns side by side, so that rows are read as they lie in memory. Tasks are bands of columns.
#define COLUMNS(T, A, ADD)                                                         \
    {                                                                              \
        A s[BAND];                                                                 \
        T block[BAND];                                                             \
        const T *v = (const T *)c->x + start;                                      \
        T *y = (T *)c->out + start;                                                \
        for (int64_t i = 0; i < width; i++) s[i] = 0;                              \
        for (int64_t j = 0; j < c->n; j++, v += c->inner, y += c->inner) {         \
            T *to = c->stream ? block : y;                                         \
            ADD(A, T);                                                             \
            if (c->stream) tk_stream_copy(y, block, width * (int64_t)sizeof(T));   \
        }                                                                          \
    }

static void columns_range(void *p, int64_t low, int64_t high) {
    const cumsum_context *c = p;
    int64_t bands = (c->inner + BAND - 1) / BAND;
    for (int64_t t = low; t < high; t++) {
        int64_t first = t % bands * BAND, width = c->inner - first < BAND ? c->inner - first : BAND;
        int64_t start = t / bands * c->n * c->inner + first;
        switch (c->dtype) {
        case TK_F32: COLUMNS(float, double, ADD_FLOATS) break;
        case TK_F64: COLUMNS(double, double, ADD_PLAIN) break;
        case TK_I8: COLUMNS(int8_t, uint32_t, ADD_PLAIN) break;
        case TK_I32: COLUMNS(int32_t, uint32_t, ADD_PLAIN) break;
        case TK_I64: COLUMNS(int64_t, uint64_t, ADD_PLAIN) break;
        default: COLUMNS(uint8_t, uint32_t, ADD_PLAIN)
        }
    }
}

/// A dense row of floats, in blocks.
static void float_row(const cumsum_context *c, const float *x, float *y) {
    enum { BLOCK = 2048 };
    float block[BLOCK];
    double carry = 0;
    for (int64_t i = 0; i < c->n; i += BLOCK) {
        int64_t m = c->n - i < BLOCK ? c->n - i : BLOCK;
        carry = tk_current_level()->running_sum(x + i, c->stream ? block : y + i, carry, m);
        if (c->stream) tk_stream_copy(y + i, block, m * 4);
    }
}

static void rows_range(void *p, int64_t low, int64_t high) {
    const cumsum_context *c = p;
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->inner, i = t % c->inner;
        switch (c->dtype) {
        case TK_F32:
            if (c->inner == 1) float_row(c, (const float *)c->x + o * c->n, (float *)c->out + o * c->n);
            else ROW(float, double)
            break;
        case TK_F64: ROW(double, double) break;
        case TK_I8: ROW(int8_t, uint32_t) break;
        case TK_I32: ROW(int32_t, uint32_t) break;
        case TK_I64: ROW(int64_t, uint64_t) break;
        default: ROW(uint8_t, uint32_t)
        }
    }
}

void tk_cumsum(int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner) {
    if (dtype == TK_F16 || dtype == TK_BF16) {
        int64_t all = outer * n * inner;
        float *wide = tk_alloc((size_t)(all * 4));
        tk_cast(dtype, TK_F32, x, wide, all);
        tk_cumsum(TK_F32, wide, wide, outer, n, inner);
        tk_cast(TK_F32, dtype, wide, out, all);
        tk_free(wide, (size_t)(all * 4));
        return;
    }
    cumsum_context c = {dtype, x, out, n, inner, x != out && tk_streams(outer * n * inner * tk_element_size(dtype))};
    int64_t length = n > 0 ? n : 1;
    if (inner >= 8) {
        int64_t bands = outer * ((inner + BAND - 1) / BAND), grain = TK_GRAIN / (BAND * length);
        tk_parallel_ranges(bands, grain > 0 ? grain : 1, columns_range, &c);
    } else {
        int64_t grain = TK_GRAIN / length;
        tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, rows_range, &c);
    }
    if (c.stream) tk_stream_fence();
}
