// Matrix products of every type the CPU multiplies.
#include "epilogue.cuh"
#include "products.cuh"

template <class T> struct left_matrix {
    const T *x;
    long long row_length;
    bool transposed;
    TK_DEVICE_MEMBER bool dense_in_k() const { return !transposed; }
    TK_DEVICE_MEMBER tk_wide<T> operator()(long long i, long long k) const { return tk_widen(x[transposed ? k * row_length + i : i * row_length + k]); }
};
template <class T> struct right_matrix {
    const T *x;
    long long row_length;
    bool transposed;
    TK_DEVICE_MEMBER bool dense_in_k() const { return transposed; }
    TK_DEVICE_MEMBER tk_wide<T> operator()(long long k, long long j) const { return tk_widen(x[transposed ? j * row_length + k : k * row_length + j]); }
};

template <class T> TK_DEVICE void gemm(const T *a, const T *b, void *c, const void *bias, void *product, tk_wide<T> *partial, const tk_cuda_gemm &p) {
    typedef tk_wide<T> F;
    for (long long item = blockIdx.y; item < p.batch * p.splits; item += gridDim.y) {
        long long batch = item / p.splits, split = item % p.splits;
        left_matrix<T> left = {a + batch * p.stride_a, p.lda, p.transpose_a != 0};
        right_matrix<T> right = {b + batch * p.stride_b, p.ldb, p.transpose_b != 0};
        gemm_result<F> result = partial ? gemm_result<F>(partial, p, split * p.batch + batch) : gemm_result<F>(c, bias, product, p, batch);
        tk_multiply<F>(p.m, p.n, p.k * split / p.splits, p.k * (split + 1) / p.splits, left, right, result);
    }
}

#define GEMM(T, NAME)                                                                                                                       \
    TK_KERNEL(256) tk_gemm_##NAME(const T *a, const T *b, void *c, const void *bias, void *product, tk_wide<T> *partial, tk_cuda_gemm p) {   \
        gemm(a, b, c, bias, product, partial, p);                                                                                           \
    }                                                                                                                                       \
    TK_EXPORT(tk_gemm_##NAME)
GEMM(float, f32)
GEMM(double, f64)
GEMM(long long, i64)
GEMM(tk_bfloat, bf16)
GEMM(tk_half, f16)
#undef GEMM

/// Adds the parts of float32 sums, in their order, and finishes the product.
TK_KERNEL(256) tk_gemm_join(const float *partial, void *c, const void *bias, void *product, tk_cuda_gemm p) {
    long long across = (p.n + 3) / 4;
    for (long long e = tk_first(); e < p.batch * p.m * across; e += tk_step()) {
        long long j = e % across * 4, i = e / across % p.m, batch = e / (across * p.m);
        int count = p.n - j < 4 ? (int)(p.n - j) : 4;
        float sum[4] = {0, 0, 0, 0}, part[4];
        for (long long split = 0; split < p.splits; split++) {
            tk_load(partial + ((split * p.batch + batch) * p.m + i) * p.n + j, count, p.n % 4 == 0, part);
#pragma unroll
            for (int k = 0; k < 4; k++) sum[k] += part[k];
        }
        gemm_result<float>(c, bias, product, p, batch)(i, j, sum, count);
    }
}
TK_EXPORT(tk_gemm_join)
