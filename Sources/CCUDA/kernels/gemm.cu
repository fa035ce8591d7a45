// Matrix products of every type the CPU multiplies: tiles of 64 × 64 through shared memory, 4 × 4 elements to a thread. Each element is
// summed in the order of k.
#include "types.cuh"
#include "kernel_arguments.h"

enum { GEMM_TILE = 64, GEMM_DEPTH = 16 };

template <class T, class R, class B> TK_DEVICE void gemm(const T *a, const T *b, R *c, const B *bias, const tk_cuda_gemm &p) {
    typedef tk_wide<T> F;
    TK_SHARED F left[GEMM_DEPTH][GEMM_TILE + 4];
    TK_SHARED F right[GEMM_DEPTH][GEMM_TILE + 4];
    long long across = (p.n + GEMM_TILE - 1) / GEMM_TILE;
    long long i0 = blockIdx.x / across * GEMM_TILE, j0 = blockIdx.x % across * GEMM_TILE;
    int t = threadIdx.x, row = t / 16 * 4, column = t % 16 * 4;
    for (long long batch = blockIdx.y; batch < p.batch; batch += gridDim.y) {
        const T *x = a + batch * p.stride_a, *y = b + batch * p.stride_b;
        F sum[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) sum[i][j] = (F)0;
        for (long long k0 = 0; k0 < p.k; k0 += GEMM_DEPTH) {
#pragma unroll
            for (int part = 0; part < 4; part++) {
                int e = part * 256 + t;
                // The index that lies dense in memory runs fastest over the threads.
                int i = p.transpose_a ? e % GEMM_TILE : e / GEMM_DEPTH, k = p.transpose_a ? e / GEMM_TILE : e % GEMM_DEPTH;
                long long at = p.transpose_a ? (k0 + k) * p.lda + i0 + i : (i0 + i) * p.lda + k0 + k;
                left[k][i] = i0 + i < p.m && k0 + k < p.k ? tk_widen(x[at]) : (F)0;
                int j = p.transpose_b ? e / GEMM_DEPTH : e % GEMM_TILE;
                k = p.transpose_b ? e % GEMM_DEPTH : e / GEMM_TILE;
                at = p.transpose_b ? (j0 + j) * p.ldb + k0 + k : (k0 + k) * p.ldb + j0 + j;
                right[k][j] = j0 + j < p.n && k0 + k < p.k ? tk_widen(y[at]) : (F)0;
            }
            __syncthreads();
#pragma unroll
            for (int k = 0; k < GEMM_DEPTH; k++) {
                F u[4], v[4];
#pragma unroll
                for (int i = 0; i < 4; i++) { u[i] = left[k][row + i]; v[i] = right[k][column + i]; }
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int j = 0; j < 4; j++) sum[i][j] += u[i] * v[j];
            }
            __syncthreads();
        }
        R *z = c + batch * p.stride_c;
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                long long r = i0 + row + i, s = j0 + column + j;
                if (r >= p.m || s >= p.n) continue;
                F value = sum[i][j];
                if (bias) value += (F)tk_widen(bias[s]);
                if (p.accumulate) value += (F)tk_widen(z[r * p.ldc + s]);
                z[r * p.ldc + s] = tk_narrow<R>((tk_wide<R>)value);
            }
    }
}

#define GEMM(T, R, B, NAME)                                                                                              \
    TK_KERNEL(256) tk_gemm_##NAME(const T *a, const T *b, R *c, const B *bias, tk_cuda_gemm p) { gemm(a, b, c, bias, p); } \
    TK_EXPORT(tk_gemm_##NAME)
GEMM(float, float, float, f32)
GEMM(double, double, double, f64)
GEMM(long long, long long, long long, i64)
GEMM(tk_bfloat, tk_bfloat, tk_bfloat, bf16)
GEMM(tk_bfloat, tk_bfloat, float, bf16_bf16_f32)   // the result, then the bias
GEMM(tk_bfloat, float, tk_bfloat, bf16_f32_bf16)
GEMM(tk_bfloat, float, float, bf16_f32_f32)
#undef GEMM
