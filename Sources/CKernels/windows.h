// The inner loops of convolution, pooling and channel normalisation, for one instruction set.
#ifndef TAPESTRY_WINDOWS_H
#define TAPESTRY_WINDOWS_H

#include "levels.h"

typedef struct {
    // y[r y_row + i] = start + sum over t of w[t] x[r x_row + offsets[t] + i]; may read up to 64 elements past the row
    void (*taps_f32)(const float *x, int64_t x_row, const int64_t *offsets, const float *w, int64_t taps, float start, float *y, int64_t y_row,
                     int64_t rows, int64_t n);
    void (*taps_f64)(const double *x, int64_t x_row, const int64_t *offsets, const double *w, int64_t taps, double start, double *y, int64_t y_row,
                     int64_t rows, int64_t n);
    // dw[t] += sum over rows and i of g[r g_row + i] x[r x_row + offsets[t] + i]
    void (*tap_sums_f32)(const float *x, int64_t x_row, const float *g, int64_t g_row, int64_t rows, int64_t n, const int64_t *offsets,
                         int64_t taps, double *dw);
    void (*tap_sums_f64)(const double *x, int64_t x_row, const double *g, int64_t g_row, int64_t rows, int64_t n,
                         const int64_t *offsets, int64_t taps, double *dw);
    // A row of windows: m[i] = the largest of x[offsets[t] + i stride], at[i] (unless NULL) = its offset + i stride
    void (*max_row_f32)(const float *x, const int64_t *offsets, int64_t taps, int64_t stride, float *m, int32_t *at, int64_t n);
    void (*max_row_f64)(const double *x, const int64_t *offsets, int64_t taps, int64_t stride, double *m, int32_t *at, int64_t n);
    // y[i] = (x[i] - mean) scale + shift, at least `least`
    void (*scale_f32)(const float *x, float mean, float scale, float shift, float least, float *y, int64_t n);
    void (*scale_f64)(const double *x, double mean, double scale, double shift, double least, double *y, int64_t n);
    // dx[i] = a g[i] + b (x[i] - mean) + c; g counts as 0 where (x[i] - mean) scale + shift <= 0
    void (*blend_f32)(const float *x, const float *g, float mean, float a, float b, float c, float scale, float shift, float *dx, int64_t n);
    void (*blend_f64)(const double *x, const double *g, double mean, double a, double b, double c, double scale, double shift, double *dx,
                      int64_t n);
    // sum of x; sum of (x - mean)^2
    double (*sum_f32)(const float *x, int64_t n);
    double (*sum_f64)(const double *x, int64_t n);
    double (*squares_f32)(const float *x, float mean, int64_t n);
    double (*squares_f64)(const double *x, double mean, int64_t n);
    // out[0] += sum g, out[1] += sum g (x - mean); g counts as 0 where (x - mean) scale + shift <= 0
    void (*products_f32)(const float *x, const float *g, float mean, float scale, float shift, int64_t n, double out[2]);
    void (*products_f64)(const double *x, const double *g, double mean, double scale, double shift, int64_t n, double out[2]);
    // y[i] (= or +=) w x[i]
    void (*axpy_f32)(float w, const float *x, float *y, int64_t n, bool add);
    void (*axpy_f64)(double w, const double *x, double *y, int64_t n, bool add);
    // y[i] = sum over t of w[t n + i] x[at[t n + i]]
    void (*picks_f32)(const float *x, const int32_t *at, const float *w, int64_t taps, float *y, int64_t n);
    void (*picks_f64)(const double *x, const int32_t *at, const double *w, int64_t taps, double *y, int64_t n);
    // y[i] = sum over t of w[t] x[offsets[t] + i]; reads nothing else
    void (*combine_f32)(const float *x, const int64_t *offsets, const float *w, int64_t taps, float *y, int64_t n);
    void (*combine_f64)(const double *x, const int64_t *offsets, const double *w, int64_t taps, double *y, int64_t n);
    // parts[p ld + i] = x[i count + p], of n elements of x
    void (*split_f32)(const float *x, int64_t n, int64_t count, float *parts, int64_t ld);
    void (*split_f64)(const double *x, int64_t n, int64_t count, double *parts, int64_t ld);
    // y[i count + p] = parts[p ld + i] for i < n
    void (*weave_f32)(const float *parts, int64_t ld, int64_t count, float *y, int64_t n);
    void (*weave_f64)(const double *parts, int64_t ld, int64_t count, double *y, int64_t n);
    // Gradient of disjoint windows of 2 x 2: rows top and bottom of dx, whose first places are `at`, from g at places
    void (*max_pairs_f32)(const float *g, const int32_t *places, int32_t at, int32_t width, float *top, float *bottom, int64_t n);
    void (*max_pairs_f64)(const double *g, const int32_t *places, int32_t at, int32_t width, double *top, double *bottom, int64_t n);
} tk_windows;

extern const tk_windows tk_windows_baseline, tk_windows_avx2, tk_windows_avx512;

static inline const tk_windows *tk_current_windows(void) {
#if defined(__x86_64__)
    int l = tk_isa_level();
    return l == 2 ? &tk_windows_avx512 : l == 1 ? &tk_windows_avx2 : &tk_windows_baseline;
#else
    return &tk_windows_baseline;
#endif
}

#endif
