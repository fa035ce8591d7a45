// module: tensor_sm80
// Products of bfloat16 by tensor cores: tiles of 128 × 128, 32 of k at a time, the next on its way to shared memory while one is multiplied. 8 warps
// have 64 × 32 elements each. Rows of the operands begin at multiples of 16 bytes; edges are filled with zeros.
#include "arguments.cuh"
#include "types.cuh"

enum { TENSOR_TILE = 128, TENSOR_DEPTH = 32, TENSOR_STAGES = 2, TENSOR_PAD = 8, TENSOR_ROWS = TENSOR_TILE * (TENSOR_DEPTH + TENSOR_PAD) };

/// Brings a tile to shared memory: `across` elements in rows of `width`, from (row0, column0) of a matrix [rows, columns].
template <int HEIGHT, int WIDTH>
TK_DEVICE void fetch_tile(tk_bfloat *to, const tk_bfloat *x, long long row_length, long long row0, long long column0, long long rows, long long columns) {
    const int pieces = WIDTH / 8;
#pragma unroll
    for (int part = 0; part < HEIGHT * pieces / 256; part++) {
        int e = part * 256 + threadIdx.x, row = e / pieces, column = e % pieces * 8;
        long long left = row0 + row < rows ? columns - column0 - column : 0;
        int bytes = left >= 8 ? 16 : left > 0 ? (int)left * 2 : 0;
        tk_copy_async(to + row * (WIDTH + TENSOR_PAD) + column, bytes ? x + (row0 + row) * row_length + column0 + column : x, bytes);
    }
}

// A tile of the left operand lies as [128, 32], or, transposed in memory, as [32, 128]; the right one as [32, 128] or [128, 32].
template <class R, bool LEFT_TURNED, bool RIGHT_TURNED>
TK_DEVICE void gemm_tensor(const tk_bfloat *a, const tk_bfloat *b, R *c, const float *wide_bias, const tk_bfloat *bias, const tk_cuda_gemm &p) {
    TK_SHARED tk_16bytes memory[TENSOR_STAGES * 2 * TENSOR_ROWS / 8];
    tk_bfloat *lefts = (tk_bfloat *)memory, *rights = lefts + TENSOR_STAGES * TENSOR_ROWS;
    long long across = (p.n + TENSOR_TILE - 1) / TENSOR_TILE, i0 = blockIdx.x / across * TENSOR_TILE, j0 = blockIdx.x % across * TENSOR_TILE;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = warp / 4 * 64, column0 = warp % 4 * 32;
    int matrix = lane / 8, line = lane % 8;
    long long steps = (p.k + TENSOR_DEPTH - 1) / TENSOR_DEPTH;
    for (long long batch = blockIdx.y; batch < p.batch; batch += gridDim.y) {
        const tk_bfloat *x = a + batch * p.stride_a, *y = b + batch * p.stride_b;
        float sum[4][4][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
        for (long long step = -(TENSOR_STAGES - 1); step < steps; step++) {
            long long next = step + TENSOR_STAGES - 1;
            if (step >= 0) {
                tk_copy_wait<TENSOR_STAGES - 2>();
                __syncthreads();   // the tile is there for all threads, and all are done with the one that is overwritten next
            }
            if (next < steps) {
                long long k0 = next * TENSOR_DEPTH;
                tk_bfloat *left = lefts + next % TENSOR_STAGES * TENSOR_ROWS, *right = rights + next % TENSOR_STAGES * TENSOR_ROWS;
                if (LEFT_TURNED) fetch_tile<TENSOR_DEPTH, TENSOR_TILE>(left, x, p.lda, k0, i0, p.k, p.m);
                else fetch_tile<TENSOR_TILE, TENSOR_DEPTH>(left, x, p.lda, i0, k0, p.m, p.k);
                if (RIGHT_TURNED) fetch_tile<TENSOR_TILE, TENSOR_DEPTH>(right, y, p.ldb, j0, k0, p.n, p.k);
                else fetch_tile<TENSOR_DEPTH, TENSOR_TILE>(right, y, p.ldb, k0, j0, p.k, p.n);
            }
            tk_copy_commit();
            if (step < 0) continue;
            const tk_bfloat *left = lefts + step % TENSOR_STAGES * TENSOR_ROWS, *right = rights + step % TENSOR_STAGES * TENSOR_ROWS;
            const int tall = TENSOR_DEPTH + TENSOR_PAD, wide = TENSOR_TILE + TENSOR_PAD;   // lengths of rows of both kinds of tiles
#pragma unroll
            for (int k = 0; k < TENSOR_DEPTH; k += 16) {
                unsigned u[4][4], v[2][4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int r = row0 + i * 16;
                    tk_load_matrices(u[i], LEFT_TURNED ? left + (k + matrix / 2 * 8 + line) * wide + r + matrix % 2 * 8
                                                       : left + (r + matrix % 2 * 8 + line) * tall + k + matrix / 2 * 8, LEFT_TURNED);
                }
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    int s = column0 + j * 16;
                    tk_load_matrices(v[j], RIGHT_TURNED ? right + (s + matrix / 2 * 8 + line) * tall + k + matrix % 2 * 8
                                                        : right + (k + matrix % 2 * 8 + line) * wide + s + matrix / 2 * 8, !RIGHT_TURNED);
                }
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) tk_multiply_add_bf16(sum[i][j], u[i], v[j / 2][j % 2 * 2], v[j / 2][j % 2 * 2 + 1]);
            }
        }
        tk_copy_wait<0>();
        __syncthreads();   // before the next product's first tiles
        R *z = c + batch * p.stride_c;
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    long long r = i0 + row0 + i * 16 + lane / 4 + e / 2 * 8, s = j0 + column0 + j * 8 + lane % 4 * 2 + e % 2;
                    if (r >= p.m || s >= p.n) continue;
                    float value = sum[i][j][e];
                    if (wide_bias) value += wide_bias[s];
                    if (bias) value += tk_widen(bias[s]);
                    if (p.accumulate) value += (float)tk_widen(z[r * p.ldc + s]);
                    z[r * p.ldc + s] = tk_narrow<R>(value);
                }
    }
}

// By the type of the result, and whether the operands lie transposed in memory.
#define GEMM_TENSOR(R, NAME, LEFT, RIGHT)                                                                                              \
    TK_KERNEL(256) tk_gemm_tensor_##NAME(const tk_bfloat *a, const tk_bfloat *b, R *c, const float *wide_bias, const tk_bfloat *bias,    \
                                         tk_cuda_gemm p) { gemm_tensor<R, LEFT, RIGHT>(a, b, c, wide_bias, bias, p); }                 \
    TK_EXPORT(tk_gemm_tensor_##NAME)
GEMM_TENSOR(tk_bfloat, bf16_nn, false, false)
GEMM_TENSOR(tk_bfloat, bf16_nt, false, true)
GEMM_TENSOR(tk_bfloat, bf16_tn, true, false)
GEMM_TENSOR(tk_bfloat, bf16_tt, true, true)
GEMM_TENSOR(float, f32_nn, false, false)
GEMM_TENSOR(float, f32_nt, false, true)
GEMM_TENSOR(float, f32_tn, true, false)
GEMM_TENSOR(float, f32_tt, true, true)
#undef GEMM_TENSOR
