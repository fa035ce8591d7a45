// Sums as accurate as if added in twice the precision and rounded once: every addition's rounding error is added up beside (Sum2 of
// Ogita, Rump and Oishi, 2005, whose two-sum is Knuth's). Split by shape, so that the bits are the same for any number of threads.
#include <math.h>

#include "levels.h"

enum { CHUNK = 65536, LANES = 16, COLUMNS = 128, PIECE = 1024 };

// sum + error as (s, e): s = fl(s + x), e += what was rounded off.
#define ADD(T, s, e, x)                          \
    {                                            \
        T value_ = (x), sum_ = (s) + value_, part_ = sum_ - (s); \
        (e) += ((s) - (sum_ - part_)) + (value_ - part_);        \
        (s) = sum_;                              \
    }

typedef struct { int dtype; const char *x; char *out, *errors; int64_t n, inner, chunks, size; } sum_context;

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

#define ROW(NAME, T)                                                                             \
    static void NAME(const T *x, int64_t n, T *s, T *e) {                                        \
        int64_t i = 0;                                                                           \
        for (; i + LANES <= n; i += LANES) for (int k = 0; k < LANES; k++) ADD(T, s[k], e[k], x[i + k]) \
        for (int k = 0; i < n; i++, k++) ADD(T, s[k], e[k], x[i])                                \
    }                                                                                            \
    static void NAME##_joined(T *s, T *e) {                                                      \
        for (int k = 1; k < LANES; k++) { ADD(T, s[0], e[0], s[k]) e[0] += e[k]; }               \
    }
ROW(row_f32, float)
ROW(row_f64, double)

/// inner = 1: pieces of CHUNK elements, each to a sum and an error.
static void chunks_range(void *p, int64_t low, int64_t high) {
    const sum_context *c = p;
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->chunks, start = t % c->chunks * CHUNK, n = c->n - start < CHUNK ? c->n - start : CHUNK;
        const char *x = c->x + (o * c->n + start) * c->size;
        if (c->dtype == TK_F64) {
            double s[LANES] = {0}, e[LANES] = {0};
            row_f64((const double *)x, n, s, e);
            row_f64_joined(s, e);
            ((double *)c->out)[t] = s[0];
            ((double *)c->errors)[t] = e[0];
            continue;
        }
        float s[LANES] = {0}, e[LANES] = {0}, wide[PIECE];
        if (!is_half(c->dtype)) row_f32((const float *)x, n, s, e);
        else for (int64_t i = 0; i < n; i += PIECE) {
            int64_t m = n - i < PIECE ? n - i : PIECE;
            tk_current_level()->half_to_float(c->dtype, (const uint16_t *)x + i, wide, m);
            row_f32(wide, m, s, e);
        }
        row_f32_joined(s, e);
        ((float *)c->out)[t] = s[0];
        ((float *)c->errors)[t] = e[0];
    }
}

// A sum that is infinite or NaN has no rounding error to speak of.
#define RESULT(s, e) (isfinite(s) ? (s) + (e) : (s))

#define COLUMNS_OF(T, READ)                                                                      \
    {                                                                                            \
        T s[COLUMNS] = {0}, e[COLUMNS] = {0};                                                    \
        for (int64_t r = 0; r < c->n; r++) {                                                     \
            const char *from = x + r * c->inner * c->size;                                       \
            READ                                                                                 \
            for (int64_t k = 0; k < width; k++) ADD(T, s[k], e[k], row[k])                       \
        }                                                                                        \
        for (int64_t k = 0; k < width; k++) ((T *)c->out)[at + k] = RESULT(s[k], e[k]);          \
    }

/// inner > 1: task = (outer, block of columns).
static void columns_range(void *p, int64_t low, int64_t high) {
    const sum_context *c = p;
    int64_t blocks = (c->inner + COLUMNS - 1) / COLUMNS;
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / blocks, start = t % blocks * COLUMNS, at = o * c->inner + start;
        int64_t width = c->inner - start < COLUMNS ? c->inner - start : COLUMNS;
        const char *x = c->x + (o * c->n * c->inner + start) * c->size;
        if (c->dtype == TK_F64) COLUMNS_OF(double, const double *row = (const double *)from;)
        else if (c->dtype == TK_F32) COLUMNS_OF(float, const float *row = (const float *)from;)
        else COLUMNS_OF(float, float row[COLUMNS]; tk_current_level()->half_to_float(c->dtype, (const uint16_t *)from, row, width);)
    }
}

void tk_sum_compensated(int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner) {
    int64_t results = outer * inner;
    if (results == 0) return;
    bool half = is_half(dtype);
    int wide = half ? TK_F32 : dtype;
    int64_t size = tk_element_size(wide), chunks = n > 0 ? (n + CHUNK - 1) / CHUNK : 1;
    char *result = half ? tk_alloc((size_t)(results * size)) : out;
    sum_context c = {dtype, x, result, 0, n, inner, chunks, tk_element_size(dtype)};
    if (inner > 1) {
        int64_t grain = TK_GRAIN / (n * COLUMNS + 1);
        tk_parallel_ranges(outer * ((inner + COLUMNS - 1) / COLUMNS), grain > 0 ? grain : 1, columns_range, &c);
    } else {
        size_t bytes = (size_t)(outer * chunks * size);
        c.out = tk_alloc(bytes);
        c.errors = tk_alloc(bytes);
        int64_t grain = TK_GRAIN / (n + 1);
        tk_parallel_ranges(outer * chunks, grain > 0 ? grain : 1, chunks_range, &c);
        for (int64_t o = 0; o < outer; o++) {
            if (dtype == TK_F64) {
                double s = 0, e = 0;
                for (int64_t t = o * chunks; t < (o + 1) * chunks; t++) { ADD(double, s, e, ((double *)c.out)[t]) e += ((double *)c.errors)[t]; }
                ((double *)result)[o] = RESULT(s, e);
            } else {
                float s = 0, e = 0;
                for (int64_t t = o * chunks; t < (o + 1) * chunks; t++) { ADD(float, s, e, ((float *)c.out)[t]) e += ((float *)c.errors)[t]; }
                ((float *)result)[o] = RESULT(s, e);
            }
        }
        tk_free(c.out, bytes);
        tk_free(c.errors, bytes);
    }
    if (half) {
        tk_cast(TK_F32, dtype, result, out, results);
        tk_free(result, (size_t)(results * size));
    }
}
