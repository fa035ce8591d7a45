// Winograd's F(4 × 4, 3 × 3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): tiles of 4 × 4 outputs from
// 6 × 6 inputs by 36 products instead of 144. In one dimension, y = Aᵀ ((G w) ⊙ (Bᵀ d)), with polynomials evaluated at 0, ±a, ±b and ∞.
// a = 5/8 and b = 3/2 keep the coefficients small, and so the rounding error: up to 4 · 10⁻⁶ of the largest output for 512 channels, a
// half to a quarter of that of the usual 1 and 2.
//
// A vector holds 16 channels of one place, so that the transforms have no lanes to exchange and no edges within a vector.
#ifndef TAPESTRY_WINOGRAD_AVX512_H
#define TAPESTRY_WINOGRAD_AVX512_H
#include "conv.h"
#if defined(__x86_64__)
#include "transpose_avx512.h"

enum { TILE = 4, SIDE = 6, MATRICES = SIDE * SIDE, LANES = 16 };

#define WINOGRAD_A 0.625
#define WINOGRAD_B 1.5
#define WA ((float)WINOGRAD_A)
#define WB ((float)WINOGRAD_B)
#define WA2 ((float)(WINOGRAD_A * WINOGRAD_A))
#define WB2 ((float)(WINOGRAD_B * WINOGRAD_B))
#define WA3 ((float)(WINOGRAD_A * WINOGRAD_A * WINOGRAD_A))
#define WB3 ((float)(WINOGRAD_B * WINOGRAD_B * WINOGRAD_B))
#define G0 ((float)(1 / (WINOGRAD_A * WINOGRAD_A * WINOGRAD_B * WINOGRAD_B)))
#define GA ((float)(1 / (2 * WINOGRAD_A * WINOGRAD_A * (WINOGRAD_A * WINOGRAD_A - WINOGRAD_B * WINOGRAD_B))))
#define GB ((float)(1 / (2 * WINOGRAD_B * WINOGRAD_B * (WINOGRAD_B * WINOGRAD_B - WINOGRAD_A * WINOGRAD_A))))

#define V(f) _mm512_set1_ps(f)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define FNMA(a, b, c) _mm512_fnmadd_ps(a, b, c)

// Bᵀ d
INLINE void winograd_input(const __m512 d[6], __m512 out[6]) {
    __m512 ea = FNMA(V(WB2), d[2], d[4]), oa = FNMA(V(WB2), d[1], d[3]), eb = FNMA(V(WA2), d[2], d[4]), ob = FNMA(V(WA2), d[1], d[3]);
    out[0] = FMA(V((float)(WINOGRAD_A * WINOGRAD_A * WINOGRAD_B * WINOGRAD_B)), d[0],
                 FNMA(V((float)(WINOGRAD_A * WINOGRAD_A + WINOGRAD_B * WINOGRAD_B)), d[2], d[4]));
    out[1] = FMA(V(WA), oa, ea);
    out[2] = FNMA(V(WA), oa, ea);
    out[3] = FMA(V(WB), ob, eb);
    out[4] = FNMA(V(WB), ob, eb);
    out[5] = FMA(V((float)(WINOGRAD_A * WINOGRAD_A * WINOGRAD_B * WINOGRAD_B)), d[1],
                 FNMA(V((float)(WINOGRAD_A * WINOGRAD_A + WINOGRAD_B * WINOGRAD_B)), d[3], d[5]));
}

// G w
INLINE void winograd_weight(const __m512 w[3], __m512 out[6]) {
    __m512 ea = _mm512_mul_ps(V(GA), FMA(V(WA2), w[2], w[0])), eb = _mm512_mul_ps(V(GB), FMA(V(WB2), w[2], w[0]));
    out[0] = _mm512_mul_ps(V(G0), w[0]);
    out[1] = FMA(V(GA * WA), w[1], ea);
    out[2] = FNMA(V(GA * WA), w[1], ea);
    out[3] = FMA(V(GB * WB), w[1], eb);
    out[4] = FNMA(V(GB * WB), w[1], eb);
    out[5] = w[2];
}

// Aᵀ m
INLINE void winograd_output(const __m512 m[6], __m512 out[4]) {
    __m512 sa = _mm512_add_ps(m[1], m[2]), da = _mm512_sub_ps(m[1], m[2]), sb = _mm512_add_ps(m[3], m[4]), db = _mm512_sub_ps(m[3], m[4]);
    out[0] = _mm512_add_ps(m[0], _mm512_add_ps(sa, sb));
    out[1] = FMA(V(WB), db, _mm512_mul_ps(V(WA), da));
    out[2] = FMA(V(WB2), sb, _mm512_mul_ps(V(WA2), sa));
    out[3] = FMA(V(WB3), db, FMA(V(WA3), da, m[5]));
}

// A g: the adjoint of the output's transform
INLINE void winograd_gradient(const __m512 g[4], __m512 out[6]) {
    __m512 ea = FMA(V(WA2), g[2], g[0]), oa = FMA(V(WA3), g[3], _mm512_mul_ps(V(WA), g[1]));
    __m512 eb = FMA(V(WB2), g[2], g[0]), ob = FMA(V(WB3), g[3], _mm512_mul_ps(V(WB), g[1]));
    out[0] = g[0];
    out[1] = _mm512_add_ps(ea, oa);
    out[2] = _mm512_sub_ps(ea, oa);
    out[3] = _mm512_add_ps(eb, ob);
    out[4] = _mm512_sub_ps(eb, ob);
    out[5] = g[3];
}

// Gᵀ u: the adjoint of the weight's transform
INLINE void winograd_weight_gradient(const __m512 u[6], __m512 out[3]) {
    __m512 sa = _mm512_mul_ps(V(GA), _mm512_add_ps(u[1], u[2])), da = _mm512_mul_ps(V(GA * WA), _mm512_sub_ps(u[1], u[2]));
    __m512 sb = _mm512_mul_ps(V(GB), _mm512_add_ps(u[3], u[4])), db = _mm512_mul_ps(V(GB * WB), _mm512_sub_ps(u[3], u[4]));
    out[0] = FMA(V(G0), u[0], _mm512_add_ps(sa, sb));
    out[1] = _mm512_add_ps(da, db);
    out[2] = FMA(V(WB2), sb, FMA(V(WA2), sa, u[5]));
}

/// Rows first ..< first + rows of tiles, counted over all samples.
typedef struct { int64_t first, rows; } winograd_part;

/// A tensor [batch, channels, height, width] that is cut into tiles of a group of channels: tile (i, j) begins at place
/// (4 i - top, 4 j - left), which may lie outside; what is outside is 0.
typedef struct {
    const float *x;
    int64_t height, width, top, left;
    int64_t channels, sample;        // of the group; elements from sample to sample
    int64_t tile_rows, tile_columns; // per sample
} winograd_tiles;

/// Transforms the tiles of 16 channels from `channel` on: matrix e of tile t at out[e · step + t · 16]. `side` 6: inputs by Bᵀ d B,
/// overlapping; 4: gradients by A g Aᵀ. `strip` has room for tk_winograd_strip(…) elements.
void tk_winograd_transform(const winograd_tiles *x, int side, int64_t channel, winograd_part part, float *strip, float *out, int64_t step);
int64_t tk_winograd_strip(const winograd_tiles *x, int64_t rows);

/// Distance between matrices of `lines` lines of 64 bytes: an odd number, so that the 36 do not fall into the same sets of the caches.
static inline int64_t winograd_step(int64_t lines) { return (lines | 1) * LANES; }
#endif
#endif
