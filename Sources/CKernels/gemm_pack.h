// Packing for the AVX-512 matrix products: rows of memory turned into columns of 32-bit elements. An element is a float, a pair of
// bfloat16 or four bytes that are neighbours in k: what one lane of a dot-product instruction takes.
#ifndef TAPESTRY_GEMM_PACK_H
#define TAPESTRY_GEMM_PACK_H
#include <stdbool.h>
#include <stdint.h>

#include "transpose_avx512.h"

// `lines` rows of memory (at most 16), `ld` bytes apart, each of `bytes` bytes, as groups of 16 elements of 4 bytes, `stride` elements
// apart; missing lines, and what is missing of a last element, are 0. Groups are written in order, so a stride below 16 leaves the
// first `stride` of each; the last may be written past its end.
INLINE void pack_lines(const void *x, int64_t ld, int64_t lines, bool whole, int64_t bytes, float *out, int64_t stride) {
    const char *from = x;
    int64_t p = 0;
    for (; p + 64 <= bytes; p += 64) {
        __m512 r[16];
#pragma clang loop unroll(full)
        for (int i = 0; i < 16; i++) {
            r[i] = whole || i < lines ? _mm512_loadu_ps(from + i * ld + p) : _mm512_setzero_ps();
            // The rows are further apart than hardware prefetching follows; past the end a prefetch does nothing.
            if (whole || i < lines) _mm_prefetch(from + i * ld + p + 256, _MM_HINT_T0);
        }
        transpose16(r);
#pragma clang loop unroll(full)
        for (int i = 0; i < 16; i++) _mm512_storeu_ps(out + (p / 4 + i) * stride, r[i]);
    }
    if (p == bytes) return;
    __mmask64 tail = ((__mmask64)1 << (bytes - p)) - 1;
    __m512 r[16];
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++)
        r[i] = whole || i < lines ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi8(tail, from + i * ld + p)) : _mm512_setzero_ps();
    transpose16(r);
    for (int i = 0; i < (bytes - p + 3) / 4; i++) _mm512_storeu_ps(out + (p / 4 + i) * stride, r[i]);
}

AVX512 static inline void pack_transposed(const void *x, int64_t ld, int64_t lines, int64_t bytes, float *out, int64_t stride) {
    if (lines == 16) pack_lines(x, ld, 16, true, bytes, out, stride);
    else pack_lines(x, ld, lines, false, bytes, out, stride);
}
#endif
