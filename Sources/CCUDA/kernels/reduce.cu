// Reductions along the middle of [outer, n, inner]. A block has blockDim.x neighbours of `inner` and blockDim.y places along n (a power
// of two); neighbouring threads read neighbouring elements whatever the sizes are. blockIdx.y takes a part of n: with more than one, the
// results [parts, outer, inner] are reduced once more.
#include "complex.cuh"
#include "groups.cuh"

template <class F> TK_DEVICE tk_complex<F> combine(int op, tk_complex<F> a, tk_complex<F> b) { return op == OP_REDUCE_SUM ? a + b : a * b; }
template <class F> TK_DEVICE F combine(int op, F a, F b) {
    switch (op) {
    case OP_REDUCE_SUM: return a + b;
    case OP_REDUCE_PROD: return a * b;
    case OP_REDUCE_MAX: return larger(a, b);
    case OP_REDUCE_MIN: return smaller(a, b);
    case OP_REDUCE_ANY: return (F)(a != 0 || b != 0);
    default: return (F)(a != 0 && b != 0);
    }
}
TK_DEVICE float least(float) { return -tk_infinity(0.0f); }
TK_DEVICE double least(double) { return -tk_infinity(0.0); }
TK_DEVICE signed char least(signed char) { return -128; }
TK_DEVICE unsigned char least(unsigned char) { return 0; }
TK_DEVICE int least(int) { return -2147483647 - 1; }
TK_DEVICE long long least(long long) { return -9223372036854775807ll - 1; }
TK_DEVICE float most(float) { return tk_infinity(0.0f); }
TK_DEVICE double most(double) { return tk_infinity(0.0); }
TK_DEVICE signed char most(signed char) { return 127; }
TK_DEVICE unsigned char most(unsigned char) { return 255; }
TK_DEVICE int most(int) { return 2147483647; }
TK_DEVICE long long most(long long) { return 9223372036854775807ll; }
template <class F> TK_DEVICE tk_complex<F> identity(int op, tk_complex<F>) {
    tk_complex<F> z = {op == OP_REDUCE_SUM ? (F)0 : (F)1, (F)0};
    return z;
}
template <class F> TK_DEVICE F identity(int op, F) {
    switch (op) {
    case OP_REDUCE_SUM: case OP_REDUCE_ANY: return (F)0;
    case OP_REDUCE_MAX: return least((F)0);
    case OP_REDUCE_MIN: return most((F)0);
    default: return (F)1;
    }
}

template <class T, class R> TK_DEVICE void reduce(int op, const T *x, R *out, long long outer, long long n, long long inner) {
    typedef tk_wide<T> F;
    TK_SHARED F partial[256];
    long long across = (inner + blockDim.x - 1) / blockDim.x, o = blockIdx.x / across, i = blockIdx.x % across * blockDim.x + threadIdx.x;
    long long part = (n + gridDim.y - 1) / gridDim.y, first = blockIdx.y * part, last = first + part < n ? first + part : n;
    F value[4];   // four chains, so that loads overlap
#pragma unroll
    for (int k = 0; k < 4; k++) value[k] = identity(op, F());
    if (i < inner) {
        const T *from = x + o * n * inner + i;
        for (long long j = first + threadIdx.y; j < last; j += 4 * blockDim.y) {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                long long at = j + (long long)k * blockDim.y;
                if (at < last) value[k] = combine(op, value[k], tk_widen(from[at * inner]));
            }
        }
    }
    int place = threadIdx.y * blockDim.x + threadIdx.x;
    partial[place] = combine(op, combine(op, value[0], value[1]), combine(op, value[2], value[3]));
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half) partial[place] = combine(op, partial[place], partial[place + half * blockDim.x]);
    }
    if (threadIdx.y == 0 && i < inner) out[(blockIdx.y * outer + o) * inner + i] = tk_narrow<R>((tk_wide<R>)partial[place]);
}

#define REDUCE(T, R, NAME)                                                                                                     \
    TK_KERNEL(256) tk_reduce_##NAME(const T *x, R *out, long long outer, long long n, long long inner, long long op) {          \
        reduce<T, R>((int)op, x, out, outer, n, inner);                                                                        \
    }                                                                                                                          \
    TK_EXPORT(tk_reduce_##NAME)
REDUCE(float, float, f32)
REDUCE(double, double, f64)
REDUCE(signed char, signed char, i8)
REDUCE(unsigned char, unsigned char, u8)
REDUCE(int, int, i32)
REDUCE(long long, long long, i64)
REDUCE(tk_half, tk_half, f16)
REDUCE(tk_half, float, f16_f32)
REDUCE(float, tk_half, f32_f16)
REDUCE(tk_bfloat, tk_bfloat, bf16)
REDUCE(tk_bfloat, float, bf16_f32)
REDUCE(float, tk_bfloat, f32_bf16)
REDUCE(tk_complex<float>, tk_complex<float>, c64)
REDUCE(tk_pair, tk_pair, c128)
#undef REDUCE

/// Whether a comes before b in a search for the largest (or smallest): a NaN first, then by value, then by position.
template <class F> TK_DEVICE bool ahead(bool minimum, F a, long long at_a, F b, long long at_b) {
    bool nan_a = a != a, nan_b = b != b;
    if (nan_a != nan_b) return nan_a;
    if (!nan_a && a != b) return minimum ? a < b : a > b;
    return at_a < at_b;
}

template <class T> TK_DEVICE void arg_reduce(bool minimum, const T *x, long long *out, long long n, long long inner) {
    typedef tk_wide<T> F;
    TK_SHARED F values[256];
    TK_SHARED long long places[256];
    long long across = (inner + blockDim.x - 1) / blockDim.x, o = blockIdx.x / across, i = blockIdx.x % across * blockDim.x + threadIdx.x;
    F value = (F)0;
    long long best = 9223372036854775807ll;   // none yet
    if (i < inner)
        for (long long j = threadIdx.y; j < n; j += blockDim.y) {
            F v = tk_widen(x[(o * n + j) * inner + i]);
            if (best > n || ahead(minimum, v, j, value, best)) { value = v; best = j; }
        }
    int place = threadIdx.y * blockDim.x + threadIdx.x;
    values[place] = value;
    places[place] = best;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        int other = place + half * blockDim.x;
        if ((int)threadIdx.y < half && places[other] < n
            && (places[place] > n || ahead(minimum, values[other], places[other], values[place], places[place]))) {
            values[place] = values[other];
            places[place] = places[other];
        }
    }
    if (threadIdx.y == 0 && i < inner) out[o * inner + i] = places[place];
}
#define ARG_REDUCE(T, S)                                                                                                     \
    TK_KERNEL(256) tk_arg_reduce_##S(const T *x, long long *out, long long n, long long inner, long long minimum) {           \
        arg_reduce(minimum != 0, x, out, n, inner);                                                                          \
    }                                                                                                                        \
    TK_EXPORT(tk_arg_reduce_##S)
TK_FLOAT_TYPES(ARG_REDUCE)
TK_INTEGER_TYPES(ARG_REDUCE)
#undef ARG_REDUCE

/// Mean, then the sum of squared deviations from it: two passes, the second out of the caches for all but the longest rows.
template <class T> TK_DEVICE void mean_m2(const T *x, T *mean, T *m2, long long n, long long inner) {
    typedef tk_wide<T> F;
    TK_SHARED F partial[256];
    long long across = (inner + blockDim.x - 1) / blockDim.x, o = blockIdx.x / across, i = blockIdx.x % across * blockDim.x + threadIdx.x;
    int place = threadIdx.y * blockDim.x + threadIdx.x;
    F center = (F)0;
    for (int pass = 0; pass < 2; pass++) {
        F sum = (F)0;
        if (i < inner)
            for (long long j = threadIdx.y; j < n; j += blockDim.y) {
                F v = tk_widen(x[(o * n + j) * inner + i]);
                sum += pass ? (v - center) * (v - center) : v;
            }
        partial[place] = sum;
        for (int half = blockDim.y / 2; half > 0; half /= 2) {
            __syncthreads();
            if ((int)threadIdx.y < half) partial[place] += partial[place + half * blockDim.x];
        }
        __syncthreads();
        sum = partial[threadIdx.x];
        __syncthreads();   // before the next pass writes
        if (pass == 0) center = sum / (F)n;
        if (threadIdx.y == 0 && i < inner) (pass ? m2 : mean)[o * inner + i] = tk_narrow<T>(pass ? sum : center);
    }
}
#define MEAN_M2(T, S)                                                                                                        \
    TK_KERNEL(256) tk_mean_m2_##S(const T *x, T *mean, T *m2, long long n, long long inner) { mean_m2(x, mean, m2, n, inner); } \
    TK_EXPORT(tk_mean_m2_##S)
TK_FLOAT_TYPES(MEAN_M2)
#undef MEAN_M2

/// Σ x² in double, per block; the results are summed by tk_reduce_f64.
#define SQUARES(T, S)                                                                                                        \
    TK_KERNEL(256) tk_squares_##S(const T *x, double *out, long long n) {                                                     \
        TK_SHARED double scratch[32];                                                                                        \
        double sum = 0;                                                                                                      \
        for (long long i = tk_first(); i < n; i += tk_step()) sum += (double)tk_widen(x[i]) * (double)tk_widen(x[i]);        \
        sum = tk_across_row(sum, tk_add(), scratch);                                                                         \
        if (threadIdx.x == 0) out[blockIdx.x] = sum;                                                                         \
    }                                                                                                                        \
    TK_EXPORT(tk_squares_##S)
TK_FLOAT_TYPES(SQUARES)
#undef SQUARES
