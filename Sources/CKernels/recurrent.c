// Recurrent layers: all steps of one direction, forward and backward. In each step a product with the recurrent weight and the cell's
// gates, in one parallel region: a task makes the gates of 32 hidden units and goes on to their new state. With AVX-512 the
// weight is packed once for all steps. The tasks depend on the shape alone, and so do the sums.
#include <math.h>
#include <string.h>

#include "gemm_panels.h"
#include "levels.h"

#define TK_CELL(name) cell_##name##_baseline
#define TK_NAME(name) cell_math_##name##_baseline
#define TK_WIDTH 4
#include "templates/math.inc"
#include "templates/recurrent.inc"
#undef TK_CELL
#undef TK_NAME
#undef TK_WIDTH

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define TK_CELL(name) cell_##name##_avx2
#define TK_NAME(name) cell_math_##name##_avx2
#define TK_WIDTH 8
#include "templates/math.inc"
#include "templates/recurrent.inc"
#undef TK_CELL
#undef TK_NAME
#undef TK_WIDTH
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define TK_CELL(name) cell_##name##_avx512
#define TK_NAME(name) cell_math_##name##_avx512
#define TK_WIDTH 16
#include "templates/math.inc"
#include "templates/recurrent.inc"
#undef TK_CELL
#undef TK_NAME
#undef TK_WIDTH
#pragma clang attribute pop
#define AT_LEVEL(f) (tk_isa_level() == 2 ? f##_avx512 : tk_isa_level() == 1 ? f##_avx2 : f##_baseline)
#else
#define AT_LEVEL(f) f##_baseline
#endif

enum { UNITS = TK_TILE_COLUMNS };
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int gates_of(int kind) { return kind == TK_LSTM ? 4 : kind == TK_GRU ? 3 : 1; }

typedef struct {
    const tk_recurrence *r;
    int64_t size, ranges, gates, t;     // bytes of an element; ranges of hidden units; gates of the cell; the step
    // Of the step. Forward: `part` [batch, gates · hidden] is made. Backward: `part` [batch, hidden].
    char *part;
    const char *x, *bias, *state, *cell, *kept, *g;
    char *new_state, *new_cell, *gate_values, *carried, *dcell, *dx, *dh;
    // Packed operands, NULL without AVX-512: the weight in panels of UNITS columns, `inner` rows each; the rows it is multiplied with.
    float *panels, *rows;
    int64_t inner;
    row_split split;                    // of the batch's rows
    const char *left;                   // the rows in memory [batch, inner]
    const char *weight;
    bool multiplies;
} steps;

#define AT(p, elements) ((p) ? (p) + (elements) * s->size : 0)

static float *row_panel(const steps *s, int64_t p) { return s->rows + panel_offset(s->split, p, s->inner); }

static bool packs(const tk_recurrence *r) {
#if defined(__x86_64__)
    return r->dtype == TK_F32 && tk_isa_level() == 2 && r->time > 1;
#else
    return false;
#endif
}

static void allocate_panels(steps *s, int64_t inner, int64_t count) {
    s->inner = inner;
    s->split = split_rows(s->r->batch);
    s->panels = tk_alloc((size_t)(count * inner * UNITS) * sizeof(float));
    s->rows = tk_alloc(panel_bytes(s->split, inner));
}
static void free_panels(steps *s, int64_t count) {
    if (!s->panels) return;
    tk_free(s->panels, (size_t)(count * s->inner * UNITS) * sizeof(float));
    tk_free(s->rows, panel_bytes(s->split, s->inner));
}

// Few tasks, or little work in each, are not worth other threads.
static void run(steps *s, int64_t count, tk_task_fn fn) {
    double work = (double)s->r->batch * (double)s->r->hidden * (double)(s->multiplies ? s->inner : 32);
    if (work < 65536) for (int64_t i = 0; i < count; i++) fn(s, i);
    else tk_parallel(count, fn, s);
}

static void pack_rows_task(void *context, int64_t p) {
#if defined(__x86_64__)
    const steps *s = context;
    const float *left = (const float *)s->left + panel_start(s->split, p) * s->inner;
    tk_pack_tile_rows(left, s->inner, s->inner, panel_rows(s->split, p), row_panel(s, p));
#endif
}

// part[:, to ..< to + width] = rows · panel
static void multiply(const steps *s, int64_t panel, int64_t to, int64_t width, int64_t ld) {
#if defined(__x86_64__)
    for (int64_t p = 0; p < s->split.count; p++) {
        float *part = (float *)s->part + panel_start(s->split, p) * ld + to;
        tk_multiply_tile(panel_rows(s->split, p), s->inner, row_panel(s, p), s->panels + panel * s->inner * UNITS, part, ld, width, false);
    }
#endif
}

// rows · weight, for what cannot be packed: the whole part at once.
static void multiply_all(steps *s, bool transposed, int64_t columns) {
    tk_gemm(s->r->dtype, false, transposed, s->r->batch, columns, s->inner, s->left, s->inner, 0, s->weight, transposed ? s->inner : columns,
            0, s->part, columns, 0, 1, false, NULL);
}

// ---- forward ----

static void pack_transposed_task(void *context, int64_t panel) {
    const steps *s = context;
    int64_t H = s->r->hidden, gate = panel / s->ranges, j = panel % s->ranges * UNITS, width = least(UNITS, H - j);
    const float *w = (const float *)s->weight + (gate * H + j) * s->inner;
    float *out = s->panels + panel * s->inner * UNITS;
    for (int64_t block = 0; block < s->inner; block += 16)      // a line of each row at a time
        for (int64_t c = 0; c < UNITS; c++)
            for (int64_t p = block; p < least(block + 16, s->inner); p++) out[p * UNITS + c] = c < width ? w[c * s->inner + p] : 0;
}

static void forward_task(void *context, int64_t range) {
    const steps *s = context;
    const tk_recurrence *r = s->r;
    int64_t H = r->hidden, j = range * UNITS, width = least(UNITS, H - j), G = s->gates * H, kept = r->kind == TK_RNN_TANH || r->kind == TK_RNN_RELU ? 0 : 4 * H;
    if (s->panels) for (int64_t q = 0; q < s->gates; q++) multiply(s, q * s->ranges + range, q * H + j, width, G);
    for (int64_t b = 0; b < r->batch; b++) {
        int64_t at = b * H + j, gate_at = b * G + j;
        if (r->lengths && s->t >= r->lengths[b]) {
            memcpy(AT(s->new_state, at), AT(s->state, at), (size_t)(width * s->size));
            if (s->cell) memcpy(AT(s->new_cell, at), AT(s->cell, at), (size_t)(width * s->size));
            continue;
        }
#define FORWARD(T, suffix)                                                                                                           \
    if (s->bias) for (int64_t q = 0; q < s->gates; q++) for (int64_t c = 0; c < width; c++)                                          \
        ((T *)s->part)[gate_at + q * H + c] += ((const T *)s->bias)[q * H + j + c];                                                  \
    AT_LEVEL(cell_forward_##suffix)(r->kind, width, H, (const T *)AT(s->x, gate_at), (const T *)AT(s->part, gate_at),                \
        (const T *)AT(s->state, at), (const T *)AT(s->cell, at), (T *)AT(s->new_state, at), (T *)AT(s->new_cell, at),                \
        (T *)AT(s->gate_values, b * kept + j));
        if (r->dtype == TK_F32) { FORWARD(float, f32) } else { FORWARD(double, f64) }
#undef FORWARD
    }
}

void tk_recurrence_forward(const tk_recurrence *r, const void *x, const void *weight, const void *bias, void *states, void *cells,
                           void *gates, bool keeps_gates) {
    int64_t T = r->time, B = r->batch, H = r->hidden;
    if (B == 0 || H == 0) return;
    steps step = {.r = r, .size = tk_element_size(r->dtype), .ranges = ceil_div(H, UNITS), .gates = gates_of(r->kind), .weight = weight,
                  .bias = bias, .inner = H, .multiplies = true};
    steps *s = &step;
    int64_t G = s->gates * H, kept = r->kind == TK_LSTM || r->kind == TK_GRU ? 4 * H : 0;
    size_t part_bytes = (size_t)(B * G * s->size);
    s->part = tk_alloc(part_bytes);
    if (packs(r)) {
        allocate_panels(s, H, s->gates * s->ranges);
        run(s, s->gates * s->ranges, pack_transposed_task);
    }
    for (int64_t i = 0; i < T; i++) {
        // Slot t holds the state before step t and slot t + 1 that after it; the other way round in reverse.
        int64_t t = r->reverse ? T - 1 - i : i, from = r->reverse ? t + 1 : t, to = r->reverse ? t : t + 1;
        s->t = t;
        s->x = (const char *)x + t * B * G * s->size;
        s->state = AT((const char *)states, from * B * H);
        s->new_state = AT((char *)states, to * B * H);
        s->cell = AT((const char *)cells, from * B * H);
        s->new_cell = AT((char *)cells, to * B * H);
        s->gate_values = AT((char *)gates, (keeps_gates ? t : 0) * B * kept);
        s->left = s->state;
        if (s->panels) run(s, s->split.count, pack_rows_task);
        else multiply_all(s, true, G);
        run(s, s->ranges, forward_task);
    }
    free_panels(s, s->gates * s->ranges);
    tk_free(s->part, part_bytes);
}

// ---- backward ----

static void pack_task(void *context, int64_t panel) {
    const steps *s = context;
    int64_t H = s->r->hidden, j = panel * UNITS, width = least(UNITS, H - j);
    const float *w = (const float *)s->weight + j;
    float *out = s->panels + panel * s->inner * UNITS;
    for (int64_t p = 0; p < s->inner; p++)
        for (int64_t c = 0; c < UNITS; c++) out[p * UNITS + c] = c < width ? w[p * H + c] : 0;
}

static void backward_task(void *context, int64_t range) {
    const steps *s = context;
    const tk_recurrence *r = s->r;
    int64_t H = r->hidden, j = range * UNITS, width = least(UNITS, H - j), G = s->gates * H, kept = r->kind == TK_LSTM || r->kind == TK_GRU ? 4 * H : 0;
    if (s->panels && s->multiplies) multiply(s, range, j, width, H);
    for (int64_t b = 0; b < r->batch; b++) {
        int64_t at = b * H + j, gate_at = b * G + j;
        bool active = !r->lengths || s->t < r->lengths[b];
#define BACKWARD(T, suffix)                                                                                                          \
    if (active) {                                                                                                                    \
        AT_LEVEL(cell_backward_##suffix)(r->kind, width, H, (const T *)AT(s->g, at), (const T *)AT(s->part, at),                     \
            (const T *)AT(s->state, at), (const T *)AT(s->cell, at), (const T *)AT(s->new_state, at),                                \
            (const T *)AT(s->new_cell, at), (const T *)AT(s->kept, b * kept + j), (T *)AT(s->carried, at),                           \
            (T *)AT(s->dcell, at), (T *)AT(s->dx, gate_at), (T *)AT(s->dh, gate_at));                                                \
    } else {                                                                                                                         \
        T *carried = (T *)AT(s->carried, at), *dx = (T *)AT(s->dx, gate_at), *dh = (T *)AT(s->dh, gate_at);                          \
        const T *g = (const T *)AT(s->g, at), *part = (const T *)AT(s->part, at);                                                    \
        for (int64_t c = 0; c < width; c++) carried[c] += g[c] + part[c];                                                            \
        for (int64_t q = 0; q < s->gates; q++) for (int64_t c = 0; c < width; c++) dx[q * H + c] = dh[q * H + c] = 0;                \
    }
        if (r->dtype == TK_F32) { BACKWARD(float, f32) } else { BACKWARD(double, f64) }
#undef BACKWARD
    }
}

// dstate (= carried) += what came through the gates of the first step
static void finish_task(void *context, int64_t range) {
    const steps *s = context;
    int64_t H = s->r->hidden, j = range * UNITS, width = least(UNITS, H - j);
    if (s->panels) multiply(s, range, j, width, H);
    for (int64_t b = 0; b < s->r->batch; b++)
        for (int64_t i = b * H + j; i < b * H + j + width; i++) {
            if (s->r->dtype == TK_F32) ((float *)s->carried)[i] += ((float *)s->part)[i];
            else ((double *)s->carried)[i] += ((double *)s->part)[i];
        }
}

void tk_recurrence_backward(const tk_recurrence *r, const void *weight, const void *states, const void *cells, const void *gates,
                            const void *g, void *dx, void *dh, void *dstate, void *dcell) {
    int64_t T = r->time, B = r->batch, H = r->hidden;
    if (B == 0 || H == 0) return;
    steps step = {.r = r, .size = tk_element_size(r->dtype), .ranges = ceil_div(H, UNITS), .gates = gates_of(r->kind), .weight = weight,
                  .inner = gates_of(r->kind) * H, .carried = dstate, .dcell = dcell};
    steps *s = &step;
    int64_t G = s->gates * H, kept = r->kind == TK_LSTM || r->kind == TK_GRU ? 4 * H : 0;
    size_t part_bytes = (size_t)(B * H * s->size);
    s->part = tk_alloc(part_bytes);
    memset(s->part, 0, part_bytes);
    memset(dstate, 0, part_bytes);
    if (packs(r)) {
        allocate_panels(s, G, s->ranges);
        run(s, s->ranges, pack_task);
    }
    for (int64_t i = T - 1; i >= -1; i--) {
        if (i < T - 1) {    // the gates' gradients of the step that was done last
            s->left = s->dh;
            s->multiplies = true;
            if (s->panels) run(s, s->split.count, pack_rows_task);
            else multiply_all(s, false, H);
        }
        if (i < 0) break;
        int64_t t = r->reverse ? T - 1 - i : i, from = r->reverse ? t + 1 : t, to = r->reverse ? t : t + 1;
        s->t = t;
        s->state = AT((const char *)states, from * B * H);
        s->new_state = (char *)states + to * B * H * s->size;
        s->cell = AT((const char *)cells, from * B * H);
        s->new_cell = AT((char *)cells, to * B * H);
        s->kept = AT((const char *)gates, t * B * kept);
        s->g = (const char *)g + t * B * H * s->size;
        s->dx = (char *)dx + t * B * G * s->size;
        s->dh = (char *)dh + t * B * G * s->size;
        run(s, s->ranges, backward_task);
    }
    run(s, s->ranges, finish_task);
    free_panels(s, s->ranges);
    tk_free(s->part, part_bytes);
}
