// Depthwise convolution by 3 × 3 windows one place apart and its gradients, float32 with AVX-512. A strip of up to 64 columns goes down the
// rows of a plane: each row of the input is read once, at its three shifts, for the three rows of outputs it reaches, whose sums stay in
// registers. Planes lie one after the other, so memory is read in order; a plane of outputs is made in the nearest cache and
// written past the caches when all are larger than those. Both gradients come from one reading of what they share.
#include "conv.h"

#if defined(__x86_64__)
#include <string.h>

#include "stream.h"
#include "transpose_avx512.h"

// A band of rows stays in the nearest cache.
enum { LANES = 16, BLOCKS = 4, BAND = 4096 };

typedef struct {
    // y [planes] = the convolution of `from` as `sweep` says, unless NULL
    const tk_conv_shape *sweep;
    const float *from, *w, *bias;
    float *y;
    bool transposed, stream;
    // sums [planes, 9] of products of x and g as `sum` says, unless NULL
    const tk_conv_shape *sum;
    const float *x, *g;
    float *sums, *dw;
} depthwise;

bool tk_conv_is_depthwise(const tk_conv_shape *s) {
    bool plain = s->inputs == 1 && s->outputs == 1 && s->kernel[0] == 1 && s->in[0] == 1 && s->out[0] == 1 && s->pad[0] == 0;
    for (int i = 1; i < 3; i++) plain &= s->kernel[i] == 3 && s->stride[i] == 1 && s->dilation[i] == 1;
    return plain && s->out[2] >= 4;
}

// Lanes whose columns from `column` on are inside.
static __mmask16 inside(int64_t column, int64_t width) {
    uint32_t mask = width - column >= LANES ? 0xffff : width > column ? (1u << (width - column)) - 1 : 0;
    return (__mmask16)(column >= 0 ? mask : column <= -LANES ? 0 : mask & (0xffffu << -column));
}

// Which lanes of a strip's blocks are read, at the three shifts, and which are outputs. With a padding of at most 1 the blocks between the
// first and the last lie inside.
typedef struct { __mmask16 in[BLOCKS][3], out; } edges;
static edges find_edges(const tk_conv_shape *s, int64_t column, int blocks, bool only_outputs) {
    edges e = { .out = inside(column + (blocks - 1) * LANES, s->out[2]) };
    for (int b = 0; b < blocks; b++)
        for (int k = 0; k < 3; k++) {
            e.in[b][k] = inside(column + b * LANES - s->pad[2] + k, s->in[2]);
            // What is read for lanes past the last output may be a NaN.
            if (only_outputs && b == blocks - 1) e.in[b][k] &= e.out;
        }
    return e;
}

INLINE __m512 read_block(const float *from, const int b, const int blocks, const int k, const bool padded, const edges *e) {
    if (padded || b == 0 || b == blocks - 1) return _mm512_maskz_loadu_ps(e->in[b][k], from + b * LANES + k);
    return _mm512_loadu_ps(from + b * LANES + k);
}

// Rows row ..< row + rows of outputs, of `blocks` vectors from `column` on; y is where they begin. `ahead` is what comes next. `spill`: what
// lies behind a row in y is not in use yet.
INLINE void sweep_strip(const int blocks, const bool padded, const bool spill, const tk_conv_shape *s, const float *x, int64_t row, int64_t rows,
                        int64_t column, const __m512 w[9], __m512 bias, float *y, const float *ahead) {
    edges e = find_edges(s, column, blocks, false);
    int64_t width = s->in[2], ld = s->out[2], top = row - s->pad[1];
    const float *from = x + top * width + column - s->pad[2];
    __m512 sum[3][BLOCKS];
#pragma clang loop unroll(full)
    for (int b = 0; b < blocks; b++) sum[0][b] = sum[1][b] = sum[2][b] = bias;
    for (int64_t base = 0; base < rows + 2; base += 3)
#pragma clang loop unroll(full)
        for (int i = 0; i < 3; i++) {
            // Row j of the input is the first of output j, the second of j - 1 and the last of j - 2.
            int64_t j = base + i;
            if (j >= rows + 2) break;
            const int next = i, middle = (i + 2) % 3, last = (i + 1) % 3;
#pragma clang loop unroll(full)
            for (int b = 0; b < blocks; b++) {
                sum[next][b] = bias;
                _mm_prefetch((const char *)(ahead + j * width + column + b * LANES), _MM_HINT_T0);
            }
            if ((uint64_t)(top + j) < (uint64_t)s->in[1])
#pragma clang loop unroll(full)
                for (int k = 0; k < 3; k++)
#pragma clang loop unroll(full)
                    for (int b = 0; b < blocks; b++) {
                        __m512 v = read_block(from + j * width, b, blocks, k, padded, &e);
                        sum[next][b] = _mm512_fmadd_ps(w[k], v, sum[next][b]);
                        sum[middle][b] = _mm512_fmadd_ps(w[3 + k], v, sum[middle][b]);
                        sum[last][b] = _mm512_fmadd_ps(w[6 + k], v, sum[last][b]);
                    }
            if (j < 2) continue;
            float *to = y + (j - 2) * ld + column;
#pragma clang loop unroll(full)
            for (int b = 0; b < blocks; b++) {
                if (spill || b < blocks - 1) _mm512_storeu_ps(to + b * LANES, sum[last][b]);
                else _mm512_mask_storeu_ps(to + b * LANES, e.out, sum[last][b]);
            }
        }
}

// sums [9] of 16 lanes += products of g's rows and of what they read.
INLINE void sum_strip(const int blocks, const bool padded, const tk_conv_shape *s, const float *x, const float *g, int64_t row, int64_t rows,
                      int64_t column, float *sums, const float *ahead, const float *g_ahead) {
    edges e = find_edges(s, column, blocks, true);
    int64_t width = s->in[2], ld = s->out[2], top = row - s->pad[1];
    const float *from = x + top * width + column - s->pad[2];
    __m512 sum[9], v[3][BLOCKS];
#pragma clang loop unroll(full)
    for (int t = 0; t < 9; t++) sum[t] = _mm512_load_ps(sums + t * LANES);
#pragma clang loop unroll(full)
    for (int b = 0; b < blocks; b++) v[0][b] = v[1][b] = v[2][b] = _mm512_setzero_ps();
    for (int64_t base = 0; base < rows + 2; base += 3)
#pragma clang loop unroll(full)
        for (int i = 0; i < 3; i++) {
            int64_t j = base + i;
            if (j >= rows + 2) break;
            const int next = i, middle = (i + 2) % 3, last = (i + 1) % 3;
            if (j < rows)
#pragma clang loop unroll(full)
                for (int b = 0; b < blocks; b++) {
                    const float *at = g + (row + j) * ld + column + b * LANES;
                    v[next][b] = b == blocks - 1 ? _mm512_maskz_loadu_ps(e.out, at) : _mm512_loadu_ps(at);
                    _mm_prefetch((const char *)(g_ahead + j * ld + column + b * LANES), _MM_HINT_T0);
                    _mm_prefetch((const char *)(ahead + j * width + column + b * LANES), _MM_HINT_T0);
                }
            if ((uint64_t)(top + j) >= (uint64_t)s->in[1]) continue;
            bool whole = j >= 2 && j < rows;
#pragma clang loop unroll(full)
            for (int k = 0; k < 3; k++)
#pragma clang loop unroll(full)
                for (int b = 0; b < blocks; b++) {
                    __m512 u = read_block(from + j * width, b, blocks, k, padded, &e);
                    // Rows of g that there are not take no part: u may be a NaN.
                    if (whole || j < rows) sum[k] = _mm512_fmadd_ps(v[next][b], u, sum[k]);
                    if (whole || (j >= 1 && j <= rows)) sum[3 + k] = _mm512_fmadd_ps(v[middle][b], u, sum[3 + k]);
                    if (whole || j >= 2) sum[6 + k] = _mm512_fmadd_ps(v[last][b], u, sum[6 + k]);
                }
        }
#pragma clang loop unroll(full)
    for (int t = 0; t < 9; t++) _mm512_store_ps(sums + t * LANES, sum[t]);
}

// All strips of a band. A single one may write past its rows.
#define STRIPS(CALL)                                                                               \
    for (int64_t column = 0; column < s->out[2]; column += BLOCKS * LANES) {                       \
        int64_t blocks = conv_least(BLOCKS, conv_ceil_div(s->out[2] - column, LANES));             \
        if (s->pad[2] > 1) switch (blocks) { case 1: CALL(1, true); break; case 2: CALL(2, true); break; case 3: CALL(3, true); break; default: CALL(4, true); } \
        else switch (blocks) { case 1: CALL(1, false); break; case 2: CALL(2, false); break; case 3: CALL(3, false); break; default: CALL(4, false); }          \
    }
AVX512 static void sweep_band(const tk_conv_shape *s, const float *x, int64_t row, int64_t rows, const float *taps, float bias, float *y, bool spill,
                              const float *ahead) {
    __m512 w[9], start = _mm512_set1_ps(bias);
#pragma clang loop unroll(full)
    for (int t = 0; t < 9; t++) w[t] = _mm512_set1_ps(taps[t]);
#define SPILLED(n, padded) sweep_strip(n, padded, true, s, x, row, rows, column, w, start, y, ahead)
#define WITHIN(n, padded) sweep_strip(n, padded, false, s, x, row, rows, column, w, start, y, ahead)
    if (spill) STRIPS(SPILLED)
    else STRIPS(WITHIN)
}
AVX512 static void sum_band(const tk_conv_shape *s, const float *x, const float *g, int64_t row, int64_t rows, float *sums, const float *ahead,
                            const float *g_ahead) {
#define SUMMED(n, padded) sum_strip(n, padded, s, x, g, row, rows, column, sums, ahead, g_ahead)
    STRIPS(SUMMED)
}

// The first of `rows` rows in a band.
static int64_t band_start(int64_t rows, int64_t bands, int64_t band) { return rows * band / bands; }

// Nine taps of a channel; the transposed convolution reads them backwards.
static void take_taps(const depthwise *d, int64_t channel, float taps[9]) {
    for (int t = 0; t < 9; t++) taps[t] = d->w[channel * 9 + (d->transposed ? 8 - t : t)];
}

// How many bands a plane is cut into, and the bytes in which one of outputs is made before it is written past the caches.
static int64_t bands_of(const tk_conv_shape *s) { return conv_ceil_div(conv_most(s->in[1] * s->in[2], s->out[1] * s->out[2]), BAND); }
static size_t band_bytes(const depthwise *d, const tk_conv_shape *s) {
    return d->stream ? (size_t)((conv_ceil_div(s->out[1], bands_of(s)) + 1) * s->out[2] + BLOCKS * LANES) * sizeof(float) : 0;
}

// A band of the outputs y of a plane x. `ahead` is what is read next.
static void make_band(const depthwise *d, const tk_conv_shape *s, const float *x, int64_t channel, const float taps[9], int64_t row, int64_t rows,
                      float *y, float *buffer, const float *ahead) {
    sweep_band(s, x, row, rows, taps, d->bias ? d->bias[channel] : 0, buffer ? buffer : y, buffer && s->out[2] <= BLOCKS * LANES, ahead);
    if (buffer) tk_stream_copy(y, buffer, rows * s->out[2] * (int64_t)sizeof(float));
}

AVX512 static void planes_range(void *context, int64_t low, int64_t high) {
    const depthwise *d = context;
    const tk_conv_shape *s = d->y ? d->sweep : d->sum;
    int64_t in = s->in[1] * s->in[2], out = s->out[1] * s->out[2], bands = bands_of(s);
    size_t bytes = band_bytes(d, s);
    float *buffer = bytes ? tk_alloc(bytes) : 0;
    for (int64_t p = low; p < high; p++) {
        int64_t channel = p % s->groups;
        float taps[9];
        _Alignas(64) float sums[9 * LANES] = { 0 };
        if (d->y) take_taps(d, channel, taps);
        for (int64_t band = 0; band < bands; band++) {
            if (d->y) {
                int64_t row = band_start(s->out[1], bands, band), rows = band_start(s->out[1], bands, band + 1) - row;
                const float *x = d->from + p * in;
                float *y = d->y + p * out + row * s->out[2];
                // Next is x of the same places if sums follow, else what lies behind.
                const float *ahead = d->sums ? d->x + p * out + row * s->out[2] : x + row * s->in[2] + in / bands;
                make_band(d, s, x, channel, taps, row, rows, y, buffer, ahead);
            }
            if (d->sums) {
                const tk_conv_shape *u = d->sum;
                int64_t x_size = u->in[1] * u->in[2], g_size = u->out[1] * u->out[2];
                int64_t row = band_start(u->out[1], bands, band), rows = band_start(u->out[1], bands, band + 1) - row;
                const float *x = d->x + p * x_size, *g = d->g + p * g_size;
                const float *g_ahead = g + row * u->out[2] + g_size / bands;
                sum_band(u, x, g, row, rows, sums, d->y ? g_ahead : x + row * u->in[2] + x_size / bands, g_ahead);
            }
        }
        for (int t = 0; d->sums && t < 9; t++) d->sums[p * 9 + t] = _mm512_reduce_add_ps(_mm512_load_ps(sums + t * LANES));
    }
    if (buffer) tk_free(buffer, bytes);
}

static void run_planes(depthwise *d) {
    const tk_conv_shape *s = d->y ? d->sweep : d->sum;
    int64_t out = s->out[1] * s->out[2], planes = s->batch * s->groups;
    d->stream = d->y && tk_streams(planes * out * (int64_t)sizeof(float));
    tk_parallel_ranges(planes, 8 * TK_GRAIN / (9 * out + 1) + 1, planes_range, d);
    if (d->stream) tk_stream_fence();
}

void tk_conv_depthwise(const tk_conv_shape *s, const float *x, const float *w, bool transposed, const float *bias, float *y) {
    depthwise d = { .sweep = s, .from = x, .w = w, .bias = bias, .y = y, .transposed = transposed };
    run_planes(&d);
}

// ---- inputs [batch, in..., channels] ----

// Channels and outputs' rows of a task: what they read is put together as planes in the second cache and never written to memory.
enum { CHANNELS = 128, CACHED = 96 * 1024 };
typedef struct {
    depthwise d;
    int64_t bands, parts, rows;     // of a sample; of the channels; of a band
} channels_last;

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

// As many rows of outputs as fit; a multiple of what fills whole lines, if possible.
static int64_t band_rows(const tk_conv_shape *s) {
    int64_t fit = conv_most(CACHED / (s->in[2] * conv_least(s->groups, CHANNELS)) - 2, 1), unit = LANES / common_divisor(s->out[2], LANES);
    return conv_least(fit >= unit ? fit / unit * unit : fit, s->out[1]);
}

// Planes of `count` channels from [places, channels], `stride` apart.
AVX512 static void gather_planes(const float *x, int64_t places, int64_t channels, int64_t count, float *planes, int64_t stride) {
    for (int64_t p = 0; p < places; p += LANES) {
        const float *from = x + p * channels;
        bool whole = p + LANES <= places;
        for (int64_t c = 0; c < count; c += LANES) {
            __m512 r[LANES];
            for (int i = 0; i < LANES; i++) _mm_prefetch((const char *)(from + (LANES + i) * channels + c), _MM_HINT_T0);
            if (whole && c + LANES <= count) {
                for (int i = 0; i < LANES; i++) r[i] = _mm512_loadu_ps(from + i * channels + c);
                transpose16(r);
                for (int i = 0; i < LANES; i++) _mm512_storeu_ps(planes + (c + i) * stride + p, r[i]);
                continue;
            }
            __mmask16 wanted = inside(c, count), some = inside(p, places);
            for (int i = 0; i < LANES; i++) r[i] = _mm512_maskz_loadu_ps(p + i < places ? wanted : 0, from + i * channels + c);
            transpose16(r);
            for (int i = 0; i < LANES; i++) if (c + i < count) _mm512_mask_storeu_ps(planes + (c + i) * stride + p, some, r[i]);
        }
    }
}

static void channels_last_range(void *context, int64_t low, int64_t high) {
    const channels_last *l = context;
    const depthwise *d = &l->d;
    const tk_conv_shape *s = d->sweep;
    int64_t width = s->in[2], out = s->out[1] * s->out[2], stride = (conv_ceil_div((l->rows + 2) * width, LANES) | 1) * LANES;
    size_t plane_bytes = (size_t)(conv_least(s->groups, CHANNELS) * stride) * sizeof(float);
    size_t bytes = d->stream ? (size_t)((l->rows + 1) * s->out[2] + BLOCKS * LANES) * sizeof(float) : 0;
    float *buffer = bytes ? tk_alloc(bytes) : 0, *planes = tk_alloc(plane_bytes);
    for (int64_t i = low; i < high; i++) {
        int64_t part = i % l->parts, band = i / l->parts % l->bands, sample = i / (l->parts * l->bands);
        int64_t first = part * CHANNELS, count = conv_least(CHANNELS, s->groups - first);
        int64_t row = band * l->rows, rows = conv_least(l->rows, s->out[1] - row);
        int64_t from = conv_most(row - s->pad[1], 0), to = conv_least(row - s->pad[1] + rows + 2, s->in[1]);
        if (to > from)
            gather_planes(d->from + ((sample * s->in[1] + from) * width) * s->groups + first, (to - from) * width, s->groups, count, planes, stride);
        for (int64_t c = 0; c < count; c++) {
            float taps[9];
            take_taps(d, first + c, taps);
            make_band(d, s, planes + c * stride - from * width, first + c, taps, row, rows,
                      d->y + (sample * s->groups + first + c) * out + row * s->out[2], buffer, planes + c * stride);
        }
    }
    if (buffer) tk_free(buffer, bytes);
    tk_free(planes, plane_bytes);
}

void tk_conv_depthwise_channels_last(const tk_conv_shape *s, const float *x, const float *w, const float *bias, float *y) {
    int64_t out = s->out[1] * s->out[2], rows = band_rows(s);
    channels_last l = { .d = { .sweep = s, .from = x, .w = w, .bias = bias, .y = y }, .rows = rows,
                        .bands = conv_ceil_div(s->out[1], rows), .parts = conv_ceil_div(s->groups, CHANNELS) };
    l.d.stream = tk_streams(s->batch * s->groups * out * (int64_t)sizeof(float));
    int64_t work = conv_least(s->groups, CHANNELS) * rows * s->out[2];
    tk_parallel_ranges(s->batch * l.bands * l.parts, TK_GRAIN / (2 * work + 1) + 1, channels_last_range, &l);
    if (l.d.stream) tk_stream_fence();
}

// The sums of all samples, in double.
static void add_samples(void *context, int64_t low, int64_t high) {
    const depthwise *d = context;
    const tk_conv_shape *s = d->sum;
    for (int64_t channel = low; channel < high; channel++)
        for (int t = 0; t < 9; t++) {
            double total = 0;
            for (int64_t sample = 0; sample < s->batch; sample++) total += d->sums[(sample * s->groups + channel) * 9 + t];
            d->dw[channel * 9 + t] = (float)total;
        }
}

void tk_conv_depthwise_grads(const tk_conv_shape *s, const float *x, const float *g, const float *w, float *dx, float *dw) {
    tk_conv_shape back = tk_conv_back(s);
    size_t bytes = (size_t)(s->batch * s->groups * 9) * sizeof(float);
    depthwise d = { .sweep = &back, .from = g, .w = w, .y = dx, .transposed = true, .sum = s, .x = x, .g = g, .sums = tk_alloc(bytes), .dw = dw };
    run_planes(&d);
    tk_parallel_ranges(s->groups, TK_GRAIN / (9 * s->batch + 1) + 1, add_samples, &d);
    tk_free(d.sums, bytes);
}
#endif
