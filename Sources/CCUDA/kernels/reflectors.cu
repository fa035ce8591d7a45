// Householder's QR factors, as LAPACK packs them, and products of reflectors.
#include "matrices.cuh"

/// Column c (from row k on) minus factor · v (vᴴ column), v = [1, a(k + 1 …, k)]: by a warp.
template <class S> TK_DEVICE void reflect(S *a, long long m, long long k, long long c, S factor) {
    const S *v = a + k * m;
    S *column = a + c * m, sum = tk_number<S>::of(0);
    for (long long i = k + 1 + threadIdx.x; i < m; i += 32) sum = sum + conjugate(v[i]) * column[i];
    sum = factor * (across_warp(sum) + column[k]);
    tk_warp_barrier();   // all lanes have read the row that lane 0 writes
    if (threadIdx.x == 0) column[k] = column[k] - sum;
    for (long long i = k + 1 + threadIdx.x; i < m; i += 32) column[i] = column[i] - sum * v[i];
}

/// a [m, n] becomes R above the vectors of the reflectors H = I - τ v vᴴ, of which Q = H₁ H₂ …
template <class S> TK_DEVICE void qr(S *a, S *tau, const tk_cuda_matrices &s) {
    long long m = s.m, n = s.n, count = m < n ? m : n;
    a += blockIdx.x * m * n;
    tau += blockIdx.x * count;
    for (long long k = 0; k < count; k++) {
        S alpha = a[k + k * m], factor = tk_number<S>::of(0);
        double rest = 0;
        for (long long i = k + 1 + threadIdx.x; i < m; i += 32) rest += square_of(a[i + k * m]);   // every warp for itself
        rest = across_warp(rest);
        double re = real_part_of(alpha), im = imaginary_part_of(alpha);
        bool turns = rest != 0 || im != 0;
        __syncthreads();
        if (turns) {
            double beta = -copysign(sqrt(re * re + im * im + rest), re);
            factor = tk_number<S>::of((beta - re) / beta, -im / beta);
            S scale = tk_number<S>::of(1) / (alpha - tk_number<S>::of(beta));
            for (long long i = k + 1 + tk_thread(); i < m; i += tk_threads()) a[i + k * m] = a[i + k * m] * scale;
            if (tk_thread() == 0) a[k + k * m] = tk_number<S>::of(beta);
        }
        if (tk_thread() == 0) tau[k] = factor;
        __syncthreads();
        if (turns) for (long long c = k + 1 + threadIdx.y; c < n; c += blockDim.y) reflect(a, m, k, c, conjugate(factor));
        __syncthreads();
    }
}

/// a [m, n], whose first k columns have the vectors of k reflectors, becomes the first n columns of their product.
template <class S> TK_DEVICE void householder_product(S *a, const S *tau, const tk_cuda_matrices &s) {
    long long m = s.m, n = s.n, count = s.k;
    a += blockIdx.x * m * n;
    tau += blockIdx.x * count;
    for (long long e = tk_thread(); e < m * (n - count); e += tk_threads()) a[count * m + e] = tk_number<S>::of(e % m == count + e / m ? 1 : 0);
    __syncthreads();
    for (long long k = count - 1; k >= 0; k--) {
        for (long long c = k + 1 + threadIdx.y; c < n; c += blockDim.y) reflect(a, m, k, c, tau[k]);
        __syncthreads();
        for (long long i = tk_thread(); i < m; i += tk_threads())
            a[i + k * m] = i < k ? tk_number<S>::of(0) : i == k ? tk_number<S>::of(1) - tau[k] : -(tau[k] * a[i + k * m]);
        __syncthreads();
    }
}

#define REFLECTORS(S, N)                                                                                          \
    TK_KERNEL(256) tk_qr_##N(S *a, S *tau, tk_cuda_matrices s) { qr(a, tau, s); }                                 \
    TK_EXPORT(tk_qr_##N)                                                                                          \
    TK_KERNEL(256) tk_householder_##N(S *a, const S *tau, tk_cuda_matrices s) { householder_product(a, tau, s); } \
    TK_EXPORT(tk_householder_##N)
TK_MATRIX_TYPES(REFLECTORS)
#undef REFLECTORS
