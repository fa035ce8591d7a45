// Pooling over windows that tables describe, one per axis.
#include <math.h>
#include <string.h>

#include "stream.h"
#include "windows.h"

// The loops for rows of n outputs: vectors that short rows fill.
static const tk_windows *loops_for(int64_t n) {
    const tk_windows *level = tk_current_windows();
#if defined(__x86_64__)
    if (level == &tk_windows_avx512 && n < 16) return n < 8 ? &tk_windows_baseline : &tk_windows_avx2;
#endif
    return level;
}

typedef struct {
    int dtype;
    const tk_pool_axis *axes;
    const void *x;
    void *y;
    int32_t *places;
    int64_t first, last, stride, taps;   // outputs of the last axis whose windows are whole and evenly spaced, and their taps
    int64_t window;                       // the most places of a window
} pooling;

// One output by a plain loop over its window.
#define SCAN(T, LOWEST, IS_NAN)                                                                                     \
    {                                                                                                               \
        T best = LOWEST;                                                                                            \
        int32_t at = -1;                                                                                            \
        for (int64_t d = d0; d < d0 + nd * a[0].step; d += a[0].step)                                               \
            for (int64_t h = h0; h < h0 + nh * a[1].step; h += a[1].step)                                           \
                for (int64_t w = a[2].start[o]; w < a[2].start[o] + a[2].count[o] * a[2].step; w += a[2].step) {     \
                    int64_t place = (d * a[1].in + h) * a[2].in + w;                                                \
                    T v = ((const T *)x)[place];                                                                    \
                    bool wins = (v > best) | IS_NAN | (at < 0);   /* without branches, which nobody could foretell */ \
                    best = wins ? v : best;                                                                         \
                    at = wins ? (int32_t)place : at;                                                                \
                }                                                                                                   \
        ((T *)y)[o] = best;                                                                                         \
        if (places) places[o] = at;                                                                                 \
    }

static void pool_rows(void *context, int64_t low, int64_t high) {
    const pooling *p = context;
    const tk_pool_axis *a = p->axes;
    const tk_windows *level = loops_for(p->last - p->first);
    int64_t size = tk_element_size(p->dtype), plane = a[0].in * a[1].in * a[2].in;
    int64_t *offsets = tk_alloc((size_t)p->window * 8);
    int64_t oh = low % a[1].out - 1, od = low / a[1].out % a[0].out, at_plane = low / a[1].out / a[0].out;
    for (int64_t row = low; row < high; row++) {
        // Divisions would take as long as short rows.
        if (++oh == a[1].out) oh = 0, od++;
        if (od == a[0].out) od = 0, at_plane++;
        int64_t d0 = a[0].start[od], nd = a[0].count[od], h0 = a[1].start[oh], nh = a[1].count[oh];
        const char *x = (const char *)p->x + at_plane * plane * size;
        char *y = (char *)p->y + row * a[2].out * size;
        int32_t *places = p->places ? p->places + row * a[2].out : 0;
        for (int64_t o = 0; o < a[2].out; o++) {
            if (o == p->first) {
                o = p->last - 1;
                continue;
            }
            if (p->dtype == TK_F32) SCAN(float, -INFINITY, (v != v))
            else if (p->dtype == TK_F64) SCAN(double, -INFINITY, (v != v))
            else SCAN(int64_t, INT64_MIN, 0)
        }
        int64_t n = p->last - p->first;
        if (n <= 0) continue;
        int64_t taps = 0;
        for (int64_t d = d0; d < d0 + nd * a[0].step; d += a[0].step)
            for (int64_t h = h0; h < h0 + nh * a[1].step; h += a[1].step)
                for (int64_t k = 0; k < p->taps; k++)
                    offsets[taps++] = (d * a[1].in + h) * a[2].in + a[2].start[p->first] + k * a[2].step;
        int32_t *at = places ? places + p->first : 0;
        if (p->dtype == TK_F32) level->max_row_f32((const float *)x, offsets, taps, p->stride, (float *)y + p->first, at, n);
        else level->max_row_f64((const double *)x, offsets, taps, p->stride, (double *)y + p->first, at, n);
    }
    tk_free(offsets, (size_t)p->window * 8);
}

void tk_max_pool(int dtype, int64_t planes, const tk_pool_axis axes[3], const void *x, void *y, int32_t *places) {
    int64_t rows = planes * axes[0].out * axes[1].out;
    if (rows * axes[2].out == 0) return;
    pooling p = {.dtype = dtype, .axes = axes, .x = x, .y = y, .places = places};
    // The longest even run from the first whole window on.
    const tk_pool_axis *w = &axes[2];
    for (int64_t o = 0; o < w->out; o++) p.taps = w->count[o] > p.taps ? w->count[o] : p.taps;
    while (w->count[p.first] < p.taps) p.first++;
    p.last = p.first + 1;
    p.stride = p.last < w->out ? w->start[p.last] - w->start[p.first] : 1;
    while (p.last < w->out && w->count[p.last] == p.taps && w->start[p.last] - w->start[p.last - 1] == p.stride) p.last++;
    if (p.last - p.first < 4 || dtype == TK_I64) p.first = p.last = -1;
    p.window = p.taps;
    for (int i = 0; i < 2; i++) {
        int64_t most = 0;
        for (int64_t o = 0; o < axes[i].out; o++) most = axes[i].count[o] > most ? axes[i].count[o] : most;
        p.window *= most;
    }
    int64_t work = w->out * p.window, grain = TK_GRAIN / (work > 0 ? work : 1);
    tk_parallel_ranges(rows, grain > 0 ? grain : 1, pool_rows, &p);
}

// ---- by places ----

typedef struct { int dtype; int64_t size, n; const int32_t *places; const void *from; void *to; bool add, stream; } moving;

// Planes of up to so many bytes are made in a cache, where all are larger than the caches.
enum { MOST_MADE = 1 << 18 };

#define SCATTER(T)                                                                          \
    {                                                                                       \
        if (m->add) for (int64_t i = 0; i < m->n; i++) ((T *)to)[places[i]] += ((const T *)from)[i]; \
        else for (int64_t i = 0; i < m->n; i++) ((T *)to)[places[i]] = ((const T *)from)[i];         \
    }
static void scatter_range(void *context, int64_t low, int64_t high) {
    const moving *m = context;
    int64_t size = tk_element_size(m->dtype), bytes = m->size * size;
    char *made = m->stream ? tk_alloc((size_t)bytes) : 0;
    for (int64_t p = low; p < high; p++) {
        const int32_t *places = m->places + p * m->n;
        const char *from = (const char *)m->from + p * m->n * size;
        char *out = (char *)m->to + p * bytes, *to = made ? made : out;
        memset(to, 0, (size_t)bytes);
        if (m->dtype == TK_F32) SCATTER(float)
        else if (m->dtype == TK_F64) SCATTER(double)
        else SCATTER(uint64_t)
        if (made) tk_stream_copy(out, made, bytes);
    }
    if (made) tk_free(made, (size_t)bytes);
}

#define GATHER(T) for (int64_t i = 0; i < m->n; i++) ((T *)to)[i] = ((const T *)from)[places[i]]
static void gather_range(void *context, int64_t low, int64_t high) {
    const moving *m = context;
    int64_t size = tk_element_size(m->dtype);
    for (int64_t p = low; p < high; p++) {
        const int32_t *places = m->places + p * m->n;
        const char *from = (const char *)m->from + p * m->size * size;
        char *to = (char *)m->to + p * m->n * size;
        if (size == 4) GATHER(uint32_t);
        else GATHER(uint64_t);
    }
}

void tk_scatter_planes(int dtype, int64_t planes, int64_t size, int64_t n, const int32_t *places, const void *g, void *dx, bool add) {
    int64_t bytes = size * tk_element_size(dtype);
    moving m = {dtype, size, n, places, g, dx, add, bytes <= MOST_MADE && tk_streams(planes * bytes)};
    tk_parallel_ranges(planes, TK_GRAIN / (size + n + 1) + 1, scatter_range, &m);
    if (m.stream) tk_stream_fence();
}

void tk_gather_planes(int dtype, int64_t planes, int64_t size, int64_t n, const int32_t *places, const void *x, void *y) {
    moving m = {dtype, size, n, places, x, y, false, false};
    tk_parallel_ranges(planes, TK_GRAIN / (n + 1) + 1, gather_range, &m);
}

// ---- disjoint windows of 2 x 2 ----

typedef struct { int dtype; int64_t height, width, out_height, out_width; const int32_t *places; const char *g; char *dx; bool stream; } pairs;

// Two rows of dx per row of g, and what no window covers.
static void pair_rows(void *context, int64_t low, int64_t high) {
    const pairs *m = context;
    const tk_windows *level = loops_for(m->out_width);
    int64_t size = tk_element_size(m->dtype), row = m->width * size, n = m->out_width, covered = 2 * n * size;
    char *made = m->stream ? tk_alloc((size_t)(2 * row)) : 0;
    for (int64_t r = low; r < high; r++) {
        int64_t i = r % m->out_height;
        char *out = m->dx + (r / m->out_height * m->height + 2 * i) * row, *top = made ? made : out, *bottom = top + row;
        const int32_t *places = m->places + r * n;
        const char *g = m->g + r * n * size;
        int32_t at = (int32_t)(2 * i * m->width), width = (int32_t)m->width;
        if (m->dtype == TK_F32) level->max_pairs_f32((const float *)g, places, at, width, (float *)top, (float *)bottom, n);
        else level->max_pairs_f64((const double *)g, places, at, width, (double *)top, (double *)bottom, n);
        if (row > covered) {
            memset(top + covered, 0, (size_t)(row - covered));
            memset(bottom + covered, 0, (size_t)(row - covered));
        }
        if (made) tk_stream_copy(out, made, 2 * row);
        if (i + 1 == m->out_height) memset(out + 2 * row, 0, (size_t)((m->height - 2 * m->out_height) * row));
    }
    if (made) tk_free(made, (size_t)(2 * row));
}

void tk_scatter_pairs(int dtype, int64_t planes, int64_t height, int64_t width, int64_t out_height, int64_t out_width, const int32_t *places,
                      const void *g, void *dx) {
    pairs m = {dtype, height, width, out_height, out_width, places, g, dx, tk_streams(planes * height * width * tk_element_size(dtype))};
    tk_parallel_ranges(planes * out_height, TK_GRAIN / (width + 1) + 1, pair_rows, &m);
    if (m.stream) tk_stream_fence();
}
