// A sparse linear map along one axis.
#include <string.h>

#include "windows.h"

typedef struct {
    int dtype;
    const void *x;
    void *y;
    int64_t n_in, n_out, inner;
    const int64_t *first, *sources;
    const double *weights;
    // Outputs low ..< high have `taps` entries each: places and factors, tap by tap
    int64_t low, high, taps;
    int32_t *places;
    void *factors;
} map;

// Rows of `inner` elements: each is a sum of rows.
static void map_rows(void *context, int64_t low, int64_t high) {
    const map *m = context;
    const tk_windows *level = tk_current_windows();
    for (int64_t row = low; row < high; row++) {
        int64_t j = row % m->n_out, base = row / m->n_out * m->n_in;
        for (int64_t e = m->first[j]; e < m->first[j + 1]; e++) {
            int64_t from = (base + m->sources[e]) * m->inner;
            bool add = e > m->first[j];
            if (m->dtype == TK_F32) level->axpy_f32((float)m->weights[e], (const float *)m->x + from, (float *)m->y + row * m->inner, m->inner, add);
            else level->axpy_f64(m->weights[e], (const double *)m->x + from, (double *)m->y + row * m->inner, m->inner, add);
        }
        if (m->first[j] == m->first[j + 1])
            memset((char *)m->y + row * m->inner * tk_element_size(m->dtype), 0, (size_t)(m->inner * tk_element_size(m->dtype)));
    }
}

// Short rows: element by element.
#define ELEMENTS(T)                                                                                     \
    for (int64_t o = low; o < high; o++) {                                                              \
        const T *x = (const T *)m->x + o * m->n_in * m->inner;                                          \
        T *y = (T *)m->y + o * m->n_out * m->inner;                                                     \
        for (int64_t j = 0; j < m->n_out; j++)                                                          \
            for (int64_t i = 0; i < m->inner; i++) {                                                    \
                T sum = 0;                                                                              \
                for (int64_t e = m->first[j]; e < m->first[j + 1]; e++)                                 \
                    sum += (T)m->weights[e] * x[m->sources[e] * m->inner + i];                          \
                *y++ = sum;                                                                             \
            }                                                                                           \
    }
// Rows of single elements: the even part by vectors of picks.
#define SINGLES(T, LEVEL)                                                                               \
    for (int64_t o = low; o < high; o++) {                                                              \
        const T *x = (const T *)m->x + o * m->n_in;                                                     \
        T *y = (T *)m->y + o * m->n_out;                                                                \
        LEVEL(x, m->places, m->factors, m->taps, y + m->low, m->high - m->low);                         \
        for (int64_t j = 0; j < m->n_out; j++) {                                                        \
            if (j == m->low) {                                                                          \
                j = m->high - 1;                                                                        \
                continue;                                                                               \
            }                                                                                           \
            T sum = 0;                                                                                  \
            for (int64_t e = m->first[j]; e < m->first[j + 1]; e++) sum += (T)m->weights[e] * x[m->sources[e]]; \
            y[j] = sum;                                                                                 \
        }                                                                                               \
    }
static void map_singles(void *context, int64_t low, int64_t high) {
    const map *m = context;
    const tk_windows *level = tk_current_windows();
    if (m->dtype == TK_F32) SINGLES(float, level->picks_f32)
    else SINGLES(double, level->picks_f64)
}

// The longest run of outputs with the most common number of entries near the middle.
static void find_even_run(map *m) {
    int64_t middle = m->n_out / 2;
    m->taps = m->first[middle + 1] - m->first[middle];
    m->low = middle;
    m->high = middle + 1;
    while (m->low > 0 && m->first[m->low] - m->first[m->low - 1] == m->taps) m->low--;
    while (m->high < m->n_out && m->first[m->high + 1] - m->first[m->high] == m->taps) m->high++;
}

static void map_elements(void *context, int64_t low, int64_t high) {
    const map *m = context;
    if (m->dtype == TK_F32) ELEMENTS(float)
    else ELEMENTS(double)
}

void tk_axis_map(int dtype, const void *x, void *y, int64_t outer, int64_t n_in, int64_t n_out, int64_t inner,
                 const int64_t *first, const int64_t *sources, const double *weights) {
    if (outer * n_out * inner == 0) return;
    map m = {dtype, x, y, n_in, n_out, inner, first, sources, weights};
    int64_t entries = first[n_out] + 1;
    if (inner >= 16) tk_parallel_ranges(outer * n_out, TK_GRAIN * n_out / (entries * inner) + 1, map_rows, &m);
    else {
        int64_t grain = TK_GRAIN / ((entries + n_out) * inner) + 1;
        if (inner == 1) find_even_run(&m);
        int64_t run = m.high - m.low, size = tk_element_size(dtype);
        if (run < 8 || m.taps < 1 || m.taps > 32) { tk_parallel_ranges(outer, grain, map_elements, &m); return; }
        size_t bytes = (size_t)(run * m.taps * (size + 4));
        m.factors = tk_alloc(bytes);
        m.places = (int32_t *)((char *)m.factors + run * m.taps * size);
        for (int64_t t = 0; t < m.taps; t++)
            for (int64_t j = 0; j < run; j++) {
                int64_t e = first[m.low + j] + t;
                m.places[t * run + j] = (int32_t)sources[e];
                if (dtype == TK_F32) ((float *)m.factors)[t * run + j] = (float)weights[e];
                else ((double *)m.factors)[t * run + j] = weights[e];
            }
        tk_parallel_ranges(outer, grain, map_singles, &m);
        tk_free(m.factors, bytes);
    }
}
