// The prelude of every kernel: one source for two compilers, NVRTC and, with TK_EMULATE, a C++ compiler for the CPU (then the
// includer has defined what stands below the #else). Whatever is not plain CUDA C++ is a function tk_* of this file.
#ifndef TK_DEVICE_CUH
#define TK_DEVICE_CUH

#if !defined(TK_EMULATE)

#define TK_DEVICE static __device__ __forceinline__
#define TK_DEVICE_MEMBER __device__ __forceinline__
#define TK_SHARED __shared__
/// An entry point for blocks of up to `threads` threads; DENSE: of which `blocks` shall fit on a multiprocessor.
#define TK_KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
#define TK_DENSE_KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
/// Names an entry point to the emulator.
#define TK_EXPORT(name)

TK_DEVICE float tk_half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
TK_DEVICE unsigned short tk_float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
TK_DEVICE unsigned tk_float_bits(float value) { return __float_as_uint(value); }
TK_DEVICE float tk_bits_float(unsigned bits) { return __uint_as_float(bits); }
TK_DEVICE unsigned long long tk_double_bits(double value) { return (unsigned long long)__double_as_longlong(value); }
TK_DEVICE double tk_bits_double(unsigned long long bits) { return __longlong_as_double((long long)bits); }
/// The upper half of a product.
TK_DEVICE unsigned tk_high_product(unsigned a, unsigned b) { return __umulhi(a, b); }
TK_DEVICE unsigned long long tk_high_product(unsigned long long a, unsigned long long b) { return __umul64hi(a, b); }
// Rounded by themselves, never contracted to a multiply-add: random numbers are to be the same on every device.
TK_DEVICE float tk_product(float a, float b) { return __fmul_rn(a, b); }
TK_DEVICE float tk_sum(float a, float b) { return __fadd_rn(a, b); }
TK_DEVICE double tk_product(double a, double b) { return __dmul_rn(a, b); }
TK_DEVICE double tk_sum(double a, double b) { return __dadd_rn(a, b); }
/// The value of the lane whose number differs in the bits of `mask`; all 32 lanes take part.
template <class T> TK_DEVICE T tk_shuffle_xor(T value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
/// The value of a lane.
template <class T> TK_DEVICE T tk_shuffle(T value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
TK_DEVICE void tk_atomic_min(unsigned long long *to, unsigned long long value) { atomicMin(to, value); }

struct alignas(16) tk_16bytes { unsigned long long low, high; };

/// Memory that the launch gives a block, from a multiple of 1024 bytes on.
#define TK_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
/// Waits for the other lanes of the warp, and sees what they have written.
TK_DEVICE void tk_warp_barrier() { __syncwarp(); }
TK_DEVICE float tk_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#include "tensor_ptx.cuh"
#include "hopper_ptx.cuh"

#endif

TK_DEVICE float tk_infinity(float) { return tk_bits_float(0x7f800000u); }
TK_DEVICE double tk_infinity(double) { return tk_bits_double(0x7ff0000000000000ull); }
TK_DEVICE float tk_nan(float) { return tk_bits_float(0x7fc00000u); }
TK_DEVICE double tk_nan(double) { return tk_bits_double(0x7ff8000000000000ull); }
TK_DEVICE float tk_lowest(float) { return -3.402823466e38f; }
TK_DEVICE double tk_lowest(double) { return -1.7976931348623157e308; }

/// The first element of a thread and the step to its next one, in a grid that walks over any number of elements.
TK_DEVICE long long tk_first() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }
TK_DEVICE long long tk_step() { return (long long)gridDim.x * blockDim.x; }

#endif
