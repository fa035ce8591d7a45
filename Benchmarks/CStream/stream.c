#include "CStream.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static void triad_avx512(float *a, const float *b, const float *c, float s, size_t n) {
    __m512 factor = _mm512_set1_ps(s);
    for (size_t i = 0; i < n; i += 16) _mm512_stream_ps(a + i, _mm512_fmadd_ps(_mm512_load_ps(c + i), factor, _mm512_load_ps(b + i)));
    _mm_sfence();
}

__attribute__((target("avx2,fma"))) static void triad_avx2(float *a, const float *b, const float *c, float s, size_t n) {
    __m256 factor = _mm256_set1_ps(s);
    for (size_t i = 0; i < n; i += 8) _mm256_stream_ps(a + i, _mm256_fmadd_ps(_mm256_load_ps(c + i), factor, _mm256_load_ps(b + i)));
    _mm_sfence();
}
#endif

void stream_triad(float *a, const float *b, const float *c, float s, size_t n, int non_temporal) {
#if defined(__x86_64__)
    if (non_temporal && __builtin_cpu_supports("avx512f")) {
        triad_avx512(a, b, c, s, n);
        return;
    }
    if (non_temporal && __builtin_cpu_supports("avx2")) {
        triad_avx2(a, b, c, s, n);
        return;
    }
#else
    (void)non_temporal;
#endif
    for (size_t i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}
