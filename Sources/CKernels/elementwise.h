// Rows of elementwise operations, one after another in memory: what the operations on whole tensors and fused programs are made of.
#ifndef TAPESTRY_ELEMENTWISE_H
#define TAPESTRY_ELEMENTWISE_H

#include "levels.h"

/// Elements that are widened or converted at a time.
enum { TK_ELEMENTS = 512 };

void tk_unary_row(int op, int dtype, const void *x, void *y, int64_t n);
void tk_unary_grad_row(int op, int dtype, const void *s, const void *g, void *dx, int64_t n);
void tk_classify_row(int op, int dtype, const void *x, bool *y, int64_t n);
void tk_clamp_row(int dtype, const void *x, void *y, int64_t n, double low, double high);
// Any steps for the inputs, dense outputs. Elements of `size` bytes are chosen whatever their type.
void tk_binary_row(int op, int dtype, const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n);
void tk_compare_row(int op, int dtype, const void *a, int64_t sa, const void *b, int64_t sb, bool *out, int64_t n);
void tk_where_row(int64_t size, const bool *c, int64_t sc, const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n);

/// 16-bit floats, `step` apart, as float32; at most TK_ELEMENTS where the step is not 1.
static inline void tk_load_half(const tk_level *l, int dtype, const uint16_t *x, int64_t step, float *y, int64_t n) {
    if (step == 1) { l->half_to_float(dtype, x, y, n); return; }
    uint16_t dense[TK_ELEMENTS];
    for (int64_t i = 0; i < n; i++) dense[i] = x[i * step];
    l->half_to_float(dtype, dense, y, n);
}

/// Row-major strides.
static inline void tk_dense_strides(int rank, const int64_t *dims, int64_t *strides) {
    int64_t step = 1;
    for (int d = rank - 1; d >= 0; d--) { strides[d] = step; step *= dims[d]; }
}

#endif
