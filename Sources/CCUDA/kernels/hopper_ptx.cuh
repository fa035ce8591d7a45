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
/// Gives registers of a group of four warps back, or takes them.
template <int N> TK_DEVICE void tk_release_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> TK_DEVICE void tk_claim_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }

/// Before the first product of a group: the sums are in their registers.
TK_DEVICE void tk_products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products; all but the last N groups are done after the wait.
TK_DEVICE void tk_products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> TK_DEVICE void tk_products_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
/// A factor of 16 bits in shared memory, in rows of 128 bytes whose pieces of 16 change places with the row's number, as boxes are written:
/// `step` bytes lie between 8 rows and the next 8, `leap` bytes between one column of such rows and the next (where rows run across k).
TK_DEVICE unsigned long long tk_factor(const void *x, int leap, int step) {
    return (unsigned long long)(tk_shared_address(x) & 0x3ffff) >> 4 | (unsigned long long)(leap >> 4) << 16 | (unsigned long long)(step >> 4) << 32 | 1ull << 62;
}
/// sum [64, 256] += a [64, 16] · b [256, 16]ᵀ by four warps; TURNED factors lie as [16, 64] and [16, 256]. A thread has, of its warp's 16 rows,
/// rows lane / 4 and that + 8 at columns 8 j + 2 (lane % 4) and the next, four sums for each j.
#define TK_MULTIPLY_256(NAME, TYPE)                                                                                                       \
    template <bool A_TURNED, bool B_TURNED> TK_DEVICE void NAME(float (&sum)[128], unsigned long long a, unsigned long long b) {           \
        asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " {"                                                    \
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
                     "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
                     "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
                     "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
                     "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
                     "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
                     "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, %128, %129, 1, 1, 1, %130, %131;"                                     \
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]),                                      \
                       "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]),                                      \
                       "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]),                                      \
                       "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31]),                                      \
                       "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]), "+f"(sum[36]), "+f"(sum[37]), "+f"(sum[38]), "+f"(sum[39]),                                      \
                       "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]), "+f"(sum[43]), "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47]),                                      \
                       "+f"(sum[48]), "+f"(sum[49]), "+f"(sum[50]), "+f"(sum[51]), "+f"(sum[52]), "+f"(sum[53]), "+f"(sum[54]), "+f"(sum[55]),                                      \
                       "+f"(sum[56]), "+f"(sum[57]), "+f"(sum[58]), "+f"(sum[59]), "+f"(sum[60]), "+f"(sum[61]), "+f"(sum[62]), "+f"(sum[63]),                                      \
                       "+f"(sum[64]), "+f"(sum[65]), "+f"(sum[66]), "+f"(sum[67]), "+f"(sum[68]), "+f"(sum[69]), "+f"(sum[70]), "+f"(sum[71]),                                      \
                       "+f"(sum[72]), "+f"(sum[73]), "+f"(sum[74]), "+f"(sum[75]), "+f"(sum[76]), "+f"(sum[77]), "+f"(sum[78]), "+f"(sum[79]),                                      \
                       "+f"(sum[80]), "+f"(sum[81]), "+f"(sum[82]), "+f"(sum[83]), "+f"(sum[84]), "+f"(sum[85]), "+f"(sum[86]), "+f"(sum[87]),                                      \
                       "+f"(sum[88]), "+f"(sum[89]), "+f"(sum[90]), "+f"(sum[91]), "+f"(sum[92]), "+f"(sum[93]), "+f"(sum[94]), "+f"(sum[95]),                                      \
                       "+f"(sum[96]), "+f"(sum[97]), "+f"(sum[98]), "+f"(sum[99]), "+f"(sum[100]), "+f"(sum[101]), "+f"(sum[102]), "+f"(sum[103]),                                      \
                       "+f"(sum[104]), "+f"(sum[105]), "+f"(sum[106]), "+f"(sum[107]), "+f"(sum[108]), "+f"(sum[109]), "+f"(sum[110]), "+f"(sum[111]),                                      \
                       "+f"(sum[112]), "+f"(sum[113]), "+f"(sum[114]), "+f"(sum[115]), "+f"(sum[116]), "+f"(sum[117]), "+f"(sum[118]), "+f"(sum[119]),                                      \
                       "+f"(sum[120]), "+f"(sum[121]), "+f"(sum[122]), "+f"(sum[123]), "+f"(sum[124]), "+f"(sum[125]), "+f"(sum[126]), "+f"(sum[127])                                       \
                     : "l"(a), "l"(b), "n"((int)A_TURNED), "n"((int)B_TURNED));                                                            \
    }
TK_MULTIPLY_256(tk_multiply_256_bf16, "bf16")
TK_MULTIPLY_256(tk_multiply_256_f16, "f16")
#undef TK_MULTIPLY_256

#endif
