// The kernels of tensor cores and of attention, compiled for the CPU.
#include "emulate_kernels.h"

#define TK_EXPORT(name) static emulated::Registration register_##name("", #name, RUNNER(name));
namespace sound {
#include "../../Sources/CCUDA/kernels/attention_tiles.cuh"
#include "../../Sources/CCUDA/kernels/hopper_tiles.cuh"
#include "../../Sources/CCUDA/kernels/tensor_product.cuh"
#include "../../Sources/CCUDA/kernels/attention.cu"
#include "../../Sources/CCUDA/kernels/attention_hopper.cu"
#include "../../Sources/CCUDA/kernels/attention_tensor.cu"
#include "../../Sources/CCUDA/kernels/convolution_tensor.cu"
#include "../../Sources/CCUDA/kernels/gemm_hopper.cu"
#include "../../Sources/CCUDA/kernels/gemm_tensor.cu"
#include "../../Sources/CCUDA/kernels/peaks_tensor.cu"
}
