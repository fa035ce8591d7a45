// A product of row-major bfloat16 matrices with AVX512-BF16: c [m, n] = op(a) · op(b) (+ c, or + bias [n] in each row).
#ifndef TAPESTRY_GEMM_BF16_H
#define TAPESTRY_GEMM_BF16_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint16_t *a, *b;
    const float *bias;
    void *c;
    int64_t m, n, k, lda, ldb, ldc;
    bool transpose_a, transpose_b, accumulate;
    bool half;                                   // c is bfloat16, else float
    // If there, makes B's panels in place of b: columns 32 index ..<, `pairs` pairs of k from p0 on, 32 to a row.
    void (*panel)(const void *context, int64_t index, int64_t p0, int64_t pairs, float *out);
    const void *context;
} tk_bgemm;

/// Needs tk_has_bf16_dot() and k > 0. `parallel`: over the pool's threads, else on the caller alone; the same bits either way.
void tk_bgemm_avx512(const tk_bgemm *g, bool parallel);
/// y [m, n] = x [m, k] · w (+ y, or + bias), bound by reading w once: w is [k, n] rows of `ld` elements (then m is 1), or [n, k] if
/// transposed (then m is at most TK_GEMV_ROWS). k > 0; rows of x and y are k and n elements apart.
enum { TK_GEMV_ROWS = 4 };
typedef struct {
    const uint16_t *x, *w;
    const float *bias;
    void *y;
    int64_t m, n, k, ld;
    bool transposed, accumulate, half;
} tk_bgemv;
void tk_bgemv_avx512(const tk_bgemv *g, bool parallel);
#endif
