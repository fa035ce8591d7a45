// Exact attention over OpenBLAS: blocks of queries against tiles of keys with a running maximum and sum (Milakov and Gimelshein, 2018;
// Dao et al., 2022), so that no matrix of scores is ever larger than one tile. Blocks depend on the shape alone.
#include "CKernels.h"
#include "isa.h"
#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tk_prepare_blas(void);   // gemm.c

enum { query_block = 64, key_tile = 512, key_block = 128 };

static void *need(size_t bytes) {
    void *p = tk_alloc(bytes);
    if (!p) {
        fprintf(stderr, "Tapestry: out of memory (%zu bytes of scratch for attention)\n", bytes);
        abort();
    }
    return p;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// ---- rows of scores in float, for each instruction set ----
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define W 4
#define V(name) JOIN(name, _baseline)
#include "attention_rows.h"
#undef W
#undef V
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define W 8
#define V(name) JOIN(name, _avx2)
#include "attention_rows.h"
#undef W
#undef V
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define W 16
#define V(name) JOIN(name, _avx512)
#include "attention_rows.h"
#undef W
#undef V
#pragma clang attribute pop
#endif

static float forward_row_f32(float *s, int64_t n, int64_t padded, float *maximum) {
#if defined(__x86_64__)
    int level = tk_isa_level();
    if (level == 2) return forward_row_avx512(s, n, padded, maximum);
    if (level == 1) return forward_row_avx2(s, n, padded, maximum);
#endif
    return forward_row_baseline(s, n, padded, maximum);
}
static void backward_row_f32(float *s, float *dp, int64_t n, int64_t padded, float lse, float delta, float scale) {
#if defined(__x86_64__)
    int level = tk_isa_level();
    if (level == 2) { backward_row_avx512(s, dp, n, padded, lse, delta, scale); return; }
    if (level == 1) { backward_row_avx2(s, dp, n, padded, lse, delta, scale); return; }
#endif
    backward_row_baseline(s, dp, n, padded, lse, delta, scale);
}

static double forward_row_f64(double *s, int64_t n, int64_t padded, double *maximum) {
    double m = *maximum, sum = 0;
    for (int64_t j = 0; j < n; j++) m = s[j] > m ? s[j] : m;
    double shift = m == -INFINITY ? 0 : m;
    for (int64_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - shift);
    for (int64_t j = n; j < padded; j++) s[j] = 0;
    *maximum = m;
    return sum;
}
static void backward_row_f64(double *s, double *dp, int64_t n, int64_t padded, double lse, double delta, double scale) {
    for (int64_t j = 0; j < n; j++) {
        s[j] = exp(s[j] - lse);
        dp[j] = s[j] * (dp[j] - delta) * scale;
    }
    for (int64_t j = n; j < padded; j++) s[j] = dp[j] = 0;
}

// ---- the blocks, for each element type ----
typedef struct {
    const tk_attention_shape *s;
    const void *q, *k, *v, *out, *dout;
    void *lse, *dq, *dk, *dv, *result;
    int64_t q_blocks, k_blocks, q_row, k_row, v_row, o_row, do_row, dq_row, dk_row, dv_row;   // row lengths for BLAS
    tk_attention_strides dos, dqs, dks, dvs;
    bool two_passes;
} attention;

// How many keys the query at position i sees.
static inline int64_t visible(const tk_attention_shape *s, int64_t i) {
    if (!s->causal) return s->kv_len;
    int64_t n = i + 1 + s->kv_len - s->q_len;
    return n < 0 ? 0 : n > s->kv_len ? s->kv_len : n;
}
// The row length for BLAS. A single row may have any stride.
static inline int64_t row_length(int64_t stride, int64_t count, int64_t dim) { return count <= 1 && stride < dim ? dim : stride; }
static bool fits(int64_t stride, int64_t count, int64_t dim) {
    stride = row_length(stride, count, dim);
    return stride >= dim && stride <= INT_MAX;
}

#define T float
#define N(name) name##_f32
#define GEMM cblas_sgemm
#define LOG logf
#define EXP expf
#include "attention_body.h"
#undef T
#undef N
#undef GEMM
#undef LOG
#undef EXP
#define T double
#define N(name) name##_f64
#define GEMM cblas_dgemm
#define LOG log
#define EXP exp
#include "attention_body.h"

void tk_attention(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, void *lse) {
    if (s->batch <= 0 || s->heads <= 0 || s->q_len <= 0) return;
    if (dtype == TK_F64) forward_f64(s, q, k, v, out, lse);
    else forward_f32(s, q, k, v, out, lse);
}

void tk_attention_grad(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, const void *out,
                       const void *lse, const void *dout, tk_attention_strides dout_strides, void *dq,
                       tk_attention_strides dq_strides, void *dk, tk_attention_strides dk_strides, void *dv,
                       tk_attention_strides dv_strides) {
    if (s->batch <= 0 || s->kv_heads <= 0 || s->dim <= 0) return;
    if (dtype == TK_F64) backward_f64(s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
    else backward_f32(s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
}
