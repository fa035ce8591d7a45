// The kernels of one instruction set, as a table of functions; three tables are compiled from the same templates.
#ifndef TAPESTRY_LEVELS_H
#define TAPESTRY_LEVELS_H

#include "CKernels.h"
#include "isa.h"

/// What a pair of skip-gram updates beside its center: the context's row, then different rows of noise with how often each was drawn.
typedef struct {
    int count;
    float *row[TK_SKIP_ROWS];
    float times[TK_SKIP_ROWS];
} tk_skip_rows;

typedef struct {
    // y[i] = op(x[i]), float; outputs begin on a cache line where they stream
    void (*unary)(int op, const float *x, float *y, int64_t n, bool stream);
    void (*unary_grad)(int op, const float *s, const float *g, float *dx, int64_t n, bool stream);
    // a step of 0 repeats one element
    void (*binary_f32)(int op, const float *a, int64_t sa, const float *b, int64_t sb, float *out, int64_t n);
    void (*binary_f64)(int op, const double *a, int64_t sa, const double *b, int64_t sb, double *out, int64_t n);
    // out = a b + c; steps are 0 or 1
    void (*multiply_add)(const float *a, const float *b, int64_t sb, const float *c, int64_t sc, float *out, int64_t n);
    // out[i] = x[i] between the bounds, NaN stays; comparisons of dense rows
    void (*clamp)(const float *x, float *out, int64_t n, float low, float high);
    void (*compare)(int op, const float *a, const float *b, bool *out, int64_t n);
    // + - * / past the caches; `out` begins on a cache line
    void (*binary_stream)(int op, const float *a, int64_t sa, const float *b, int64_t sb, float *out, int64_t n);
    // out[i] = c[i] ? a[i] : b[i]; `out` begins on a cache line where it streams
    void (*select)(const bool *c, const float *a, const float *b, float *out, int64_t n, bool stream);
    float (*sum)(const float *x, int64_t n);
    double (*sum_squares)(const float *x, int64_t n);
    float (*max)(const float *x, int64_t n);
    void (*add_rows)(const float *x, float *acc, int64_t n);
    // sum[i] += x[i], y[i] = sum[i]
    void (*add_to_sums)(const float *x, double *sum, float *y, int64_t n);
    // y[i] = carry + x[0] + ... + x[i], added in double; the last sum
    double (*running_sum)(const float *x, float *y, double carry, int64_t n);
    void (*softmax_row)(const float *x, float *y, int64_t n, int log);
    void (*softmax_grad_row)(const float *y, const float *g, float *dx, int64_t n, int log);
    float (*lse_row)(const float *x, int64_t n, float *sum);
    void (*cross_entropy_grad_row)(const float *x, float lse, float g, float uniform, float *dx, int64_t n, bool stream);
    void (*layer_norm_row)(const float *x, const float *w, const float *b, float *y, float *mean, float *rstd, int64_t n, float eps);
    void (*layer_norm_grad_row)(const float *x, const float *w, float mean, float rstd, const float *g, float *dx, float *dw, float *db, int64_t n);
    void (*rms_norm_row)(const float *x, const float *w, float *y, float *rstd, int64_t n, float eps);
    void (*rms_norm_grad_row)(const float *x, const float *w, float rstd, const float *g, float *dx, float *dw, int64_t n);
    void (*sgd)(float *p, const float *g, float *buf, int64_t n, const tk_sgd_options *o);
    void (*adam)(float *p, const float *g, float *m, float *v, float *vmax, int64_t n, const tk_adam_options *o);
    // y = op(x) for a ReLU, GELU or SiLU: [rows, columns], rows `ld` apart; y may be x
    void (*activate_tile)(int op, const float *x, float *y, int64_t ld, int64_t rows, int64_t columns);
    void (*half_to_float)(int dtype, const uint16_t *x, float *y, int64_t n);
    void (*float_to_half)(int dtype, const float *x, uint16_t *y, int64_t n);
    // a step for one pair, whose loss is returned; `ahead` rows are fetched; `work` has room for a row
    float (*skip_gram)(float *h, const tk_skip_rows *rows, int64_t width, float rate, float *work, const float *const *next, int ahead);
    // float to 16 bits, the elements from `start`, a multiple of 128, on; see rounding.inc
    void (*round_stochastically)(int dtype, uint64_t seed, uint64_t offset, int64_t start, const float *x, uint16_t *y, int64_t n);
} tk_level;

extern const tk_level tk_level_baseline, tk_level_avx2, tk_level_avx512;

static inline const tk_level *tk_current_level(void) {
#if defined(__x86_64__)
    int l = tk_isa_level();
    return l == 2 ? &tk_level_avx512 : l == 1 ? &tk_level_avx2 : &tk_level_baseline;
#else
    return &tk_level_baseline;
#endif
}

/// An element of 16 bytes, as it is moved.
typedef struct { uint64_t low, high; } tk_pair;

// complex.c and special.c: rows; the inputs of the complex binary ones have steps.
void tk_unary_complex(int op, int dtype, const void *x, void *y, int64_t n);
void tk_binary_complex(int op, int dtype, const void *a, int64_t sa, const void *b, int64_t sb, void *out, int64_t n);
void tk_unary_special(int op, const double *x, double *y, int64_t n);
void tk_binary_special(int op, const double *a, const double *b, double *out, int64_t n);
static inline bool tk_is_complex(int dtype) { return dtype == TK_C64 || dtype == TK_C128; }

/// Work per task of cheap elementwise kernels.
enum { TK_GRAIN = 32768 };

static inline int64_t tk_element_size(int dtype) {
    static const int8_t size[TK_DTYPE_COUNT] = {4, 8, 2, 2, 1, 1, 4, 8, 1, 8, 16, 1, 1};
    return size[dtype];
}

#endif
