// Instructions of sm_80: copies to shared memory in the background, and products by tensor cores. Part of device.cuh.
#if __CUDA_ARCH__ >= 800

TK_DEVICE unsigned tk_shared_address(const void *x) { return (unsigned)__cvta_generic_to_shared(x); }
/// Copies `bytes` (at most 16) to 16 bytes of shared memory and zeros the rest, in the background; both addresses are multiples of 16.
TK_DEVICE void tk_copy_async(void *to, const void *from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(tk_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
/// The same for 4 bytes.
TK_DEVICE void tk_copy_word_async(void *to, const void *from, int bytes) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(tk_shared_address(to)), "l"(from), "r"(bytes) : "memory");
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
// sum [16, 8] += a [16, 16] · b [16, 8]. With g = lane / 4 and t = 2 (lane % 4): a has rows g and g + 8 at columns t and t + 1, then the same
// rows at t + 8 and t + 9; b rows t, t + 1, then t + 8, t + 9 of column g; sum rows g, then g + 8 at columns t and t + 1.
#define TK_MULTIPLY_ADD(NAME, SHAPE, TYPE)                                                                                              \
    TK_DEVICE void NAME(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {                                             \
        asm volatile("mma.sync.aligned." SHAPE ".row.col.f32." TYPE "." TYPE ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                                                           \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                                   \
    }
TK_MULTIPLY_ADD(tk_multiply_add_bf16, "m16n8k16", "bf16")
TK_MULTIPLY_ADD(tk_multiply_add_f16, "m16n8k16", "f16")
/// As the two above with a [16, 8] and b [8, 8]: a has rows g and g + 8 at column lane % 4, then at lane % 4 + 4; b rows lane % 4 and
/// lane % 4 + 4 of column g.
TK_MULTIPLY_ADD(tk_multiply_add_tf32, "m16n8k8", "tf32")
#undef TK_MULTIPLY_ADD
/// The bits of a float rounded to 10 bits of fraction, halves away from zero.
TK_DEVICE unsigned tk_tf32(unsigned bits) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(bits)));
    return rounded;
}
/// Two floats rounded to 16 bits each, the first in the lower half.
TK_DEVICE unsigned tk_pack_bf16(float low, float high) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
TK_DEVICE unsigned tk_pack_f16(float low, float high) {
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

#endif
