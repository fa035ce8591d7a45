// Convolution by 3 × 3 windows with Winograd's tiles, float32 with AVX-512. Per block of tiles: the inputs are transformed, each of the 36
// places of the transform is a matrix product over the channels, and the results are transformed back, 32 outputs at a time.
#include "gemm_panels.h"
#include "outer_avx512.h"
#include "winograd_avx512.h"

#if defined(__x86_64__)
#include <string.h>

#include "CKernels.h"

// Tiles of a block; up to how many are one block that all threads share; inputs per chunk of transformed weights.
enum { WIDE = 2 * LANES, ROWS = 14, TILES = 56, SHARED = 160, CHUNK = 64 };

// ---- tiles ----

// Rows of a plane of 16 channels (fewer: the others 0), places in order, to vectors in a padded plane.
AVX512 static void spread_rows(const winograd_tiles *t, const float *x, int64_t lanes, int64_t from, int64_t to, int64_t first, int64_t width,
                               float *out) {
    int64_t column = 0, plane = t->height * t->width, end = to * t->width;
    float *row = out + ((from - first) * width + t->left) * LANES;
    for (int64_t p = from * t->width; p < end; p += LANES) {
        int64_t n = conv_least(LANES, end - p);
        __mmask16 mask = (__mmask16)((1u << n) - 1);
        __m512 r[LANES];
        if (n == LANES && lanes == LANES) {
#pragma clang loop unroll(full)
            for (int l = 0; l < LANES; l++) {
                r[l] = _mm512_loadu_ps(x + l * plane + p);
                _mm_prefetch((const char *)(x + l * plane + p + 64), _MM_HINT_T0);
            }
        } else {
#pragma clang loop unroll(full)
            for (int l = 0; l < LANES; l++) r[l] = l < lanes ? _mm512_maskz_loadu_ps(mask, x + l * plane + p) : _mm512_setzero_ps();
        }
        transpose16(r);
        if (n == LANES && t->width - column >= LANES) {
            // All in one row.
#pragma clang loop unroll(full)
            for (int i = 0; i < LANES; i++) _mm512_store_ps(row + (column + i) * LANES, r[i]);
            column += LANES;
            if (column == t->width) { column = 0; row += width * LANES; }
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            _mm512_store_ps(row + column * LANES, r[i]);
            if (++column == t->width) { column = 0; row += width * LANES; }
        }
    }
}

INLINE void transform_tile(const float *from, int64_t width, const int side, float *out, int64_t step) {
    __m512 half[SIDE][SIDE];
#pragma clang loop unroll(full)
    for (int j = 0; j < side; j++) {
        __m512 d[SIDE], r[SIDE];
#pragma clang loop unroll(full)
        for (int i = 0; i < side; i++) d[i] = _mm512_load_ps(from + (i * width + j) * LANES);
        if (side == SIDE) winograd_input(d, r);
        else winograd_gradient(d, r);
#pragma clang loop unroll(full)
        for (int i = 0; i < SIDE; i++) half[i][j] = r[i];
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < SIDE; i++) {
        __m512 r[SIDE];
        if (side == SIDE) winograd_input(half[i], r);
        else winograd_gradient(half[i], r);
#pragma clang loop unroll(full)
        for (int j = 0; j < SIDE; j++) _mm512_store_ps(out + (i * SIDE + j) * step, r[j]);
    }
}

int64_t tk_winograd_strip(const winograd_tiles *t, int64_t rows) {
    return (conv_least(rows, t->tile_rows) * TILE + 2) * (t->tile_columns * TILE + 2) * LANES;
}

AVX512 void tk_winograd_transform(const winograd_tiles *t, int side, int64_t channel, winograd_part part, float *strip, float *out,
                                  int64_t step) {
    int64_t width = t->tile_columns * TILE + side - TILE, lanes = conv_least(LANES, t->channels - channel);
    for (int64_t done = 0; done < part.rows;) {
        int64_t sample = (part.first + done) / t->tile_rows, low = (part.first + done) % t->tile_rows;
        int64_t rows = conv_least(t->tile_rows - low, part.rows - done), height = rows * TILE + side - TILE, first = low * TILE - t->top;
        int64_t from = conv_most(first, 0), to = conv_most(conv_least(first + height, t->height), from);
        if (from > first || to < first + height || t->width < width) memset(strip, 0, (size_t)(height * width * LANES) * sizeof(float));
        spread_rows(t, t->x + sample * t->sample + channel * t->height * t->width, lanes, from, to, first, width, strip);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < t->tile_columns; j++, out += LANES) {
                const float *tile = strip + (i * TILE * width + j * TILE) * LANES;
                if (side == SIDE) transform_tile(tile, width, SIDE, out, step);
                else transform_tile(tile, width, TILE, out, step);
            }
        done += rows;
    }
}

// ---- the products ----

// c [rows, 32] (= or +=) tiles of blocks of 16 channels, `a_step` from block to block, times weights [channels, 32].
INLINE void multiply(const int rows, int64_t blocks, const float *a, int64_t a_step, const float *b, float *c, bool add) {
    __m512 sum[ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = add ? _mm512_load_ps(c + i * WIDE) : _mm512_setzero_ps();
        sum[i][1] = add ? _mm512_load_ps(c + i * WIDE + LANES) : _mm512_setzero_ps();
    }
    for (int64_t block = 0; block < blocks; block++, a += a_step)
#pragma clang loop unroll_count(4)
        for (int p = 0; p < LANES; p++, b += WIDE) {
            ADD_OUTER(rows, sum, a[i * LANES + p], b)
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        _mm512_store_ps(c + i * WIDE, sum[i][0]);
        _mm512_store_ps(c + i * WIDE + LANES, sum[i][1]);
    }
}
typedef void (*multiply_fn)(int64_t, const float *, int64_t, const float *, float *, bool);
#define MULTIPLY(n)                                                                                                             \
    AVX512 static void multiply##n(int64_t blocks, const float *a, int64_t a_step, const float *b, float *c, bool add) {          \
        multiply(n, blocks, a, a_step, b, c, add);                                                                                \
    }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6) MULTIPLY(7) MULTIPLY(8) MULTIPLY(9) MULTIPLY(10) MULTIPLY(11)
MULTIPLY(12) MULTIPLY(13) MULTIPLY(14)
static const multiply_fn multiplies[ROWS + 1] = { 0, multiply1, multiply2, multiply3, multiply4, multiply5, multiply6, multiply7,
                                                  multiply8, multiply9, multiply10, multiply11, multiply12, multiply13, multiply14 };

// ---- forward ----

typedef struct {
    const tk_conv_shape *s;
    winograd_tiles in;               // of group 0
    const float *w, *bias;
    float *y;
    int64_t output_step, input_step; // of the weight: from output to output, from input to input
    bool reversed;                   // its taps
    int64_t inputs, panels;          // blocks of 16 inputs; panels of 32 outputs
    int64_t rows, blocks;            // of tiles: rows per block; blocks per group
    float *weights;                  // of all groups and panels, transformed; NULL: each panel makes its own
    int64_t weight_step;             // between the matrices of a panel
    float *values;                   // the transformed inputs, where all threads share them
} winograd;

static int64_t value_step(const winograd *f, int64_t rows) { return winograd_step(f->inputs * rows * f->in.tile_columns); }
static int64_t result_step(const winograd *f, int64_t rows) { return winograd_step(2 * rows * f->in.tile_columns); }

// The weights of a panel for inputs from ..< from + count, [36, count, 32]; what is not there is 0.
AVX512 static void transform_weights(const winograd *f, int64_t group, int64_t panel, int64_t from, int64_t count, float *out, int64_t step) {
    const tk_conv_shape *s = f->s;
    const float *w = f->w + group * s->outputs * s->inputs * 9;
    for (int64_t c = from; c < from + count; c++, out += WIDE)
        for (int half = 0; half < 2; half++) {
            int64_t k = panel * WIDE + half * LANES;
            int64_t lanes = c < s->inputs ? conv_most(conv_least(LANES, s->outputs - k), 0) : 0;
            __m512 r[LANES], g[SIDE][3];
#pragma clang loop unroll(full)
            for (int l = 0; l < LANES; l++)
                r[l] = l < lanes ? _mm512_maskz_loadu_ps(0x1ff, w + (k + l) * f->output_step + c * f->input_step) : _mm512_setzero_ps();
            transpose16(r);
#pragma clang loop unroll(full)
            for (int j = 0; j < 3; j++) {
                __m512 u[SIDE], v[3] = { r[j], r[3 + j], r[6 + j] }, back[3] = { r[8 - j], r[5 - j], r[2 - j] };
                winograd_weight(f->reversed ? back : v, u);
#pragma clang loop unroll(full)
                for (int i = 0; i < SIDE; i++) g[i][j] = u[i];
            }
#pragma clang loop unroll(full)
            for (int i = 0; i < SIDE; i++) {
                __m512 u[SIDE];
                winograd_weight(g[i], u);
#pragma clang loop unroll(full)
                for (int j = 0; j < SIDE; j++) _mm512_store_ps(out + (i * SIDE + j) * step + half * LANES, u[j]);
            }
        }
}

static void weights_task(void *context, int64_t task) {
    const winograd *f = context;
    int64_t pieces = conv_ceil_div(f->inputs * LANES, CHUNK), piece = task % pieces, panel = task / pieces % f->panels, group = task / pieces / f->panels;
    int64_t count = conv_least(CHUNK, f->inputs * LANES - piece * CHUNK);
    float *out = f->weights + (group * f->panels + panel) * MATRICES * f->weight_step + piece * CHUNK * WIDE;
    transform_weights(f, group, panel, piece * CHUNK, count, out, f->weight_step);
}

// Adds the products of inputs from ..< from + count (multiples of 16) for all tiles.
static void multiply_panel(int64_t tiles, const float *values, int64_t value_step, int64_t from, int64_t count,
                           const float *weights, int64_t weight_step, float *results, int64_t result_step) {
    row_split parts = split_rows(tiles);
    for (int64_t e = 0; e < MATRICES; e++)
        for (int64_t part = 0; part < parts.count; part++) {
            int64_t start = panel_start(parts, part);
            multiplies[panel_rows(parts, part)](count / LANES, values + e * value_step + (from * tiles + start * LANES), tiles * LANES,
                                                weights + e * weight_step, results + e * result_step + start * WIDE, from > 0);
        }
}

// The results of 16 outputs back to places: planes of `strip` rows, then rows of the outputs.
AVX512 static void write_outputs(const winograd *f, int64_t group, int64_t k, winograd_part part, const float *results, int64_t step, float *strip) {
    const tk_conv_shape *s = f->s;
    int64_t width = f->in.tile_columns * TILE, out_width = s->out[2], plane = s->out[1] * out_width, lanes = conv_least(LANES, s->outputs - k);
    __m512 bias = _mm512_setzero_ps();
    if (f->bias) bias = _mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), f->bias + group * s->outputs + k);
    for (int64_t done = 0; done < part.rows;) {
        int64_t sample = (part.first + done) / f->in.tile_rows, low = (part.first + done) % f->in.tile_rows;
        int64_t rows = conv_least(f->in.tile_rows - low, part.rows - done);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < f->in.tile_columns; j++, results += WIDE) {
                __m512 half[TILE][SIDE];
#pragma clang loop unroll(full)
                for (int column = 0; column < SIDE; column++) {
                    __m512 m[SIDE], r[TILE];
#pragma clang loop unroll(full)
                    for (int e = 0; e < SIDE; e++) m[e] = _mm512_load_ps(results + (e * SIDE + column) * step);
                    winograd_output(m, r);
#pragma clang loop unroll(full)
                    for (int e = 0; e < TILE; e++) half[e][column] = r[e];
                }
                float *to = strip + (i * TILE * width + j * TILE) * LANES;
#pragma clang loop unroll(full)
                for (int e = 0; e < TILE; e++) {
                    __m512 r[TILE];
                    winograd_output(half[e], r);
#pragma clang loop unroll(full)
                    for (int column = 0; column < TILE; column++) _mm512_store_ps(to + (e * width + column) * LANES, _mm512_add_ps(r[column], bias));
                }
            }
        int64_t first = low * TILE, end = conv_least(first + rows * TILE, s->out[1]), column = 0;
        const float *row = strip;
        float *y = f->y + ((sample * s->groups + group) * s->outputs + k) * plane;
        for (int64_t p = first * out_width; p < end * out_width; p += LANES) {
            int64_t n = conv_least(LANES, end * out_width - p);
            __mmask16 mask = (__mmask16)((1u << n) - 1);
            __m512 r[LANES];
            if (n == LANES && out_width - column >= LANES) {
#pragma clang loop unroll(full)
                for (int i = 0; i < LANES; i++) r[i] = _mm512_load_ps(row + (column + i) * LANES);
                column += LANES;
                if (column == out_width) { column = 0; row += width * LANES; }
            } else {
#pragma clang loop unroll(full)
                for (int i = 0; i < LANES; i++) {
                    r[i] = i < n ? _mm512_load_ps(row + column * LANES) : _mm512_setzero_ps();
                    if (i < n && ++column == out_width) { column = 0; row += width * LANES; }
                }
            }
            transpose16(r);
            if (lanes == LANES && n == LANES) {
#pragma clang loop unroll(full)
                for (int l = 0; l < LANES; l++) _mm512_storeu_ps(y + l * plane + p, r[l]);
            } else {
#pragma clang loop unroll(full)
                for (int l = 0; l < LANES; l++) if (l < lanes) _mm512_mask_storeu_ps(y + l * plane + p, mask, r[l]);
            }
        }
        done += rows;
    }
}

static void write_panel(const winograd *f, int64_t group, int64_t panel, winograd_part part, const float *results, int64_t step, float *strip) {
    for (int half = 0; half < 2; half++)
        if (panel * WIDE + half * LANES < f->s->outputs)
            write_outputs(f, group, panel * WIDE + half * LANES, part, results + half * LANES, step, strip);
}

static winograd_tiles group_tiles(const winograd *f, int64_t group) {
    winograd_tiles t = f->in;
    t.x += group * t.channels * t.height * t.width;
    return t;
}

// A block of tiles with weights that are ready.
static void block_task(void *context, int64_t task) {
    const winograd *f = context;
    int64_t group = task / f->blocks, first = task % f->blocks * f->rows, rows = conv_least(f->rows, f->s->batch * f->in.tile_rows - first);
    int64_t tiles = rows * f->in.tile_columns, from_step = value_step(f, rows), to_step = result_step(f, rows);
    winograd_part part = { first, rows };
    winograd_tiles in = group_tiles(f, group);
    int64_t strip_size = tk_winograd_strip(&in, rows);
    size_t bytes = (size_t)(strip_size + MATRICES * (from_step + to_step)) * sizeof(float);
    float *strip = tk_alloc(bytes), *values = strip + strip_size, *results = values + MATRICES * from_step;
    for (int64_t c = 0; c < f->inputs; c++) tk_winograd_transform(&in, SIDE, c * LANES, part, strip, values + c * tiles * LANES, from_step);
    for (int64_t panel = 0; panel < f->panels; panel++) {
        const float *weights = f->weights + (group * f->panels + panel) * MATRICES * f->weight_step;
        multiply_panel(tiles, values, from_step, 0, f->inputs * LANES, weights, f->weight_step, results, to_step);
        write_panel(f, group, panel, part, results, to_step, strip);
    }
    tk_free(strip, bytes);
}

// Few tiles: all in one block, whose inputs are shared; a panel's weights are transformed in chunks that stay in the caches.

static void values_task(void *context, int64_t task) {
    const winograd *f = context;
    int64_t group = task / f->inputs, c = task % f->inputs, rows = f->rows, step = value_step(f, rows);
    winograd_tiles in = group_tiles(f, group);
    size_t bytes = (size_t)tk_winograd_strip(&in, rows) * sizeof(float);
    float *strip = tk_alloc(bytes);
    tk_winograd_transform(&in, SIDE, c * LANES, (winograd_part){ 0, rows }, strip,
                          f->values + group * MATRICES * step + c * rows * in.tile_columns * LANES, step);
    tk_free(strip, bytes);
}

static void panel_task(void *context, int64_t task) {
    const winograd *f = context;
    int64_t group = task / f->panels, panel = task % f->panels, rows = f->rows, tiles = rows * f->in.tile_columns;
    int64_t from_step = value_step(f, rows), to_step = result_step(f, rows), weight_step = winograd_step(CHUNK * 2);
    int64_t strip_size = tk_winograd_strip(&f->in, rows);
    size_t bytes = (size_t)(strip_size + MATRICES * (to_step + weight_step)) * sizeof(float);
    float *strip = tk_alloc(bytes), *results = strip + strip_size, *weights = results + MATRICES * to_step;
    for (int64_t c = 0; c < f->inputs * LANES; c += CHUNK) {
        int64_t count = conv_least(CHUNK, f->inputs * LANES - c);
        transform_weights(f, group, panel, c, count, weights, weight_step);
        multiply_panel(tiles, f->values + group * MATRICES * from_step, from_step, c, count, weights, weight_step, results, to_step);
    }
    write_panel(f, group, panel, (winograd_part){ 0, rows }, results, to_step, strip);
    tk_free(strip, bytes);
}

bool tk_conv_is_winograd(const tk_conv_shape *s) {
    if (!tk_allows_winograd()) return false;
    for (int i = 1; i < 3; i++) {
        int64_t after = s->out[i] + 2 - s->pad[i] - s->in[i];
        if (s->kernel[i] != 3 || s->stride[i] != 1 || s->dilation[i] != 1 || s->pad[i] < 0 || s->pad[i] > 2 || after < 0 || after > 2) return false;
    }
    return s->kernel[0] == 1 && s->in[0] == 1 && s->out[0] == 1 && s->pad[0] == 0 && s->inputs >= 16 && s->outputs >= 16 && s->in[1] * s->in[2] > 0;
}

void tk_conv_winograd(const tk_conv_shape *s, const float *x, const float *w, bool transposed, const float *bias, float *y) {
    winograd f = { .s = s, .w = w, .bias = bias, .y = y, .reversed = transposed };
    f.in = (winograd_tiles){ x, s->in[1], s->in[2], s->pad[1], s->pad[2], s->inputs, s->groups * s->inputs * s->in[1] * s->in[2],
                             conv_ceil_div(s->out[1], TILE), conv_ceil_div(s->out[2], TILE) };
    f.output_step = transposed ? 9 : s->inputs * 9;
    f.input_step = transposed ? s->outputs * 9 : 9;
    f.inputs = conv_ceil_div(s->inputs, LANES);
    f.panels = conv_ceil_div(s->outputs, WIDE);
    int64_t rows = s->batch * f.in.tile_rows, tiles = rows * f.in.tile_columns;
    if (tiles <= SHARED) {
        f.rows = rows;
        f.blocks = 1;
        size_t bytes = (size_t)(s->groups * MATRICES * value_step(&f, rows)) * sizeof(float);
        f.values = tk_alloc(bytes);
        tk_parallel(s->groups * f.inputs, values_task, &f);
        tk_parallel(s->groups * f.panels, panel_task, &f);
        tk_free(f.values, bytes);
        return;
    }
    f.rows = conv_most(TILES / f.in.tile_columns, 1);
    f.blocks = conv_ceil_div(rows, f.rows);
    f.rows = conv_ceil_div(rows, f.blocks);
    f.blocks = conv_ceil_div(rows, f.rows);
    f.weight_step = winograd_step(f.inputs * LANES * 2);
    size_t bytes = (size_t)(s->groups * f.panels * MATRICES * f.weight_step) * sizeof(float);
    f.weights = tk_alloc(bytes);
    tk_parallel(s->groups * f.panels * conv_ceil_div(f.inputs * LANES, CHUNK), weights_task, &f);
    tk_parallel(s->groups * f.blocks, block_task, &f);
    tk_free(f.weights, bytes);
}
#endif
