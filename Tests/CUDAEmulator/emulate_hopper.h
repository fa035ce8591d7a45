// What kernels/hopper_ptx.cuh has as PTX. Boxes arrive when a thread waits at their barrier, and not before; products read shared memory through
// their descriptors when the warps wait for them, and not before.
#ifndef TAPESTRY_EMULATE_HOPPER_H
#define TAPESTRY_EMULATE_HOPPER_H

/// The emulator's own description of a tensor of 16-bit elements, in the place of the driver's.
struct tk_tensor_map {
    const unsigned char *base;
    unsigned long long sizes[3], steps[2];   // elements; bytes from a row to the next, from a matrix to the next
    unsigned box[3];
    unsigned rest;
    unsigned long long unused[8];
};
static_assert(sizeof(tk_tensor_map) == 128, "as large as CUtensorMap");
#define TK_TENSOR_MAP tk_tensor_map

typedef unsigned long long tk_barrier;

namespace emulated {

/// A barrier, in the 8 bytes of shared memory that it has.
struct Barrier { unsigned short pending, count; unsigned phase : 1; int bytes : 31; };
static_assert(sizeof(Barrier) == 8, "as large as an mbarrier");
struct Box { unsigned char *to; tk_tensor_map map; int at[3]; Barrier *barrier; };
/// The boxes of this block that are on their way.
extern thread_local std::vector<Box> boxes;

inline size_t shared_offset(const void *x, size_t bytes) {
    size_t offset = (size_t)((const unsigned char *)x - dynamic_shared);
    if (offset + bytes > dynamic_shared_bytes) fail("an address outside of the block's shared memory");
    return offset;
}
/// Pieces of 16 bytes change places with the number of their row of 128.
inline size_t exchanged(size_t offset) { return offset ^ (offset >> 7 & 7) << 4; }

inline void complete(Barrier *barrier) {
    if (barrier->pending > 0 || barrier->bytes != 0) return;
    barrier->phase ^= 1;
    barrier->pending = barrier->count;
    progress();
}
inline void arrive(const Box &box) {
    const tk_tensor_map &m = box.map;
    size_t first = shared_offset(box.to, (size_t)m.box[0] * m.box[1] * 2);
    for (unsigned row = 0; row < m.box[1]; row++)
        for (unsigned column = 0; column < m.box[0]; column++) {
            long long x = box.at[0] + (long long)column, y = box.at[1] + (long long)row;
            bool inside = x >= 0 && y >= 0 && (unsigned long long)x < m.sizes[0] && (unsigned long long)y < m.sizes[1];
            unsigned char *to = dynamic_shared + exchanged(first + (row * m.box[0] + column) * 2);
            if (inside) memcpy(to, m.base + (size_t)box.at[2] * m.steps[1] + (size_t)y * m.steps[0] + (size_t)x * 2, 2);
            else memset(to, 0, 2);
        }
    box.barrier->bytes -= (int)(m.box[0] * m.box[1] * 2);
    complete(box.barrier);
}

/// Element (line, k) of a factor, through its descriptor.
inline const unsigned short *factor_element(unsigned long long factor, bool turned, int line, int k) {
    size_t start = (factor & 0x3fff) << 4, leap = (factor >> 16 & 0x3fff) << 4, step = (factor >> 32 & 0x3fff) << 4;
    if (factor >> 62 != 1) fail("a factor in another order than that of 128 bytes");
    size_t at = turned ? start + line / 64 * leap + line % 64 * 2 + k / 8 * step + k % 8 * 128
                       : start + line / 8 * step + line % 8 * 128 + k * 2;
    at = exchanged(at);
    if (at + 2 > dynamic_shared_bytes) fail("a factor outside of the block's shared memory");
    return (const unsigned short *)(dynamic_shared + at);
}

/// A product of four warps that has begun; it is computed when the warps wait for it, from what shared memory holds then.
struct Product { unsigned long long a, b; bool a_turned, b_turned; float *sum[128]; float (*widen)(unsigned short); };
struct Products { std::vector<Product> open; std::vector<std::vector<Product>> groups; };
/// Of each group of four warps of this block.
extern thread_local std::vector<Products> products;
inline Products &own_products() {
    size_t group = current->number / 128;
    if (products.size() <= group) products.resize(group + 1);
    return products[group];
}
inline void compute(const Product &p) {
    static thread_local float a[64][16], b[16][256], sum[64][256];
    for (int k = 0; k < 16; k++) {
        for (int i = 0; i < 64; i++) a[i][k] = p.widen(*factor_element(p.a, p.a_turned, i, k));
        for (int j = 0; j < 256; j++) b[k][j] = p.widen(*factor_element(p.b, p.b_turned, j, k));
    }
    auto place = [](int thread, int e, int &i, int &j) {
        i = thread / 32 * 16 + e / 2 % 2 * 8 + thread % 32 / 4;
        j = e / 4 * 8 + thread % 4 * 2 + e % 2;
    };
    int i, j;
    for (int thread = 0; thread < 128; thread++)
        for (int e = 0; e < 128; e++) { place(thread, e, i, j); sum[i][j] = p.sum[thread][e]; }
    for (i = 0; i < 64; i++)
        for (int k = 0; k < 16; k++)
            for (j = 0; j < 256; j++) sum[i][j] += a[i][k] * b[k][j];
    for (int thread = 0; thread < 128; thread++)
        for (int e = 0; e < 128; e++) { place(thread, e, i, j); p.sum[thread][e] = sum[i][j]; }
}
inline void wait_for_products(size_t left) {
    Products &mine = own_products();
    while (mine.groups.size() > left) {
        for (const Product &product : mine.groups.front()) compute(product);
        mine.groups.erase(mine.groups.begin());
    }
}
struct Factor256 { unsigned long long a, b; float *sum; bool a_turned, b_turned; float (*widen)(unsigned short); };
inline void begin_product(void **arguments) {
    const Factor256 &first = *static_cast<Factor256 *>(arguments[0]);
    Product product = {first.a, first.b, first.a_turned, first.b_turned, {}, first.widen};
    for (int thread = 0; thread < 128; thread++) product.sum[thread] = static_cast<Factor256 *>(arguments[thread])->sum;
    own_products().open.push_back(product);
}

}  // namespace emulated

TK_DEVICE void tk_barrier_start(tk_barrier *barrier, int count) {
    emulated::shared_offset(barrier, 8);
    *(emulated::Barrier *)barrier = {(unsigned short)count, (unsigned short)count, 0, 0};
}
TK_DEVICE void tk_barriers_started() {}
TK_DEVICE void tk_barrier_arrive(tk_barrier *barrier) {
    emulated::Barrier *b = (emulated::Barrier *)barrier;
    if (b->pending == 0) emulated::fail("an arrival too many at a barrier");
    b->pending--;
    emulated::complete(b);
}
TK_DEVICE void tk_barrier_expect(tk_barrier *barrier, int bytes) {
    ((emulated::Barrier *)barrier)->bytes += bytes;
    tk_barrier_arrive(barrier);
}
TK_DEVICE void tk_barrier_wait(tk_barrier *barrier, int parity) {
    emulated::Barrier *b = (emulated::Barrier *)barrier;
    while ((int)b->phase == parity) {
        bool came = false;
        for (size_t i = 0; i < emulated::boxes.size() && !came; i++) {
            if (emulated::boxes[i].barrier != b) continue;
            emulated::Box box = emulated::boxes[i];
            emulated::boxes.erase(emulated::boxes.begin() + (ptrdiff_t)i);
            emulated::arrive(box);
            came = true;
        }
        if (!came) emulated::yield();
    }
    emulated::progress();
}
TK_DEVICE void tk_copy_box(void *to, const tk_tensor_map &map, int x, int y, int z, tk_barrier *barrier) {
    if (emulated::shared_offset(to, 0) % 128 != 0) emulated::fail("a box at an address that is no multiple of 128");
    emulated::boxes.push_back({(unsigned char *)to, map, {x, y, z}, (emulated::Barrier *)barrier});
}
template <int N> TK_DEVICE void tk_release_registers() {}
template <int N> TK_DEVICE void tk_claim_registers() {}
TK_DEVICE void tk_products_begin() {}
TK_DEVICE void tk_products_commit() {
    emulated::collective(128, "wgmma.commit_group", nullptr, [](void **) {
        emulated::Products &mine = emulated::own_products();
        mine.groups.push_back(std::move(mine.open));
        mine.open.clear();
    });
}
template <int N> TK_DEVICE void tk_products_wait() {
    emulated::collective(128, "wgmma.wait_group", nullptr, [](void **) { emulated::wait_for_products(N); });
}
TK_DEVICE unsigned long long tk_factor(const void *x, int leap, int step) {
    return (unsigned long long)emulated::shared_offset(x, 0) >> 4 | (unsigned long long)(leap >> 4) << 16 | (unsigned long long)(step >> 4) << 32 | 1ull << 62;
}
#define TK_MULTIPLY_256(NAME, WIDEN)                                                                                                   \
    template <bool A_TURNED, bool B_TURNED> TK_DEVICE void NAME(float (&sum)[128], unsigned long long a, unsigned long long b) {        \
        emulated::Factor256 mine = {a, b, sum, A_TURNED, B_TURNED, [](unsigned short bits) -> float { return WIDEN; }};                \
        emulated::collective(128, #NAME, &mine, emulated::begin_product);                                                              \
    }
TK_MULTIPLY_256(tk_multiply_256_bf16, tk_bits_float((unsigned)bits << 16))
TK_MULTIPLY_256(tk_multiply_256_f16, tk_half_to_float(bits))
#undef TK_MULTIPLY_256

#endif
