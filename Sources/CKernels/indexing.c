// Gather and scatter.
#include <stdatomic.h>
#include <string.h>

#include "levels.h"
#include "stream.h"

enum { BLOCK = 512 };

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

static void set_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t i = low; i < high; i++) memcpy(c->out + c->ids[i] * c->bytes, c->table + i * c->bytes, (size_t)c->bytes);
}

void tk_set_rows(int dtype, void *out, int64_t width, const int64_t *ids, int64_t count, const void *rows) {
    int64_t bytes = width * tk_element_size(dtype);
    if (bytes == 0) return;
    rows_context c = {rows, out, ids, bytes};
    int64_t grain = 4 * TK_GRAIN / bytes;
    tk_parallel_ranges(count, grain > 0 ? grain : 1, set_range, &c);
}

// Each row of the output is made whole by one task, from the rows that go there, found by a counting sort of the ids.
typedef struct {
    int dtype;
    int64_t size, width;
    const char *rows;
    char *out;
    const int64_t *start, *order;   // order[start[r] ..< start[r + 1]]: what goes to row r
    bool stream;
} scatter_context;

/// A part of a row of the output.
static void scatter_piece(const scatter_context *c, int64_t row, int64_t column, int64_t n) {
    _Alignas(64) char sum[BLOCK * sizeof(tk_pair)];
    float wide[BLOCK];
    bool half = c->dtype == TK_F16 || c->dtype == TK_BF16;
    int type = half ? TK_F32 : c->dtype;
    const tk_level *l = tk_current_level();
    memset(sum, 0, (size_t)(n * tk_element_size(type)));
    for (int64_t k = c->start[row]; k < c->start[row + 1]; k++) {
        const char *x = c->rows + (c->order[k] * c->width + column) * c->size;
        if (half) { l->half_to_float(c->dtype, (const uint16_t *)x, wide, n); x = (const char *)wide; }
        if (type == TK_F32) l->add_rows((const float *)x, (float *)sum, n);
        else tk_binary_dense(TK_ADD, type, sum, 1, x, 1, sum, n);
    }
    char *out = c->out + (row * c->width + column) * c->size;
    if (half) l->float_to_half(c->dtype, (const float *)sum, (uint16_t *)out, n);
    else if (c->stream) tk_stream_copy(out, sum, n * c->size);
    else memcpy(out, sum, (size_t)(n * c->size));
}

static void scatter_range(void *p, int64_t low, int64_t high) {
    const scatter_context *c = p;
    for (int64_t row = low; row < high;) {
        int64_t end = row;
        while (end < high && c->start[end] == c->start[end + 1]) end++;
        if (end > row) {
            int64_t bytes = (end - row) * c->width * c->size;
            char *out = c->out + row * c->width * c->size;
            if (c->stream) tk_stream_zeros(out, bytes);
            else memset(out, 0, (size_t)bytes);
            row = end;
            continue;
        }
        for (int64_t i = 0; i < c->width; i += BLOCK) scatter_piece(c, row, i, c->width - i < BLOCK ? c->width - i : BLOCK);
        row++;
    }
}

void tk_scatter_rows(int dtype, void *out, int64_t table_rows, int64_t width, const int64_t *ids, int64_t count, const void *rows) {
    int64_t size = tk_element_size(dtype), bytes = table_rows * width * size;
    if (bytes == 0) return;
    size_t index_bytes = (size_t)(table_rows + 2 + count) * 8;
    int64_t *start = tk_alloc(index_bytes), *order = start + table_rows + 2;
    memset(start, 0, (size_t)(table_rows + 2) * 8);
    // Counts two places on; their running sum one place on is where a row's part begins, and after the sort where it ends.
    for (int64_t i = 0; i < count; i++) start[ids[i] + 2]++;
    for (int64_t r = 2; r < table_rows + 2; r++) start[r] += start[r - 1];
    for (int64_t i = 0; i < count; i++) order[start[ids[i] + 1]++] = i;
    scatter_context c = {dtype, size, width, rows, out, start, order, tk_streams(bytes)};
    int64_t grain = 4 * TK_GRAIN / (width * size);
    tk_parallel_ranges(table_rows, grain > 0 ? grain : 1, scatter_range, &c);
    if (c.stream) tk_stream_fence();
    tk_free(start, index_bytes);
}

typedef struct { int dtype; int64_t width, count, size; const int64_t *ids; const char *rows; char *out; } add_context;

static void add_rows_range(void *p, int64_t low, int64_t high) {
    const add_context *c = p;
    for (int64_t i = 0; i < c->count; i++) {
        char *out = c->out + (c->ids[i] * c->width + low) * c->size;
        tk_binary_dense(TK_ADD, c->dtype, out, 1, c->rows + (i * c->width + low) * c->size, 1, out, high - low);
    }
}

// A range of columns each, so that equal ids meet no other thread.
void tk_add_rows(int dtype, void *out, int64_t width, const int64_t *ids, int64_t count, const void *rows) {
    add_context c = { dtype, width, count, tk_element_size(dtype), ids, rows, out };
    int64_t grain = TK_GRAIN / (count > 0 ? count : 1);
    tk_parallel_ranges(width, grain > 64 ? grain : 64, add_rows_range, &c);
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
    // Where most lines of a row are wanted, in any order, the next row is fetched ahead.
    int64_t bytes = c->src_n * c->inner * c->size;
    bool ahead = bytes <= 16384 && c->n * 32 >= c->src_n;
    for (int64_t o = low; o < high; o++) {
        if (ahead && o + 1 < high)
            for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(c->src + (o + 1) * bytes + i);
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
