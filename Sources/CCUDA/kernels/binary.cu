// Functions of two arguments: over dense elements with vectors, and over any strides.
#include "functions.cuh"
#include "vectors.cuh"
#include "walk.cuh"

/// A step is 1, or 0 for one repeated element; without `b` that is `scalar`, rounded to the type.
template <class T> TK_DEVICE void dense(int op, const T *a, bool a_moves, const T *b, bool b_moves, T *out, long long n, double scalar) {
    enum { N = tk_each<T>::count };
    typedef tk_wide<T> F;
    bool vector = tk_aligned<T, N>(out) && (!a_moves || tk_aligned<T, N>(a)) && (!b_moves || tk_aligned<T, N>(b));
    F first = a_moves ? (F)0 : tk_widen(a[0]), second = !b ? tk_widen(tk_narrow<T>((F)scalar)) : b_moves ? (F)0 : tk_widen(b[0]);
    for (long long i = tk_first() * N; i < n; i += tk_step() * N) {
        bool whole = vector && n - i >= N;
        F u[N], v[N];
        if (a_moves) tk_load<T, N>(a + i, n - i, whole, u);
        if (b_moves) tk_load<T, N>(b + i, n - i, whole, v);
#pragma unroll
        for (int k = 0; k < N; k++) u[k] = arithmetic(op, a_moves ? u[k] : first, b_moves ? v[k] : second);
        tk_store<T, N>(out + i, n - i, whole, u);
    }
}

// A dense result: operand 0 is a, 1 is b. 
#define FLOATS(T, S)                                                                                                                 \
    TK_KERNEL(256) tk_binary_dense_##S(const T *a, const T *b, T *out, long long n, long long op, long long a_moves,                  \
                                       long long b_moves, double scalar) {                                                           \
        dense((int)op, a, a_moves != 0, b, b_moves != 0, out, n, scalar);                                                            \
    }                                                                                                                                \
    TK_EXPORT(tk_binary_dense_##S)                                                                                                   \
    TK_KERNEL(256) tk_binary_##S(const T *a, const T *b, T *out, tk_cuda_walk walk, long long op) {                                   \
        for (long long i = tk_first(); i < walk.count; i += tk_step()) {                                                             \
            long long at[2];                                                                                                         \
            tk_locate(walk, i, at);                                                                                                  \
            out[i] = tk_narrow<T>(arithmetic((int)op, tk_widen(a[at[0]]), tk_widen(b[at[1]])));                                      \
        }                                                                                                                            \
    }                                                                                                                                \
    TK_EXPORT(tk_binary_##S)
TK_FLOAT_TYPES(FLOATS)
#undef FLOATS

// The other functions, without `b` of a scalar. 16-bit floats go through float32.
#define RARE(T, S)                                                                                                                   \
    TK_KERNEL(256) tk_binary_rare_##S(const T *a, const T *b, T *out, tk_cuda_walk walk, long long op, double scalar) {               \
        for (long long i = tk_first(); i < walk.count; i += tk_step()) {                                                             \
            long long at[2];                                                                                                         \
            tk_locate(walk, i, at);                                                                                                  \
            out[i] = rare_binary((int)op, a[at[0]], b ? b[at[1]] : (T)scalar);                                                       \
        }                                                                                                                            \
    }                                                                                                                                \
    TK_EXPORT(tk_binary_rare_##S)
TK_WIDE_TYPES(RARE)
#undef RARE

TK_DEVICE long long power(long long base, long long exponent) {
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    unsigned long long result = 1, b = (unsigned long long)base;
    for (; exponent; exponent >>= 1, b *= b) if (exponent & 1) result *= b;
    return (long long)result;
}
TK_DEVICE long long divisor(long long a, long long b) {
    unsigned long long x = a < 0 ? 0 - (unsigned long long)a : (unsigned long long)a, y = b < 0 ? 0 - (unsigned long long)b : (unsigned long long)b;
    while (y) { unsigned long long r = x % y; x = y; y = r; }
    return (long long)x;
}

/// Wraps; a division by zero gives 0, and the smallest number divided by -1 itself.
template <class T> TK_DEVICE T integer_binary(int op, T a, T b) {
    typedef unsigned long long U;
    const T least = (T)-1, bits = (T)(8 * sizeof(T));
    bool negates = least < 0 && b == least;
    switch (op) {
    case OP_ADD: return (T)((U)a + (U)b);
    case OP_SUB: return (T)((U)a - (U)b);
    case OP_MUL: return (T)((U)a * (U)b);
    case OP_DIV: return b == 0 ? (T)0 : negates ? (T)(0 - (U)a) : (T)(a / b);
    case OP_POW: return (T)power((long long)a, (long long)b);
    case OP_MAX: return a > b ? a : b;
    case OP_MIN: return a < b ? a : b;
    case OP_REMAINDER: {
        if (b == 0 || negates) return (T)0;
        T r = (T)(a % b);
        return r != 0 && ((r < 0) != (b < 0)) ? (T)(r + b) : r;
    }
    case OP_FLOOR_DIV: {
        if (b == 0) return (T)0;
        if (negates) return (T)(0 - (U)a);
        T q = (T)(a / b);
        return a % b != 0 && ((a < 0) != (b < 0)) ? (T)(q - 1) : q;
    }
    case OP_AND: return (T)(a & b);
    case OP_OR: return (T)(a | b);
    case OP_FMOD: return b == 0 || negates ? (T)0 : (T)(a % b);
    case OP_GCD: return (T)divisor((long long)a, (long long)b);
    case OP_LCM: {
        long long g = divisor((long long)a, (long long)b), m = g == 0 ? 0 : (long long)((U)((long long)a / g) * (U)b);
        return (T)(m < 0 ? 0 - (U)m : (U)m);
    }
    case OP_LEFT_SHIFT: return b < 0 || b >= bits ? (T)0 : (T)((U)a << b);
    case OP_RIGHT_SHIFT: return b < 0 || b >= bits ? (a < 0 ? (T)-1 : (T)0) : (T)(a >> b);
    default: return (T)(a ^ b);
    }
}
#define INTEGERS(T, S)                                                                                                               \
    TK_KERNEL(256) tk_binary_##S(const T *a, const T *b, T *out, tk_cuda_walk walk, long long op) {                                   \
        for (long long i = tk_first(); i < walk.count; i += tk_step()) {                                                             \
            long long at[2];                                                                                                         \
            tk_locate(walk, i, at);                                                                                                  \
            out[i] = integer_binary((int)op, a[at[0]], b[at[1]]);                                                                    \
        }                                                                                                                            \
    }                                                                                                                                \
    TK_EXPORT(tk_binary_##S)
TK_INTEGER_TYPES(INTEGERS)
#undef INTEGERS

/// y += alpha · x.
#define AXPY(T, S)                                                                                                                   \
    TK_KERNEL(256) tk_axpy_##S(const T *x, T *y, long long n, double alpha) {                                                         \
        for (long long i = tk_first(); i < n; i += tk_step()) y[i] = tk_narrow<T>(tk_widen(y[i]) + (tk_wide<T>)alpha * tk_widen(x[i])); \
    }                                                                                                                                \
    TK_EXPORT(tk_axpy_##S)
TK_FLOAT_TYPES(AXPY)
#undef AXPY
