// Matrix products of bfloat16: by dot-product instructions where the CPU has them, else by way of float.
#include "CKernels.h"
#include "gemm_bf16.h"
#include "isa.h"

#include <string.h>

typedef struct {
    const uint16_t *a, *b;
    void *c;
    int64_t m, n, k, lda, ldb, ldc, a_stride, b_stride, c_stride, batch;
    bool transpose_a, transpose_b, accumulate, half;
    const float *bias;
} product;

#if defined(__x86_64__)
// One vector times a matrix, or a matrix times one vector; false if it is neither.
static bool vector_product(const product *p, int64_t matrix, bool parallel) {
    const uint16_t *a = p->a + matrix * p->a_stride, *b = p->b + matrix * p->b_stride;
    void *c = p->half ? (void *)((uint16_t *)p->c + matrix * p->c_stride) : (void *)((float *)p->c + matrix * p->c_stride);
    tk_bgemv v = { .bias = p->bias, .y = c, .m = 1, .k = p->k, .accumulate = p->accumulate, .half = p->half };
    const uint16_t *x;
    int64_t step, out;   // between elements of the vector and of the result
    if (p->m == 1) {
        x = a; step = p->transpose_a ? p->lda : 1; out = 1;
        v.w = b; v.ld = p->ldb; v.n = p->n; v.transposed = p->transpose_b;
    } else if (p->n == 1 && !p->bias) {
        x = b; step = p->transpose_b ? 1 : p->ldb; out = p->ldc;
        v.w = a; v.ld = p->lda; v.n = p->m; v.transposed = !p->transpose_a;
    } else if (p->m <= TK_GEMV_ROWS && p->transpose_b && !p->transpose_a && p->lda == p->k && p->ldc == p->n) {
        x = a; step = out = 1;
        v.w = b; v.ld = p->ldb; v.m = p->m; v.n = p->n; v.transposed = true;
    } else return false;
    size_t x_bytes = step == 1 ? 0 : (size_t)p->k * 2, y_bytes = out == 1 ? 0 : (size_t)v.n * 4;
    v.x = x;
    if (x_bytes) {
        uint16_t *copy = tk_alloc(x_bytes);
        for (int64_t i = 0; i < p->k; i++) copy[i] = x[i * step];
        v.x = copy;
    }
    if (y_bytes) {
        v.y = tk_alloc(y_bytes);
        for (int64_t i = 0; i < v.n && v.accumulate; i++) {
            if (p->half) ((uint16_t *)v.y)[i] = ((uint16_t *)c)[i * out];
            else ((float *)v.y)[i] = ((float *)c)[i * out];
        }
    }
    tk_bgemv_avx512(&v, parallel);
    if (y_bytes) {
        for (int64_t i = 0; i < v.n; i++) {
            if (p->half) ((uint16_t *)c)[i * out] = ((uint16_t *)v.y)[i];
            else ((float *)c)[i * out] = ((float *)v.y)[i];
        }
        tk_free(v.y, y_bytes);
    }
    if (x_bytes) tk_free((void *)v.x, x_bytes);
    return true;
}

static void one(const product *p, int64_t matrix, bool parallel) {
    if (vector_product(p, matrix, parallel)) return;
    int64_t at = matrix * p->c_stride;
    tk_bgemm g = { .a = p->a + matrix * p->a_stride, .b = p->b + matrix * p->b_stride, .bias = p->bias,
                   .c = p->half ? (void *)((uint16_t *)p->c + at) : (void *)((float *)p->c + at), .m = p->m, .n = p->n, .k = p->k,
                   .lda = p->lda, .ldb = p->ldb, .ldc = p->ldc, .transpose_a = p->transpose_a, .transpose_b = p->transpose_b,
                   .accumulate = p->accumulate, .half = p->half };
    tk_bgemm_avx512(&g, parallel);
}

typedef struct { const product *p; int64_t group; } matrices;

static void several(void *context, int64_t task) {
    const matrices *s = context;
    int64_t end = (task + 1) * s->group;
    for (int64_t matrix = task * s->group; matrix < end && matrix < s->p->batch; matrix++) one(s->p, matrix, false);
}
#endif

// Dense floats of the matrices of an operand; `stride` becomes the elements between them.
static float *widened(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld, int64_t *stride, int64_t batch, size_t *bytes) {
    int64_t matrices = *stride == 0 ? 1 : batch;
    *bytes = (size_t)(matrices * rows * columns) * sizeof(float);
    float *out = tk_alloc(*bytes);
    for (int64_t i = 0; i < matrices; i++) {
        const uint16_t *from = x + i * *stride;
        float *to = out + i * rows * columns;
        if (ld == columns) tk_cast(TK_BF16, TK_F32, from, to, rows * columns);
        else for (int64_t r = 0; r < rows; r++) tk_cast(TK_BF16, TK_F32, from + r * ld, to + r * columns, columns);
    }
    if (*stride != 0) *stride = rows * columns;
    return out;
}

// By float products; the result is rounded once.
static void by_way_of_float(const product *p) {
    size_t a_bytes, b_bytes, c_bytes = (size_t)(p->batch * p->m * p->n) * sizeof(float);
    int64_t a_stride = p->a_stride, b_stride = p->b_stride, a_rows = p->transpose_a ? p->k : p->m, b_rows = p->transpose_b ? p->n : p->k;
    int64_t a_columns = p->transpose_a ? p->m : p->k, b_columns = p->transpose_b ? p->k : p->n;
    float *a = widened(p->a, a_rows, a_columns, p->lda, &a_stride, p->batch, &a_bytes);
    float *b = widened(p->b, b_rows, b_columns, p->ldb, &b_stride, p->batch, &b_bytes);
    float *c = p->half ? tk_alloc(c_bytes) : p->c;
    int64_t ldc = p->half ? p->n : p->ldc, c_stride = p->half ? p->m * p->n : p->c_stride;
    if (p->half && p->accumulate)
        for (int64_t i = 0; i < p->batch * p->m; i++)
            tk_cast(TK_BF16, TK_F32, (uint16_t *)p->c + i / p->m * p->c_stride + i % p->m * p->ldc, c + i * p->n, p->n);
    tk_gemm(TK_F32, p->transpose_a, p->transpose_b, p->m, p->n, p->k, a, a_columns, a_stride, b, b_columns, b_stride, c, ldc, c_stride,
            p->batch, p->accumulate, p->bias);
    if (p->half) {
        if (p->ldc == p->n && (p->batch == 1 || p->c_stride == p->m * p->n)) tk_cast(TK_F32, TK_BF16, c, p->c, p->batch * p->m * p->n);
        else
            for (int64_t i = 0; i < p->batch * p->m; i++)
                tk_cast(TK_F32, TK_BF16, c + i * p->n, (uint16_t *)p->c + i / p->m * p->c_stride + i % p->m * p->ldc, p->n);
        tk_free(c, c_bytes);
    }
    tk_free(a, a_bytes);
    tk_free(b, b_bytes);
}

void tk_gemm_bf16(int out_dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                  int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
                  int64_t batch, bool accumulate, int bias_dtype, const void *bias) {
    if (m <= 0 || n <= 0 || batch <= 0) return;
    if (k < 0) k = 0;
    if (accumulate) bias = NULL;
    if (k == 0 && accumulate) return;
    product p = { .a = a, .b = b, .c = c, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc, .a_stride = a_stride,
                  .b_stride = b_stride, .c_stride = c_stride, .batch = batch, .transpose_a = transpose_a, .transpose_b = transpose_b,
                  .accumulate = accumulate, .half = out_dtype == TK_BF16, .bias = bias };
    size_t bias_bytes = bias && bias_dtype != TK_F32 ? (size_t)n * sizeof(float) : 0;
    if (bias_bytes) {
        float *wide = tk_alloc(bias_bytes);
        tk_cast(bias_dtype, TK_F32, bias, wide, n);
        p.bias = wide;
    }
#if defined(__x86_64__)
    if (k > 0 && tk_has_bf16_dot()) {
        double work = (double)m * (double)n * (double)k;
        if (batch == 1 || (batch < 8 && work > 256.0 * 256 * 256)) {
            for (int64_t i = 0; i < batch; i++) one(&p, i, work > 64.0 * 64 * 64);
        } else {
            double group = 64.0 * 64 * 64 / work;
            matrices s = { &p, group < 1 ? 1 : group > (double)batch ? batch : (int64_t)group };
            int64_t tasks = (batch + s.group - 1) / s.group;
            if (tasks == 1) several(&s, 0);
            else tk_parallel(tasks, several, &s);
        }
    } else
#endif
        by_way_of_float(&p);
    if (bias_bytes) tk_free((void *)p.bias, bias_bytes);
}
