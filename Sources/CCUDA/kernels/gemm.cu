// Matrix products of every type the CPU multiplies.
#include "arguments.cuh"
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
template <class F, class R, class B> struct result_matrix {
    R *x;
    const B *bias;
    long long row_length;
    bool accumulates;
    TK_DEVICE_MEMBER void operator()(long long i, long long j, F value) const {
        R *to = x + i * row_length + j;
        if (bias) value += (F)tk_widen(bias[j]);
        if (accumulates) value += (F)tk_widen(*to);
        *to = tk_narrow<R>((tk_wide<R>)value);
    }
};

template <class T, class R, class B> TK_DEVICE void gemm(const T *a, const T *b, R *c, const B *bias, const tk_cuda_gemm &p) {
    for (long long batch = blockIdx.y; batch < p.batch; batch += gridDim.y) {
        left_matrix<T> left = {a + batch * p.stride_a, p.lda, p.transpose_a != 0};
        right_matrix<T> right = {b + batch * p.stride_b, p.ldb, p.transpose_b != 0};
        result_matrix<tk_wide<T>, R, B> result = {c + batch * p.stride_c, bias, p.ldc, p.accumulate != 0};
        tk_multiply<tk_wide<T>>(p.m, p.n, p.k, left, right, result);
    }
}

#define GEMM(T, R, B, NAME)                                                                                              \
    TK_KERNEL(256) tk_gemm_##NAME(const T *a, const T *b, R *c, const B *bias, tk_cuda_gemm p) { gemm(a, b, c, bias, p); } \
    TK_EXPORT(tk_gemm_##NAME)
GEMM(float, float, float, f32)
GEMM(double, double, double, f64)
GEMM(long long, long long, long long, i64)
GEMM(tk_bfloat, tk_bfloat, tk_bfloat, bf16)
GEMM(tk_bfloat, tk_bfloat, float, bf16_bf16_f32)   // the result, then the bias
GEMM(tk_bfloat, float, tk_bfloat, bf16_f32_bf16)
GEMM(tk_bfloat, float, float, bf16_f32_f32)
#undef GEMM
