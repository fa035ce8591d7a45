// Sorting by keys: every value becomes an unsigned number of the same order (NaN above all, -0 as 0), which radix sort takes.
#include <string.h>

#include "levels.h"

typedef struct { uint64_t key; int64_t at; } item;

static inline uint64_t float_key(double v) {
    if (v != v) return UINT64_MAX;
    v += 0.0;  // -0 becomes 0
    uint64_t b;
    memcpy(&b, &v, 8);
    return b >> 63 ? ~b : b | (1ULL << 63);
}

static inline uint64_t single_key(float v) {
    if (v != v) return UINT32_MAX;
    v += 0.0f;
    uint32_t b;
    memcpy(&b, &v, 4);
    return b >> 31 ? (uint32_t)~b : b | (1U << 31);
}

/// Keys of `n` elements `step` apart.
static void load_keys(int dtype, const char *x, int64_t step, uint64_t *keys, int64_t n) {
    switch (dtype) {
    case TK_F32: for (int64_t i = 0; i < n; i++) keys[i] = single_key(((const float *)x)[i * step]); break;
    case TK_F64: for (int64_t i = 0; i < n; i++) keys[i] = float_key(((const double *)x)[i * step]); break;
    case TK_F16: case TK_BF16:
        for (int64_t i = 0; i < n; i++) {
            float v;
            tk_current_level()->half_to_float(dtype, (const uint16_t *)x + i * step, &v, 1);
            keys[i] = single_key(v);
        }
        break;
    case TK_I8: for (int64_t i = 0; i < n; i++) keys[i] = (uint8_t)(((const int8_t *)x)[i * step] ^ 0x80); break;
    case TK_I32: for (int64_t i = 0; i < n; i++) keys[i] = (uint32_t)((const int32_t *)x)[i * step] ^ 0x80000000U; break;
    case TK_I64: for (int64_t i = 0; i < n; i++) keys[i] = (uint64_t)((const int64_t *)x)[i * step] ^ (1ULL << 63); break;
    default: for (int64_t i = 0; i < n; i++) keys[i] = ((const uint8_t *)x)[i * step];
    }
}

static int key_bytes(int dtype) {
    switch (dtype) {
    case TK_F64: case TK_I64: return 8;
    case TK_I8: case TK_U8: case TK_BOOL: return 1;
    default: return 4;
    }
}

/// Stable, ascending. `spare` is as long as `items`; the result is in `items`.
static void sort_items(item *items, item *spare, int64_t n, int bytes) {
    if (n <= 48) {
        for (int64_t i = 1; i < n; i++) {
            item v = items[i];
            int64_t j = i;
            for (; j > 0 && items[j - 1].key > v.key; j--) items[j] = items[j - 1];
            items[j] = v;
        }
        return;
    }
    item *from = items, *to = spare;
    for (int b = 0; b < bytes; b++) {
        int64_t count[257] = {0};
        int shift = 8 * b;
        for (int64_t i = 0; i < n; i++) count[((from[i].key >> shift) & 255) + 1]++;
        int only = 0;
        for (int k = 1; k <= 256; k++) only |= count[k] == n;
        if (only) continue;
        for (int k = 0; k < 256; k++) count[k + 1] += count[k];
        for (int64_t i = 0; i < n; i++) to[count[(from[i].key >> shift) & 255]++] = from[i];
        item *t = from;
        from = to;
        to = t;
    }
    if (from != items) memcpy(items, from, (size_t)n * sizeof(item));
}

typedef struct {
    int dtype;
    const char *x;
    char *values;
    int64_t *positions;
    int64_t n, inner, k, size;
    bool flip;
} sort_context;

static void store(const sort_context *c, const item *items, int64_t start, int64_t out_start, int64_t count) {
    for (int64_t j = 0; j < count; j++) {
        int64_t to = out_start + j * c->inner;
        c->positions[to] = items[j].at;
        if (c->values) memcpy(c->values + to * c->size, c->x + (start + items[j].at * c->inner) * c->size, (size_t)c->size);
    }
}

static void sort_range(void *p, int64_t low, int64_t high) {
    const sort_context *c = p;
    size_t bytes = (size_t)c->n * (2 * sizeof(item) + 8);
    item *items = tk_alloc(bytes), *spare = items + c->n;
    uint64_t *keys = (uint64_t *)(spare + c->n);
    for (int64_t t = low; t < high; t++) {
        int64_t start = t / c->inner * c->n * c->inner + t % c->inner;
        load_keys(c->dtype, c->x + start * c->size, c->inner, keys, c->n);
        for (int64_t j = 0; j < c->n; j++) items[j] = (item){c->flip ? ~keys[j] : keys[j], j};
        sort_items(items, spare, c->n, c->flip ? 8 : key_bytes(c->dtype));
        store(c, items, start, start, c->n);
    }
    tk_free(items, bytes);
}

void tk_sort(int dtype, const void *x, void *values, int64_t *positions, int64_t outer, int64_t n, int64_t inner, bool descending) {
    if (outer * n * inner == 0) return;
    sort_context c = {dtype, x, values, positions, n, inner, n, tk_element_size(dtype), descending};
    int64_t grain = TK_GRAIN / (8 * n);
    tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, sort_range, &c);
}

static bool before(item a, item b) { return a.key < b.key || (a.key == b.key && a.at < b.at); }

static void sift(item *heap, int64_t k, int64_t i) {
    item v = heap[i];
    for (int64_t child; (child = 2 * i + 1) < k; i = child) {
        if (child + 1 < k && before(heap[child], heap[child + 1])) child++;
        if (!before(v, heap[child])) break;
        heap[i] = heap[child];
    }
    heap[i] = v;
}

// The k first in the order of the keys, by a heap with the last of them on top.
static void topk_range(void *p, int64_t low, int64_t high) {
    const sort_context *c = p;
    size_t bytes = (size_t)c->k * 2 * sizeof(item) + (size_t)c->n * 8;
    item *heap = tk_alloc(bytes), *spare = heap + c->k;
    uint64_t *keys = (uint64_t *)(spare + c->k);
    for (int64_t t = low; t < high; t++) {
        int64_t start = t / c->inner * c->n * c->inner + t % c->inner;
        load_keys(c->dtype, c->x + start * c->size, c->inner, keys, c->n);
        if (c->flip) for (int64_t j = 0; j < c->n; j++) keys[j] = ~keys[j];
        for (int64_t j = 0; j < c->k; j++) heap[j] = (item){keys[j], j};
        for (int64_t i = c->k / 2 - 1; i >= 0; i--) sift(heap, c->k, i);
        for (int64_t j = c->k; j < c->n; j++) {
            if (keys[j] >= heap[0].key) continue;
            heap[0] = (item){keys[j], j};
            sift(heap, c->k, 0);
        }
        for (int64_t end = c->k - 1; end > 0; end--) {
            item top = heap[0];
            heap[0] = heap[end];
            heap[end] = top;
            sift(heap, end, 0);
        }
        store(c, heap, start, t / c->inner * c->k * c->inner + t % c->inner, c->k);
    }
    tk_free(heap, bytes);
}

void tk_topk(int dtype, const void *x, void *values, int64_t *positions, int64_t outer, int64_t n, int64_t inner, int64_t k, bool smallest) {
    if (outer * n * inner == 0 || k == 0) return;
    sort_context c = {dtype, x, values, positions, n, inner, k, tk_element_size(dtype), !smallest};
    int64_t grain = TK_GRAIN / (4 * n);
    tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, topk_range, &c);
}

void tk_sort_rows(int dtype, const void *x, int64_t *positions, int64_t rows, int64_t width) {
    if (rows == 0) return;
    size_t bytes = (size_t)rows * 2 * sizeof(item);
    item *items = tk_alloc(bytes), *spare = items + rows;
    int64_t size = tk_element_size(dtype);
    for (int64_t i = 0; i < rows; i++) items[i].at = i;
    // Stable sorts from the last column to the first.
    for (int64_t column = width - 1; column >= 0; column--) {
        for (int64_t i = 0; i < rows; i++) load_keys(dtype, (const char *)x + (items[i].at * width + column) * size, 1, &items[i].key, 1);
        sort_items(items, spare, rows, key_bytes(dtype));
    }
    for (int64_t i = 0; i < rows; i++) positions[i] = items[i].at;
    tk_free(items, bytes);
}

typedef struct { int dtype; const char *sorted, *values; int64_t *out; int64_t n, m, size; bool shared, right; } find_context;

static void find_range(void *p, int64_t low, int64_t high) {
    const find_context *c = p;
    for (int64_t t = low; t < high; t++) {
        const char *row = c->sorted + (c->shared ? 0 : t / c->m * c->n * c->size);
        uint64_t key, other;
        load_keys(c->dtype, c->values + t * c->size, 1, &key, 1);
        int64_t a = 0, b = c->n;
        while (a < b) {
            int64_t middle = a + (b - a) / 2;
            load_keys(c->dtype, row + middle * c->size, 1, &other, 1);
            if (other < key || (c->right && other == key)) a = middle + 1;
            else b = middle;
        }
        c->out[t] = a;
    }
}

void tk_searchsorted(int dtype, const void *sorted, const void *values, int64_t *out, int64_t rows, int64_t n, int64_t m, bool shared, bool right) {
    find_context c = {dtype, sorted, values, out, n, m > 0 ? m : 1, tk_element_size(dtype), shared, right};
    tk_parallel_ranges(rows * m, 4096, find_range, &c);
}
