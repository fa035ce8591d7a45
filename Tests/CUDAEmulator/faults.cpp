// Kernels with a fault planted by a macro, which tests require to be seen.
#include "emulate_kernels.h"

// Threads that do not wait for each other.
#define TK_EXPORT(name) static emulated::Registration register_##name("missing barrier", #name, RUNNER(name));
#define __syncthreads() ((void)0)
namespace missing_barrier {
#undef TK_PRODUCTS_CUH
#include "../../Sources/CCUDA/kernels/products.cuh"
#include "../../Sources/CCUDA/kernels/memory.cu"
#include "../../Sources/CCUDA/kernels/reduce.cu"
#include "../../Sources/CCUDA/kernels/gemm.cu"
#include "../../Sources/CCUDA/kernels/gemm_float.cu"
#include "../../Sources/CCUDA/kernels/gemv.cu"
#undef TK_TENSOR_PRODUCT_CUH
#include "../../Sources/CCUDA/kernels/tensor_product.cuh"
#include "../../Sources/CCUDA/kernels/gemm_tensor.cu"
#undef TK_ATTENTION_TILES_CUH
#include "../../Sources/CCUDA/kernels/attention_tensor.cu"
}
#undef __syncthreads
#undef TK_EXPORT

// Copies in the background that nobody waits for.
#define TK_EXPORT(name) static emulated::Registration register_##name("missing wait", #name, RUNNER(name));
namespace missing_wait {
template <int N> TK_DEVICE void no_wait() {}
TK_DEVICE void no_barrier_wait(tk_barrier *, int) {}
#define tk_copy_wait no_wait
#define tk_barrier_wait no_barrier_wait
#undef TK_TENSOR_PRODUCT_CUH
#include "../../Sources/CCUDA/kernels/tensor_product.cuh"
#include "../../Sources/CCUDA/kernels/gemm_tensor.cu"
#undef TK_ATTENTION_TILES_CUH
#include "../../Sources/CCUDA/kernels/attention_tensor.cu"
#undef TK_HOPPER_TILES_CUH
#include "../../Sources/CCUDA/kernels/attention_hopper.cu"
#include "../../Sources/CCUDA/kernels/gemm_hopper.cu"
#undef tk_barrier_wait
#undef tk_copy_wait
}
#undef TK_EXPORT

// Products whose factors are given back while they are still read.
#define TK_EXPORT(name) static emulated::Registration register_##name("missing product wait", #name, RUNNER(name));
namespace missing_product_wait {
template <int N> TK_DEVICE void late_wait() { if (N == 0) tk_products_wait<0>(); }
#define tk_products_wait late_wait
#undef TK_ATTENTION_TILES_CUH
#undef TK_HOPPER_TILES_CUH
#include "../../Sources/CCUDA/kernels/attention_hopper.cu"
#include "../../Sources/CCUDA/kernels/gemm_hopper.cu"
#undef tk_products_wait
}
#undef TK_EXPORT

// The strides of the operands exchanged, and a row of a matrix that is one element longer than it is.
#define TK_EXPORT(name) static emulated::Registration register_##name("wrong stride", #name, RUNNER(name));
namespace wrong_stride {
template <int K> TK_DEVICE void exchanged_locate(const tk_cuda_walk &walk, long long i, long long (&offsets)[K]) {
    tk_cuda_walk other = walk;
    memcpy(other.strides[0], walk.strides[1], sizeof other.strides[0]);
    memcpy(other.strides[1], walk.strides[0], sizeof other.strides[1]);
    tk_locate(other, i, offsets);
}
#define tk_locate exchanged_locate
#define ldb ldb + 1
#undef TK_PRODUCTS_CUH
#include "../../Sources/CCUDA/kernels/products.cuh"
#include "../../Sources/CCUDA/kernels/binary.cu"
#include "../../Sources/CCUDA/kernels/gemm.cu"
#include "../../Sources/CCUDA/kernels/gemv.cu"
#undef TK_TENSOR_PRODUCT_CUH
#include "../../Sources/CCUDA/kernels/tensor_product.cuh"
#include "../../Sources/CCUDA/kernels/gemm_tensor.cu"
#undef ldb
#undef tk_locate
}
#undef TK_EXPORT

// The first element left out.
#define TK_EXPORT(name) static emulated::Registration register_##name("off by one", #name, RUNNER(name));
#define tk_first() (tk_first() + 1)
namespace off_by_one {
#include "../../Sources/CCUDA/kernels/fused.cu"
#include "../../Sources/CCUDA/kernels/unary.cu"
#include "../../Sources/CCUDA/kernels/memory.cu"
}
#undef tk_first
#undef TK_EXPORT

// One element more than there are.
#define TK_EXPORT(name) static emulated::Registration register_##name("one too many", #name, RUNNER(name));
#define count count + 1
namespace one_too_many {
#include "../../Sources/CCUDA/kernels/choice.cu"
}
#undef count
#undef TK_EXPORT
