// Where the operands of a strided operation have their elements.
#ifndef TK_WALK_CUH
#define TK_WALK_CUH
#include "device.cuh"
#include "arguments.cuh"

/// The offsets of element `i` of the shape in the first K operands.
template <int K> TK_DEVICE void tk_locate(const tk_cuda_walk &walk, long long i, long long (&offsets)[K]) {
#pragma unroll
    for (int k = 0; k < K; k++) offsets[k] = 0;
    if (walk.count <= 0x7fffffffll) {   // divisions of 32 bits take a fifth of the time
        unsigned rest = (unsigned)i;
        for (int axis = (int)walk.rank - 1; axis >= 0; axis--) {
            unsigned size = (unsigned)walk.dims[axis], next = rest / size, place = rest - next * size;
#pragma unroll
            for (int k = 0; k < K; k++) offsets[k] += (long long)place * walk.strides[k][axis];
            rest = next;
        }
    } else {
        for (int axis = (int)walk.rank - 1; axis >= 0; axis--) {
            long long next = i / walk.dims[axis], place = i - next * walk.dims[axis];
#pragma unroll
            for (int k = 0; k < K; k++) offsets[k] += place * walk.strides[k][axis];
            i = next;
        }
    }
}

#endif
