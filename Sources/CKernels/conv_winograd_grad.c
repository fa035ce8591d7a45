// The gradient of a convolution's weight by Winograd's tiles: dw = Gᵀ (Σ over tiles (Bᵀ x B) ⊙ (A g Aᵀ)) G, whose sums over tiles are 36
// matrix products. Tiles are taken in rounds, so that what is transformed stays in the caches.
#include "winograd_avx512.h"

#if defined(__x86_64__)
#include <string.h>

#include "CKernels.h"

// Rows and vectors of a tile of sums; tiles per round.
enum { ROWS = 8, VECTORS = 3, ROUND = 256 };

typedef struct {
    const tk_conv_shape *s;
    winograd_tiles in, gradient;          // of one group
    int64_t inputs, outputs;              // blocks of 16
    winograd_part round;
    int64_t pieces, per_piece;            // rows of tiles of a task that transforms
    int64_t tiles, in_step, out_step;     // of the round
    float *values, *gradients;
    float *sums;                          // [36, rows of 8 outputs, blocks of 16 inputs, 8, 16]
    int64_t sum_step;
    float *dw;
    bool first;
} grad;

static void transform_task(void *context, int64_t task) {
    const grad *f = context;
    int64_t piece = task % f->pieces, block = task / f->pieces, low = piece * f->per_piece;
    winograd_part part = { f->round.first + low, conv_least(f->per_piece, f->round.rows - low) };
    bool is_input = block < f->inputs;
    if (!is_input) block -= f->inputs;
    const winograd_tiles *t = is_input ? &f->in : &f->gradient;
    size_t bytes = (size_t)tk_winograd_strip(t, part.rows) * sizeof(float);
    float *strip = tk_alloc(bytes), *out = (is_input ? f->values : f->gradients) + (block * f->tiles + low * t->tile_columns) * LANES;
    tk_winograd_transform(t, is_input ? SIDE : TILE, block * LANES, part, strip, out, is_input ? f->in_step : f->out_step);
    tk_free(strip, bytes);
}

// sums [vectors, 8, 16] (= or +=) gradients [tiles, 8 of 16]ᵀ · values [vectors][tiles, 16]
INLINE void add_products(const int vectors, int64_t tiles, const float *gradients, const float *values, int64_t ld, float *sums, bool add) {
    __m512 sum[ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS; i++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sum[i][v] = add ? _mm512_load_ps(sums + (v * ROWS + i) * LANES) : _mm512_setzero_ps();
#pragma clang loop unroll_count(2)
    for (int64_t t = 0; t < tiles; t++, gradients += LANES, values += LANES) {
        __m512 x[VECTORS];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) x[v] = _mm512_load_ps(values + v * ld);
#pragma clang loop unroll(full)
        for (int i = 0; i < ROWS; i++) {
            __m512 g = _mm512_set1_ps(gradients[i]);
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) sum[i][v] = FMA(g, x[v], sum[i][v]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS; i++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) _mm512_store_ps(sums + (v * ROWS + i) * LANES, sum[i][v]);
}
AVX512 static void add1(int64_t tiles, const float *g, const float *x, int64_t ld, float *sums, bool add) { add_products(1, tiles, g, x, ld, sums, add); }
AVX512 static void add2(int64_t tiles, const float *g, const float *x, int64_t ld, float *sums, bool add) { add_products(2, tiles, g, x, ld, sums, add); }
AVX512 static void add3(int64_t tiles, const float *g, const float *x, int64_t ld, float *sums, bool add) { add_products(3, tiles, g, x, ld, sums, add); }

// The sums of 8 outputs at one place of the transform, as many inputs at a time as fit, none with one vector if that can be helped.
static void products_task(void *context, int64_t task) {
    const grad *f = context;
    int64_t rows = 2 * f->outputs, e = task / rows, row = task % rows, ld = f->tiles * LANES;
    const float *g = f->gradients + e * f->out_step + row / 2 * ld + row % 2 * ROWS;
    float *sums = f->sums + e * f->sum_step + row * f->inputs * ROWS * LANES;
    for (int64_t c = 0; c < f->inputs;) {
        int64_t left = f->inputs - c, n = left == 4 ? 2 : conv_least(left, 3);
        (n == 3 ? add3 : n == 2 ? add2 : add1)(f->tiles, g, f->values + e * f->in_step + c * ld, ld, sums + c * ROWS * LANES, !f->first);
        c += n;
    }
}

// 8 outputs and 16 inputs: back to taps.
AVX512 static void result_task(void *context, int64_t task) {
    const grad *f = context;
    const tk_conv_shape *s = f->s;
    int64_t row = task / f->inputs, c = task % f->inputs, lanes = conv_least(LANES, s->inputs - c * LANES);
    for (int64_t i = 0; i < ROWS; i++) {
        int64_t k = row * ROWS + i;
        if (k >= s->outputs) return;
        const float *sums = f->sums + ((row * f->inputs + c) * ROWS + i) * LANES;
        __m512 half[3][SIDE], r[LANES];
#pragma clang loop unroll(full)
        for (int column = 0; column < SIDE; column++) {
            __m512 u[SIDE], v[3];
#pragma clang loop unroll(full)
            for (int e = 0; e < SIDE; e++) u[e] = _mm512_load_ps(sums + (e * SIDE + column) * f->sum_step);
            winograd_weight_gradient(u, v);
#pragma clang loop unroll(full)
            for (int e = 0; e < 3; e++) half[e][column] = v[e];
        }
#pragma clang loop unroll(full)
        for (int e = 0; e < 3; e++) winograd_weight_gradient(half[e], r + 3 * e);
#pragma clang loop unroll(full)
        for (int e = 9; e < LANES; e++) r[e] = _mm512_setzero_ps();
        transpose16(r);
        float *to = f->dw + (k * s->inputs + c * LANES) * 9;
#pragma clang loop unroll(full)
        for (int l = 0; l < LANES; l++) if (l < lanes) _mm512_mask_storeu_ps(to + l * 9, 0x1ff, r[l]);
    }
}

bool tk_conv_is_winograd_grad_weight(const tk_conv_shape *s) {
    if (!tk_conv_is_winograd(s)) return false;
    int64_t tiles = s->batch * conv_ceil_div(s->out[1], TILE) * conv_ceil_div(s->out[2], TILE);
    return tiles >= 16 || s->inputs * s->outputs <= 64 * 64;
}

void tk_conv_winograd_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw) {
    int64_t in_plane = s->in[1] * s->in[2], out_plane = s->out[1] * s->out[2];
    int64_t tile_rows = conv_ceil_div(s->out[1], TILE), columns = conv_ceil_div(s->out[2], TILE), rows = s->batch * tile_rows;
    grad f = { .s = s, .inputs = conv_ceil_div(s->inputs, LANES), .outputs = conv_ceil_div(s->outputs, LANES) };
    // Rounds of even size.
    int64_t most = conv_most(ROUND / columns, 1), round = conv_ceil_div(rows, conv_ceil_div(rows, most));
    int64_t tiles = round * columns;
    f.sum_step = winograd_step(2 * f.outputs * f.inputs * ROWS);
    size_t value_bytes = (size_t)(MATRICES * winograd_step(f.inputs * tiles)) * sizeof(float);
    size_t gradient_bytes = (size_t)(MATRICES * winograd_step(f.outputs * tiles)) * sizeof(float);
    size_t sum_bytes = (size_t)(MATRICES * f.sum_step) * sizeof(float);
    f.values = tk_alloc(value_bytes), f.gradients = tk_alloc(gradient_bytes), f.sums = tk_alloc(sum_bytes);
    for (int64_t group = 0; group < s->groups; group++) {
        f.in = (winograd_tiles){ x + group * s->inputs * in_plane, s->in[1], s->in[2], s->pad[1], s->pad[2], s->inputs,
                                 s->groups * s->inputs * in_plane, tile_rows, columns };
        f.gradient = (winograd_tiles){ g + group * s->outputs * out_plane, s->out[1], s->out[2], 0, 0, s->outputs,
                                       s->groups * s->outputs * out_plane, tile_rows, columns };
        f.dw = dw + group * s->outputs * s->inputs * 9;
        for (int64_t first = 0; first < rows; first += round) {
            f.round = (winograd_part){ first, conv_least(round, rows - first) };
            f.first = first == 0;
            f.tiles = f.round.rows * columns;
            f.in_step = winograd_step(f.inputs * f.tiles), f.out_step = winograd_step(f.outputs * f.tiles);
            // Pieces of whole samples, if they are not too large.
            f.per_piece = conv_least(conv_ceil_div(64, columns), f.round.rows);
            f.pieces = conv_ceil_div(f.round.rows, f.per_piece);
            tk_parallel(f.pieces * (f.inputs + f.outputs), transform_task, &f);
            tk_parallel(MATRICES * 2 * f.outputs, products_task, &f);
        }
        tk_parallel(2 * f.outputs * f.inputs, result_task, &f);
    }
    tk_free(f.values, value_bytes);
    tk_free(f.gradients, gradient_bytes);
    tk_free(f.sums, sum_bytes);
}
#endif
