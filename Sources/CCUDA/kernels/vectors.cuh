// Several elements of a thread at once: read and written by one instruction where their addresses allow it.
#ifndef TK_VECTORS_CUH
#define TK_VECTORS_CUH
#include "types.cuh"

/// Elements of a thread: enough loads on the way to keep the memory busy.
template <class T> struct tk_each { enum { count = sizeof(T) == 8 ? 2 : 4 }; };
template <class T, int N> struct alignas(sizeof(T) * N) tk_vector { T at[N]; };

template <class T, int N> TK_DEVICE bool tk_aligned(const T *x) { return (unsigned long long)x % (sizeof(T) * N) == 0; }

/// `left` elements from `x` on are there; `vector` says that all are and that the address is aligned.
template <class T, int N> TK_DEVICE void tk_load(const T *x, long long left, bool vector, tk_wide<T> (&out)[N]) {
    if (vector) {
        tk_vector<T, N> v = *(const tk_vector<T, N> *)x;
#pragma unroll
        for (int k = 0; k < N; k++) out[k] = tk_widen(v.at[k]);
    } else {
#pragma unroll
        for (int k = 0; k < N; k++) out[k] = k < left ? tk_widen(x[k]) : (tk_wide<T>)0;
    }
}
template <class T, int N> TK_DEVICE void tk_store(T *out, long long left, bool vector, const tk_wide<T> (&x)[N]) {
    if (vector) {
        tk_vector<T, N> v;
#pragma unroll
        for (int k = 0; k < N; k++) v.at[k] = tk_narrow<T>(x[k]);
        *(tk_vector<T, N> *)out = v;
    } else {
#pragma unroll
        for (int k = 0; k < N; k++) if (k < left) out[k] = tk_narrow<T>(x[k]);
    }
}

#endif
