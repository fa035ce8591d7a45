// Copies, casts, fills and index operations.
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "strided.h"

enum { BLOCK = 512, TILE = 32 };

// ---- strided copies ----

typedef struct { const char *src; char *dst; int64_t size; } copy_context;

#define COPY(T) for (int64_t i = 0; i < n; i++) ((T *)d)[i * sd] = ((const T *)s)[i * ss]

static void copy_row(void *p, const tk_walk *w, const int64_t *o, int64_t n) {
    const copy_context *c = p;
    int64_t ss = tk_inner_stride(w, 0), sd = tk_inner_stride(w, 1);
    const char *s = c->src + o[0] * c->size;
    char *d = c->dst + o[1] * c->size;
    if (ss == 1 && sd == 1) { memcpy(d, s, (size_t)(n * c->size)); return; }
    switch (c->size) {
    case 1: COPY(uint8_t); break;
    case 2: COPY(uint16_t); break;
    case 4: COPY(uint32_t); break;
    case 8: COPY(uint64_t); break;
    default: COPY(tk_pair);
    }
}

// A transpose goes tile by tile through a buffer, so that both sides use whole cache lines at once: rows a power of two apart share
// the sets of a cache. The last two axes of the walk are the tile's.
typedef struct { const tk_walk *w; copy_context c; int64_t row_tiles; } transpose_context;

#define TRANSPOSE(T)                                                                                    \
    {                                                                                                   \
        T tile[TILE][TILE + 1];                                                                         \
        for (int64_t j = 0; j < columns; j += TILE) {                                                   \
            int64_t width = columns - j < TILE ? columns - j : TILE, height = row_end - row;            \
            for (int64_t k = 0; k < width; k++)                                                         \
                for (int64_t i = 0; i < height; i++) tile[k][i] = ((const T *)s)[(row + i) * si + (j + k) * sj]; \
            for (int64_t i = 0; i < height; i++)                                                        \
                for (int64_t k = 0; k < width; k++) ((T *)d)[(row + i) * di + (j + k) * dj] = tile[k][i]; \
        }                                                                                               \
    }

static void transpose_range(void *p, int64_t low, int64_t high) {
    const transpose_context *t = p;
    const tk_walk *w = t->w;
    int64_t rows = w->dims[w->rank - 2], columns = w->dims[w->rank - 1];
    int64_t si = w->strides[0][w->rank - 2], sj = w->strides[0][w->rank - 1];
    int64_t di = w->strides[1][w->rank - 2], dj = w->strides[1][w->rank - 1];
    for (int64_t task = low; task < high; task++) {
        int64_t rest = task / t->row_tiles, row = task % t->row_tiles * TILE;
        int64_t row_end = row + TILE < rows ? row + TILE : rows;
        const char *s = t->c.src;
        char *d = t->c.dst;
        for (int k = w->rank - 3; k >= 0; k--) {
            int64_t i = rest % w->dims[k];
            rest /= w->dims[k];
            s += i * w->strides[0][k] * t->c.size;
            d += i * w->strides[1][k] * t->c.size;
        }
        switch (t->c.size) {
        case 1: TRANSPOSE(uint8_t) break;
        case 2: TRANSPOSE(uint16_t) break;
        case 4: TRANSPOSE(uint32_t) break;
        case 8: TRANSPOSE(uint64_t) break;
        default: TRANSPOSE(tk_pair)
        }
    }
}

void tk_copy_strided(int dtype, int rank, const int64_t *dims, const void *src, const int64_t *src_strides, void *dst,
                     const int64_t *dst_strides) {
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 2, (const int64_t *const[]){src_strides, dst_strides})) return;
    copy_context c = {src, dst, tk_element_size(dtype)};
    if (w.rank >= 2 && tk_inner_stride(&w, 1) == 1 && tk_inner_stride(&w, 0) != 1 && w.strides[0][w.rank - 2] == 1
        && w.width >= 4 && w.dims[w.rank - 2] >= 4) {
        int64_t rows = w.dims[w.rank - 2];
        transpose_context t = {&w, c, (rows + TILE - 1) / TILE};
        int64_t tasks = w.rows / rows * t.row_tiles, grain = TK_GRAIN / (TILE * w.width);
        tk_parallel_ranges(tasks, grain > 0 ? grain : 1, transpose_range, &t);
        return;
    }
    tk_walk_run(&w, copy_row, &c);
}

// ---- casts ----

typedef struct { int from, to; const char *src; char *dst; } cast_context;

#define FROM_INTEGER(S)                                                                                   \
    switch (to) {                                                                                         \
    case TK_F32: for (int64_t i = 0; i < n; i++) ((float *)d)[i] = (float)((const S *)s)[i]; break;       \
    case TK_F64: for (int64_t i = 0; i < n; i++) ((double *)d)[i] = (double)((const S *)s)[i]; break;     \
    case TK_I8: for (int64_t i = 0; i < n; i++) ((int8_t *)d)[i] = (int8_t)((const S *)s)[i]; break;      \
    case TK_U8: for (int64_t i = 0; i < n; i++) ((uint8_t *)d)[i] = (uint8_t)((const S *)s)[i]; break;    \
    case TK_I32: for (int64_t i = 0; i < n; i++) ((int32_t *)d)[i] = (int32_t)((const S *)s)[i]; break;   \
    case TK_I64: for (int64_t i = 0; i < n; i++) ((int64_t *)d)[i] = (int64_t)((const S *)s)[i]; break;   \
    case TK_BOOL: for (int64_t i = 0; i < n; i++) ((bool *)d)[i] = ((const S *)s)[i] != 0; break;         \
    }

#define SATURATED(T, LOW, HIGH, TOP)                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                     \
        double v = (double)x[i];                                                                          \
        ((T *)d)[i] = v != v ? 0 : v <= (double)(LOW) ? (LOW) : v >= (TOP) ? (HIGH) : (T)v;               \
    }
#define FROM_FLOAT(S)                                                                                     \
    {                                                                                                     \
        const S *x = (const S *)s;                                                                        \
        switch (to) {                                                                                     \
        case TK_F32: for (int64_t i = 0; i < n; i++) ((float *)d)[i] = (float)x[i]; break;                \
        case TK_F64: for (int64_t i = 0; i < n; i++) ((double *)d)[i] = (double)x[i]; break;              \
        case TK_I8: SATURATED(int8_t, INT8_MIN, INT8_MAX, 127.0) break;                                   \
        case TK_U8: SATURATED(uint8_t, 0, 255, 255.0) break;                                              \
        case TK_I32: SATURATED(int32_t, INT32_MIN, INT32_MAX, 2147483647.0) break;                        \
        case TK_I64: SATURATED(int64_t, INT64_MIN, INT64_MAX, 9223372036854775808.0) break;               \
        case TK_BOOL: for (int64_t i = 0; i < n; i++) ((bool *)d)[i] = x[i] != 0; break;                  \
        }                                                                                                 \
    }

/// `from` is not a half type, `to` neither.
static void cast_plain(int from, int to, const char *s, char *d, int64_t n) {
    switch (from) {
    case TK_F32: FROM_FLOAT(float) break;
    case TK_F64: FROM_FLOAT(double) break;
    case TK_I8: FROM_INTEGER(int8_t) break;
    case TK_U8: case TK_BOOL: FROM_INTEGER(uint8_t) break;
    case TK_I32: FROM_INTEGER(int32_t) break;
    case TK_I64: FROM_INTEGER(int64_t) break;
    }
}

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

/// double to a float that rounds to the same half as the double itself: rounded to odd.
static float round_to_odd(double v) {
    float f = (float)v;
    if ((double)f == v || v != v || isinf(f)) return f;
    int32_t i;
    memcpy(&i, &f, 4);
    bool above = fabs((double)f) > fabs(v);
    if (above) i -= 1;  // towards zero
    i |= 1;
    memcpy(&f, &i, 4);
    return f;
}

// ---- complex numbers: the real part is converted, an imaginary part is 0 or dropped; true where either part is not 0 ----

static void cast_complex(int from, int to, const char *s, char *d, int64_t n) {
    int64_t ss = tk_element_size(from), sd = tk_element_size(to);
    for (int64_t i = 0; i < n; i += BLOCK) {
        double re[BLOCK], im[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (from == TK_C64) for (int64_t k = 0; k < m; k++) { const float *z = (const float *)s + 2 * (i + k); re[k] = z[0]; im[k] = z[1]; }
        else if (from == TK_C128) for (int64_t k = 0; k < m; k++) { const double *z = (const double *)s + 2 * (i + k); re[k] = z[0]; im[k] = z[1]; }
        else { tk_cast(from, TK_F64, s + i * ss, re, m); memset(im, 0, sizeof im); }
        if (to == TK_C64) for (int64_t k = 0; k < m; k++) { float *z = (float *)d + 2 * (i + k); z[0] = (float)re[k]; z[1] = (float)im[k]; }
        else if (to == TK_C128) for (int64_t k = 0; k < m; k++) { double *z = (double *)d + 2 * (i + k); z[0] = re[k]; z[1] = im[k]; }
        else if (to == TK_BOOL) for (int64_t k = 0; k < m; k++) ((bool *)d)[i + k] = re[k] != 0 || im[k] != 0;
        else tk_cast(TK_F64, to, re, d + i * sd, m);
    }
}

// ---- 8-bit floats (Micikevicius et al., 2022): E4M3 has no infinity and saturates, E5M2 is a short float16 ----

static float fp8_to_float(int dtype, uint8_t b) {
    int mantissa_bits = dtype == TK_E4M3 ? 3 : 2, bias = dtype == TK_E4M3 ? 7 : 15;
    int e = (b & 0x7f) >> mantissa_bits, m = b & ((1 << mantissa_bits) - 1);
    float v;
    if (dtype == TK_E4M3 && (b & 0x7f) == 0x7f) v = NAN;
    else if (dtype == TK_E5M2 && e == 31) v = m ? NAN : INFINITY;
    else if (e == 0) v = ldexpf((float)m, 1 - bias - mantissa_bits);
    else v = ldexpf((float)(m + (1 << mantissa_bits)), e - bias - mantissa_bits);
    return b & 0x80 ? -v : v;
}

/// To nearest, ties to even, in one rounding from double.
static uint8_t float_to_fp8(int dtype, double v) {
    int mantissa_bits = dtype == TK_E4M3 ? 3 : 2, bias = dtype == TK_E4M3 ? 7 : 15;
    uint8_t sign = signbit(v) ? 0x80 : 0;
    double a = fabs(v);
    if (a != a) return sign | 0x7f;
    int e;
    if (isinf(a)) e = 1 << 20;
    else { frexp(a, &e); e -= 1; }
    if (e < 1 - bias) e = 1 - bias;
    if (e <= 16) {
        double q = nearbyint(ldexp(a, mantissa_bits - e));
        if (q >= (double)(2 << mantissa_bits)) { q /= 2; e += 1; }
        int m = (int)q, normal = m >> mantissa_bits;
        int code = normal ? ((e + bias) << mantissa_bits) | (m & ((1 << mantissa_bits) - 1)) : m;
        if (code < (dtype == TK_E4M3 ? 0x7f : 0x7c)) return sign | (uint8_t)code;
    }
    return sign | (dtype == TK_E4M3 ? 0x7e : 0x7c);
}

static void cast_fp8(int from, int to, const char *s, char *d, int64_t n) {
    int64_t ss = tk_element_size(from), sd = tk_element_size(to);
    for (int64_t i = 0; i < n; i += BLOCK) {
        double v[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (from >= TK_E4M3) for (int64_t k = 0; k < m; k++) v[k] = fp8_to_float(from, ((const uint8_t *)s)[i + k]);
        else tk_cast(from, TK_F64, s + i * ss, v, m);
        if (to >= TK_E4M3) for (int64_t k = 0; k < m; k++) ((uint8_t *)d)[i + k] = float_to_fp8(to, v[k]);
        else tk_cast(TK_F64, to, v, d + i * sd, m);
    }
}

static void cast_range(void *p, int64_t low, int64_t high) {
    const cast_context *c = p;
    const tk_level *l = tk_current_level();
    int64_t ss = tk_element_size(c->from), sd = tk_element_size(c->to);
    const char *s = c->src + low * ss;
    char *d = c->dst + low * sd;
    int64_t n = high - low;
    if (tk_is_complex(c->from) || tk_is_complex(c->to)) { cast_complex(c->from, c->to, s, d, n); return; }
    if (c->from >= TK_E4M3 || c->to >= TK_E4M3) { cast_fp8(c->from, c->to, s, d, n); return; }
    if (!is_half(c->from) && !is_half(c->to)) { cast_plain(c->from, c->to, s, d, n); return; }
    if (is_half(c->from) && c->to == TK_F32) { l->half_to_float(c->from, (const uint16_t *)s, (float *)d, n); return; }
    if (c->from == TK_F32) { l->float_to_half(c->to, (const float *)s, (uint16_t *)d, n); return; }
    for (int64_t i = 0; i < n; i += BLOCK) {
        float u[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (is_half(c->from)) l->half_to_float(c->from, (const uint16_t *)s + i, u, m);
        else if (c->from == TK_F64) for (int64_t k = 0; k < m; k++) u[k] = round_to_odd(((const double *)s)[i + k]);
        else cast_plain(c->from, TK_F32, s + i * ss, (char *)u, m);
        if (is_half(c->to)) l->float_to_half(c->to, u, (uint16_t *)d + i, m);
        else cast_plain(TK_F32, c->to, (const char *)u, d + i * sd, m);
    }
}

void tk_cast(int from, int to, const void *src, void *dst, int64_t n) {
    if (from == to) { memcpy(dst, src, (size_t)(n * tk_element_size(from))); return; }
    cast_context c = {from, to, src, dst};
    tk_parallel_ranges(n, TK_GRAIN, cast_range, &c);
}

// ---- fills ----

typedef struct { int dtype; char *dst; const void *value; double start, step; } fill_context;

static void fill_range(void *p, int64_t low, int64_t high) {
    const fill_context *c = p;
    int64_t n = high - low;
    switch (tk_element_size(c->dtype)) {
    case 1: memset(c->dst + low, *(const uint8_t *)c->value, (size_t)n); break;
    case 2: { uint16_t v; memcpy(&v, c->value, 2); for (int64_t i = low; i < high; i++) ((uint16_t *)c->dst)[i] = v; } break;
    case 4: { uint32_t v; memcpy(&v, c->value, 4); for (int64_t i = low; i < high; i++) ((uint32_t *)c->dst)[i] = v; } break;
    case 8: { uint64_t v; memcpy(&v, c->value, 8); for (int64_t i = low; i < high; i++) ((uint64_t *)c->dst)[i] = v; } break;
    default: { tk_pair v; memcpy(&v, c->value, 16); for (int64_t i = low; i < high; i++) ((tk_pair *)c->dst)[i] = v; }
    }
}

void tk_fill(int dtype, void *dst, int64_t n, const void *value) {
    fill_context c = {dtype, dst, value, 0, 0};
    tk_parallel_ranges(n, 4 * TK_GRAIN, fill_range, &c);
}

void tk_arange(int dtype, void *dst, int64_t n, double start, double step) {
    int64_t size = tk_element_size(dtype);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (dtype <= TK_BF16 || dtype > TK_BOOL) {
            double v[BLOCK];
            for (int64_t k = 0; k < m; k++) v[k] = start + (double)(i + k) * step;
            tk_cast(TK_F64, dtype, v, (char *)dst + i * size, m);
        } else {
            int64_t v[BLOCK];
            for (int64_t k = 0; k < m; k++) v[k] = (int64_t)start + (i + k) * (int64_t)step;
            tk_cast(TK_I64, dtype, v, (char *)dst + i * size, m);
        }
    }
}

// ---- rows by index ----

typedef struct { const char *table; char *out; const int64_t *ids; int64_t bytes; } rows_context;

static void gather_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    if (c->bytes == 4) { for (int64_t i = low; i < high; i++) ((uint32_t *)c->out)[i] = ((const uint32_t *)c->table)[c->ids[i]]; return; }
    if (c->bytes == 8) { for (int64_t i = low; i < high; i++) ((uint64_t *)c->out)[i] = ((const uint64_t *)c->table)[c->ids[i]]; return; }
    for (int64_t i = low; i < high; i++) memcpy(c->out + i * c->bytes, c->table + c->ids[i] * c->bytes, (size_t)c->bytes);
}

void tk_gather_rows(int dtype, const void *table, int64_t width, const int64_t *ids, int64_t count, void *out) {
    int64_t bytes = width * tk_element_size(dtype);
    if (bytes == 0) return;
    rows_context c = {table, out, ids, bytes};
    int64_t grain = 4 * TK_GRAIN / bytes;
    tk_parallel_ranges(count, grain > 0 ? grain : 1, gather_range, &c);
}

typedef struct { int dtype; char *table; const int64_t *ids; int64_t count, width; const char *rows; } scatter_context;

/// One range of columns: every row of the table belongs to every task, every column to one.
static void scatter_range(void *p, int64_t low, int64_t high) {
    const scatter_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    for (int64_t i = 0; i < c->count; i++) {
        char *t = c->table + (c->ids[i] * c->width + low) * size;
        tk_binary_dense(TK_ADD, c->dtype, t, 1, c->rows + (i * c->width + low) * size, 1, t, high - low);
    }
}

void tk_scatter_add_rows(int dtype, void *table, int64_t table_rows, int64_t width, const int64_t *ids, int64_t count,
                         const void *rows) {
    (void)table_rows;
    scatter_context c = {dtype, table, ids, count, width, rows};
    tk_parallel_ranges(width, 128, scatter_range, &c);
}

// ---- gather and scatter along an axis ----

typedef struct { int64_t size; const char *src; char *dst; const int64_t *index; int64_t src_n, inner, n; int dtype; } axis_context;

#define GATHER(T)                                                                                   \
    if (c->inner == 1)                                                                              \
        for (int64_t j = 0; j < c->n; j++) ((T *)d)[j] = ((const T *)s)[index[j]];                  \
    else for (int64_t j = 0; j < c->n; j++)                                                              \
        for (int64_t i = 0; i < c->inner; i++)                                                      \
            ((T *)d)[j * c->inner + i] = ((const T *)s)[index[j * c->inner + i] * c->inner + i];

static void gather_axis_range(void *p, int64_t low, int64_t high) {
    const axis_context *c = p;
    for (int64_t o = low; o < high; o++) {
        const char *s = c->src + o * c->src_n * c->inner * c->size;
        char *d = c->dst + o * c->n * c->inner * c->size;
        const int64_t *index = c->index + o * c->n * c->inner;
        switch (c->size) {
        case 1: GATHER(uint8_t) break;
        case 2: GATHER(uint16_t) break;
        case 4: GATHER(uint32_t) break;
        case 8: GATHER(uint64_t) break;
        default: GATHER(tk_pair)
        }
    }
}

void tk_gather(int dtype, const void *src, int64_t outer, int64_t src_n, int64_t inner, const int64_t *index, int64_t n, void *out) {
    axis_context c = {tk_element_size(dtype), src, out, index, src_n, inner, n, dtype};
    int64_t each = n * inner, grain = TK_GRAIN / (each > 0 ? each : 1);
    tk_parallel_ranges(outer, grain > 0 ? grain : 1, gather_axis_range, &c);
}

static void scatter_axis_range(void *p, int64_t low, int64_t high) {
    const axis_context *c = p;
    for (int64_t o = low; o < high; o++) {
        const char *s = c->src + o * c->n * c->inner * c->size;
        char *d = c->dst + o * c->src_n * c->inner * c->size;
        const int64_t *index = c->index + o * c->n * c->inner;
        for (int64_t k = 0; k < c->n * c->inner; k++) {
            char *t = d + (index[k] * c->inner + k % c->inner) * c->size;
            if (c->dtype == TK_F32) *(float *)t += ((const float *)s)[k];
            else if (c->dtype == TK_F64) *(double *)t += ((const double *)s)[k];
            else tk_binary_dense(TK_ADD, c->dtype, t, 1, s + k * c->size, 1, t, 1);
        }
    }
}

void tk_scatter_add(int dtype, void *dst, int64_t outer, int64_t dst_n, int64_t inner, const int64_t *index, int64_t n, const void *src) {
    axis_context c = {tk_element_size(dtype), src, dst, index, dst_n, inner, n, dtype};
    int64_t each = n * inner, grain = TK_GRAIN / (each > 0 ? each : 1);
    tk_parallel_ranges(outer, grain > 0 ? grain : 1, scatter_axis_range, &c);
}

typedef struct { axis_context axis; int op; } combine_context;

static void combine_axis_range(void *p, int64_t low, int64_t high) {
    const combine_context *x = p;
    const axis_context *c = &x->axis;
    static const int binary[] = {-1, TK_MUL, TK_MAX, TK_MIN};
    for (int64_t o = low; o < high; o++) {
        const char *s = c->src + o * c->n * c->inner * c->size;
        char *d = c->dst + o * c->src_n * c->inner * c->size;
        const int64_t *index = c->index + o * c->n * c->inner;
        for (int64_t k = 0; k < c->n * c->inner; k++) {
            char *t = d + (index[k] * c->inner + k % c->inner) * c->size;
            if (x->op == TK_SCATTER_SET) memcpy(t, s + k * c->size, (size_t)c->size);
            else tk_binary_dense(binary[x->op], c->dtype, t, 1, s + k * c->size, 1, t, 1);
        }
    }
}

void tk_scatter_reduce(int op, int dtype, void *dst, int64_t outer, int64_t dst_n, int64_t inner, const int64_t *index, int64_t n, const void *src) {
    combine_context c = {{tk_element_size(dtype), src, dst, index, dst_n, inner, n, dtype}, op};
    int64_t each = n * inner, grain = TK_GRAIN / (each > 0 ? each : 1);
    tk_parallel_ranges(outer, grain > 0 ? grain : 1, combine_axis_range, &c);
}

int64_t tk_nonzero(const bool *x, int64_t n, int64_t *out) {
    int64_t count = 0;
    if (!out) { for (int64_t i = 0; i < n; i++) count += x[i]; return count; }
    // Without a branch, but for the last place, which lies outside when nothing follows.
    int64_t last = n - 1;
    while (last >= 0 && !x[last]) last--;
    for (int64_t i = 0; i <= last; i++) { out[count] = i; count += x[i]; }
    return count;
}

typedef struct { const int64_t *index; int64_t limit; _Atomic int64_t first; } search_context;

static void search_range(void *p, int64_t low, int64_t high) {
    search_context *c = p;
    for (int64_t block = low; block < high; block += BLOCK) {
        int64_t end = block + BLOCK < high ? block + BLOCK : high;
        int outside = 0;
        for (int64_t i = block; i < end; i++) outside |= (uint64_t)c->index[i] >= (uint64_t)c->limit;   // negative ones are huge
        if (!outside) continue;
        int64_t i = block, first = atomic_load(&c->first);
        while ((uint64_t)c->index[i] < (uint64_t)c->limit) i++;
        while (i < first && !atomic_compare_exchange_weak(&c->first, &first, i)) {}
        return;
    }
}

int64_t tk_find_out_of_range(const int64_t *index, int64_t n, int64_t limit) {
    search_context c = {index, limit, INT64_MAX};
    tk_parallel_ranges(n, TK_GRAIN, search_range, &c);
    return c.first == INT64_MAX ? -1 : c.first;
}
