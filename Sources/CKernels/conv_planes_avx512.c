// Convolution with few input channels in float32, without columns. The padded input is cut into planes, one for each remainder of row and
// column by the stride, in which every tap reads places one after the other, across rows too: output q = row · width + column meets tap t
// at q + offset(t). What a row holds behind its last output is computed and dropped.
//
// Forward, 32 places and up to 14 outputs are held in registers; for the weight's gradient, dot products of 5 outputs and 5 taps.

#if defined(__x86_64__)
#include <string.h>

#include "conv_planes.h"
#include "gemm_panels.h"
#include "outer_avx512.h"
#include "transpose_avx512.h"

enum { WIDE = 32, LANES = 16, ROWS = TK_TILE_ROWS, SIDE = 5, PLACES = 2048, TIGHT = 1 << 16 };

typedef struct {
    tk_planes p;
    const float *x, *bias, *w, *g;
    float *y;
    int64_t blocks;               // of rows of outputs, per sample
    row_split outputs;            // into panels, forward
    float *packed;
    int64_t packed_group;
    int64_t units, parts;         // of the weight's gradient: blocks of all samples; partial sums
} planes;

// Planes of `width` columns, for about `most` outputs.
static tk_planes planes_of(const tk_conv_shape *s, int64_t most, int64_t width, int64_t columns) {
    tk_planes p = { .s = s, .taps = conv_taps(s), .width = width, .columns = columns };
    p.rows = conv_least(conv_most(most / width, 1), s->out[1]);
    p.rows = conv_ceil_div(s->out[1], conv_ceil_div(s->out[1], p.rows));
    p.height = p.rows + (s->kernel[1] - 1) * s->dilation[1] / s->stride[1];
    p.size = s->inputs * s->stride[1] * columns * p.height * width + 4 * WIDE;
    return p;
}

// About the cycles per sample and group: of filling the planes, and of multiplying what their rows hold.
static int64_t cost(const tk_planes *p) {
    const tk_conv_shape *s = p->s;
    int64_t fills = s->inputs * s->stride[1] * p->columns * conv_ceil_div(s->out[1], p->rows) * p->height * conv_ceil_div(p->width, LANES);
    return 5 * fills + conv_ceil_div(s->out[1] * p->width, LANES) * p->taps * s->outputs / 2;
}

tk_planes tk_make_planes_of_rows(const tk_conv_shape *s, int64_t rows) {
    int64_t width = s->out[2] + (s->kernel[2] - 1) * s->dilation[2] / s->stride[2];
    return planes_of(s, rows * width, width, s->stride[2]);
}

tk_planes tk_make_planes(const tk_conv_shape *s, int64_t most) {
    tk_planes p = planes_of(s, most, s->out[2] + (s->kernel[2] - 1) * s->dilation[2] / s->stride[2], s->stride[2]);
    tk_planes tight = planes_of(s, most, s->out[2], s->kernel[2]);
    tight.tight = true;
    return tight.size <= TIGHT && cost(&tight) < cost(&p) ? tight : p;
}

static planes make_planes(const tk_conv_shape *s) {
    planes f = { .p = tk_make_planes(s, PLACES) };
    f.blocks = conv_ceil_div(s->out[1], f.p.rows);
    return f;
}

bool tk_has_planes(const tk_conv_shape *s) {
    return s->kernel[0] == 1 && s->in[0] == 1 && s->out[0] == 1 && s->stride[0] == 1 && s->pad[0] == 0 && s->stride[1] <= 4 && s->stride[2] <= 4;
}

bool tk_conv_is_planes(const tk_conv_shape *s) {
    if (!tk_has_planes(s) || conv_volume(s->kernel) == 1) return false;
    // The share of the lanes that are outputs, and the more of it the more taps would share a panel of columns.
    tk_planes p = tk_make_planes(s, PLACES);
    double share = (double)(p.rows * s->out[2]) / (double)(conv_ceil_div(p.rows * p.width, WIDE) * WIDE);
    return p.taps <= 512 ? share >= 0.5 : p.taps <= 2048 && share >= 0.8;
}

bool tk_conv_is_planes_grad_weight(const tk_conv_shape *s) {
    // The sums, a vector each, stay in a cache.
    return tk_has_planes(s) && conv_volume(s->kernel) > 1 && conv_taps(s) * s->outputs <= 32768;
}

void tk_find_offsets(const tk_planes *p, int64_t *offsets) {
    const tk_conv_shape *s = p->s;
    for (int64_t c = 0; c < s->inputs; c++)
        for (int64_t kh = 0; kh < s->kernel[1]; kh++)
            for (int64_t kw = 0; kw < s->kernel[2]; kw++) {
                int64_t h = kh * s->dilation[1], w = kw * s->dilation[2];
                int64_t plane = (c * s->stride[1] + h % s->stride[1]) * p->columns + (p->tight ? kw : w % s->stride[2]);
                *offsets++ = (plane * p->height + h / s->stride[1]) * p->width + (p->tight ? 0 : w / s->stride[2]);
            }
}

// Lanes low ..< high of a vector; either may lie outside it.
INLINE __mmask16 lanes_between(int64_t low, int64_t high) {
    low = conv_least(conv_most(low, 0), LANES), high = conv_least(conv_most(high, low), LANES);
    return (__mmask16)((1u << high) - (1u << low));
}

// Places 0 ..< width of a row: from[j step] for low <= j < high, else 0. Up to 15 places more are written.
INLINE void fill_row(const int64_t step, const float *from, int64_t low, int64_t high, int64_t width, float *to) {
    uint64_t short_row = low < high && width <= 64 ? (~(uint64_t)0 >> (64 - (high - low))) << low : 0;
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i apart = _mm512_mullo_epi32(_mm512_set1_epi32((int)step), _mm512_srli_epi32(even, 1));
    for (int64_t j = 0; j < width; j += LANES, from += LANES * step) {
        __m512 v;
        // What follows the last lane is inside too, so that whole vectors can be read.
        bool whole = j >= low && j + LANES < high;
        __mmask16 mask = whole ? 0xffff : width <= 64 ? (__mmask16)(short_row >> j) : lanes_between(low - j, high - j);
        if (step == 1) {
            v = whole ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(mask, from);
        } else if (step == 2 && whole) {
            v = _mm512_permutex2var_ps(_mm512_loadu_ps(from), even, _mm512_loadu_ps(from + LANES));
        } else if (step == 2) {
            __m512 first = _mm512_maskz_loadu_ps(lanes_between(2 * (low - j), 2 * (high - j) - 1), from);
            __m512 second = _mm512_maskz_loadu_ps(lanes_between(2 * (low - j) - LANES, 2 * (high - j) - 1 - LANES), from + LANES);
            v = _mm512_maskz_permutex2var_ps(mask, first, even, second);
        } else {
            v = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, apart, from, 4);
        }
        _mm512_storeu_ps(to + j, v);
    }
}

// Rows in the order of memory: what one writes past its end belongs to the next. Masked stores were three times slower.
AVX512 void tk_fill_planes(const tk_planes *p, const float *x, int64_t first, float *out) {
    const tk_conv_shape *s = p->s;
    int64_t step = s->stride[2];
    for (int64_t c = 0; c < s->inputs; c++, x += s->in[1] * s->in[2])
        for (int64_t phase = 0; phase < s->stride[1]; phase++)
            for (int64_t column = 0; column < p->columns; column++) {
                int64_t q = column * (p->tight ? s->dilation[2] : 1) - s->pad[2];   // place j is input q + j step
                int64_t lo = q >= 0 ? 0 : conv_ceil_div(-q, step), hi = s->in[2] - q <= 0 ? 0 : conv_ceil_div(s->in[2] - q, step);
                hi = conv_least(hi, p->width);
                int64_t ih = first * s->stride[1] + phase - s->pad[1];
                for (int64_t i = 0; i < p->height; i++, ih += s->stride[1], out += p->width) {
                    bool inside = ih >= 0 && ih < s->in[1] && lo < hi;
                    const float *from = x + (inside ? ih * s->in[2] + q : 0);
                    if (step == 1) fill_row(1, from, lo, inside ? hi : lo, p->width, out);
                    else if (step == 2) fill_row(2, from, lo, inside ? hi : lo, p->width, out);
                    else fill_row(step, from, lo, inside ? hi : lo, p->width, out);
                }
            }
}

// Which of the places from q on are outputs.
static uint32_t output_mask(const tk_planes *f, int64_t rows, int64_t q, int64_t count) {
    uint32_t mask = 0;
    int64_t row = q / f->width, column = q % f->width, j = 0;
    while (j < count && row < rows) {
        int64_t n = conv_least(f->width - column, count - j), inside = conv_least(conv_most(f->s->out[2] - column, 0), n);
        mask |= (uint32_t)((((uint64_t)1 << inside) - 1) << j);
        j += n, column = 0, row++;
    }
    return mask;
}

// ---- forward ----

INLINE void multiply(const int rows, const planes *f, const float *w, const float *x, const int64_t *offsets, const float *bias, uint32_t mask,
                     float *y, int64_t ld) {
    __m512 sum[ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm512_set1_ps(bias ? bias[i] : 0);
    for (int64_t t = 0; t < f->p.taps; t++, w += rows) {
        __m512 x0 = _mm512_loadu_ps(x + offsets[t]), x1 = _mm512_loadu_ps(x + offsets[t] + LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) add_multiples(i, w + i, x0, x1, sum[i]);
    }
    // Outputs of neighbouring rows follow each other.
    __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> 16);
    int n = __builtin_popcount(low);
    __mmask16 first = (__mmask16)((1u << n) - 1), second = (__mmask16)((1u << __builtin_popcount(high)) - 1);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(y + i * ld, first, _mm512_maskz_compress_ps(low, sum[i][0]));
        _mm512_mask_storeu_ps(y + i * ld + n, second, _mm512_maskz_compress_ps(high, sum[i][1]));
    }
}
typedef void (*multiply_fn)(const planes *, const float *, const float *, const int64_t *, const float *, uint32_t, float *, int64_t);
#define MULTIPLY(n)                                                                                                                \
    AVX512 static void multiply##n(const planes *f, const float *w, const float *x, const int64_t *offsets, const float *bias,       \
                                   uint32_t mask, float *y, int64_t ld) {                                                            \
        multiply(n, f, w, x, offsets, bias, mask, y, ld);                                                                            \
    }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6) MULTIPLY(7) MULTIPLY(8) MULTIPLY(9) MULTIPLY(10) MULTIPLY(11)
MULTIPLY(12) MULTIPLY(13) MULTIPLY(14)
static const multiply_fn multiplies[ROWS + 1] = { 0, multiply1, multiply2, multiply3, multiply4, multiply5, multiply6, multiply7,
                                                  multiply8, multiply9, multiply10, multiply11, multiply12, multiply13, multiply14 };

// Piece i of n split into `count` even ones.
static int64_t piece_start(int64_t n, int64_t count, int64_t i) { return i * (n / count) + conv_least(i, n % count); }
static int64_t piece_size(int64_t n, int64_t count, int64_t i) { return n / count + (i < n % count); }

static void pack_task(void *context, int64_t group) {
    const planes *f = context;
    for (int64_t p = 0; p < f->outputs.count; p++) {
        const float *w = f->w + (group * f->p.s->outputs + panel_start(f->outputs, p)) * f->p.taps;
        float *packed = f->packed + group * f->packed_group + panel_offset(f->outputs, p, f->p.taps);
        tk_pack_tile_rows(w, f->p.taps, f->p.taps, panel_rows(f->outputs, p), packed);
    }
}

static void forward_task(void *context, int64_t task) {
    const planes *f = context;
    const tk_conv_shape *s = f->p.s;
    int64_t first = task % f->blocks * f->p.rows, rows = conv_least(f->p.rows, s->out[1] - first), sample = task / f->blocks;   // and group
    int64_t group = sample % s->groups, size = f->p.size, places = s->out[1] * s->out[2];
    size_t bytes = (size_t)size * sizeof(float) + (size_t)f->p.taps * sizeof(int64_t);
    int64_t *offsets = tk_alloc(bytes);
    float *x = (float *)(offsets + f->p.taps);
    tk_find_offsets(&f->p, offsets);
    tk_fill_planes(&f->p, f->x + sample * s->inputs * s->in[1] * s->in[2], first, x);
    float *y = f->y + sample * s->outputs * places + first * s->out[2];
    for (int64_t q = 0; q < rows * f->p.width; q += WIDE) {
        uint32_t mask = output_mask(&f->p, rows, q, WIDE);
        for (int64_t p = 0; p < f->outputs.count; p++) {
            int64_t start = panel_start(f->outputs, p);
            const float *w = f->packed + group * f->packed_group + panel_offset(f->outputs, p, f->p.taps);
            const float *bias = f->bias ? f->bias + group * s->outputs + start : 0;
            multiplies[panel_rows(f->outputs, p)](f, w, x + q, offsets, bias, mask, y + start * places, places);
        }
        y += __builtin_popcount(mask);
    }
    tk_free(offsets, bytes);
}

void tk_conv_planes(const tk_conv_shape *s, const float *x, const float *w, const float *bias, float *y) {
    planes f = make_planes(s);
    f.x = x, f.w = w, f.bias = bias, f.y = y;
    f.outputs = split_rows(s->outputs);
    f.packed_group = (int64_t)(panel_bytes(f.outputs, f.p.taps) / sizeof(float));
    size_t bytes = (size_t)(s->groups * f.packed_group) * sizeof(float);
    f.packed = tk_alloc(bytes);
    tk_parallel(s->groups, pack_task, &f);
    tk_parallel(s->batch * s->groups * f.blocks, forward_task, &f);
    tk_free(f.packed, bytes);
}

// ---- gradient of the weight ----

// sums [outputs][taps] of 16 lanes += products of rows of g and of what the taps read, over `count` vectors of places
INLINE void dots(const int outputs, const int taps, int64_t count, const uint16_t *masks, const float *g, int64_t g_step, const float *next,
                 const float *x, const int64_t *offsets, float *sums, int64_t ld) {
    __m512 sum[SIDE][SIDE];
    const float *from[SIDE];
#pragma clang loop unroll(full)
    for (int t = 0; t < taps; t++) from[t] = x + offsets[t];
#pragma clang loop unroll(full)
    for (int i = 0; i < outputs; i++)
#pragma clang loop unroll(full)
        for (int t = 0; t < taps; t++) sum[i][t] = _mm512_load_ps(sums + i * ld + t * LANES);
    for (int64_t v = 0; v < count; v++) {
        // What is no output is 0 in g, but may be a NaN in x.
        __mmask16 mask = masks[v];
        _mm_prefetch((const char *)(next + v * LANES), _MM_HINT_T0);
        __m512 u[SIDE];
#pragma clang loop unroll(full)
        for (int t = 0; t < taps; t++) u[t] = _mm512_maskz_loadu_ps(mask, from[t] + v * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < outputs; i++) {
            __m512 r = _mm512_maskz_loadu_ps(mask, g + i * g_step + v * LANES);
#pragma clang loop unroll(full)
            for (int t = 0; t < taps; t++) sum[i][t] = _mm512_fmadd_ps(r, u[t], sum[i][t]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < outputs; i++)
#pragma clang loop unroll(full)
        for (int t = 0; t < taps; t++) _mm512_store_ps(sums + i * ld + t * LANES, sum[i][t]);
}
typedef void (*dots_fn)(int64_t, const uint16_t *, const float *, int64_t, const float *, const float *, const int64_t *, float *, int64_t);
#define DOTS(i, t)                                                                                                                       \
    AVX512 static void dots##i##t(int64_t count, const uint16_t *masks, const float *g, int64_t g_step, const float *next, const float *x,  \
                                  const int64_t *offsets, float *sums, int64_t ld) {                                                      \
        dots(i, t, count, masks, g, g_step, next, x, offsets, sums, ld);                                                                  \
    }
#define DOTS5(i) DOTS(i, 1) DOTS(i, 2) DOTS(i, 3) DOTS(i, 4) DOTS(i, 5)
DOTS5(1) DOTS5(2) DOTS5(3) DOTS5(4) DOTS5(5)
#define NAMES(i) { dots##i##1, dots##i##2, dots##i##3, dots##i##4, dots##i##5 }
static const dots_fn all_dots[SIDE][SIDE] = { NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5) };

// A part of the blocks of all samples, for one group.
AVX512 static void grad_weight_task(void *context, int64_t task) {
    const planes *f = context;
    const tk_conv_shape *s = f->p.s;
    int64_t group = task % s->groups, part = task / s->groups, places = s->out[1] * s->out[2];
    int64_t size = (f->p.size + LANES - 1) / LANES * LANES, vectors = conv_ceil_div(f->p.rows * f->p.width, LANES), ld = vectors * LANES;
    int64_t sum_count = s->outputs * f->p.taps * LANES, copied = f->p.tight ? 0 : s->outputs * ld;
    size_t bytes = (size_t)(sum_count + copied + size) * sizeof(float) + (size_t)f->p.taps * sizeof(int64_t) + (size_t)vectors * 2;
    float *sums = tk_alloc(bytes), *copy = sums + sum_count, *x = copy + copied;
    int64_t *offsets = (int64_t *)(x + size);
    uint16_t *masks = (uint16_t *)(offsets + f->p.taps);
    tk_find_offsets(&f->p, offsets);
    memset(sums, 0, (size_t)sum_count * sizeof(float));
    int64_t output_tiles = conv_ceil_div(s->outputs, SIDE), tap_tiles = conv_ceil_div(f->p.taps, SIDE), last_rows = -1;
    for (int64_t unit = f->units * part / f->parts; unit < f->units * (part + 1) / f->parts; unit++) {
        int64_t first = unit % f->blocks * f->p.rows, rows = conv_least(f->p.rows, s->out[1] - first), sample = unit / f->blocks * s->groups + group;
        const float *from = f->g + sample * s->outputs * places + first * s->out[2];
        if (rows != last_rows) {
            // Between the rows; and a block with fewer rows leaves something behind.
            memset(copy, 0, (size_t)copied * sizeof(float));
            for (int64_t v = 0; v < vectors; v++) masks[v] = (uint16_t)output_mask(&f->p, rows, v * LANES, LANES);
            last_rows = rows;
        }
        // Rows as wide as the planes' are read where they lie.
        const float *g = f->p.tight ? from : copy;
        int64_t g_step = f->p.tight ? places : ld;
        for (int64_t o = 0; !f->p.tight && o < s->outputs; o++)
            for (int64_t i = 0; i < rows; i++) fill_row(1, from + o * places + i * s->out[2], 0, s->out[2], f->p.width, copy + o * ld + i * f->p.width);
        // After the copy, whose last row may be written past its end.
        tk_fill_planes(&f->p, f->x + sample * s->inputs * s->in[1] * s->in[2], first, x);
        for (int64_t i = 0; i < output_tiles; i++)
            for (int64_t t = 0; t < tap_tiles; t++) {
                int64_t o = piece_start(s->outputs, output_tiles, i), outputs = piece_size(s->outputs, output_tiles, i);
                int64_t tap = piece_start(f->p.taps, tap_tiles, t);
                // Each piece of taps fetches a row of the next outputs' gradients; those of the last outputs, of the next sample.
                const float *next = g + (o + outputs + conv_least(t, SIDE - 1)) * g_step;
                all_dots[outputs - 1][piece_size(f->p.taps, tap_tiles, t) - 1](
                    conv_ceil_div(rows * f->p.width, LANES), masks, g + o * g_step, g_step, next, x, offsets + tap,
                    sums + (o * f->p.taps + tap) * LANES, f->p.taps * LANES);
            }
    }
    float *dw = f->y + task * s->outputs * f->p.taps;
    for (int64_t i = 0; i < s->outputs * f->p.taps; i++) dw[i] = _mm512_reduce_add_ps(_mm512_load_ps(sums + i * LANES));
    tk_free(sums, bytes);
}

void tk_conv_planes_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw) {
    planes f = make_planes(s);
    f.x = x, f.g = g;
    f.units = s->batch * f.blocks;
    f.parts = conv_least(f.units, conv_ceil_div(32, s->groups));
    int64_t total = s->groups * s->outputs * f.p.taps;
    size_t bytes = (size_t)(f.parts * total) * sizeof(float);
    f.y = f.parts == 1 ? dw : tk_alloc(bytes);
    tk_parallel(s->groups * f.parts, grad_weight_task, &f);
    if (f.parts == 1) return;
    tk_reduce(TK_SUM, TK_F32, f.y, dw, 1, f.parts, total);
    tk_free(f.y, bytes);
}
#endif
