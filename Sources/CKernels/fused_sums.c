// Outputs of fused programs that are sums over axes: the gradients of broadcast inputs. Tasks are ranges of tiles, fixed by the shape; each
// sums on its own, and their sums are added in order, so that the result does not depend on the threads.
#include <string.h>

#include "elementwise.h"
#include "fused.h"

enum { TASK_ELEMENTS = 65536, MOST_TASKS = 128, ROWS_IN_FLOAT = 64 };

/// The index of an element of a tile, the first or the last.
static void place(const tk_fused_run *r, int64_t tile, bool last, int64_t *index) {
    const tk_fused_walk *w = &r->walk;
    int64_t per_outer = r->row_blocks * r->strips, outer = tile / per_outer;
    for (int d = w->rank - 3; d >= 0; d--) { index[d] = outer % w->dims[d]; outer /= w->dims[d]; }
    int64_t row = tile % per_outer / r->strips * r->tile_rows, column = tile % r->strips * r->tile_width;
    int64_t rows = w->dims[w->rank - 2], width = w->dims[w->rank - 1];
    if (last) {
        row = row + r->tile_rows < rows ? row + r->tile_rows - 1 : rows - 1;
        column = column + r->tile_width < width ? column + r->tile_width - 1 : width - 1;
    }
    index[w->rank - 2] = row;
    index[w->rank - 1] = column;
}

/// Bounds of what the tiles low ..< high, at least one, add to.
static tk_fused_part part_of(const tk_fused_run *r, const int64_t *strides, int64_t low, int64_t high) {
    const tk_fused_walk *w = &r->walk;
    int64_t first[TK_INLINE_AXES], last[TK_INLINE_AXES], from = 0, to = 0;
    place(r, low, false, first);
    place(r, high - 1, true, last);
    bool differ = false;
    for (int d = 0; d < w->rank; d++) {
        from += (differ ? 0 : first[d]) * strides[d];
        to += (differ ? w->dims[d] - 1 : last[d]) * strides[d];
        differ |= first[d] != last[d];
    }
    return (tk_fused_part){from, to + 1, 0};
}

void tk_fused_plan_sums(tk_fused_run *r, int64_t count) {
    const tk_fused_program *p = r->program;
    r->tasks = count / TASK_ELEMENTS;
    if (r->tasks > MOST_TASKS) r->tasks = MOST_TASKS;
    if (r->tasks > r->tiles) r->tasks = r->tiles;
    if (r->tasks < 1 && r->tiles > 0) r->tasks = 1;
    int64_t doubles = 0;
    for (int j = 0; j < p->output_count; j++) {
        if (!r->summed[j]) continue;
        r->parts[j] = tk_alloc((size_t)(r->tasks + 1) * sizeof(tk_fused_part));
        for (int64_t t = 0; t < r->tasks; t++) {
            r->parts[j][t] = part_of(r, r->walk.strides[p->input_count + j], r->tiles * t / r->tasks, r->tiles * (t + 1) / r->tasks);
            doubles += r->parts[j][t].high - r->parts[j][t].low;
        }
    }
    r->sum_bytes = (size_t)(doubles + 1) * sizeof(double);
    r->sums = tk_alloc(r->sum_bytes);
    double *next = r->sums;
    for (int j = 0; j < p->output_count; j++)
        for (int64_t t = 0; r->summed[j] && t < r->tasks; t++) {
            r->parts[j][t].sums = next;
            next += r->parts[j][t].high - r->parts[j][t].low;
        }
}

void tk_fused_begin_sums(const tk_fused_run *r, tk_fused_scratch *s, int64_t task) {
    for (int j = 0; j < r->program->output_count; j++) {
        if (!r->summed[j]) continue;
        tk_fused_part part = r->parts[j][task];
        memset(part.sums, 0, (size_t)(part.high - part.low) * sizeof(double));
        s->sums[j] = (tk_fused_sum){part, 0, INT64_MAX, 0, 0};
        // Sums along the last axis are whole at once; only others collect in float32.
        if (tk_fused_type(r->program->outputs[j].dtype) == TK_F64 || r->walk.strides[r->program->input_count + j][r->walk.rank - 1] == 0)
            continue;
        size_t bytes = (size_t)(part.high - part.low) * sizeof(float);
        memset(s->sums[j].recent = tk_alloc(bytes), 0, bytes);
    }
}

/// What has been collected in float32 goes to the doubles.
static void fold(tk_fused_sum *a) {
    for (int64_t i = a->from; i < a->to; i++) {
        a->part.sums[i] += a->recent[i];
        a->recent[i] = 0;
    }
    a->from = INT64_MAX, a->to = a->rows = 0;
}

static double sum_of(const tk_level *l, bool doubles, const char *x, int64_t n) {
    if (!doubles) return l->sum((const float *)x, n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += ((const double *)x)[i];
    return sum;
}

static void add_row(const tk_level *l, tk_fused_sum *a, bool doubles, const char *x, int64_t at, int64_t n) {
    if (!doubles) { l->add_rows((const float *)x, a->recent + at, n); return; }
    for (int64_t i = 0; i < n; i++) a->part.sums[at + i] += ((const double *)x)[i];
}

void tk_fused_add(const tk_fused_run *r, tk_fused_scratch *s, int j, const char *x, int64_t offset, int64_t rows, int64_t width) {
    const tk_level *l = tk_current_level();
    const int64_t *strides = r->walk.strides[r->program->input_count + j];
    int64_t down = strides[r->walk.rank - 2], along = strides[r->walk.rank - 1];
    tk_fused_sum *a = s->sums + j;
    bool doubles = r->program->outputs[j].dtype == TK_F64;
    int64_t at = offset - a->part.low, wide = width * (doubles ? 8 : 4);
    if (along == 0) {
        if (down == 0 || rows == 1) { a->part.sums[at] += sum_of(l, doubles, x, rows * width); return; }
        for (int64_t k = 0; k < rows; k++) a->part.sums[at + k * down] += sum_of(l, doubles, x + k * wide, width);
        return;
    }
    bool repeats = down == 0;
    if (repeats) for (int64_t k = 0; k < rows; k++) add_row(l, a, doubles, x + k * wide, at, width);
    else add_row(l, a, doubles, x, at, rows * width);
    if (doubles) return;
    int64_t end = at + (repeats ? width : rows * width);
    if (at < a->from) a->from = at;
    if (end > a->to) a->to = end;
    // Rows are in strips: the count is of additions to one place, if all go to the same.
    a->rows += repeats ? rows : 1;
    if (a->rows >= ROWS_IN_FLOAT * r->strips) fold(a);
}

void tk_fused_end_sums(const tk_fused_run *r, tk_fused_scratch *s) {
    for (int j = 0; j < r->program->output_count; j++) {
        tk_fused_sum *a = s->sums + j;
        if (!r->summed[j] || !a->recent) continue;
        fold(a);
        tk_free(a->recent, (size_t)(a->part.high - a->part.low) * sizeof(float));
    }
}

typedef struct { const tk_fused_run *run; int j; } finish_context;

static void finish_range(void *context, int64_t low, int64_t high) {
    const finish_context *c = context;
    const tk_fused_output *out = c->run->program->outputs + c->j;
    for (int64_t i = low; i < high; i += TK_ELEMENTS) {
        double total[TK_ELEMENTS] = {0};
        int64_t end = high - i < TK_ELEMENTS ? high : i + TK_ELEMENTS;
        for (int64_t t = 0; t < c->run->tasks; t++) {
            const tk_fused_part *part = c->run->parts[c->j] + t;
            int64_t from = part->low > i ? part->low : i, to = part->high < end ? part->high : end;
            for (int64_t k = from; k < to; k++) total[k - i] += part->sums[k - part->low];
        }
        tk_cast(TK_F64, out->dtype, total, (char *)out->data + i * tk_element_size(out->dtype), end - i);
    }
}

void tk_fused_finish_sums(tk_fused_run *r) {
    for (int j = 0; j < r->program->output_count; j++) {
        if (!r->summed[j]) continue;
        int64_t count = 1;
        const int64_t *strides = r->walk.strides[r->program->input_count + j];
        for (int d = 0; d < r->walk.rank; d++) if (strides[d] != 0) count *= r->walk.dims[d];
        finish_context c = {r, j};
        tk_parallel_ranges(count, TK_GRAIN / (r->tasks + 1) + TK_ELEMENTS, finish_range, &c);
        tk_free(r->parts[j], (size_t)(r->tasks + 1) * sizeof(tk_fused_part));
    }
    tk_free(r->sums, r->sum_bytes);
}
