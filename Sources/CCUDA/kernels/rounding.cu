// Stochastic rounding of float to 16 bits, the CPU's bits (CKernels/templates/rounding.inc): up with the probability of how far the number lies
// above the value below, all in integers. Of counter offset + 16 ⌊i / 128⌋ + j the word k belongs to the elements 2 (16 k + j) and the one
// after, within their 128.
#include "philox.cuh"
#include "types.cuh"

TK_DEVICE tk_bfloat rounded(float x, unsigned random, tk_bfloat) {
    unsigned bits = tk_float_bits(x), a = bits & 0x7fffffffu, h = (a + random) >> 16;
    if (h > 0x7f7fu) h = 0x7f7fu;   // what is finite stays finite
    if (a >= 0x7f800000u) h = a == 0x7f800000u ? 0x7f80u : (a >> 16) | 0x40u;
    tk_bfloat y = {(unsigned short)((bits >> 16 & 0x8000u) | h)};
    return y;
}
TK_DEVICE tk_half rounded(float x, unsigned random, tk_half) {
    unsigned bits = tk_float_bits(x), a = bits & 0x7fffffffu, h;
    if (a < 0x38800000u) h = ((unsigned)tk_product(tk_bits_float(a), 1099511627776.0f) + random) >> 16;   // subnormal results: multiples of 2⁻²⁴
    else h = (a - 0x38000000u + (random >> 3)) >> 13;
    if (h > 0x7bffu) h = 0x7bffu;
    if (a >= 0x47800000u) h = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    tk_half y = {(unsigned short)((bits >> 16 & 0x8000u) | h)};
    return y;
}

/// A thread takes a counter: four pairs of elements.
template <class T> TK_DEVICE void round_stochastically(const float *x, T *y, long long n, unsigned long long seed, unsigned long long offset) {
    for (long long c = tk_first(); c / 16 * 128 < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                long long i = c / 16 * 128 + 2 * (16 * k + c % 16) + e;
                if (i < n) y[i] = rounded(x[i], w.at[k] >> 16 * e & 0xffffu, T());
            }
    }
}

#define ROUND_STOCHASTICALLY(T, S)                                                                                                        \
    TK_KERNEL(256) tk_round_stochastically_##S(const float *x, T *y, long long n, unsigned long long seed, unsigned long long offset) {   \
        round_stochastically(x, y, n, seed, offset);                                                                                      \
    }                                                                                                                                     \
    TK_EXPORT(tk_round_stochastically_##S)
ROUND_STOCHASTICALLY(tk_half, f16)
ROUND_STOCHASTICALLY(tk_bfloat, bf16)
#undef ROUND_STOCHASTICALLY
