// A single-precision product of row-major matrices: c [m, n] = op(a) · op(b) (+ c, or + bias [n] in each row).
#ifndef TAPESTRY_GEMM_AVX512_H
#define TAPESTRY_GEMM_AVX512_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const float *a, *b, *bias;
    float *c;
    int64_t m, n, k, lda, ldb, ldc;
    bool transpose_a, transpose_b, accumulate;
} tk_sgemm;

/// Needs a CPU with AVX-512, and k > 0. `parallel`: over the pool's threads, else on the caller alone; the same bits either way.
void tk_sgemm_avx512(const tk_sgemm *g, bool parallel);
#endif
