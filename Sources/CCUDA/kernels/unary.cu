// Functions of one argument, and derivatives times gradients, over dense elements.
#include "functions.cuh"
#include "vectors.cuh"

template <class T> TK_DEVICE void unary(int op, const T *x, T *out, long long n) {
    enum { N = tk_each<T>::count };
    bool vector = tk_aligned<T, N>(x) && tk_aligned<T, N>(out);
    for (long long i = tk_first() * N; i < n; i += tk_step() * N) {
        tk_wide<T> v[N];
        tk_load<T, N>(x + i, n - i, vector && n - i >= N, v);
        frequent(op, v);
        tk_store<T, N>(out + i, n - i, vector && n - i >= N, v);
    }
}

template <class T> TK_DEVICE void unary_grad(int op, const T *saved, const T *g, T *out, long long n) {
    enum { N = tk_each<T>::count };
    bool vector = tk_aligned<T, N>(saved) && tk_aligned<T, N>(g) && tk_aligned<T, N>(out);
    for (long long i = tk_first() * N; i < n; i += tk_step() * N) {
        bool whole = vector && n - i >= N;
        tk_wide<T> s[N], v[N];
        tk_load<T, N>(saved + i, n - i, whole, s);
        tk_load<T, N>(g + i, n - i, whole, v);
#pragma unroll
        for (int k = 0; k < N; k++) v[k] = slope(op, s[k], v[k]);
        tk_store<T, N>(out + i, n - i, whole, v);
    }
}

#define FLOATS(T, S)                                                                                                    \
    TK_KERNEL(256) tk_unary_##S(const T *x, T *out, long long n, long long op) { unary((int)op, x, out, n); }            \
    TK_EXPORT(tk_unary_##S)                                                                                             \
    TK_KERNEL(256) tk_unary_grad_##S(const T *saved, const T *g, T *out, long long n, long long op) {                    \
        unary_grad((int)op, saved, g, out, n);                                                                          \
    }                                                                                                                   \
    TK_EXPORT(tk_unary_grad_##S)
TK_FLOAT_TYPES(FLOATS)
#undef FLOATS

// 16-bit floats go through float32.
#define RARE(T, S)                                                                                                      \
    TK_KERNEL(256) tk_unary_rare_##S(const T *x, T *out, long long n, long long op) {                                    \
        for (long long i = tk_first(); i < n; i += tk_step()) out[i] = rare((int)op, x[i]);                             \
    }                                                                                                                   \
    TK_EXPORT(tk_unary_rare_##S)
TK_WIDE_TYPES(RARE)
#undef RARE

template <class T> TK_DEVICE T integer_unary(int op, T x) {
    switch (op) {
    case OP_NEG: return (T)(0 - (unsigned long long)x);
    case OP_ABS: return x < 0 ? (T)(0 - (unsigned long long)x) : x;
    case OP_SIGN: return (T)((x > 0) - (x < 0));
    case OP_SQUARE: return (T)((unsigned long long)x * (unsigned long long)x);
    case OP_RELU: return x > 0 ? x : (T)0;
    default: return (T)~x;
    }
}
#define INTEGERS(T, S)                                                                                                  \
    TK_KERNEL(256) tk_unary_##S(const T *x, T *out, long long n, long long op) {                                         \
        for (long long i = tk_first(); i < n; i += tk_step()) out[i] = integer_unary((int)op, x[i]);                    \
    }                                                                                                                   \
    TK_EXPORT(tk_unary_##S)
TK_INTEGER_TYPES(INTEGERS)
#undef INTEGERS

TK_KERNEL(256) tk_unary_bool(const unsigned char *x, unsigned char *out, long long n, long long) {
    for (long long i = tk_first(); i < n; i += tk_step()) out[i] = !x[i];
}
TK_EXPORT(tk_unary_bool)
