// Large products of float32: tiles of 128 × 128 through shared memory, 8 of k at a time, 8 × 8 sums to each of 256 threads. While one step of k is
// multiplied the next is on its way to registers, and then to the other half of the shared memory.
#include "epilogue.cuh"

enum { FLOAT_TILE = 128, FLOAT_DEPTH = 8, FLOAT_ROW = FLOAT_TILE + 4, FLOAT_SLAB = 16 * 72 };

/// Four neighbours of a matrix [lines, depth] (or turned, [depth, lines]) that this thread brings to a tile [depth, lines].
template <bool ALONG_K> struct float_piece {
    const float *x;
    long long row_length;
    int lines, depth, line, k;   // the thread's own first element in the tile
    bool aligned;
    float value[4];
    TK_DEVICE_MEMBER float_piece(const float *x, long long row_length, int line0, int lines, int depth)
        : x(x), row_length(row_length), lines(lines), depth(depth), line(line0 + (ALONG_K ? threadIdx.x / 2 : threadIdx.x % 32 * 4)),
          k(ALONG_K ? threadIdx.x % 2 * 4 : threadIdx.x / 32), aligned(row_length % 4 == 0 && tk_aligned<float, 4>(x)) {}
    TK_DEVICE_MEMBER void load(int k0) {
        int at = k0 + k, left = ALONG_K ? (line < lines ? depth - at : 0) : (at < depth ? lines - line : 0);
        tk_load(x + (ALONG_K ? line * row_length + at : at * row_length + line), left, aligned && left >= 4, value);
    }
    TK_DEVICE_MEMBER void store(float *tile, int line0) const {
        if (ALONG_K) {
#pragma unroll
            for (int e = 0; e < 4; e++) tile[(k + e) * FLOAT_ROW + line - line0] = value[e];
        } else {
            tk_store(tile + k * FLOAT_ROW + line - line0, 4, true, value);
        }
    }
};

template <bool LEFT_TURNED, bool RIGHT_TURNED>
TK_DEVICE void gemm_float(const float *a, const float *b, void *c, const void *bias, void *product, float *partial, const tk_cuda_gemm &p) {
    alignas(16) TK_SHARED float memory[8 * FLOAT_SLAB];
    const int PER_TILE = FLOAT_DEPTH * FLOAT_ROW;
    float *lefts = memory, *rights = memory + 2 * PER_TILE;
    int across = ((int)p.n + FLOAT_TILE - 1) / FLOAT_TILE, i0 = blockIdx.x / across * FLOAT_TILE, j0 = blockIdx.x % across * FLOAT_TILE;
    // 32 × 64 sums to a warp; a thread has rows of two groups of four, and so columns.
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = warp / 2 * 32, column0 = warp % 2 * 64, row = lane / 8 * 4, column = lane % 8 * 4;
    long long steps = (p.k + FLOAT_DEPTH - 1) / FLOAT_DEPTH;
    for (int item = blockIdx.y; item < p.batch * p.splits; item += gridDim.y) {
        int batch = item / (int)p.splits, split = item % (int)p.splits;
        float_piece<!LEFT_TURNED> left(a + batch * p.stride_a, p.lda, i0, (int)p.m, (int)p.k);
        float_piece<RIGHT_TURNED> right(b + batch * p.stride_b, p.ldb, j0, (int)p.n, (int)p.k);
        int first = (int)(steps * split / p.splits), last = (int)(steps * (split + 1) / p.splits);
        float sum[8][8];
#pragma unroll
        for (int i = 0; i < 8; i++)
#pragma unroll
            for (int j = 0; j < 8; j++) sum[i][j] = 0;
        if (first < last) {
            left.load(first * FLOAT_DEPTH);
            right.load(first * FLOAT_DEPTH);
            left.store(lefts, i0);
            right.store(rights, j0);
        }
        __syncthreads();
        for (int step = first; step < last; step++) {
            int half = (step - first) % 2;
            const float *u = lefts + half * PER_TILE + row0 + row, *v = rights + half * PER_TILE + column0 + column;
            if (step + 1 < last) {
                left.load((step + 1) * FLOAT_DEPTH);
                right.load((step + 1) * FLOAT_DEPTH);
            }
#pragma unroll
            for (int k = 0; k < FLOAT_DEPTH; k++) {
                float x[2][4], y[2][4];
#pragma unroll
                for (int part = 0; part < 2; part++) {
                    tk_load(u + k * FLOAT_ROW + part * 16, 4, true, x[part]);
                    tk_load(v + k * FLOAT_ROW + part * 32, 4, true, y[part]);
                }
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 8; j++) sum[i][j] += x[i / 4][i % 4] * y[j / 4][j % 4];
            }
            if (step + 1 < last) {
                left.store(lefts + (1 - half) * PER_TILE, i0);
                right.store(rights + (1 - half) * PER_TILE, j0);
            }
            __syncthreads();
        }
        // The tiles' memory holds sums now, 16 rows of a warp at a time.
        gemm_result<float> store = partial ? gemm_result<float>(partial, p, split * p.batch + batch) : gemm_result<float>(c, bias, product, p, batch);
        float *slab = memory + warp * FLOAT_SLAB;
#pragma unroll 1
        for (int part = 0; part < 2; part++) {
#pragma unroll   // registers have numbers: a copy of these stores, but of nothing else, to each part
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    if (i / 4 == part) slab[(row + i % 4) * 72 + column + j / 4 * 32 + j % 4] = sum[i][j];
            tk_store_slab<16, 64>(slab, i0 + row0 + part * 16, j0 + column0, (int)p.m, (int)p.n, store);
        }
        __syncthreads();
    }
}

#define GEMM_FLOAT(NAME, LEFT, RIGHT)                                                                                                       \
    TK_KERNEL(256)                                                                                                                             \
    tk_gemm_float_##NAME(const float *a, const float *b, void *c, const void *bias, void *product, float *partial, tk_cuda_gemm p) {         \
        gemm_float<LEFT, RIGHT>(a, b, c, bias, product, partial, p);                                                                        \
    }                                                                                                                                       \
    TK_EXPORT(tk_gemm_float_##NAME)
GEMM_FLOAT(nn, false, false)
GEMM_FLOAT(nt, false, true)
GEMM_FLOAT(tn, true, false)
GEMM_FLOAT(tt, true, true)
#undef GEMM_FLOAT
