// Reductions by the threads of a block, in an order that depends on the sizes alone.
#ifndef TK_GROUPS_CUH
#define TK_GROUPS_CUH
#include "functions.cuh"

struct tk_add { template <class F> TK_DEVICE_MEMBER F operator()(F a, F b) const { return a + b; } };
struct tk_larger { template <class F> TK_DEVICE_MEMBER F operator()(F a, F b) const { return larger(a, b); } };

/// Combines the values of the threads of a row (threadIdx.x; blockDim.x is a multiple of 32) and gives all of them the result. With more
/// than 32 threads to a row a block has one row, and all its threads take part. `scratch` holds 32 values.
template <class F, class Op> TK_DEVICE F tk_across_row(F value, Op op, F *scratch) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) value = op(value, tk_shuffle_xor(value, mask));
    if (blockDim.x == 32) return value;
    int warps = blockDim.x / 32;
    __syncthreads();   // the values of the reduction before were read
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    value = scratch[0];
    for (int k = 1; k < warps; k++) value = op(value, scratch[k]);
    return value;
}

/// The row of a thread: blockDim.y rows to a block.
TK_DEVICE long long tk_row() { return (long long)blockIdx.x * blockDim.y + threadIdx.y; }

#endif
