// module: hopper_sm90a
// Matrix products of float16 and bfloat16 on sm_90: tiles of 128 × 256. One warp group copies boxes of the operands to a ring of four stages in
// shared memory, 64 of k at a time; two others multiply 64 rows each, straight from there. Blocks stay and take one tile after the other, so that
// the next tile's boxes come while sums are written.
#include "epilogue.cuh"
#include "hopper_tiles.cuh"

enum { HOPPER_DOWN = 128, HOPPER_ACROSS = 256, HOPPER_DEPTH = 64, HOPPER_STAGES = 4, HOPPER_LEFT = HOPPER_DOWN * HOPPER_DEPTH * 2,
       HOPPER_RIGHT = HOPPER_ACROSS * HOPPER_DEPTH * 2, HOPPER_STAGE = HOPPER_LEFT + HOPPER_RIGHT, HOPPER_BOX = 64 * HOPPER_DEPTH * 2,
       HOPPER_SLAB = 16 * 40 * 4 };

/// The tile of a number, in bands of 8 tiles that share the right operand's columns.
TK_DEVICE void place_of_hopper_tile(long long number, const tk_cuda_gemm &p, int &batch, int &i0, int &j0) {
    int down = (int)((p.m + HOPPER_DOWN - 1) / HOPPER_DOWN), across = (int)((p.n + HOPPER_ACROSS - 1) / HOPPER_ACROSS);
    batch = (int)(number / ((long long)down * across));
    int rest = (int)(number % ((long long)down * across)), band = rest / (8 * across) * 8, height = down - band < 8 ? down - band : 8;
    rest -= band * across;
    i0 = (band + rest % height) * HOPPER_DOWN;
    j0 = rest / height * HOPPER_ACROSS;
}

/// A tile of an operand: rows along k in one box, or rows across k in boxes of 64 beside each other.
template <bool TURNED, int LINES> TK_DEVICE void copy_tile(unsigned char *to, const tk_tensor_map &map, int line0, int k0, int batch, tk_barrier *barrier) {
    if constexpr (!TURNED) {
        tk_copy_box(to, map, k0, line0, batch, barrier);
    } else {
#pragma unroll
        for (int box = 0; box < LINES / 64; box++) tk_copy_box(to + box * HOPPER_BOX, map, line0 + box * 64, k0, batch, barrier);
    }
}
template <class T, bool LEFT_TURNED, bool RIGHT_TURNED>
TK_DEVICE void gemm_hopper(const tk_tensor_map &left, const tk_tensor_map &right, void *c, const void *bias, void *product, const tk_cuda_gemm &p) {
    TK_DYNAMIC_SHARED(memory);
    float *slabs = (float *)(memory + HOPPER_STAGES * HOPPER_STAGE);
    tk_barrier *full = (tk_barrier *)((unsigned char *)slabs + 8 * HOPPER_SLAB), *empty = full + HOPPER_STAGES;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < HOPPER_STAGES; stage++) {
            tk_barrier_start(full + stage, 1);
            tk_barrier_start(empty + stage, 8);   // the warps that multiply
        }
        tk_barriers_started();
    }
    __syncthreads();
    long long tiles = (p.m + HOPPER_DOWN - 1) / HOPPER_DOWN * ((p.n + HOPPER_ACROSS - 1) / HOPPER_ACROSS) * p.batch;
    int steps = (int)((p.k + HOPPER_DEPTH - 1) / HOPPER_DEPTH), turn = 0, batch, i0, j0;   // a turn is a step of any tile
    if (threadIdx.x < 128) {
        tk_release_registers<40>();
        if (threadIdx.x != 0) return;
        for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            place_of_hopper_tile(tile, p, batch, i0, j0);
            for (int step = 0; step < steps; step++, turn++) {
                int stage = turn % HOPPER_STAGES;
                unsigned char *to = memory + stage * HOPPER_STAGE;
                tk_barrier_wait(empty + stage, turn / HOPPER_STAGES % 2 ^ 1);   // at first there is nothing to wait for
                tk_barrier_expect(full + stage, HOPPER_STAGE);
                copy_tile<LEFT_TURNED, HOPPER_DOWN>(to, left, i0, step * HOPPER_DEPTH, p.stride_a ? batch : 0, full + stage);
                copy_tile<!RIGHT_TURNED, HOPPER_ACROSS>(to + HOPPER_LEFT, right, j0, step * HOPPER_DEPTH, p.stride_b ? batch : 0, full + stage);
            }
        }
        return;
    }
    tk_claim_registers<232>();
    int group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 - 4, lane = threadIdx.x % 32;
    float *slab = slabs + warp * (HOPPER_SLAB / 4);
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        place_of_hopper_tile(tile, p, batch, i0, j0);
        float sum[128];
#pragma unroll
        for (int e = 0; e < 128; e++) sum[e] = 0;
        for (int step = 0; step < steps; step++, turn++) {
            int stage = turn % HOPPER_STAGES;
            const unsigned char *a = memory + stage * HOPPER_STAGE + group * HOPPER_BOX, *b = memory + stage * HOPPER_STAGE + HOPPER_LEFT;
            tk_barrier_wait(full + stage, turn / HOPPER_STAGES % 2);
            tk_products_begin();
#pragma unroll
            for (int k = 0; k < HOPPER_DEPTH; k += 16)
                multiply_boxes<LEFT_TURNED, !RIGHT_TURNED>(sum, factor_at<LEFT_TURNED>(a, k, HOPPER_BOX), factor_at<!RIGHT_TURNED>(b, k, HOPPER_BOX), T());
            tk_products_commit();
            // While these run, the stage before is given back.
            tk_products_wait<1>();
            if (step > 0 && lane == 0) tk_barrier_arrive(empty + (turn - 1) % HOPPER_STAGES);
        }
        tk_products_wait<0>();
        if (steps > 0 && lane == 0) tk_barrier_arrive(empty + (turn - 1) % HOPPER_STAGES);
        gemm_result<float> store(c, bias, product, p, batch);
#pragma unroll 1
        for (int part = 0; part < HOPPER_ACROSS / 32; part++) {
#pragma unroll   // registers have numbers: a copy of these stores, but of nothing else, to each part
            for (int e = 0; e < 128; e++)
                if (e / 16 == part) slab[(lane / 4 + e / 2 % 2 * 8) * 40 + e / 4 % 4 * 8 + lane % 4 * 2 + e % 2] = sum[e];
            tk_store_slab<16, 32>(slab, i0 + warp * 16, j0 + part * 32, (int)p.m, (int)p.n, store);
        }
    }
}

#define GEMM_HOPPER(T, NAME, LEFT, RIGHT)                                                                                                   \
    TK_KERNEL(384)                                                                                                                          \
    tk_gemm_hopper_##NAME(TK_TENSOR_MAP left, TK_TENSOR_MAP right, void *c, const void *bias, void *product, tk_cuda_gemm p) {              \
        gemm_hopper<T, LEFT, RIGHT>(left, right, c, bias, product, p);                                                                      \
    }                                                                                                                                       \
    TK_EXPORT(tk_gemm_hopper_##NAME)
#define GEMM_HOPPER_TYPE(T, S)                                                                                                              \
    GEMM_HOPPER(T, S##_nn, false, false) GEMM_HOPPER(T, S##_nt, false, true) GEMM_HOPPER(T, S##_tn, true, false) GEMM_HOPPER(T, S##_tt, true, true)
GEMM_HOPPER_TYPE(tk_bfloat, bf16)
GEMM_HOPPER_TYPE(tk_half, f16)
#undef GEMM_HOPPER_TYPE
#undef GEMM_HOPPER
