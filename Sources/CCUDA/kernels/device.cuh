// The prelude of every kernel: one source for two compilers, NVRTC and, with TK_EMULATE, a C++ compiler for the CPU (then the
// includer has defined what stands below the #else). Whatever is not plain CUDA C++ is a function tk_* of this file.
#ifndef TK_DEVICE_CUH
#define TK_DEVICE_CUH

#if !defined(TK_EMULATE)

#define TK_DEVICE static __device__ __forceinline__
#define TK_DEVICE_MEMBER __device__ __forceinline__
/// A larger function that is called where it is used, so that the PTX has it once.
#define TK_CALLED static __device__ __noinline__
#define TK_CALLED_MEMBER __device__ __noinline__
#define TK_SHARED __shared__
/// An entry point for blocks of up to `threads` threads.
#define TK_KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
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
/// All 32 lanes have come here, and see what the others wrote before.
TK_DEVICE void tk_warp_barrier() { __syncwarp(); }
TK_DEVICE void tk_atomic_min(unsigned long long *to, unsigned long long value) { atomicMin(to, value); }

struct alignas(16) tk_16bytes { unsigned long long low, high; };

#if __CUDA_ARCH__ >= 800

TK_DEVICE unsigned tk_shared_address(const void *x) { return (unsigned)__cvta_generic_to_shared(x); }
/// Copies `bytes` (at most 16) to 16 bytes of shared memory and zeros the rest, in the background; both addresses are multiples of 16.
TK_DEVICE void tk_copy_async(void *to, const void *from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(tk_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
/// Ends a group of copies; all but the last N groups of this thread have arrived after the wait.
TK_DEVICE void tk_copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> TK_DEVICE void tk_copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
/// Four matrices of 8 × 8 elements of 16 bits, whose rows begin at the addresses of lanes 0 … 7, 8 … 15 and so on. A lane gets of each the
/// elements 2 (lane % 4) and the next of row lane / 4; turned, of column lane / 4.
TK_DEVICE void tk_load_matrices(unsigned (&out)[4], const void *row, bool turned) {
    if (turned)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(tk_shared_address(row)) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(tk_shared_address(row)) : "memory");
}
/// sum [16, 8] += a [16, 16] · b [16, 8] in bfloat16. With g = lane / 4 and t = 2 (lane % 4): a has rows g and g + 8 at columns t and t + 1,
/// then the same rows at t + 8 and t + 9; b rows t, t + 1, then t + 8, t + 9 of column g; sum rows g, then g + 8 at columns t and t + 1.
TK_DEVICE void tk_multiply_add_bf16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif

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
