// The step of products whose sums stay in registers: an outer product.
#ifndef TAPESTRY_OUTER_AVX512_H
#define TAPESTRY_OUTER_AVX512_H
#if defined(__x86_64__)
#include <immintrin.h>

/// sum[0] += *x · low, sum[1] += *x · high, for row `i` of a tile. One row in four is broadcast by the multiply-adds themselves: a micro-operation less,
/// a load more, of which there are some to spare. (Cascade Lake beside a busy hyperthread: 6 % faster, and 3 % more by not unrolling loops over k;
/// alone as fast. Every second row: 4 % slower alone.)
__attribute__((target("avx512f"), always_inline)) static inline void add_multiples(const int i, const float *x, __m512 low, __m512 high,
                                                                                    __m512 sum[2]) {
    if (i % 4 == 1) {
        __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum[0]) : "v"(low), "m"(*x));
        __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum[1]) : "v"(high), "m"(*x));
    } else {
        __m512 element = _mm512_set1_ps(*x);
        sum[0] = _mm512_fmadd_ps(element, low, sum[0]);
        sum[1] = _mm512_fmadd_ps(element, high, sum[1]);
    }
}

/// sum [rows][2] of vectors += ELEMENT, which names row i, times the 32 elements at B; those 16 steps on are fetched.
#define ADD_OUTER(ROWS, SUM, ELEMENT, B)                                                     \
    {                                                                                        \
        __m512 low = _mm512_load_ps(B), high = _mm512_load_ps((B) + 16);                     \
        _mm_prefetch((const char *)((B) + 16 * 32), _MM_HINT_T0);                            \
        _mm_prefetch((const char *)((B) + 16 * 32 + 16), _MM_HINT_T0);                       \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < (ROWS); i++) {                \
            __m512 element = _mm512_set1_ps(ELEMENT);                                        \
            (SUM)[i][0] = _mm512_fmadd_ps(element, low, (SUM)[i][0]);                        \
            (SUM)[i][1] = _mm512_fmadd_ps(element, high, (SUM)[i][1]);                       \
        }                                                                                    \
    }
#endif
#endif
