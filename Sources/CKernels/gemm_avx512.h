// A single-precision product of row-major matrices: c [m, n] = op(a) · op(b) (+ c, or + bias [n] in each row).
#ifndef TAPESTRY_GEMM_AVX512_H
#define TAPESTRY_GEMM_AVX512_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const float *a, *b, *bias;
    float *c;
    int64_t m, n, k, lda, ldb, ldc;
    bool transpose_a, transpose_b, accumulate;
    bool subtract;       // c -= op(a) · op(b), without a bias
    float *activated;    // NULL, or where `activation` of the finished c goes, tile by tile, as c lies (or c itself)
    int activation;      // of tk_unary's, one that levels.h has for tiles
} tk_sgemm;

/// Needs a CPU with AVX-512, and k > 0. `parallel`: over the pool's threads, else on the caller alone; the same bits either way.
void tk_sgemm_avx512(const tk_sgemm *g, bool parallel);

/// y[i · y_stride] = Σ a[i, p] x[p] (+ y or bias[i]) for `rows` rows of a, k long and lda apart. By gemv_avx512.c.
void tk_sgemv_avx512(const float *a, int64_t lda, int64_t rows, int64_t k, const float *x, float *y, int64_t y_stride, const float *bias,
                     bool accumulate, bool parallel);

// The pieces, for products whose operands are made as they are needed (convolutions).
enum { TK_TILE_ROWS = 14, TK_TILE_COLUMNS = 32, TK_PACK_GAP = 16 };
/// `rows` (at most TK_TILE_ROWS) rows of A, `k` long, as a kernel reads them. Writes up to TK_PACK_GAP elements past the end.
void tk_pack_tile_rows(const float *a, int64_t lda, int64_t k, int64_t rows, float *out);
/// The first `lines` (at most 16) rows of x, `k` long, as k groups of 16, `stride` apart; missing lines are 0. Groups are written in order,
/// so a stride below 16 leaves the first `stride` elements of each but the last.
void tk_pack_transposed(const float *x, int64_t ld, int64_t lines, int64_t k, float *out, int64_t stride);
/// c [rows, width] (= or +=) packed rows of A · k rows of TK_TILE_COLUMNS elements of B, aligned to 64 bytes.
void tk_multiply_tile(int64_t rows, int64_t k, const float *a, const float *b, float *c, int64_t ldc, int64_t width, bool add);
#endif
