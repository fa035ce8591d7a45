// Products of a matrix with a vector for AVX-512, bound by reading the matrix: long rows one after the other, as memory gives most to
// a single stream, short ones four at a time; each line is fetched well ahead of its use.
#include "gemm_avx512.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "CKernels.h"
#include "readahead.h"

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi,bmi2")))
#define INLINE AVX512 static inline __attribute__((always_inline))

enum { ROWS = 4, LONG = 256, AHEAD = 1024, TASK = 32768 };   // in floats but for ROWS

typedef struct {
    const float *a, *x, *bias;
    float *y;
    int64_t rows, k, lda, y_stride, chunk;
    bool accumulate;
} product;

// The sums over k of n rows (at most 4) times x.
INLINE void sums(const int n, const float *a, int64_t lda, const float *x, int64_t k, float *out) {
    __m512 sum[ROWS][2];
#pragma clang loop unroll(full)
    for (int r = 0; r < n; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    int64_t p = 0;
    for (; p + 32 <= k; p += 32) {
        __m512 x0 = _mm512_loadu_ps(x + p), x1 = _mm512_loadu_ps(x + p + 16);
#pragma clang loop unroll(full)
        for (int r = 0; r < n; r++) {
            const float *row = a + r * lda + p;
            _mm_prefetch((const char *)(row + AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)(row + AHEAD + 16), _MM_HINT_T0);
            sum[r][0] = _mm512_fmadd_ps(_mm512_loadu_ps(row), x0, sum[r][0]);
            sum[r][1] = _mm512_fmadd_ps(_mm512_loadu_ps(row + 16), x1, sum[r][1]);
        }
    }
    for (; p < k; p += 16) {
        __mmask16 m = k - p >= 16 ? 0xffff : (__mmask16)((1u << (k - p)) - 1);
        __m512 x0 = _mm512_maskz_loadu_ps(m, x + p);
#pragma clang loop unroll(full)
        for (int r = 0; r < n; r++) sum[r][0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + r * lda + p), x0, sum[r][0]);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < n; r++) out[r] = _mm512_reduce_add_ps(_mm512_add_ps(sum[r][0], sum[r][1]));
}

// The sum over k of one row times x.
INLINE float long_sum(const float *row, const float *x, int64_t k) {
    __m512 sum[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) sum[i] = _mm512_setzero_ps();
    int64_t p = 0;
    for (; p + 64 <= k; p += 64)
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            _mm_prefetch((const char *)(row + p + 16 * i + AHEAD), _MM_HINT_T0);
            sum[i] = _mm512_fmadd_ps(_mm512_loadu_ps(row + p + 16 * i), _mm512_loadu_ps(x + p + 16 * i), sum[i]);
        }
    for (; p < k; p += 16) {
        __mmask16 m = k - p >= 16 ? 0xffff : (__mmask16)((1u << (k - p)) - 1);
        sum[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, row + p), _mm512_maskz_loadu_ps(m, x + p), sum[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

AVX512 static void rows_task(void *context, int64_t task) {
    const product *p = context;
    int64_t end = (task + 1) * p->chunk < p->rows ? (task + 1) * p->chunk : p->rows;
    for (int64_t i = task * p->chunk; i < end; i += ROWS) {
        const float *a = p->a + i * p->lda;
        float out[ROWS];
        int64_t n = end - i < ROWS ? end - i : ROWS;
        if (p->k >= LONG) for (int64_t r = 0; r < n; r++) out[r] = long_sum(a + r * p->lda, p->x, p->k);
        else if (n == ROWS) sums(ROWS, a, p->lda, p->x, p->k, out);
        else for (int64_t r = 0; r < n; r++) sums(1, a + r * p->lda, p->lda, p->x, p->k, out + r);
        for (int64_t r = 0; r < n; r++) {
            float *y = p->y + (i + r) * p->y_stride;
            *y = out[r] + (p->accumulate ? *y : p->bias ? p->bias[i + r] : 0);
        }
    }
}

void tk_sgemv_avx512(const float *a, int64_t lda, int64_t rows, int64_t k, const float *x, float *y, int64_t y_stride, const float *bias,
                     bool accumulate, bool parallel) {
    product p = { .a = a, .x = x, .bias = bias, .y = y, .rows = rows, .k = k, .lda = lda, .y_stride = y_stride, .accumulate = accumulate };
    // About 128 KiB of the matrix per task.
    int64_t chunk = (TASK / (k < 1 ? 1 : k) + ROWS - 1) / ROWS * ROWS;
    p.chunk = chunk < ROWS ? ROWS : chunk;
    int64_t tasks = (rows + p.chunk - 1) / p.chunk;
    if (parallel) {
        if (lda == k) tk_note_matrix(a, (size_t)(rows * k) * sizeof(float));
        tk_parallel(tasks, rows_task, &p);
    } else for (int64_t t = 0; t < tasks; t++) rows_task(&p, t);
}
#endif
