// Instructions of sm_90a: tiles of tensors that are copied to shared memory by a unit of their own, barriers that count bytes, and products of
// four warps whose factors stay in shared memory. Part of device.cuh.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// A tensor as cuTensorMapEncodeTiled describes it.
struct alignas(64) tk_tensor_map { unsigned long long opaque[16]; };
#define TK_TENSOR_MAP const __grid_constant__ tk_tensor_map

/// A barrier in shared memory, whose phases end when `count` threads and all bytes have arrived.
typedef unsigned long long tk_barrier;
TK_DEVICE void tk_barrier_start(tk_barrier *barrier, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(tk_shared_address(barrier)), "r"(count) : "memory");
}
/// Makes started barriers known to the copying unit; __syncthreads follows.
TK_DEVICE void tk_barriers_started() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
TK_DEVICE void tk_barrier_arrive(tk_barrier *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(tk_shared_address(barrier)) : "memory");
}
/// Arrives, and says how many bytes are to come in this phase.
TK_DEVICE void tk_barrier_expect(tk_barrier *barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(tk_shared_address(barrier)), "r"(bytes) : "memory");
}
/// Waits until the phase of this parity (0 is the first) has ended.
TK_DEVICE void tk_barrier_wait(tk_barrier *barrier, int parity) {
    asm volatile("{\n.reg .pred done;\nwaiting:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra ended;\nbra waiting;\nended:\n}"
                 ::"r"(tk_shared_address(barrier)), "r"(parity) : "memory");
}
/// Copies the box of a tensor that begins at (x, y, z) to shared memory, zeros for what is outside; all its bytes count for the barrier.
TK_DEVICE void tk_copy_box(void *to, const tk_tensor_map &map, int x, int y, int z, tk_barrier *barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];"
                 ::"r"(tk_shared_address(to)), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(tk_shared_address(barrier)) : "memory");
}
/// The same for four axes.
TK_DEVICE void tk_copy_box(void *to, const tk_tensor_map &map, int x, int y, int z, int w, tk_barrier *barrier) {
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6];"
                 ::"r"(tk_shared_address(to)), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(tk_shared_address(barrier)) : "memory");
}
/// Gives registers of a group of four warps back, or takes them.
template <int N> TK_DEVICE void tk_release_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> TK_DEVICE void tk_claim_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }

/// Before the first product of a group: the sums are in their registers.
TK_DEVICE void tk_products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products; all but the last N groups are done after the wait.
TK_DEVICE void tk_products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> TK_DEVICE void tk_products_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
/// After such a wait: what these registers hold is known from here on, and not before.
template <int N> TK_DEVICE void tk_products_done(float (&sum)[N]) {
#pragma unroll
    for (int e = 0; e < N; e++) asm volatile("" : "+f"(sum[e])::"memory");
}
/// A factor of 16 bits in shared memory, in rows of 128 bytes whose pieces of 16 change places with the row's number, as boxes are written:
/// `step` bytes lie between 8 rows and the next 8, `leap` bytes between one column of such rows and the next (where rows run across k).
TK_DEVICE unsigned long long tk_factor(const void *x, int leap, int step) {
    return (unsigned long long)(tk_shared_address(x) & 0x3ffff) >> 4 | (unsigned long long)(leap >> 4) << 16 | (unsigned long long)(step >> 4) << 32 | 1ull << 62;
}
// The sums of a thread as operands of the instructions below.
#define TK_PLACES_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" \
    ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TK_PLACES_64 TK_PLACES_32 \
    ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TK_PLACES_128 TK_PLACES_64 \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
    ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
    ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define TK_SUMS_8(i) "+f"(sum[i]), "+f"(sum[i + 1]), "+f"(sum[i + 2]), "+f"(sum[i + 3]), "+f"(sum[i + 4]), "+f"(sum[i + 5]), "+f"(sum[i + 6]), "+f"(sum[i + 7])
#define TK_SUMS_16(i) TK_SUMS_8(i), TK_SUMS_8(i + 8)
#define TK_SUMS_32 TK_SUMS_16(0), TK_SUMS_16(16)
#define TK_SUMS_64 TK_SUMS_32, TK_SUMS_16(32), TK_SUMS_16(48)
#define TK_SUMS_128 TK_SUMS_64, TK_SUMS_16(64), TK_SUMS_16(80), TK_SUMS_16(96), TK_SUMS_16(112)

/// sum [64, N] (+)= a [64, 16] · b [N, 16]ᵀ by four warps, N being twice the number of a thread's sums; TURNED factors lie as [16, 64] and [16, N].
/// Without ADD, what the sums were is of no account. A thread has, of its warp's 16 rows, rows lane / 4 and that + 8 at columns
/// 8 j + 2 (lane % 4) and the next, four sums for each j.
#define TK_MULTIPLY(NAME, TYPE, N, SUMS, A, B, ADDS, TURNS_A, TURNS_B)                                                                        \
    template <bool A_TURNED, bool B_TURNED, bool ADD = true> TK_DEVICE void NAME(float (&sum)[SUMS], unsigned long long a, unsigned long long b) { \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" TK_PLACES_##SUMS "}, %" #A ", %" #B ", %" #ADDS    \
                     ", 1, 1, %" #TURNS_A ", %" #TURNS_B ";"                                                                                 \
                     : TK_SUMS_##SUMS                                                                                                        \
                     : "l"(a), "l"(b), "n"((int)ADD), "n"((int)A_TURNED), "n"((int)B_TURNED));                                               \
    }
/// The same with a in registers, as mma.sync has it: rows lane / 4 and that + 8 of the warp's 16, at columns 2 (lane % 4) and the next, then
/// the same rows 8 columns on.
#define TK_MULTIPLY_HELD(NAME, TYPE, N, SUMS, A0, A1, A2, A3, B, TURNS_B)                                                                     \
    template <bool B_TURNED> TK_DEVICE void NAME(float (&sum)[SUMS], const unsigned (&a)[4], unsigned long long b) {                          \
        asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" TK_PLACES_##SUMS "}, {%" #A0 ", %" #A1 ", %" #A2    \
                     ", %" #A3 "}, %" #B ", 1, 1, 1, %" #TURNS_B ";"                                                                         \
                     : TK_SUMS_##SUMS                                                                                                        \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"((int)B_TURNED));                                              \
    }
#define TK_MULTIPLY_TYPE(S, TYPE)                                                                                                             \
    TK_MULTIPLY(tk_multiply_##S, TYPE, 64, 32, 32, 33, 34, 35, 36)                                                                            \
    TK_MULTIPLY(tk_multiply_##S, TYPE, 128, 64, 64, 65, 66, 67, 68)                                                                           \
    TK_MULTIPLY(tk_multiply_##S, TYPE, 256, 128, 128, 129, 130, 131, 132)                                                                     \
    TK_MULTIPLY_HELD(tk_multiply_held_##S, TYPE, 64, 32, 32, 33, 34, 35, 36, 37)                                                              \
    TK_MULTIPLY_HELD(tk_multiply_held_##S, TYPE, 128, 64, 64, 65, 66, 67, 68, 69)
TK_MULTIPLY_TYPE(bf16, "bf16")
TK_MULTIPLY_TYPE(f16, "f16")
#undef TK_MULTIPLY_TYPE
#undef TK_MULTIPLY_HELD
#undef TK_MULTIPLY

#endif
