// A sparse linear map along each of the last two axes, row by row: a row of outputs is a sum of rows of the input, which the map of
// the last axis then takes from a buffer in the nearest cache.
#include <math.h>
#include <string.h>

#include "windows.h"

enum { MOST_PHASES = 4, MOST_STEP = 8, SLACK = 64, MOST_TAPS = 32, MOST_MAPPED = 1 << 20 };

typedef struct {
    int dtype;
    int64_t size;
    const tk_axis *rows, *columns;
    const char *x;
    char *y;
    // Outputs low ..< high of a row repeat a pattern: `phases` outputs on, the sources lie `step` places on.
    int64_t phases, step, low, high;
    int64_t ends[MOST_PHASES + 1];   // entries of each phase
    int64_t *offsets;                // of the entries, in the row cut into `step` parts of length `part`
    void *factors;
    int64_t part;
    // Or each has `taps` entries: places and factors, tap by tap.
    int64_t taps;
    int32_t *places;
} map;

static bool repeats(const tk_axis *a, int64_t j, int64_t phases, int64_t step, double slack) {
    int64_t n = a->first[j + 1] - a->first[j];
    if (a->first[j + phases + 1] - a->first[j + phases] != n) return false;
    for (int64_t e = a->first[j], f = a->first[j + phases], i = 0; i < n; i++)
        if (a->sources[f + i] - a->sources[e + i] != step || fabs(a->weights[f + i] - a->weights[e + i]) > slack) return false;
    return true;
}

// The longest repeating run around the middle, for the fewest phases that give most of the row.
static void find_pattern(map *m) {
    const tk_axis *a = m->columns;
    // Factors of float32 that differ less than their rounding are equal.
    double slack = m->dtype == TK_F32 ? 1e-10 : 0;
    int64_t middle = a->out / 2;
    for (int64_t phases = 1; phases <= MOST_PHASES && middle + 2 * phases <= a->out; phases++) {
        int64_t step = 0;
        for (int64_t j = middle; j < middle + phases && !step; j++)
            if (a->first[j + 1] > a->first[j] && a->first[j + phases + 1] > a->first[j + phases])
                step = a->sources[a->first[j + phases]] - a->sources[a->first[j]];
        if (step < 1 || step > MOST_STEP) continue;
        int64_t low = middle, high = middle + phases;
        while (high < a->out && repeats(a, high - phases, phases, step, slack)) high++;
        while (low > 0 && repeats(a, low - 1, phases, step, slack)) low--;
        high -= (high - low) % phases;
        if (high - low <= m->high - m->low) continue;
        m->phases = phases, m->step = step, m->low = low, m->high = high;
        if (4 * (high - low) >= 3 * a->out) break;
    }
    if (m->high - m->low < 8 || 2 * (m->high - m->low) < a->out) m->low = m->high = m->phases = 0;
}

static void set_factor(const map *m, int64_t i, double value) {
    if (m->dtype == TK_F32) ((float *)m->factors)[i] = (float)value;
    else ((double *)m->factors)[i] = value;
}

static int64_t set_pattern(map *m) {
    const tk_axis *a = m->columns;
    m->part = (a->in + m->step - 1) / m->step + SLACK;
    int64_t begin = a->first[m->low], entries = a->first[m->low + m->phases] - begin;
    m->offsets = tk_alloc((size_t)(entries * 16) + 16);
    m->factors = m->offsets + entries;
    for (int64_t e = 0; e < entries; e++) {
        int64_t source = a->sources[begin + e];
        m->offsets[e] = source % m->step * m->part + source / m->step;
        set_factor(m, e, a->weights[begin + e]);
    }
    for (int64_t p = 0; p <= m->phases; p++) m->ends[p] = a->first[m->low + p] - begin;
    return entries * 16 + 16;
}

// The longest run of outputs with as many entries as the middle one.
static void find_even_run(map *m) {
    const tk_axis *a = m->columns;
    int64_t low = a->out / 2, high = low + 1;
    m->taps = a->first[high] - a->first[low];
    while (low > 0 && a->first[low] - a->first[low - 1] == m->taps) low--;
    while (high < a->out && a->first[high + 1] - a->first[high] == m->taps) high++;
    if (high - low >= 8 && m->taps >= 1 && m->taps <= MOST_TAPS) m->low = low, m->high = high;
}

static int64_t set_even_run(map *m) {
    const tk_axis *a = m->columns;
    int64_t run = m->high - m->low;
    m->factors = tk_alloc((size_t)(run * m->taps * 12) + 16);
    m->places = (int32_t *)((char *)m->factors + run * m->taps * 8);
    for (int64_t t = 0; t < m->taps; t++)
        for (int64_t j = 0; j < run; j++) {
            int64_t e = a->first[m->low + j] + t;
            m->places[t * run + j] = (int32_t)a->sources[e];
            set_factor(m, t * run + j, a->weights[e]);
        }
    return run * m->taps * 12 + 16;
}

// y = the map of row x, which has SLACK elements more.
#define MAP_ROW(T, SUFFIX)                                                                                                  \
    {                                                                                                                       \
        const T *from = (const T *)x;                                                                                       \
        T *to = (T *)y;                                                                                                     \
        if (m->phases) {                                                                                                    \
            int64_t n = (m->high - m->low) / m->phases, ld = n + SLACK;                                                     \
            const T *parts = from;                                                                                          \
            if (m->step > 1) {                                                                                              \
                level->split_##SUFFIX(from, a->in, m->step, (T *)buffer, m->part);                                          \
                parts = (const T *)buffer;                                                                                  \
            }                                                                                                               \
            T *woven = m->phases > 1 ? (T *)buffer + m->step * m->part : to + m->low;                                       \
            for (int64_t p = 0; p < m->phases; p++)                                                                         \
                level->taps_##SUFFIX(parts, 0, m->offsets + m->ends[p], (const T *)m->factors + m->ends[p],                 \
                                     m->ends[p + 1] - m->ends[p], 0, woven + p * ld, 0, 1, n);                              \
            if (m->phases > 1) level->weave_##SUFFIX(woven, ld, m->phases, to + m->low, n);                                 \
        } else if (m->high > m->low) {                                                                                      \
            level->picks_##SUFFIX(from, m->places, (const T *)m->factors, m->taps, to + m->low, m->high - m->low);          \
        }                                                                                                                   \
        for (int64_t j = 0; j < a->out; j++) {                                                                              \
            if (j == m->low && m->high > j) j = m->high;                                                                    \
            if (j >= a->out) break;                                                                                         \
            T sum = 0;                                                                                                      \
            for (int64_t e = a->first[j]; e < a->first[j + 1]; e++) sum += (T)a->weights[e] * from[a->sources[e]];          \
            to[j] = sum;                                                                                                    \
        }                                                                                                                   \
    }
#define SUM_ROWS(T, SUFFIX)                                                                                                 \
    {                                                                                                                       \
        int64_t n = 0;                                                                                                      \
        for (; n < b->first[r + 1] - b->first[r]; n++) {                                                                    \
            offsets[n] = b->sources[b->first[r] + n] * a->in;                                                               \
            ((T *)weights)[n] = (T)b->weights[b->first[r] + n];                                                             \
        }                                                                                                                   \
        level->combine_##SUFFIX((const T *)x, offsets, (const T *)weights, n, (T *)sum, a->in);                             \
    }
static void map_rows(void *context, int64_t low, int64_t high) {
    const map *m = context;
    const tk_axis *a = m->columns, *b = m->rows;
    const tk_windows *level = tk_current_windows();
    int64_t most = 1, outputs = b ? b->out : 1, inputs = b ? b->in : 1;
    for (int64_t r = 0; b && r < b->out; r++) most = b->first[r + 1] - b->first[r] > most ? b->first[r + 1] - b->first[r] : most;
    int64_t summed = a->in + SLACK, parts = m->phases ? m->step * m->part + m->phases * (a->out / m->phases + SLACK) : 0;
    size_t bytes = (size_t)((summed + parts) * m->size + most * 16);
    int64_t *offsets = tk_alloc(bytes);
    double *weights = (double *)(offsets + most);
    char *sum = (char *)(weights + most), *buffer = sum + summed * m->size;
    memset(sum, 0, (size_t)((summed + parts) * m->size));
    bool copies = b || (m->phases && m->step == 1);   // what the taps read has slack behind it
    for (int64_t row = low; row < high; row++) {
        int64_t r = row % outputs;
        const char *x = m->x + row / outputs * inputs * a->in * m->size;
        char *y = m->y + row * a->out * m->size;
        if (!b && copies) memcpy(sum, x, (size_t)(a->in * m->size));
        else if (b && m->dtype == TK_F32) SUM_ROWS(float, f32)
        else if (b) SUM_ROWS(double, f64)
        if (copies) x = sum;
        if (m->dtype == TK_F32) MAP_ROW(float, f32)
        else MAP_ROW(double, f64)
    }
    tk_free(offsets, bytes);
}

// The same where there are more rows of outputs than of inputs: each row of the input is mapped once, and those are added up.
static void spread_rows(void *context, int64_t low, int64_t high) {
    const map *m = context;
    const tk_axis *a = m->columns, *b = m->rows;
    const tk_windows *level = tk_current_windows();
    int64_t most = 1;
    for (int64_t r = 0; r < b->out; r++) most = b->first[r + 1] - b->first[r] > most ? b->first[r + 1] - b->first[r] : most;
    int64_t copied = a->in + SLACK, parts = m->phases ? m->step * m->part + m->phases * (a->out / m->phases + SLACK) : 0;
    int64_t length = a->out * m->size;
    size_t bytes = (size_t)((copied + parts) * m->size + most * 16 + b->in * (length + 1));
    int64_t *offsets = tk_alloc(bytes);
    double *weights = (double *)(offsets + most);
    char *copy = (char *)(weights + most), *buffer = copy + copied * m->size, *mapped = buffer + parts * m->size, *is_mapped = mapped + b->in * length;
    memset(copy, 0, (size_t)((copied + parts) * m->size));
    int64_t current = -1;
    for (int64_t row = low; row < high; row++) {
        int64_t r = row % b->out, plane = row / b->out, n = b->first[r + 1] - b->first[r];
        if (plane != current) memset(is_mapped, 0, (size_t)b->in);
        current = plane;
        for (int64_t e = 0; e < n; e++) {
            int64_t source = b->sources[b->first[r] + e];
            double weight = b->weights[b->first[r] + e];
            offsets[e] = source * a->out;
            if (m->dtype == TK_F32) ((float *)weights)[e] = (float)weight;
            else weights[e] = weight;
            if (is_mapped[source]) continue;
            is_mapped[source] = 1;
            const char *x = m->x + (plane * b->in + source) * a->in * m->size;
            char *y = mapped + source * length;
            for (int64_t i = 0; i < a->in * m->size; i += 64) __builtin_prefetch(x + i + 4096);
            memcpy(copy, x, (size_t)(a->in * m->size));
            x = copy;
            if (m->dtype == TK_F32) MAP_ROW(float, f32)
            else MAP_ROW(double, f64)
        }
        char *y = m->y + row * length;
        if (m->dtype == TK_F32) level->combine_f32((const float *)mapped, offsets, (const float *)weights, n, (float *)y, a->out);
        else level->combine_f64((const double *)mapped, offsets, weights, n, (double *)y, a->out);
    }
    tk_free(offsets, bytes);
}

void tk_map_planes(int dtype, int64_t planes, const tk_axis *rows, const tk_axis *columns, const void *x, void *y) {
    int64_t count = planes * (rows ? rows->out : 1);
    if (count * columns->out == 0) return;
    map m = {.dtype = dtype, .size = tk_element_size(dtype), .rows = rows, .columns = columns, .x = x, .y = y};
    find_pattern(&m);
    if (!m.phases) find_even_run(&m);
    int64_t bytes = m.phases ? set_pattern(&m) : m.high > m.low ? set_even_run(&m) : 0;
    int64_t work = columns->first[columns->out] + columns->out + (rows ? rows->first[rows->out] / rows->out : 0) * columns->in;
    if (rows && rows->out > rows->in && rows->in * columns->out * m.size <= MOST_MAPPED) {
        // Whole planes, so that no row is mapped twice.
        tk_parallel_ranges(count, (2 * TK_GRAIN / (work * rows->out + 1) + 1) * rows->out, spread_rows, &m);
    } else {
        tk_parallel_ranges(count, 2 * TK_GRAIN / (work + 1) + 1, map_rows, &m);
    }
    if (bytes) tk_free(m.phases ? (void *)m.offsets : m.factors, (size_t)bytes);
}
