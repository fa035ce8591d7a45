// The step of products whose sums stay in registers: an outer product.
#ifndef TAPESTRY_OUTER_AVX512_H
#define TAPESTRY_OUTER_AVX512_H
#if defined(__x86_64__)
#include <immintrin.h>

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
