// Reductions over the middle of [outer, n, inner]. Blocks are fixed by the shape; partial results are combined in order.
#include <math.h>
#include <string.h>

#include "levels.h"

enum { CHUNK = 65536, COLUMNS = 512, BAND = 256, GROUP = 64 };

// ---- one row of n dense elements, as a double (or an integer) ----

static double row_f64(int op, const double *x, int64_t n) {
    double a[4];
    int64_t i = 0;
    switch (op) {
    case TK_SUM:
        a[0] = a[1] = a[2] = a[3] = 0;
        for (; i + 4 <= n; i += 4) for (int k = 0; k < 4; k++) a[k] += x[i + k];
        for (; i < n; i++) a[0] += x[i];
        return (a[0] + a[1]) + (a[2] + a[3]);
    case TK_PROD:
        a[0] = 1;
        for (; i < n; i++) a[0] *= x[i];
        return a[0];
    default:
        a[0] = op == TK_RMAX ? -INFINITY : INFINITY;
        for (; i < n; i++) {
            if (x[i] != x[i]) return x[i];
            if (op == TK_RMAX ? x[i] > a[0] : x[i] < a[0]) a[0] = x[i];
        }
        return a[0];
    }
}

static float row_f32(int op, const float *x, int64_t n) {
    const tk_level *l = tk_current_level();
    if (op == TK_SUM) return l->sum(x, n);
    if (op == TK_RMAX) return l->max(x, n);
    float a = op == TK_PROD ? 1 : INFINITY;
    if (op == TK_PROD) { for (int64_t i = 0; i < n; i++) a *= x[i]; return a; }
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return x[i];
        a = x[i] < a ? x[i] : a;
    }
    return a;
}

#define INTEGER_ROW(NAME, T, U, LOW, HIGH)                                                     \
    static T NAME(int op, const T *x, int64_t n) {                                             \
        U a = op == TK_PROD ? 1 : 0;                                                           \
        T m = op == TK_RMAX ? (LOW) : (HIGH);                                                  \
        switch (op) {                                                                          \
        case TK_SUM: for (int64_t i = 0; i < n; i++) a += (U)x[i]; return (T)a;                 \
        case TK_PROD: for (int64_t i = 0; i < n; i++) a *= (U)x[i]; return (T)a;                \
        case TK_RMAX: for (int64_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m; return m;        \
        default: for (int64_t i = 0; i < n; i++) m = x[i] < m ? x[i] : m; return m;             \
        }                                                                                      \
    }
INTEGER_ROW(row_i8, int8_t, uint32_t, INT8_MIN, INT8_MAX)
INTEGER_ROW(row_u8, uint8_t, uint32_t, 0, UINT8_MAX)
INTEGER_ROW(row_i32, int32_t, uint32_t, INT32_MIN, INT32_MAX)
INTEGER_ROW(row_i64, int64_t, uint64_t, INT64_MIN, INT64_MAX)

static bool row_bool(int op, const uint8_t *x, int64_t n) {
    if (n == 0) return op == TK_ALL;
    return op == TK_ANY ? memchr(x, 1, (size_t)n) != 0 : memchr(x, 0, (size_t)n) == 0;
}

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

/// Sums and products of complex numbers.
static void row_complex(int op, int dtype, const char *x, char *out, int64_t n) {
    double re = op == TK_PROD, im = 0;
    for (int64_t i = 0; i < n; i++) {
        double u = dtype == TK_C64 ? ((const float *)x)[2 * i] : ((const double *)x)[2 * i];
        double v = dtype == TK_C64 ? ((const float *)x)[2 * i + 1] : ((const double *)x)[2 * i + 1];
        if (op == TK_SUM) { re += u; im += v; continue; }
        double t = re * u - im * v;
        im = re * v + im * u;
        re = t;
    }
    if (dtype == TK_C64) { ((float *)out)[0] = (float)re; ((float *)out)[1] = (float)im; }
    else { ((double *)out)[0] = re; ((double *)out)[1] = im; }
}

/// Reduces one dense row to one element at `out`.
static void row(int op, int dtype, const char *x, char *out, int64_t n) {
    switch (dtype) {
    case TK_F32: *(float *)out = row_f32(op, (const float *)x, n); break;
    case TK_F64: *(double *)out = row_f64(op, (const double *)x, n); break;
    case TK_I8: *(int8_t *)out = row_i8(op, (const int8_t *)x, n); break;
    case TK_U8: *(uint8_t *)out = row_u8(op, (const uint8_t *)x, n); break;
    case TK_I32: *(int32_t *)out = row_i32(op, (const int32_t *)x, n); break;
    case TK_I64: *(int64_t *)out = row_i64(op, (const int64_t *)x, n); break;
    case TK_C64: case TK_C128: row_complex(op, dtype, x, out, n); break;
    case TK_BOOL: *(bool *)out = row_bool(op, (const uint8_t *)x, n); break;
    }
}

typedef struct { int op, dtype; const char *x; char *out; int64_t n, inner, chunks, size, out_size; } reduce_context;

static int binary_of(int op) {
    switch (op) {
    case TK_SUM: return TK_ADD;
    case TK_PROD: return TK_MUL;
    case TK_RMAX: return TK_MAX;
    case TK_RMIN: return TK_MIN;
    case TK_ANY: return TK_OR;
    default: return TK_AND;
    }
}

// 16-bit floats are widened as they are read; the results are floats.
static void row_any(int op, int dtype, const char *x, char *out, int64_t n) {
    if (!is_half(dtype)) { row(op, dtype, x, out, n); return; }
    float wide[CHUNK];
    tk_current_level()->half_to_float(dtype, (const uint16_t *)x, wide, n);
    row(op, TK_F32, (const char *)wide, out, n);
}

static void rows_range(void *p, int64_t low, int64_t high) {
    const reduce_context *c = p;
    for (int64_t o = low; o < high; o++) row_any(c->op, c->dtype, c->x + o * c->n * c->size, c->out + o * c->out_size, c->n);
}

/// Pieces of CHUNK elements of one long row, each to one partial.
static void chunks_range(void *p, int64_t low, int64_t high) {
    const reduce_context *c = p;
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->chunks, start = t % c->chunks * CHUNK, n = c->n - start < CHUNK ? c->n - start : CHUNK;
        row_any(c->op, c->dtype, c->x + (o * c->n + start) * c->size, c->out + t * c->out_size, n);
    }
}

/// acc [width] = x folded over `rows` rows, which are c->inner elements apart; acc is of the type of the results.
static void fold(const reduce_context *c, const char *x, int64_t rows, int64_t width, char *acc) {
    const tk_level *l = tk_current_level();
    bool half = is_half(c->dtype);
    int op = binary_of(c->op), dtype = half ? TK_F32 : c->dtype;
    if (half) l->half_to_float(c->dtype, (const uint16_t *)x, (float *)acc, width);
    else memcpy(acc, x, (size_t)(width * c->size));
    for (int64_t r = 1; r < rows; r++) {
        const char *xr = x + r * c->inner * c->size;
        for (int64_t i = 0; i < width; i += half ? COLUMNS : width) {
            float wide[COLUMNS];
            const char *from = xr + i * c->size;
            char *to = acc + i * c->out_size;
            int64_t n = half && width - i > COLUMNS ? COLUMNS : width - i;
            if (half) {
                l->half_to_float(c->dtype, (const uint16_t *)from, wide, n);
                from = (const char *)wide;
            }
            if (op == TK_ADD && dtype == TK_F32) l->add_rows((const float *)from, (float *)to, n);
            else tk_binary_dense(op, dtype, to, 1, from, 1, to, n);
        }
    }
}

/// inner > 1: task = (outer, block of columns); rows are folded one after another, in groups of 64 (GROUP) whose results are
/// then folded, which keeps f32 sums accurate.
static void columns_range(void *p, int64_t low, int64_t high) {
    const reduce_context *c = p;
    int64_t blocks = (c->inner + COLUMNS - 1) / COLUMNS;
    int dtype = is_half(c->dtype) ? TK_F32 : c->dtype;
    _Alignas(64) char group[COLUMNS * 16];
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / blocks, start = t % blocks * COLUMNS;
        int64_t width = c->inner - start < COLUMNS ? c->inner - start : COLUMNS;
        const char *x = c->x + (o * c->n * c->inner + start) * c->size;
        char *out = c->out + (o * c->inner + start) * c->out_size;
        for (int64_t j = 0; j < c->n; j += GROUP) {
            fold(c, x + j * c->inner * c->size, c->n - j < GROUP ? c->n - j : GROUP, width, j == 0 ? out : group);
            if (j > 0) tk_binary_dense(binary_of(c->op), dtype, out, 1, group, 1, out, width);
        }
    }
}

/// inner > 1, in long rows: task = (outer, group of 64 rows), read as they lie in memory; the groups are folded after.
static void groups_range(void *p, int64_t low, int64_t high) {
    const reduce_context *c = p;
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->chunks, first = t % c->chunks * GROUP;
        fold(c, c->x + (o * c->n + first) * c->inner * c->size, c->n - first < GROUP ? c->n - first : GROUP, c->inner,
             c->out + t * c->inner * c->out_size);
    }
}

static void reduce_groups(reduce_context c, int64_t outer) {
    char *out = c.out;
    int64_t row = c.inner * c.out_size;
    int dtype = is_half(c.dtype) ? TK_F32 : c.dtype;
    c.chunks = (c.n + GROUP - 1) / GROUP;
    char *partial = tk_alloc((size_t)(outer * c.chunks * row));
    c.out = partial;
    tk_parallel_ranges(outer * c.chunks, 1, groups_range, &c);
    for (int64_t o = 0; o < outer; o++) {
        memcpy(out + o * row, partial + o * c.chunks * row, (size_t)row);
        for (int64_t g = 1; g < c.chunks; g++)
            tk_binary_dense(binary_of(c.op), dtype, out + o * row, 1, partial + (o * c.chunks + g) * row, 1, out + o * row, c.inner);
    }
    tk_free(partial, (size_t)(outer * c.chunks * row));
}

void tk_reduce(int op, int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner) {
    if (outer * inner == 0) return;
    // Results of 16-bit floats are floats until the end.
    bool half = is_half(dtype);
    int wide = half ? TK_F32 : dtype;
    size_t bytes = half ? (size_t)(outer * inner) * 4 : 0;
    reduce_context c = {op, dtype, x, half ? tk_alloc(bytes) : out, n, inner, (n + CHUNK - 1) / CHUNK, tk_element_size(dtype), tk_element_size(wide)};
    char *result = c.out;
    if (n == 0) {
        for (int64_t i = 0; i < outer * inner; i++) row(op, wide, x, result + i * c.out_size, 0);
    } else if (inner >= COLUMNS && n > GROUP && n * inner >= TK_GRAIN) {
        reduce_groups(c, outer);
    } else if (inner > 1) {
        int64_t each = n * COLUMNS, grain = TK_GRAIN / each;
        tk_parallel_ranges(outer * ((inner + COLUMNS - 1) / COLUMNS), grain > 0 ? grain : 1, columns_range, &c);
    } else if (c.chunks > 1) {
        char *partial = tk_alloc((size_t)(outer * c.chunks * c.out_size));
        c.out = partial;
        tk_parallel_ranges(outer * c.chunks, 1, chunks_range, &c);
        for (int64_t o = 0; o < outer; o++) row(op, wide, partial + o * c.chunks * c.out_size, result + o * c.out_size, c.chunks);
        tk_free(partial, (size_t)(outer * c.chunks * c.out_size));
    } else {
        int64_t grain = TK_GRAIN / n;
        tk_parallel_ranges(outer, grain > 0 ? grain : 1, rows_range, &c);
    }
    if (half) {
        tk_cast(TK_F32, dtype, result, out, outer * inner);
        tk_free(result, bytes);
    }
}

// ---- positions ----

typedef struct { bool minimum; int dtype; const char *x; int64_t *out; int64_t n, inner, size; } arg_context;

#define ARG(T)                                                                                       \
    {                                                                                                \
        const T *v = (const T *)x;                                                                   \
        T best = v[0];                                                                               \
        for (int64_t j = 1; j < c->n && best == best; j++) {                                         \
            T y = v[j * c->inner];                                                                   \
            if ((c->minimum ? y < best : y > best) || y != y) { best = y; at = j; }                  \
        }                                                                                            \
    }

// The first place of the largest of a row of floats, or of the first NaN: the value by vectors, then where it is, in blocks.
static int64_t argmax_row(const float *x, int64_t n) {
    float best = tk_current_level()->max(x, n);
    bool is_nan = best != best;
    for (int64_t block = 0; block < n; block += 64) {
        int64_t m = n - block < 64 ? n - block : 64;
        int hit = 0;
        for (int64_t j = 0; j < m; j++) hit |= is_nan ? x[block + j] != x[block + j] : x[block + j] == best;
        if (!hit) continue;
        for (int64_t j = 0;; j++)
            if (is_nan ? x[block + j] != x[block + j] : x[block + j] == best) return block + j;
    }
    return 0;
}

static void arg_range(void *p, int64_t low, int64_t high) {
    const arg_context *c = p;
    if (!c->minimum && c->dtype == TK_F32 && c->inner == 1 && c->n >= 64) {
        for (int64_t t = low; t < high; t++) c->out[t] = argmax_row((const float *)c->x + t * c->n, c->n);
        return;
    }
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->inner, i = t % c->inner, at = 0;
        const char *x = c->x + (o * c->n * c->inner + i) * c->size;
        switch (c->dtype) {
        case TK_F32: ARG(float) break;
        case TK_F64: ARG(double) break;
        case TK_I8: ARG(int8_t) break;
        case TK_I32: ARG(int32_t) break;
        case TK_I64: ARG(int64_t) break;
        default: ARG(uint8_t)
        }
        c->out[t] = at;
    }
}

#define COLUMN_ARG(T)                                                                                \
    {                                                                                                \
        const T *v = (const T *)c->x + t / bands * c->n * c->inner + first;                          \
        T best[BAND];                                                                                \
        memcpy(best, v, (size_t)width * sizeof(T));                                                  \
        for (int64_t j = 1; j < c->n; j++)                                                           \
            for (int64_t i = 0; i < width; i++) {                                                    \
                T y = v[j * c->inner + i];                                                           \
                bool wins = best[i] == best[i] && ((c->minimum ? y < best[i] : y > best[i]) || y != y); \
                best[i] = wins ? y : best[i];                                                        \
                at[i] = wins ? j : at[i];                                                            \
            }                                                                                        \
    }

/// Columns side by side; tasks are bands of columns.
static void arg_columns_range(void *p, int64_t low, int64_t high) {
    const arg_context *c = p;
    int64_t bands = (c->inner + BAND - 1) / BAND;
    for (int64_t t = low; t < high; t++) {
        int64_t first = t % bands * BAND, width = c->inner - first < BAND ? c->inner - first : BAND;
        int64_t *at = c->out + t / bands * c->inner + first;
        memset(at, 0, (size_t)width * 8);
        switch (c->dtype) {
        case TK_F32: COLUMN_ARG(float) break;
        case TK_F64: COLUMN_ARG(double) break;
        case TK_I8: COLUMN_ARG(int8_t) break;
        case TK_I32: COLUMN_ARG(int32_t) break;
        case TK_I64: COLUMN_ARG(int64_t) break;
        default: COLUMN_ARG(uint8_t)
        }
    }
}

void tk_arg_reduce(bool minimum, int dtype, const void *x, int64_t *out, int64_t outer, int64_t n, int64_t inner) {
    if (is_half(dtype)) {
        float *wide = tk_alloc((size_t)(outer * n * inner * 4));
        tk_cast(dtype, TK_F32, x, wide, outer * n * inner);
        tk_arg_reduce(minimum, TK_F32, wide, out, outer, n, inner);
        tk_free(wide, (size_t)(outer * n * inner * 4));
        return;
    }
    arg_context c = {minimum, dtype, x, out, n, inner, tk_element_size(dtype)};
    if (inner >= 8) {
        int64_t bands = outer * ((inner + BAND - 1) / BAND), each = TK_GRAIN / (BAND * (n > 0 ? n : 1));
        tk_parallel_ranges(bands, each > 0 ? each : 1, arg_columns_range, &c);
        return;
    }
    int64_t grain = TK_GRAIN / (n > 0 ? n : 1);
    tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, arg_range, &c);
}

// ---- mean and squared deviations ----

typedef struct { const char *x; char *mean, *m2; int64_t n, inner; int dtype; } moment_context;

#define MOMENTS(T)                                                                                   \
    {                                                                                                \
        const T *v = (const T *)c->x + o * c->n * c->inner + i;                                      \
        double s = 0, q = 0, d = 0;                                                                  \
        for (int64_t j = 0; j < c->n; j++) s += (double)v[j * c->inner];                             \
        double m = s / (double)c->n;                                                                 \
        for (int64_t j = 0; j < c->n; j++) { double e = (double)v[j * c->inner] - m; q += e * e; d += e; } \
        ((T *)c->mean)[t] = (T)m;                                                                    \
        ((T *)c->m2)[t] = (T)(q - d * d / (double)c->n);                                             \
    }

#define COLUMN_MOMENTS(T)                                                                            \
    {                                                                                                \
        double m[BAND], q[BAND], d[BAND];                                                            \
        const T *v = (const T *)c->x + t / bands * c->n * c->inner + first;                          \
        for (int64_t i = 0; i < width; i++) m[i] = q[i] = d[i] = 0;                                  \
        for (int64_t j = 0; j < c->n; j++) for (int64_t i = 0; i < width; i++) m[i] += (double)v[j * c->inner + i]; \
        for (int64_t i = 0; i < width; i++) m[i] /= (double)c->n;                                    \
        for (int64_t j = 0; j < c->n; j++)                                                           \
            for (int64_t i = 0; i < width; i++) { double e = (double)v[j * c->inner + i] - m[i]; q[i] += e * e; d[i] += e; } \
        for (int64_t i = 0; i < width; i++) {                                                        \
            ((T *)c->mean)[to + i] = (T)m[i];                                                        \
            ((T *)c->m2)[to + i] = (T)(q[i] - d[i] * d[i] / (double)c->n);                           \
        }                                                                                            \
    }

/// Columns side by side; tasks are bands of columns.
static void moment_columns_range(void *p, int64_t low, int64_t high) {
    const moment_context *c = p;
    int64_t bands = (c->inner + BAND - 1) / BAND;
    for (int64_t t = low; t < high; t++) {
        int64_t first = t % bands * BAND, width = c->inner - first < BAND ? c->inner - first : BAND;
        int64_t to = t / bands * c->inner + first;
        if (c->dtype == TK_F32) COLUMN_MOMENTS(float) else COLUMN_MOMENTS(double)
    }
}

/// One dense row of floats by vectors: a first mean, then the deviations from it, whose own sum corrects both.
static void row_moments(const float *x, int64_t n, float *mean, float *m2) {
    const tk_level *l = tk_current_level();
    float middle = l->sum(x, n) / (float)n, deviations[1024];
    double q = 0, d = 0;
    for (int64_t i = 0; i < n; i += 1024) {
        int64_t m = n - i < 1024 ? n - i : 1024;
        l->binary_f32(TK_SUB, x + i, 1, &middle, 0, deviations, m);
        q += l->sum_squares(deviations, m);
        d += l->sum(deviations, m);
    }
    *mean = (float)(middle + d / (double)n);
    *m2 = (float)(q - d * d / (double)n);
}

static void moment_range(void *p, int64_t low, int64_t high) {
    const moment_context *c = p;
    if (c->dtype == TK_F32 && c->inner == 1 && c->n >= 16) {
        for (int64_t t = low; t < high; t++) row_moments((const float *)c->x + t * c->n, c->n, (float *)c->mean + t, (float *)c->m2 + t);
        return;
    }
    for (int64_t t = low; t < high; t++) {
        int64_t o = t / c->inner, i = t % c->inner;
        if (c->dtype == TK_F32) MOMENTS(float) else MOMENTS(double)
    }
}

void tk_mean_m2(int dtype, const void *x, void *mean, void *m2, int64_t outer, int64_t n, int64_t inner) {
    if (is_half(dtype)) {
        int64_t in = outer * n * inner, out = outer * inner;
        float *wide = tk_alloc((size_t)(in * 4)), *r = tk_alloc((size_t)(out * 8));
        tk_cast(dtype, TK_F32, x, wide, in);
        tk_mean_m2(TK_F32, wide, r, r + out, outer, n, inner);
        tk_cast(TK_F32, dtype, r, mean, out);
        tk_cast(TK_F32, dtype, r + out, m2, out);
        tk_free(wide, (size_t)(in * 4));
        tk_free(r, (size_t)(out * 8));
        return;
    }
    moment_context c = {x, mean, m2, n, inner, dtype};
    if (inner >= 8) {
        int64_t bands = outer * ((inner + BAND - 1) / BAND), grain = TK_GRAIN / (BAND * (n > 0 ? n : 1));
        tk_parallel_ranges(bands, grain > 0 ? grain : 1, moment_columns_range, &c);
        return;
    }
    int64_t grain = TK_GRAIN / (n > 0 ? n : 1);
    tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, moment_range, &c);
}

typedef struct { const char *x; double *partial; int64_t n; int dtype; } squares_context;

static void squares_range(void *p, int64_t low, int64_t high) {
    const squares_context *c = p;
    int64_t n = high - low;
    if (c->dtype == TK_F32) { c->partial[low / CHUNK] = tk_current_level()->sum_squares((const float *)c->x + low, n); return; }
    double s = 0;
    for (int64_t i = low; i < high; i++) { double v = ((const double *)c->x)[i]; s += v * v; }
    c->partial[low / CHUNK] = s;
}

double tk_sum_of_squares(int dtype, const void *x, int64_t n) {
    if (n == 0) return 0;
    if (is_half(dtype)) {
        float *wide = tk_alloc((size_t)(n * 4));
        tk_cast(dtype, TK_F32, x, wide, n);
        double s = tk_sum_of_squares(TK_F32, wide, n);
        tk_free(wide, (size_t)(n * 4));
        return s;
    }
    int64_t chunks = (n + CHUNK - 1) / CHUNK;
    double *partial = tk_alloc((size_t)(chunks * 8)), total = 0;
    squares_context c = {x, partial, n, dtype};
    tk_parallel_ranges(n, CHUNK, squares_range, &c);
    for (int64_t i = 0; i < chunks; i++) total += partial[i];
    tk_free(partial, (size_t)(chunks * 8));
    return total;
}
