// Exact attention; here over OpenBLAS, for float64 and for CPUs without AVX-512: blocks of queries against tiles of keys with a running maximum and sum (Milakov and Gimelshein, 2018;
// Dao et al., 2022), so that no matrix of scores is ever larger than one tile. Blocks depend on the shape alone.
#include "attention.h"
#include "isa.h"
#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tk_prepare_blas(void);   // gemm.c

enum { query_block = 64, key_tile = 512, key_block = 128 };

void *tk_attention_scratch(size_t bytes) {
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

// Which weights of keys j0 ..< j0 + n of query i dropout keeps; `bh` is batch · heads + head.
static void kept_row(const tk_attention_shape *s, int64_t bh, int64_t i, int64_t j0, int64_t n, bool *kept) {
    uint32_t key[2], threshold = tk_dropout_threshold(s), words[4];
    tk_dropout_key(s, key);
    for (int64_t j = j0; j < j0 + n; j++) {
        if (j == j0 || j % 4 == 0) {
            uint32_t counter[4] = { (uint32_t)(j / 4), (uint32_t)i, (uint32_t)bh, 0 };
            tk_philox4x32(counter, key, words);
        }
        kept[j - j0] = words[j % 4] >= threshold;
    }
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
#define TANH tanhf
#include "attention_body.h"
#undef T
#undef N
#undef GEMM
#undef LOG
#undef EXP
#undef TANH
#define T double
#define N(name) name##_f64
#define GEMM cblas_dgemm
#define LOG log
#define EXP exp
#define TANH tanh
#include "attention_body.h"

// ---- 16-bit elements where the tiles for AVX-512 cannot be used: float copies ----

static float *float_copy(int dtype, const void *x, tk_attention_strides *s, int64_t batch, int64_t heads, int64_t length, int64_t d) {
    float *copy = tk_attention_scratch((size_t)(batch * heads * length * d) * sizeof(float)), *y = copy;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < length; i++, y += d)
                tk_cast(dtype, TK_F32, (const char *)x + 2 * (b * s->batch + h * s->head + i * s->position), y, d);
    *s = (tk_attention_strides){ heads * length * d, length * d, d };
    return copy;
}
static void back(int dtype, float *x, void *out, tk_attention_strides s, int64_t batch, int64_t heads, int64_t length, int64_t d) {
    const float *y = x;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < length; i++, y += d)
                tk_cast(TK_F32, dtype, y, (char *)out + 2 * (b * s.batch + h * s.head + i * s.position), d);
    tk_free(x, (size_t)(batch * heads * length * d) * sizeof(float));
}
static void forget(float *x, int64_t count) { tk_free(x, (size_t)count * sizeof(float)); }

static void forward_16(int dtype, const tk_attention_shape *given, const void *q, const void *k, const void *v, void *out, void *lse) {
    tk_attention_shape s = *given;
    int64_t nq = s.batch * s.heads * s.q_len, nk = s.batch * s.kv_heads * s.kv_len;
    float *x = float_copy(dtype, q, &s.q, s.batch, s.heads, s.q_len, s.dim), *y = float_copy(dtype, k, &s.k, s.batch, s.kv_heads, s.kv_len, s.dim);
    float *z = float_copy(dtype, v, &s.v, s.batch, s.kv_heads, s.kv_len, s.value_dim);
    float *o = tk_attention_scratch((size_t)(nq * s.value_dim) * sizeof(float));
    s.out = (tk_attention_strides){ s.heads * s.q_len * s.value_dim, s.q_len * s.value_dim, s.value_dim };
    forward_f32(&s, x, y, z, o, lse);
    back(dtype, o, out, given->out, s.batch, s.heads, s.q_len, s.value_dim);
    forget(x, nq * s.dim);
    forget(y, nk * s.dim);
    forget(z, nk * s.value_dim);
}

static void backward_16(int dtype, const tk_attention_shape *given, const void *q, const void *k, const void *v, const void *out,
                        const void *lse, const void *dout, tk_attention_strides dos, void *dq, tk_attention_strides dqs, void *dk,
                        tk_attention_strides dks, void *dv, tk_attention_strides dvs) {
    tk_attention_shape s = *given;
    int64_t nq = s.batch * s.heads * s.q_len, nk = s.batch * s.kv_heads * s.kv_len;
    float *x = float_copy(dtype, q, &s.q, s.batch, s.heads, s.q_len, s.dim), *y = float_copy(dtype, k, &s.k, s.batch, s.kv_heads, s.kv_len, s.dim);
    float *z = float_copy(dtype, v, &s.v, s.batch, s.kv_heads, s.kv_len, s.value_dim);
    float *o = float_copy(dtype, out, &s.out, s.batch, s.heads, s.q_len, s.value_dim);
    float *g = float_copy(dtype, dout, &dos, s.batch, s.heads, s.q_len, s.value_dim);
    float *gx = tk_attention_scratch((size_t)(nq * s.dim) * sizeof(float)), *gy = tk_attention_scratch((size_t)(nk * s.dim) * sizeof(float));
    float *gz = tk_attention_scratch((size_t)(nk * s.value_dim) * sizeof(float));
    backward_f32(&s, x, y, z, o, lse, g, dos, gx, s.q, gy, s.k, gz, s.v);
    back(dtype, gx, dq, dqs, s.batch, s.heads, s.q_len, s.dim);
    back(dtype, gy, dk, dks, s.batch, s.kv_heads, s.kv_len, s.dim);
    back(dtype, gz, dv, dvs, s.batch, s.kv_heads, s.kv_len, s.value_dim);
    forget(x, nq * s.dim);
    forget(y, nk * s.dim);
    forget(z, nk * s.value_dim);
    forget(o, nq * s.value_dim);
    forget(g, nq * s.value_dim);
}

// ---- which way ----

static bool by_tiles(int dtype) {
#if defined(__x86_64__)
    return dtype != TK_F64 && tk_isa_level() == 2;
#else
    (void)dtype;
    return false;
#endif
}

void tk_attention(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, void *lse) {
    if (s->batch <= 0 || s->heads <= 0 || s->q_len <= 0) return;
#if defined(__x86_64__)
    if (by_tiles(dtype)) {
        if (tk_attention_wants_few(s)) tk_attention_few_avx512(dtype, s, q, k, v, out, lse);
        else tk_attention_avx512(dtype, s, q, k, v, out, lse);
        return;
    }
#endif
    if (dtype == TK_F64) forward_f64(s, q, k, v, out, lse);
    else if (dtype == TK_F32) forward_f32(s, q, k, v, out, lse);
    else forward_16(dtype, s, q, k, v, out, lse);
}

void tk_attention_grad(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, const void *out,
                       const void *lse, const void *dout, tk_attention_strides dout_strides, void *dq,
                       tk_attention_strides dq_strides, void *dk, tk_attention_strides dk_strides, void *dv,
                       tk_attention_strides dv_strides) {
    if (s->batch <= 0 || s->kv_heads <= 0) return;
#if defined(__x86_64__)
    if (by_tiles(dtype)) {
        tk_attention_grad_avx512(dtype, s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
        return;
    }
#endif
    if (dtype == TK_F64) backward_f64(s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
    else if (dtype == TK_F32) backward_f32(s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
    else backward_16(dtype, s, q, k, v, out, lse, dout, dout_strides, dq, dq_strides, dk, dk_strides, dv, dv_strides);
}

typedef struct { const tk_attention_shape *s; bool *kept; } kept_context;
static void kept_task(void *context, int64_t task) {
    const kept_context *c = context;
    kept_row(c->s, task / c->s->q_len, task % c->s->q_len, 0, c->s->kv_len, c->kept + task * c->s->kv_len);
}
void tk_attention_kept(const tk_attention_shape *s, bool *kept) {
    kept_context c = { s, kept };
    tk_parallel(s->batch * s->heads * s->q_len, kept_task, &c);
}
