// Triangular systems of a few vectors' rows for AVX-512: columns of the right-hand side stay in registers while the triangle's columns are subtracted
// from them one after the other, so nothing is packed. (OpenBLAS's kernel runs at a tenth of the peak for triangles of 64.)
#include "triangle_avx512.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2")))
#define INLINE AVX512 static inline __attribute__((always_inline))

enum { VECTORS = 4, COLUMNS = 6 };

#define T float
#define N(name) name##_s
#define V __m512
#define LANES TK_TRIANGLE_ROWS_S / VECTORS
#define MASK __mmask16
#define LOAD(mask, p) _mm512_maskz_loadu_ps(mask, p)
#define STORE(p, mask, x) _mm512_mask_storeu_ps(p, mask, x)
#define LANE(x, lane) _mm512_permutexvar_ps(_mm512_set1_epi32(lane), x)
#define MULTIPLY(x, y) _mm512_mul_ps(x, y)
#define BLEND(mask, x, y) _mm512_mask_blend_ps(mask, x, y)
#define ALL _mm512_set1_ps
#define SUBTRACT(a, b, c) _mm512_fnmadd_ps(a, b, c)
#include "triangle_body.h"
#undef T
#undef N
#undef V
#undef LANES
#undef MASK
#undef LOAD
#undef STORE
#undef LANE
#undef MULTIPLY
#undef BLEND
#undef ALL
#undef SUBTRACT

#define T double
#define N(name) name##_d
#define V __m512d
#define LANES TK_TRIANGLE_ROWS_D / VECTORS
#define MASK __mmask8
#define LOAD(mask, p) _mm512_maskz_loadu_pd(mask, p)
#define STORE(p, mask, x) _mm512_mask_storeu_pd(p, mask, x)
#define LANE(x, lane) _mm512_permutexvar_pd(_mm512_set1_epi64(lane), x)
#define MULTIPLY(x, y) _mm512_mul_pd(x, y)
#define BLEND(mask, x, y) _mm512_mask_blend_pd(mask, x, y)
#define ALL _mm512_set1_pd
#define SUBTRACT(a, b, c) _mm512_fnmadd_pd(a, b, c)
#include "triangle_body.h"
#endif
