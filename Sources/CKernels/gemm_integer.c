// Matrix products of int64, exact and wrapping like all integer arithmetic here: what BLAS does not offer.
#include "CKernels.h"

typedef struct {
    const uint64_t *a, *b;
    uint64_t *c;
    const uint64_t *bias;
    int64_t m, n, k, lda, ldb, ldc, a_stride, b_stride, c_stride;
    bool transpose_a, transpose_b, accumulate;
} product;

static void row(void *context, int64_t index) {
    const product *p = context;
    int64_t batch = index / p->m, i = index % p->m;
    const uint64_t *a = p->a + batch * p->a_stride, *b = p->b + batch * p->b_stride;
    uint64_t *c = p->c + batch * p->c_stride + i * p->ldc;
    if (!p->accumulate)
        for (int64_t j = 0; j < p->n; j++) c[j] = p->bias ? p->bias[j] : 0;
    for (int64_t q = 0; q < p->k; q++) {
        uint64_t x = p->transpose_a ? a[q * p->lda + i] : a[i * p->lda + q];
        if (p->transpose_b)
            for (int64_t j = 0; j < p->n; j++) c[j] += x * b[j * p->ldb + q];
        else
            for (int64_t j = 0; j < p->n; j++) c[j] += x * b[q * p->ldb + j];
    }
}

void tk_gemm_int64(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                   int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
                   int64_t batch, bool accumulate, const void *bias) {
    product p = { .a = a, .b = b, .c = c, .bias = bias, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
                  .a_stride = a_stride, .b_stride = b_stride, .c_stride = c_stride, .transpose_a = transpose_a,
                  .transpose_b = transpose_b, .accumulate = accumulate };
    if (m > 0 && n > 0 && batch > 0) tk_parallel(batch * m, row, &p);
}
