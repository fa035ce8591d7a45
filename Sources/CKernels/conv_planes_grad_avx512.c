// The gradient of a convolution's weight with many taps, float32 with AVX-512: dwᵀ [taps, outputs] is the product of what the taps read, which
// lies in planes and is read one place at a time, and of the gradient with its outputs beside each other. Neither columns nor
// packed rows are made; the samples come in rounds.
#include "conv_planes.h"

#if defined(__x86_64__)
#include <string.h>

#include "gemm_panels.h"
#include "outer_avx512.h"
#include "transpose_avx512.h"

// Taps and outputs of a tile of sums; taps of a task; places of a round.
enum { ROWS = 14, LANES = 16, WIDE = 2 * LANES, TASK_TAPS = 9 * ROWS, PLACES = 2048 };

typedef struct {
    const tk_conv_shape *s;
    const float *x, *g;
    float *gradients;             // of a round: [panels of 32 outputs, samples, places, 32]
    float *sums;                  // [all taps, 32 · panels]
    int64_t group, first, samples;
    int64_t places, panels, taps;
    int64_t inputs;               // per task
    float *dw;
} wide;

// 16 outputs of a sample beside each other, place by place.
AVX512 static void pack_task(void *context, int64_t task) {
    const wide *f = context;
    const tk_conv_shape *s = f->s;
    int64_t sample = task % f->samples, half = task / f->samples, k = half * LANES, lanes = conv_least(LANES, s->outputs - k);
    const float *g = f->g + (((f->first + sample) * s->groups + f->group) * s->outputs + k) * f->places;
    float *out = f->gradients + ((half / 2 * f->samples + sample) * f->places) * WIDE + half % 2 * LANES;
    for (int64_t p = 0; p < f->places; p += LANES) {
        int64_t n = conv_least(LANES, f->places - p);
        __mmask16 mask = (__mmask16)((1u << n) - 1);
        __m512 r[LANES];
#pragma clang loop unroll(full)
        for (int l = 0; l < LANES; l++) {
            r[l] = l < lanes ? _mm512_maskz_loadu_ps(mask, g + l * f->places + p) : _mm512_setzero_ps();
            if (l < lanes) _mm_prefetch((const char *)(g + l * f->places + p + 64), _MM_HINT_T0);
        }
        transpose16(r);
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; i++) if (i < n) _mm512_store_ps(out + (p + i) * WIDE, r[i]);
    }
}

// sums [rows, 32] (= or +=) what taps of `samples` samples read, times their gradients
INLINE void multiply(const int rows, const tk_conv_shape *s, int64_t samples, const float *x, int64_t x_step, int64_t width, const int64_t *offsets,
                     const float *g, float *sums, int64_t ld, bool add) {
    __m512 sum[ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
    }
    int64_t height = s->out[1], n = s->out[2];
    for (int64_t sample = 0; sample < samples; sample++)
        for (int64_t row = 0; row < height; row++) {
            const float *from = x + sample * x_step + row * width;
#pragma clang loop unroll_count(2)
            for (int64_t j = 0; j < n; j++, g += WIDE) {
                ADD_OUTER(rows, sum, from[offsets[i] + j], g)
            }
        }
    // Each round by itself first: one long chain would lose more digits.
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        if (add) {
            sum[i][0] = _mm512_add_ps(sum[i][0], _mm512_load_ps(sums + i * ld));
            sum[i][1] = _mm512_add_ps(sum[i][1], _mm512_load_ps(sums + i * ld + LANES));
        }
        _mm512_store_ps(sums + i * ld, sum[i][0]);
        _mm512_store_ps(sums + i * ld + LANES, sum[i][1]);
    }
}
typedef void (*multiply_fn)(const tk_conv_shape *, int64_t, const float *, int64_t, int64_t, const int64_t *, const float *, float *, int64_t, bool);
#define MULTIPLY(n)                                                                                                                  \
    AVX512 static void multiply##n(const tk_conv_shape *s, int64_t samples, const float *x, int64_t x_step, int64_t width,             \
                                   const int64_t *offsets, const float *g, float *sums, int64_t ld, bool add) {                        \
        multiply(n, s, samples, x, x_step, width, offsets, g, sums, ld, add);                                                          \
    }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6) MULTIPLY(7) MULTIPLY(8) MULTIPLY(9) MULTIPLY(10) MULTIPLY(11)
MULTIPLY(12) MULTIPLY(13) MULTIPLY(14)
static const multiply_fn multiplies[ROWS + 1] = { 0, multiply1, multiply2, multiply3, multiply4, multiply5, multiply6, multiply7,
                                                  multiply8, multiply9, multiply10, multiply11, multiply12, multiply13, multiply14 };

// The taps of some inputs, all outputs, a round of samples.
static void products_task(void *context, int64_t task) {
    const wide *f = context;
    tk_conv_shape some = *f->s;   // with the task's inputs alone
    int64_t c = task * f->inputs, plane = some.in[1] * some.in[2], volume = conv_volume(some.kernel);
    some.inputs = conv_least(f->inputs, f->s->inputs - c);
    tk_planes p = tk_make_planes_of_rows(&some, some.out[1]);
    size_t bytes = (size_t)(p.size * f->samples) * sizeof(float) + (size_t)p.taps * sizeof(int64_t);
    int64_t *offsets = tk_alloc(bytes);
    float *x = (float *)(offsets + p.taps);
    tk_find_offsets(&p, offsets);
    for (int64_t i = 0; i < f->samples; i++)
        tk_fill_planes(&p, f->x + (((f->first + i) * some.groups + f->group) * f->s->inputs + c) * plane, 0, x + i * p.size);
    int64_t ld = f->panels * WIDE;
    row_split parts = split_rows(p.taps);
    for (int64_t panel = 0; panel < f->panels; panel++)
        for (int64_t part = 0; part < parts.count; part++) {
            int64_t start = panel_start(parts, part);
            multiplies[panel_rows(parts, part)](&some, f->samples, x, p.size, p.width, offsets + start,
                                                f->gradients + panel * f->samples * f->places * WIDE,
                                                f->sums + (c * volume + start) * ld + panel * WIDE, ld, f->first > 0);
        }
    tk_free(offsets, bytes);
}

// 16 outputs back to rows.
AVX512 static void result_task(void *context, int64_t block) {
    const wide *f = context;
    int64_t k = block * LANES, lanes = conv_least(LANES, f->s->outputs - k), ld = f->panels * WIDE;
    for (int64_t t = 0; t < f->taps; t += LANES) {
        int64_t n = conv_least(LANES, f->taps - t);
        __m512 r[LANES];
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; i++) r[i] = i < n ? _mm512_load_ps(f->sums + (t + i) * ld + k) : _mm512_setzero_ps();
        transpose16(r);
        __mmask16 mask = (__mmask16)((1u << n) - 1);
#pragma clang loop unroll(full)
        for (int l = 0; l < LANES; l++) if (l < lanes) _mm512_mask_storeu_ps(f->dw + (k + l) * f->taps + t, mask, r[l]);
    }
}

bool tk_conv_is_wide_grad_weight(const tk_conv_shape *s) { return tk_has_planes(s) && conv_volume(s->kernel) > 1 && s->outputs >= 16; }

void tk_conv_wide_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw) {
    wide f = { .s = s, .x = x, .g = g, .places = s->out[1] * s->out[2], .taps = conv_taps(s) };
    f.panels = conv_ceil_div(s->outputs, WIDE);
    f.inputs = conv_most(TASK_TAPS / conv_volume(s->kernel), 1);
    int64_t round = conv_least(conv_most(PLACES / f.places, 1), s->batch);
    size_t gradient_bytes = (size_t)(f.panels * round * f.places * WIDE) * sizeof(float);
    size_t sum_bytes = (size_t)(f.taps * f.panels * WIDE) * sizeof(float);
    f.gradients = tk_alloc(gradient_bytes), f.sums = tk_alloc(sum_bytes);
    memset(f.gradients, 0, gradient_bytes);   // outputs that fill the last panel up
    for (f.group = 0; f.group < s->groups; f.group++) {
        f.dw = dw + f.group * s->outputs * f.taps;
        for (f.first = 0; f.first < s->batch; f.first += round) {
            f.samples = conv_least(round, s->batch - f.first);
            tk_parallel(conv_ceil_div(s->outputs, LANES) * f.samples, pack_task, &f);
            tk_parallel(conv_ceil_div(s->inputs, f.inputs), products_task, &f);
        }
        tk_parallel(conv_ceil_div(s->outputs, LANES), result_task, &f);
    }
    tk_free(f.gradients, gradient_bytes);
    tk_free(f.sums, sum_bytes);
}
#endif
