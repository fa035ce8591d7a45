// Depthwise convolution by 3 × 3 windows one place apart, float32 with AVX-512: two rows of 16 outputs at a time, from four rows of the
// input. Edges are masks; nothing is copied. Rows are read in the order of memory, which the hardware fetches ahead.
#include "conv.h"

#if defined(__x86_64__)
#include <string.h>

#include "transpose_avx512.h"

// Outputs of more bytes than a cache holds are written past it.
enum { LANES = 16, AHEAD = 2048, STREAM = 24 << 20 };

typedef struct {
    const tk_conv_shape *s;
    const float *x, *w, *bias, *g;
    float *y;
    bool transposed, stream;
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

// Three rows or four at their three shifts; `from` is the first place of the first, shifted once to the left. Rows outside are 0.
INLINE __m512 read_place(const float *from, int64_t width, int row, int k, const bool whole, const __mmask16 *masks, uint32_t there) {
    if (!(there >> row & 1)) return _mm512_setzero_ps();
    return whole ? _mm512_loadu_ps(from + row * width + k) : _mm512_maskz_loadu_ps(masks[k], from + row * width + k);
}

// Two rows (or one) of 16 outputs, or what their gradients add to the sums of the taps.
INLINE void sweep_block(const int rows, const bool whole, const float *x, int64_t width, uint32_t there, const __mmask16 *masks, const __m512 w[9],
                        __m512 bias, float *y, int64_t ld, __mmask16 out) {
    __m512 sum[2] = { bias, bias }, more[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
#pragma clang loop unroll(full)
    for (int i = 0; i < rows + 2; i++)
#pragma clang loop unroll(full)
        for (int k = 0; k < 3; k++) {
            __m512 v = read_place(x, width, i, k, whole, masks, there);
            if (i < 3) sum[0] = i == 1 ? sum[0] : _mm512_fmadd_ps(w[i * 3 + k], v, sum[0]);
            if (i == 1) more[0] = _mm512_fmadd_ps(w[3 + k], v, more[0]);
            if (rows == 2 && i > 0) sum[1] = i == 2 ? sum[1] : _mm512_fmadd_ps(w[(i - 1) * 3 + k], v, sum[1]);
            if (rows == 2 && i == 2) more[1] = _mm512_fmadd_ps(w[3 + k], v, more[1]);
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        if (whole) _mm512_storeu_ps(y + i * ld, _mm512_add_ps(sum[i], more[i]));
        else _mm512_mask_storeu_ps(y + i * ld, out, _mm512_add_ps(sum[i], more[i]));
    }
}
INLINE void sum_block(const int rows, const bool whole, const float *x, int64_t width, uint32_t there, const __mmask16 *masks, const float *g,
                      int64_t ld, __mmask16 out, __m512 sum[9]) {
    __m512 v[2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) v[i] = whole ? _mm512_loadu_ps(g + i * ld) : _mm512_maskz_loadu_ps(out, g + i * ld);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows + 2; i++)
#pragma clang loop unroll(full)
        for (int k = 0; k < 3; k++) {
            __m512 u = read_place(x, width, i, k, whole, masks, there);
            if (i < 3) sum[i * 3 + k] = _mm512_fmadd_ps(v[0], u, sum[i * 3 + k]);
            if (rows == 2 && i > 0) sum[(i - 1) * 3 + k] = _mm512_fmadd_ps(v[1], u, sum[(i - 1) * 3 + k]);
        }
}

// A block of columns: its masks, and whether they are all ones.
typedef struct { __mmask16 masks[3], out; bool whole; } edge;
static edge find_edge(const tk_conv_shape *s, int64_t column, bool only_outputs) {
    int64_t first = column - s->pad[2];
    edge e = { { inside(first, s->in[2]), inside(first + 1, s->in[2]), inside(first + 2, s->in[2]) }, inside(column, s->out[2]), false };
    // What is read for lanes past the last output may be a NaN.
    if (only_outputs) for (int k = 0; k < 3; k++) e.masks[k] &= e.out;
    e.whole = (e.masks[0] & e.masks[1] & e.masks[2] & e.out) == 0xffff;
    return e;
}

// Which of the rows from `first` on are inside, of four.
static uint32_t rows_there(int64_t first, int64_t height) {
    uint32_t there = 0;
    for (int i = 0; i < 4; i++) there |= (uint32_t)(first + i >= 0 && first + i < height) << i;
    return there;
}

AVX512 static void sweep_plane(const tk_conv_shape *s, const float *x, const float *taps, float bias, float *y) {
    __m512 w[9], start = _mm512_set1_ps(bias);
#pragma clang loop unroll(full)
    for (int t = 0; t < 9; t++) w[t] = _mm512_set1_ps(taps[t]);
    int64_t width = s->in[2], ld = s->out[2];
    for (int64_t row = 0; row < s->out[1]; row += 2) {
        int64_t rows = conv_least(2, s->out[1] - row);
        uint32_t there = rows_there(row - s->pad[1], s->in[1]);
        for (int64_t column = 0; column < ld; column += LANES) {
            edge e = find_edge(s, column, false);
            const float *from = x + (row - s->pad[1]) * width + column - s->pad[2];
            float *to = y + row * ld + column;
            for (int64_t i = 0; i < rows; i++) _mm_prefetch((const char *)(from + i * width + AHEAD), _MM_HINT_T0);
            if (rows == 2 && e.whole && there == 15) sweep_block(2, true, from, width, 15, e.masks, w, start, to, ld, e.out);
            else if (rows == 2 && there == 15) sweep_block(2, false, from, width, 15, e.masks, w, start, to, ld, e.out);
            else if (rows == 2) sweep_block(2, false, from, width, there, e.masks, w, start, to, ld, e.out);
            else sweep_block(1, false, from, width, there, e.masks, w, start, to, ld, e.out);
        }
    }
}

AVX512 static void stream_plane(const float *from, float *to, int64_t n) {
    int64_t i = 0;
    for (; i < n && ((uintptr_t)(to + i) & 63); i++) to[i] = from[i];
    for (; i + LANES <= n; i += LANES) _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
    for (; i < n; i++) to[i] = from[i];
}

AVX512 static void forward_range(void *context, int64_t low, int64_t high) {
    const depthwise *d = context;
    const tk_conv_shape *s = d->s;
    int64_t in = s->in[1] * s->in[2], out = s->out[1] * s->out[2];
    size_t bytes = (size_t)out * sizeof(float);
    float *plane = d->stream ? tk_alloc(bytes) : 0;
    for (int64_t p = low; p < high; p++) {
        int64_t channel = p % s->groups;
        float taps[9];
        for (int t = 0; t < 9; t++) taps[t] = d->w[channel * 9 + (d->transposed ? 8 - t : t)];
        sweep_plane(s, d->x + p * in, taps, d->bias ? d->bias[channel] : 0, plane ? plane : d->y + p * out);
        if (plane) stream_plane(plane, d->y + p * out, out);
    }
    if (plane) {
        _mm_sfence();
        tk_free(plane, bytes);
    }
}

void tk_conv_depthwise(const tk_conv_shape *s, const float *x, const float *w, bool transposed, const float *bias, float *y) {
    depthwise d = { .s = s, .x = x, .w = w, .bias = bias, .y = y, .transposed = transposed };
    int64_t out = s->out[1] * s->out[2], planes = s->batch * s->groups;
    d.stream = planes * out * (int64_t)sizeof(float) > STREAM && out <= 1 << 16;
    tk_parallel_ranges(planes, 8 * TK_GRAIN / (9 * out + 1) + 1, forward_range, &d);
}

AVX512 static void grad_weight_task(void *context, int64_t channel) {
    const depthwise *d = context;
    const tk_conv_shape *s = d->s;
    int64_t in = s->in[1] * s->in[2], plane = s->out[1] * s->out[2];
    double total[9] = { 0 };
    for (int64_t sample = 0; sample < s->batch; sample++) {
        const float *x = d->x + (sample * s->groups + channel) * in, *g = d->g + (sample * s->groups + channel) * plane;
        __m512 sum[9];
#pragma clang loop unroll(full)
        for (int t = 0; t < 9; t++) sum[t] = _mm512_setzero_ps();
        int64_t width = s->in[2], ld = s->out[2];
        for (int64_t row = 0; row < s->out[1]; row += 2) {
            int64_t rows = conv_least(2, s->out[1] - row);
            uint32_t there = rows_there(row - s->pad[1], s->in[1]);
            for (int64_t column = 0; column < ld; column += LANES) {
                edge e = find_edge(s, column, true);
                const float *from = x + (row - s->pad[1]) * width + column - s->pad[2], *v = g + row * ld + column;
                // The next sample's planes lie far away.
                for (int64_t i = 0; i < rows; i++) {
                    _mm_prefetch((const char *)(from + i * width + s->groups * in), _MM_HINT_T1);
                    _mm_prefetch((const char *)(v + i * ld + s->groups * plane), _MM_HINT_T1);
                }
                if (rows == 2 && e.whole && there == 15) sum_block(2, true, from, width, 15, e.masks, v, ld, e.out, sum);
                else if (rows == 2 && there == 15) sum_block(2, false, from, width, 15, e.masks, v, ld, e.out, sum);
                else if (rows == 2) sum_block(2, false, from, width, there, e.masks, v, ld, e.out, sum);
                else sum_block(1, false, from, width, there, e.masks, v, ld, e.out, sum);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < 9; t++) total[t] += _mm512_reduce_add_ps(sum[t]);
    }
    for (int t = 0; t < 9; t++) d->y[channel * 9 + t] = (float)total[t];
}

void tk_conv_depthwise_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw) {
    depthwise d = { .s = s, .x = x, .g = g, .y = dw };
    tk_parallel(s->groups, grad_weight_task, &d);
}
#endif
