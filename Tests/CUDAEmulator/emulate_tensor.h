// What kernels/tensor_ptx.cuh has as PTX. Copies in the background arrive when their thread waits for them, and not before.
#ifndef TAPESTRY_EMULATE_TENSOR_H
#define TAPESTRY_EMULATE_TENSOR_H

namespace emulated {

inline void copy_async(void *to, const void *from, int bytes, int size) {
    if (((uintptr_t)to | (uintptr_t)from) % (unsigned)size != 0)
        fail("a copy to shared memory from or to an address that is no multiple of its size");
    current->open.push_back({to, from, bytes, size});
}

/// a and b of one lane, and where its sums are.
struct Factors { const unsigned *a; unsigned b[2]; float *sum; };

/// sum [16, 8] += a [16, K] · b [K, 8], whose elements `value(register, e)` takes from the registers of a lane; a register has PER elements.
template <int PER, class Value> void multiply_add(void **arguments, Value value) {
    const int K = 8 * PER;
    float a[16][16], b[16][8], sum[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const Factors &mine = *static_cast<Factors *>(arguments[lane]);
        int g = lane / 4, t = lane % 4;
        for (int e = 0; e < PER; e++)
            for (int half = 0; half < 2; half++) {
                for (int low = 0; low < 2; low++) a[g + 8 * low][half * K / 2 + t * PER + e] = value(mine.a[half * 2 + low], e);
                b[half * K / 2 + t * PER + e][g] = value(mine.b[half], e);
            }
        for (int e = 0; e < 4; e++) sum[g + e / 2 * 8][2 * t + e % 2] = mine.sum[e];
    }
    for (int r = 0; r < 16; r++)
        for (int k = 0; k < K; k++)
            for (int c = 0; c < 8; c++) sum[r][c] += a[r][k] * b[k][c];
    for (int lane = 0; lane < 32; lane++)
        for (int e = 0; e < 4; e++) static_cast<Factors *>(arguments[lane])->sum[e] = sum[lane / 4 + e / 2 * 8][lane % 4 * 2 + e % 2];
}

}  // namespace emulated

TK_DEVICE void tk_copy_async(void *to, const void *from, int bytes) { emulated::copy_async(to, from, bytes, 16); }
TK_DEVICE void tk_copy_word_async(void *to, const void *from, int bytes) { emulated::copy_async(to, from, bytes, 4); }
TK_DEVICE void tk_copy_commit() {
    emulated::current->groups.push_back(std::move(emulated::current->open));
    emulated::current->open.clear();
}
template <int N> TK_DEVICE void tk_copy_wait() {
    auto &groups = emulated::current->groups;
    while (groups.size() > (size_t)N) {
        for (const auto &copy : groups.front()) {
            memset(copy.to, 0, (size_t)copy.size);
            memcpy(copy.to, copy.from, (size_t)copy.bytes);
        }
        groups.erase(groups.begin());
    }
}
TK_DEVICE void tk_load_matrices(unsigned (&out)[4], const void *row, bool turned) {
    if ((uintptr_t)row % 16 != 0) emulated::fail("a row of a matrix at an address that is no multiple of 16");
    struct Load { const void *row; unsigned *out; bool turned; } mine = {row, out, turned};
    emulated::collective(32, "ldmatrix", &mine, [](void **all) {
        for (int lane = 0; lane < 32; lane++) {
            const Load &load = *static_cast<Load *>(all[lane]);
            int g = lane / 4, t = lane % 4 * 2;
            for (int k = 0; k < 4; k++) {
                unsigned short pair[2];
                for (int e = 0; e < 2; e++) {
                    const void *from = static_cast<Load *>(all[8 * k + (load.turned ? t + e : g)])->row;
                    pair[e] = static_cast<const unsigned short *>(from)[load.turned ? g : t + e];
                }
                load.out[k] = pair[0] | (unsigned)pair[1] << 16;
            }
        }
    });
}
#define TK_MULTIPLY_ADD(NAME, PER, VALUE)                                                                                    \
    TK_DEVICE void NAME(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {                                  \
        emulated::Factors mine = {a, {b0, b1}, sum};                                                                         \
        emulated::collective(32, #NAME, &mine, [](void **all) {                                                              \
            emulated::multiply_add<PER>(all, [](unsigned bits, int e) -> float { (void)e; return VALUE; });                  \
        });                                                                                                                  \
    }
TK_MULTIPLY_ADD(tk_multiply_add_bf16, 2, tk_bits_float(e ? bits & 0xffff0000u : bits << 16))
TK_MULTIPLY_ADD(tk_multiply_add_f16, 2, tk_half_to_float((unsigned short)(e ? bits >> 16 : bits)))
TK_MULTIPLY_ADD(tk_multiply_add_tf32, 1, tk_bits_float(bits & 0xffffe000u))
#undef TK_MULTIPLY_ADD
TK_DEVICE unsigned tk_tf32(unsigned bits) { return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u; }
TK_DEVICE unsigned tk_pack_bf16(float low, float high) {
    auto rounded = [](float x) -> unsigned {
        unsigned bits = tk_float_bits(x);
        return x != x ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    };
    return rounded(low) | rounded(high) << 16;
}
TK_DEVICE unsigned tk_pack_f16(float low, float high) { return tk_float_to_half(low) | (unsigned)tk_float_to_half(high) << 16; }

#endif
