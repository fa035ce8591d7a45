// Elementwise programs: a chain of operations in one pass over memory. A program runs tile by tile; what its steps hand to each other
// stays in registers of a tile's size, in the first cache. Outputs may be sums over axes, made in the same pass.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elementwise.h"
#include "fused.h"
#include "stream.h"

// ---- steps ----

static void round_to_half(const tk_level *l, int dtype, const float *x, float *y, int64_t n) {
    uint16_t half[TK_ELEMENTS];
    for (int64_t i = 0; i < n; i += TK_ELEMENTS) {
        int64_t m = n - i < TK_ELEMENTS ? n - i : TK_ELEMENTS;
        l->float_to_half(dtype, x + i, half, m);
        l->half_to_float(dtype, half, y + i, m);
    }
}

/// `pace[s]` is 0 where a slot holds the same number in all its elements. A step that can stream (below) may write past the caches, to
/// whole lines.
static void run_step(const tk_level *l, const tk_fused_step *s, char *const *slots, const uint8_t *pace, int64_t n, char *out, bool stream) {
    const char *a = slots[s->args[0]], *b = s->args[1] < 0 ? a : slots[s->args[1]], *c = s->args[2] < 0 ? a : slots[s->args[2]];
    if (s->type == TK_F32) {  // straight to the vector loops
        if (s->kind == TK_FUSED_BINARY && stream) {
            l->binary_stream(s->op, (const float *)a, pace[s->args[0]], (const float *)b, pace[s->args[1]], (float *)out, n);
            return;
        }
        if (s->kind == TK_FUSED_BINARY && s->op <= TK_HYPOT) {
            l->binary_f32(s->op, (const float *)a, pace[s->args[0]], (const float *)b, pace[s->args[1]], (float *)out, n);
            return;
        }
        if (s->kind == TK_FUSED_UNARY && s->op <= TK_NOT) { l->unary(s->op, (const float *)a, (float *)out, n, stream); return; }
        if (s->kind == TK_FUSED_UNARY_GRAD) { l->unary_grad(s->op, (const float *)a, (const float *)b, (float *)out, n, stream); return; }
    }
    switch (s->kind) {
    case TK_FUSED_UNARY: tk_unary_row(s->op, s->type, a, out, n); break;
    case TK_FUSED_UNARY_GRAD: tk_unary_grad_row(s->op, s->type, a, b, out, n); break;
    case TK_FUSED_BINARY: tk_binary_row(s->op, s->type, a, pace[s->args[0]], b, pace[s->args[1]], out, n); break;
    case TK_FUSED_MULTIPLY_ADD:
        l->multiply_add((const float *)a, (const float *)b, pace[s->args[1]], (const float *)c, pace[s->args[2]], (float *)out, n);
        break;
    case TK_FUSED_COMPARE: tk_compare_row(s->op, s->type, a, 1, b, 1, (bool *)out, n); break;
    case TK_FUSED_SELECT: tk_where_row(tk_element_size(s->type), (const bool *)a, 1, b, 1, c, 1, out, n); break;
    case TK_FUSED_CLAMP: tk_clamp_row(s->type, a, out, n, s->low, s->high); break;
    case TK_FUSED_CLASSIFY: tk_classify_row(s->op, s->type, a, (bool *)out, n); break;
    case TK_FUSED_CAST: tk_cast(s->op, s->type, a, out, n); break;
    case TK_FUSED_ROUND: round_to_half(l, s->op, (const float *)a, (float *)out, n); break;
    }
}

/// The step that makes an output and can put it past the caches itself; -1 where there is none, or something else reads it.
static int streaming_step(const tk_fused_program *p, int output) {
    int slot = p->outputs[output].slot, k = p->step_count - 1;
    if (p->outputs[output].dtype != TK_F32) return -1;
    for (int j = 0; j < p->output_count; j++) if (j != output && p->outputs[j].slot == slot) return -1;
    for (; k >= 0 && p->steps[k].out != slot; k--)
        for (int a = 0; a < 3; a++) if (p->steps[k].args[a] == slot) return -1;
    if (k < 0 || p->steps[k].type != TK_F32) return -1;
    const tk_fused_step *s = p->steps + k;
    bool streams = s->kind == TK_FUSED_UNARY_GRAD || (s->kind == TK_FUSED_UNARY && s->op <= TK_NOT) || (s->kind == TK_FUSED_BINARY && s->op <= TK_DIV);
    return streams ? k : -1;
}

// ---- inputs ----

static void load_row(const tk_fused_input *in, int type, const char *x, int64_t step, char *out, int64_t n) {
    int64_t size = tk_element_size(in->dtype), wide = tk_element_size(type);
    if (step == 1) {
        if (in->dtype == type) memcpy(out, x, (size_t)(n * size));
        else tk_cast(in->dtype, type, x, out, n);
        return;
    }
    if (step == 0) {
        tk_cast(in->dtype, type, x, out, 1);
        for (int64_t i = 1; i < n; i++) memcpy(out + i * wide, out, (size_t)wide);
        return;
    }
    char dense[8 * TK_ELEMENTS];
    for (int64_t i = 0; i < n; i += TK_ELEMENTS) {
        int64_t m = n - i < TK_ELEMENTS ? n - i : TK_ELEMENTS;
        for (int64_t k = 0; k < m; k++) memcpy(dense + k * size, x + (i + k) * step * size, (size_t)size);
        tk_cast(in->dtype, type, dense, out + i * wide, m);
    }
}

/// Memory works while the steps compute: what comes after the next tile is asked for. A later tile that does not follow in memory costs a
/// few lines read in vain.
static inline void fetch_ahead(const tk_fused_run *r, int i, const char *x, int64_t bytes) {
    if (!r->fetches[i]) return;
    for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(x + bytes + b, 0, 3);
}

/// The slot of an input for one tile: its own memory where that is dense and of the right type, otherwise a block filled from it.
/// What a block holds already, as along broadcast axes, is not read again.
static void load(const tk_fused_run *r, tk_fused_scratch *s, int i, int64_t offset, int64_t rows, int64_t width) {
    const tk_fused_input *in = r->program->inputs + i;
    int type = tk_fused_type(in->dtype);
    int64_t down = r->walk.strides[i][r->walk.rank - 2], along = r->walk.strides[i][r->walk.rank - 1], size = tk_element_size(in->dtype);
    const char *x = (const char *)in->data + offset * size;
    if (in->dtype == type && (along == 1 || width == 1) && (rows == 1 || down == width)) {
        s->slots[i] = (char *)x;
        fetch_ahead(r, i, x, rows * width * size);
        return;
    }
    tk_fused_loaded *before = s->loaded + i;
    char *block = s->blocks + i * r->block_bytes;
    s->slots[i] = block;
    bool one_row = rows == 1 || down == 0, one_value = one_row && along == 0;
    if (before->from == x && one_row && (one_value ? before->rows * before->width >= rows * width && before->one_value
                                                   : before->width == width && before->rows >= rows)) return;
    *before = (tk_fused_loaded){one_row ? x : 0, rows, width, one_value};
    if (one_value) { load_row(in, type, x, 0, block, rows * width); return; }
    int64_t wide = width * tk_element_size(type);
    for (int64_t k = 0; k < rows; k++) {
        if (k > 0 && down == 0) memcpy(block + k * wide, block, (size_t)wide);
        else load_row(in, type, x + k * down * size, along, block + k * wide, width);
    }
}

// ---- outputs ----

static void store(const tk_fused_run *r, int j, const char *x, int64_t offset, int64_t n) {
    const tk_fused_output *out = r->program->outputs + j;
    int64_t size = tk_element_size(out->dtype);
    char *to = (char *)out->data + offset * size;
    if (x == to) return;
    char narrow[8 * TK_FUSED_BLOCK];
    if (tk_fused_type(out->dtype) != out->dtype) {
        tk_cast(tk_fused_type(out->dtype), out->dtype, x, narrow, n);
        x = narrow;
    }
    if (r->streams[j]) tk_stream_copy(to, x, n * size);
    else memcpy(to, x, (size_t)(n * size));
}

static void run_tile(const tk_fused_run *r, tk_fused_scratch *s, const int64_t *offsets, int64_t rows, int64_t width) {
    const tk_fused_program *p = r->program;
    const tk_level *l = tk_current_level();
    int64_t n = rows * width;
    for (int i = 0; i < p->input_count; i++) load(r, s, i, offsets[i], rows, width);
    // An output that keeps its type and stays in the caches is written where it belongs at once.
    for (int j = 0; j < p->output_count; j++)
        if (r->direct[j])
            s->slots[p->outputs[j].slot] = (char *)p->outputs[j].data + offsets[p->input_count + j] * tk_element_size(p->outputs[j].dtype);
    char *lines[TK_FUSED_MOST_OPERANDS];  // where a step streams an output to
    for (int j = 0; j < p->output_count; j++) {
        if (r->streaming_step[j] < 0) continue;
        char *to = (char *)p->outputs[j].data + offsets[p->input_count + j] * 4;
        lines[j] = (uintptr_t)to % 64 == 0 ? to : 0;
    }
    for (int k = 0; k < p->step_count; k++) {
        char *to = 0;
        for (int j = 0; j < p->output_count; j++) if (r->streaming_step[j] == k) to = lines[j];
        run_step(l, p->steps + k, s->slots, s->pace, n, to ? to : s->slots[p->steps[k].out], to != 0);
    }
    for (int j = 0; j < p->output_count; j++) {
        if (r->streaming_step[j] >= 0 && lines[j]) continue;
        const char *x = s->slots[p->outputs[j].slot];
        if (r->summed[j]) tk_fused_add(r, s, j, x, offsets[p->input_count + j], rows, width);
        else store(r, j, x, offsets[p->input_count + j], n);
    }
}

// ---- tiles ----

/// Where the operands are at the start of an outer index: the place of the tiles' first row and column.
static void outer_offsets(const tk_fused_run *r, int64_t outer, int operands, int64_t *base) {
    const tk_fused_walk *w = &r->walk;
    for (int k = 0; k < operands; k++) base[k] = 0;
    for (int d = w->rank - 3; d >= 0; d--) {
        int64_t index = outer % w->dims[d];
        outer /= w->dims[d];
        for (int k = 0; k < operands; k++) base[k] += index * w->strides[k][d];
    }
}

/// Tiles low ..< high in row-major order.
static void run_tiles(const tk_fused_run *r, tk_fused_scratch *s, int64_t low, int64_t high) {
    const tk_fused_walk *w = &r->walk;
    int operands = r->program->input_count + r->program->output_count;
    int64_t base[TK_FUSED_OPERANDS], offsets[TK_FUSED_OPERANDS], down[TK_FUSED_OPERANDS], along[TK_FUSED_OPERANDS];
    for (int k = 0; k < operands; k++) down[k] = w->strides[k][w->rank - 2], along[k] = w->strides[k][w->rank - 1];
    int64_t height = w->dims[w->rank - 2], full = w->dims[w->rank - 1];
    int64_t per_outer = r->row_blocks * r->strips, outer = low / per_outer;
    int64_t row = low % per_outer / r->strips * r->tile_rows, column = low % r->strips * r->tile_width;
    outer_offsets(r, outer, operands, base);
    for (int64_t t = low; t < high; t++) {
        int64_t rows = height - row < r->tile_rows ? height - row : r->tile_rows;
        int64_t width = full - column < r->tile_width ? full - column : r->tile_width;
        for (int k = 0; k < operands; k++) offsets[k] = base[k] + row * down[k] + column * along[k];
        run_tile(r, s, offsets, rows, width);
        if ((column += r->tile_width) < full) continue;
        column = 0;
        if ((row += r->tile_rows) < height) continue;
        row = 0;
        outer_offsets(r, ++outer, operands, base);
    }
}

static void set_up(const tk_fused_run *r, tk_fused_scratch *s) {
    const tk_fused_program *p = r->program;
    for (int i = 0; i < p->input_count; i++) {
        s->loaded[i] = (tk_fused_loaded){0};
        s->pace[i] = 0;
        for (int d = 0; d < r->walk.rank; d++) s->pace[i] |= r->walk.strides[i][d] != 0;
    }
    for (int i = 0; i < p->constant_count + p->register_count; i++) {
        int slot = p->input_count + i;
        char *block = s->slots[slot] = s->blocks + slot * r->block_bytes;
        s->pace[slot] = i >= p->constant_count;
        if (s->pace[slot]) continue;
        const tk_fused_constant *c = p->constants + i;
        tk_cast(TK_F64, c->type, &c->value, block, 1);
        int64_t size = tk_element_size(c->type);
        for (int64_t k = 1; k < r->tile_rows * r->tile_width; k++) memcpy(block + k * size, block, (size_t)size);
    }
}

static void run_range(const tk_fused_run *r, int64_t task, int64_t low, int64_t high) {
    const tk_fused_program *p = r->program;
    size_t bytes = (size_t)((p->input_count + p->constant_count + p->register_count) * r->block_bytes);
    tk_fused_scratch s = {.blocks = tk_alloc(bytes)};
    set_up(r, &s);
    tk_fused_begin_sums(r, &s, task);
    run_tiles(r, &s, low, high);
    tk_fused_end_sums(r, &s);
    tk_free(s.blocks, bytes);
}

static void tiles_range(void *context, int64_t low, int64_t high) { run_range(context, 0, low, high); }

static void tiles_task(void *context, int64_t task) {
    const tk_fused_run *r = context;
    run_range(r, task, r->tiles * task / r->tasks, r->tiles * (task + 1) / r->tasks);
}

/// Axes of size 1 dropped and axes that all operands can merge merged; at least two are left.
static void make_walk(tk_fused_walk *w, const tk_fused_program *p, int rank, const int64_t *dims) {
    int operands = p->input_count + p->output_count;
    w->rank = 0;
    for (int d = 0; d < rank; d++) {
        if (dims[d] == 1) continue;
        const int64_t *strides[TK_FUSED_OPERANDS];
        for (int k = 0; k < operands; k++)
            strides[k] = k < p->input_count ? p->inputs[k].strides : p->outputs[k - p->input_count].strides;
        int last = w->rank - 1;
        bool merges = last >= 0;
        for (int k = 0; k < operands && merges; k++) merges = w->strides[k][last] == strides[k][d] * dims[d];
        if (!merges) {
            if (w->rank == TK_INLINE_AXES) {
                fprintf(stderr, "Fatal error: fused: more than %d axes that do not merge\n", TK_INLINE_AXES);
                abort();
            }
            w->dims[++last] = 1;
            w->rank++;
        }
        w->dims[last] *= dims[d];
        for (int k = 0; k < operands; k++) w->strides[k][last] = strides[k][d];
    }
    while (w->rank < 2) {
        for (int d = w->rank++; d > 0; d--) {
            w->dims[d] = w->dims[d - 1];
            for (int k = 0; k < operands; k++) w->strides[k][d] = w->strides[k][d - 1];
        }
        w->dims[0] = 1;
        for (int k = 0; k < operands; k++) w->strides[k][0] = 0;
    }
}

void tk_fused(const tk_fused_program *p, int rank, const int64_t *dims) {
    tk_fused_run r = {.program = p};
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= dims[d];
    make_walk(&r.walk, p, rank, dims);
    int64_t height = r.walk.dims[r.walk.rank - 2], width = r.walk.dims[r.walk.rank - 1];
    int64_t wide = 1;
    for (int k = 0; k < p->step_count; k++) if (tk_element_size(p->steps[k].type) > wide) wide = tk_element_size(p->steps[k].type);
    for (int i = 0; i < p->input_count; i++)
        if (tk_element_size(tk_fused_type(p->inputs[i].dtype)) > wide) wide = tk_element_size(tk_fused_type(p->inputs[i].dtype));
    // All blocks together stay in the first cache.
    int64_t block = TK_FUSED_CACHE / (wide * (p->register_count + p->constant_count + p->input_count)) / 64 * 64;
    if (block > TK_FUSED_BLOCK) block = TK_FUSED_BLOCK;
    if (block < 128) block = 128;
    r.strips = (width + block - 1) / block;
    if (r.strips < 1) r.strips = 1;
    r.tile_width = r.strips > 1 ? ((width + r.strips - 1) / r.strips + 15) / 16 * 16 : width;
    if (r.strips > 1) r.strips = (width + r.tile_width - 1) / r.tile_width;
    r.tile_rows = r.strips > 1 || width == 0 ? 1 : block / width;
    if (r.tile_rows > height) r.tile_rows = height;
    if (r.tile_rows < 1) r.tile_rows = 1;
    r.row_blocks = (height + r.tile_rows - 1) / r.tile_rows;
    r.block_bytes = (r.tile_rows * r.tile_width * wide + 63) / 64 * 64;
    r.tiles = r.row_blocks * r.strips;
    for (int d = 0; d + 2 < r.walk.rank; d++) r.tiles *= r.walk.dims[d];
    if (count == 0) r.tiles = 0;
    for (int i = 0; i < p->input_count; i++) {  // large ones that are read once
        r.fetches[i] = count * tk_element_size(p->inputs[i].dtype) > 1 << 20;
        for (int d = 0; d < r.walk.rank; d++) r.fetches[i] &= r.walk.strides[i][d] != 0 || r.walk.dims[d] == 1;
    }
    bool sums = false, streams = false;
    for (int j = 0; j < p->output_count; j++) {
        const int64_t *strides = r.walk.strides[p->input_count + j];
        for (int d = 0; d < r.walk.rank; d++) r.summed[j] |= strides[d] == 0 && r.walk.dims[d] != 1;
        sums |= r.summed[j];
        const tk_fused_output *out = p->outputs + j;
        r.streams[j] = !r.summed[j] && tk_streams(count * tk_element_size(out->dtype));
        streams |= r.streams[j];
        r.streaming_step[j] = r.streams[j] ? streaming_step(p, j) : -1;
        r.direct[j] = !r.summed[j] && !r.streams[j] && out->slot >= p->input_count + p->constant_count
                      && tk_fused_type(out->dtype) == out->dtype;
        for (int k = 0; k < j; k++) if (p->outputs[k].slot == out->slot) r.direct[j] = false;
    }
    if (sums) {
        tk_fused_plan_sums(&r, count);
        tk_parallel(r.tasks, tiles_task, &r);
        tk_fused_finish_sums(&r);
    } else {
        int64_t grain = TK_GRAIN / (r.tile_rows * r.tile_width + 1);
        tk_parallel_ranges(r.tiles, grain > 0 ? grain : 1, tiles_range, &r);
    }
    if (streams) tk_stream_fence();
}
