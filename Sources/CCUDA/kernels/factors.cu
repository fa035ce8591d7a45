// LU and Cholesky factors, and solutions by them and by triangles.
#include "matrices.cuh"

/// a [m, n] becomes its packed factors; `info` is the first pivot (from 1) that is 0.
template <class S> TK_DEVICE void lu_factor(S *a, int *pivots, int *info, const tk_cuda_matrices &s) {
    TK_SHARED double values[256];
    TK_SHARED long long places[256];
    long long m = s.m, n = s.n, count = m < n ? m : n;
    a += blockIdx.x * m * n;
    pivots += blockIdx.x * count;
    int wrong = 0;
    for (long long j = 0; j < count; j++) {
        long long p = j;
        if (s.flags) {
            double high = -1;
            for (long long i = j + tk_thread(); i < m; i += tk_threads()) {
                double v = rough_size_of(a[i + j * m]);
                if (v > high) { high = v; p = i; }
            }
            p = place_of_largest(high, p, values, places);
            if (p != j)
                for (long long c = tk_thread(); c < n; c += tk_threads()) {
                    S t = a[j + c * m];
                    a[j + c * m] = a[p + c * m];
                    a[p + c * m] = t;
                }
            __syncthreads();
        }
        if (tk_thread() == 0) pivots[j] = (int)p + 1;
        S d = a[j + j * m];
        bool is_zero = real_part_of(d) == 0 && imaginary_part_of(d) == 0;
        if (is_zero && wrong == 0) wrong = (int)j + 1;
        if (!is_zero || !s.flags) for (long long i = j + 1 + tk_thread(); i < m; i += tk_threads()) a[i + j * m] = a[i + j * m] / d;
        __syncthreads();
        long long down = m - j - 1, across = n - j - 1;
        for (long long e = tk_thread(); e < down * across; e += tk_threads()) {
            long long i = j + 1 + e % down, c = j + 1 + e / down;
            a[i + c * m] = a[i + c * m] - a[i + j * m] * a[j + c * m];
        }
        __syncthreads();
    }
    if (tk_thread() == 0) info[blockIdx.x] = wrong;
}

/// b [m, n] becomes A⁻¹ b, or A⁻ᴴ b (flags 1), given A's factors.
template <class S> TK_DEVICE void lu_solve(const S *a, const int *pivots, S *b, const tk_cuda_matrices &s) {
    long long m = s.m, n = s.n;
    a += blockIdx.x * m * m;
    b += blockIdx.x * m * n;
    pivots += blockIdx.x * m;
    bool adjoint = s.flags != 0;
    tk_triangle<S> lower = {a, m, false, true, adjoint, adjoint}, upper = {a, m, true, false, adjoint, adjoint};
    if (adjoint) {
        solve_triangle(upper, b, n, 1, m);
        solve_triangle(lower, b, n, 1, m);
    }
    // A column's exchanges are one thread's.
    for (long long c = tk_thread(); c < n; c += tk_threads())
        for (long long k = 0; k < m; k++) {
            long long i = adjoint ? m - 1 - k : k, p = pivots[i] - 1;
            S t = b[i + c * m];
            b[i + c * m] = b[p + c * m];
            b[p + c * m] = t;
        }
    __syncthreads();
    if (!adjoint) {
        solve_triangle(lower, b, n, 1, m);
        solve_triangle(upper, b, n, 1, m);
    }
}

enum { CHOLESKY_UPPER = 1 };
/// L(i, j), which an upper factor U = Lᴴ has at (j, i).
template <class S> TK_DEVICE S lower_at(const S *a, long long n, long long i, long long j, bool upper) { return upper ? conjugate(a[j + i * n]) : a[i + j * n]; }
template <class S> TK_DEVICE void set_lower(S *a, long long n, long long i, long long j, bool upper, S x) {
    if (upper) a[j + i * n] = conjugate(x);
    else a[i + j * n] = x;
}

/// a [n, n] becomes its factor, zeros beside it; `info` is the order of the first leading block that is not positive definite.
template <class S> TK_DEVICE void cholesky(S *a, int *info, const tk_cuda_matrices &s) {
    long long n = s.n;
    bool upper = s.flags & CHOLESKY_UPPER;
    a += blockIdx.x * n * n;
    int wrong = 0;
    for (long long j = 0; j < n && wrong == 0; j++) {
        double d = real_part_of(a[j + j * n]);
        if (!(d > 0)) { wrong = (int)j + 1; break; }   // for all threads
        d = sqrt(d);
        __syncthreads();
        if (tk_thread() == 0) a[j + j * n] = tk_number<S>::of(d);
        for (long long i = j + 1 + tk_thread(); i < n; i += tk_threads()) set_lower(a, n, i, j, upper, scaled(lower_at(a, n, i, j, upper), 1 / d));
        __syncthreads();
        long long rest = n - j - 1;
        for (long long e = tk_thread(); e < rest * rest; e += tk_threads()) {
            long long i = j + 1 + e % rest, c = j + 1 + e / rest;
            if (i >= c) set_lower(a, n, i, c, upper, lower_at(a, n, i, c, upper) - lower_at(a, n, i, j, upper) * conjugate(lower_at(a, n, c, j, upper)));
        }
        __syncthreads();
    }
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) {
        long long i = e % n, c = e / n;
        if (upper ? i > c : i < c) a[e] = tk_number<S>::of(0);
    }
    if (tk_thread() == 0) info[blockIdx.x] = wrong;
}

template <class S> TK_DEVICE void solve_by_cholesky(const S *a, long long n, bool upper, S *b, long long columns) {
    tk_triangle<S> first = {a, n, upper, false, upper, upper}, second = {a, n, upper, false, !upper, !upper};
    solve_triangle(first, b, columns, 1, n);
    solve_triangle(second, b, columns, 1, n);
}
/// b [m, n] becomes A⁻¹ b, given A's factor.
template <class S> TK_DEVICE void cholesky_solve(const S *a, S *b, const tk_cuda_matrices &s) {
    solve_by_cholesky(a + blockIdx.x * s.m * s.m, s.m, (s.flags & CHOLESKY_UPPER) != 0, b + blockIdx.x * s.m * s.n, s.n);
}
/// `out` [n, n] becomes the inverse of the matrix whose factor `a` is; `info` is the first diagonal element (from 1) that is 0.
template <class S> TK_DEVICE void cholesky_inverse(const S *a, S *out, int *info, const tk_cuda_matrices &s) {
    long long n = s.n;
    a += blockIdx.x * n * n;
    out += blockIdx.x * n * n;
    int wrong = 0;
    for (long long j = 0; j < n && wrong == 0; j++) if (size_of(a[j + j * n]) == 0) wrong = (int)j + 1;
    if (tk_thread() == 0) info[blockIdx.x] = wrong;
    if (wrong) return;   // all threads
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) out[e] = tk_number<S>::of(e % n == e / n ? 1 : 0);
    __syncthreads();
    solve_by_cholesky(a, n, (s.flags & CHOLESKY_UPPER) != 0, out, n);
}

enum { FORM_LEFT = 1, FORM_UPPER = 2, FORM_UNIT = 4, FORM_TRANSPOSED = 8, FORM_CONJUGATED = 16 };
/// b [m, n] becomes op(A)⁻¹ b, or b op(A)⁻¹, whose transpose is op(A)⁻ᵀ bᵀ.
template <class S> TK_DEVICE void triangular_solve(const S *a, S *b, const tk_cuda_matrices &s) {
    bool left = s.flags & FORM_LEFT;
    long long size = left ? s.m : s.n;
    bool conjugated = s.flags & FORM_CONJUGATED, transposed = conjugated || (s.flags & FORM_TRANSPOSED);
    tk_triangle<S> triangle = {a + blockIdx.x * size * size, size, (s.flags & FORM_UPPER) != 0, (s.flags & FORM_UNIT) != 0, transposed == left, conjugated};
    solve_triangle(triangle, b + blockIdx.x * s.m * s.n, left ? s.n : s.m, left ? 1 : s.m, left ? s.m : 1);
}

#define FACTORS(S, N)                                                                                                                 \
    TK_KERNEL(256) tk_lu_factor_##N(S *a, int *pivots, int *info, tk_cuda_matrices s) { lu_factor(a, pivots, info, s); }               \
    TK_EXPORT(tk_lu_factor_##N)                                                                                                       \
    TK_KERNEL(256) tk_lu_solve_##N(const S *a, const int *pivots, S *b, tk_cuda_matrices s) { lu_solve(a, pivots, b, s); }             \
    TK_EXPORT(tk_lu_solve_##N)                                                                                                        \
    TK_KERNEL(256) tk_cholesky_##N(S *a, int *info, tk_cuda_matrices s) { cholesky(a, info, s); }                                      \
    TK_EXPORT(tk_cholesky_##N)                                                                                                        \
    TK_KERNEL(256) tk_cholesky_solve_##N(const S *a, S *b, tk_cuda_matrices s) { cholesky_solve(a, b, s); }                            \
    TK_EXPORT(tk_cholesky_solve_##N)                                                                                                  \
    TK_KERNEL(256) tk_cholesky_inverse_##N(const S *a, S *out, int *info, tk_cuda_matrices s) { cholesky_inverse(a, out, info, s); }   \
    TK_EXPORT(tk_cholesky_inverse_##N)                                                                                                \
    TK_KERNEL(256) tk_triangular_solve_##N(const S *a, S *b, tk_cuda_matrices s) { triangular_solve(a, b, s); }                        \
    TK_EXPORT(tk_triangular_solve_##N)
TK_MATRIX_TYPES(FACTORS)
#undef FACTORS
