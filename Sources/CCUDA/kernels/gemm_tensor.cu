// module: tensor_sm80
// Matrix products of float16, bfloat16 and (as TF32: factors of 10 bits, sums in float32) float32 by tensor cores, of any size, row length and
// transposition. Rows that begin at multiples of 16 bytes are fetched in such pieces, others by elements.
#include "tensor_product.cuh"

template <class T, int TILE, bool LEFT_TURNED, bool RIGHT_TURNED>
TK_DEVICE void gemm_tensor(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, const tk_cuda_gemm &p) {
    alignas(16) TK_SHARED unsigned char memory[tensor_memory<TILE>::bytes];
    int i0, j0, m = (int)p.m, n = (int)p.n, k = (int)p.k;
    long long steps = (k + tensor_depth<T>::value - 1) / tensor_depth<T>::value;
    place_of_tile<TILE>(blockIdx.x, m, n, i0, j0);
    for (int item = blockIdx.y; item < p.batch * p.splits; item += gridDim.y) {
        int batch = item / (int)p.splits, split = item % (int)p.splits;
        tensor_matrix<T, !LEFT_TURNED> left = {a + batch * p.stride_a, p.lda, m, k, in_pieces(a, p.lda, p.stride_a)};
        tensor_matrix<T, RIGHT_TURNED> right = {b + batch * p.stride_b, p.ldb, n, k, in_pieces(b, p.ldb, p.stride_b)};
        gemm_result<float> store = partial ? gemm_result<float>(partial, p, split * p.batch + batch) : gemm_result<float>(c, bias, product, p, batch);
        tensor_product<T, TILE>(left, right, i0, j0, m, n, (int)(steps * split / p.splits), (int)(steps * (split + 1) / p.splits), store, memory);
    }
}

// By the type of the operands, the size of tiles, and whether the operands lie transposed in memory.
#define GEMM_TENSOR(T, TILE, NAME, LEFT, RIGHT)                                                                                           \
    TK_DENSE_KERNEL(2 * TILE, (sizeof(T) == 4 || (LEFT && !(RIGHT)) ? 192 : 256) / TILE)                                                  \
    tk_gemm_tensor_##TILE##_##NAME(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, tk_cuda_gemm p) {     \
        gemm_tensor<T, TILE, LEFT, RIGHT>(a, b, c, bias, product, partial, p);                                                            \
    }                                                                                                                                     \
    TK_EXPORT(tk_gemm_tensor_##TILE##_##NAME)
#define GEMM_TENSOR_TILES(T, NAME, LEFT, RIGHT) GEMM_TENSOR(T, 64, NAME, LEFT, RIGHT) GEMM_TENSOR(T, 128, NAME, LEFT, RIGHT)
#define GEMM_TENSOR_TYPE(T, S)                                                                                                            \
    GEMM_TENSOR_TILES(T, S##_nn, false, false) GEMM_TENSOR_TILES(T, S##_nt, false, true)                                                   \
    GEMM_TENSOR_TILES(T, S##_tn, true, false) GEMM_TENSOR_TILES(T, S##_tt, true, true)
GEMM_TENSOR_TYPE(tk_bfloat, bf16)
GEMM_TENSOR_TYPE(tk_half, f16)
GEMM_TENSOR_TYPE(float, tf32)
#undef GEMM_TENSOR_TYPE
#undef GEMM_TENSOR_TILES
#undef GEMM_TENSOR
