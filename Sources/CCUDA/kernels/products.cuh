// Products by tiles of 64 × 64 through shared memory, 4 × 4 elements to each of 256 threads, of operands that are read element by element: a
// matrix, or what a convolution makes of its input. Each element is summed in the order of k.
#ifndef TK_PRODUCTS_CUH
#define TK_PRODUCTS_CUH
#include "types.cuh"

enum { PRODUCT_TILE = 64, PRODUCT_DEPTH = 16 };

/// store(i, j, sums, count) of Σ_k left(i, k) · right(k, j), begin ≤ k < depth, for up to four elements of a row, which it may change. Operands say
/// which of their indices is dense in memory, and get only indices inside. The tiles are numbered by blockIdx.x, row by row.
template <class F, class Left, class Right, class Store>
TK_DEVICE void tk_multiply(long long m, long long n, long long begin, long long depth, const Left &left, const Right &right, const Store &store) {
    TK_SHARED F u[PRODUCT_DEPTH][PRODUCT_TILE + 4];
    TK_SHARED F v[PRODUCT_DEPTH][PRODUCT_TILE + 4];
    long long across = (n + PRODUCT_TILE - 1) / PRODUCT_TILE;
    long long i0 = blockIdx.x / across * PRODUCT_TILE, j0 = blockIdx.x % across * PRODUCT_TILE;
    int t = threadIdx.x, row = t / 16 * 4, column = t % 16 * 4;
    F sum[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] = (F)0;
    for (long long k0 = begin; k0 < depth; k0 += PRODUCT_DEPTH) {
#pragma unroll
        for (int part = 0; part < 4; part++) {
            int e = part * 256 + t;
            bool along = left.dense_in_k();
            int i = along ? e / PRODUCT_DEPTH : e % PRODUCT_TILE, k = along ? e % PRODUCT_DEPTH : e / PRODUCT_TILE;
            u[k][i] = i0 + i < m && k0 + k < depth ? left(i0 + i, k0 + k) : (F)0;
            along = right.dense_in_k();
            int j = along ? e / PRODUCT_DEPTH : e % PRODUCT_TILE;
            k = along ? e % PRODUCT_DEPTH : e / PRODUCT_TILE;
            v[k][j] = j0 + j < n && k0 + k < depth ? right(k0 + k, j0 + j) : (F)0;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < PRODUCT_DEPTH; k++) {
            F x[4], y[4];
#pragma unroll
            for (int i = 0; i < 4; i++) { x[i] = u[k][row + i]; y[i] = v[k][column + i]; }
#pragma unroll
            for (int i = 0; i < 4; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) sum[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
    long long left_over = n - j0 - column;
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i0 + row + i < m && left_over > 0) store(i0 + row + i, j0 + column, sum[i], left_over < 4 ? (int)left_over : 4);
}

#endif
