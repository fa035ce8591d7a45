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
    if (inner == 1) tk_map_planes(dtype, outer, 0, &(tk_axis){n_in, n_out, first, sources, weights}, x, y);
    else if (inner >= 16) tk_parallel_ranges(outer * n_out, TK_GRAIN * n_out / (entries * inner) + 1, map_rows, &m);
    else tk_parallel_ranges(outer, TK_GRAIN / ((entries + n_out) * inner) + 1, map_elements, &m);
}
