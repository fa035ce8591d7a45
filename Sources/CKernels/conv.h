// What the parts of convolution share.
#ifndef TAPESTRY_CONV_H
#define TAPESTRY_CONV_H

#include "levels.h"

static inline int64_t conv_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t conv_most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t conv_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t conv_volume(const int64_t size[3]) { return size[0] * size[1] * size[2]; }
/// Elements of a row of the weight: one output's.
static inline int64_t conv_taps(const tk_conv_shape *s) { return s->inputs * conv_volume(s->kernel); }

/// The convolution that makes the input's gradient of the output's, with its taps reversed and channels exchanged, for steps of 1.
static inline tk_conv_shape tk_conv_back(const tk_conv_shape *s) {
    tk_conv_shape back = *s;
    back.inputs = s->outputs;
    back.outputs = s->inputs;
    for (int i = 0; i < 3; i++) {
        back.in[i] = s->out[i];
        back.out[i] = s->in[i];
        back.stride[i] = 1;
        back.pad[i] = s->dilation[i] * (s->kernel[i] - 1) - s->pad[i];
    }
    return back;
}

/// The columns low ..< high (output places) of one sample's group: rows [inputs · taps] of length `ld`. x points at the group's first
/// channel; `size` is an element's.
void tk_conv_columns(int64_t size, const tk_conv_shape *s, const char *x, int64_t low, int64_t high, char *columns, int64_t ld);

/// Few channels per group: by rows of taps, without columns. `zoom`: the input stands apart by that many places (the gradient of a
/// stride). f32 and f64.
void tk_conv_direct(int dtype, const tk_conv_shape *s, const int64_t zoom[3], const void *x, const void *w, const void *bias, void *y);
void tk_conv_direct_grad_weight(int dtype, const tk_conv_shape *s, const void *x, const void *g, void *dw);

/// float32 with AVX-512: the columns are made panel by panel, as the kernel of the matrix product reads them.
void tk_conv_avx512(const tk_conv_shape *s, const float *x, const float *w, const float *bias, float *y);

/// float32 with AVX-512, depthwise 3 × 3 windows one place apart: swept in registers. `transposed`: the taps are reversed.
bool tk_conv_is_depthwise(const tk_conv_shape *s);
void tk_conv_depthwise(const tk_conv_shape *s, const float *x, const float *w, bool transposed, const float *bias, float *y);
/// The same of an input [batch, in..., groups].
void tk_conv_depthwise_channels_last(const tk_conv_shape *s, const float *x, const float *w, const float *bias, float *y);
/// Both gradients by one reading of what they share, or, without dx, the weight's.
void tk_conv_depthwise_grads(const tk_conv_shape *s, const float *x, const float *g, const float *w, float *dx, float *dw);

/// float32 with AVX-512, few taps of all inputs together: by planes in which every tap reads places that follow each other.
bool tk_conv_is_planes(const tk_conv_shape *s);
void tk_conv_planes(const tk_conv_shape *s, const float *x, const float *w, const float *bias, float *y);
bool tk_conv_is_planes_grad_weight(const tk_conv_shape *s);
void tk_conv_planes_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw);

/// float32 with AVX-512, many taps: the same without vectors of sums.
bool tk_conv_is_wide_grad_weight(const tk_conv_shape *s);
void tk_conv_wide_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw);

/// float32 with AVX-512, 3 × 3 windows one place apart: by Winograd's tiles. The weight is [outputs, inputs, 9] per group, or, `transposed`,
/// [inputs, outputs, 9] with its taps reversed.
bool tk_conv_is_winograd(const tk_conv_shape *s);
void tk_conv_winograd(const tk_conv_shape *s, const float *x, const float *w, bool transposed, const float *bias, float *y);
/// Whether enough tiles share the transform of the weight's gradient.
bool tk_conv_is_winograd_grad_weight(const tk_conv_shape *s);
void tk_conv_winograd_grad_weight(const tk_conv_shape *s, const float *x, const float *g, float *dw);

#endif
