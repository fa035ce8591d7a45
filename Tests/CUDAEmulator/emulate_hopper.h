// What kernels/hopper_ptx.cuh has as PTX. Boxes arrive when a thread waits at their barrier, and not before; products read shared memory through
// their descriptors when the warps wait for them, and not before.
#ifndef TAPESTRY_EMULATE_HOPPER_H
#define TAPESTRY_EMULATE_HOPPER_H

/// The emulator's own description of a tensor of 16-bit elements, in the place of the driver's.
struct tk_tensor_map {
    const unsigned char *base;
    unsigned long long sizes[4], steps[3];   // elements; bytes from a row to the next, from a matrix to the next, from a batch to the next
    unsigned box[2], axes;
    unsigned long long unused[6];
};
static_assert(sizeof(tk_tensor_map) == 128, "as large as CUtensorMap");
#define TK_TENSOR_MAP tk_tensor_map

typedef unsigned long long tk_barrier;

namespace emulated {

/// A barrier, in the 8 bytes of shared memory that it has.
struct Barrier { unsigned short pending, count; unsigned phase : 1; int bytes : 31; };
static_assert(sizeof(Barrier) == 8, "as large as an mbarrier");
struct Box { unsigned char *to; tk_tensor_map map; int at[4]; Barrier *barrier; };
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
            for (int axis = 2; axis < 4; axis++) inside = inside && box.at[axis] >= 0 && (unsigned long long)box.at[axis] < m.sizes[axis];
            unsigned char *to = dynamic_shared + exchanged(first + (row * m.box[0] + column) * 2);
            size_t matrix = (size_t)box.at[3] * m.steps[2] + (size_t)box.at[2] * m.steps[1];
            if (inside) memcpy(to, m.base + matrix + (size_t)y * m.steps[0] + (size_t)x * 2, 2);
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

/// A product of four warps that has begun; it is computed when the warps wait for it, from what shared memory and registers hold then.
struct Product {
    unsigned long long a, b;
    bool a_turned, b_turned, adds;
    int columns;
    const unsigned *held[128];   // the left factor in registers, or null
    float *sum[128];
    float (*widen)(unsigned short);
};
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
    if (p.held[0]) {
        for (int thread = 0; thread < 128; thread++)
            for (int e = 0; e < 8; e++)
                a[thread / 32 * 16 + thread % 32 / 4 + e / 2 % 2 * 8][thread % 4 * 2 + e / 4 * 8 + e % 2] =
                    p.widen((unsigned short)(p.held[thread][e / 2] >> e % 2 * 16));
    } else {
        for (int i = 0; i < 64; i++)
            for (int k = 0; k < 16; k++) a[i][k] = p.widen(*factor_element(p.a, p.a_turned, i, k));
    }
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < p.columns; j++) b[k][j] = p.widen(*factor_element(p.b, p.b_turned, j, k));
    auto place = [](int thread, int e, int &i, int &j) {
        i = thread / 32 * 16 + e / 2 % 2 * 8 + thread % 32 / 4;
        j = e / 4 * 8 + thread % 4 * 2 + e % 2;
    };
    int i, j;
    for (int thread = 0; thread < 128; thread++)
        for (int e = 0; e < p.columns / 2; e++) { place(thread, e, i, j); sum[i][j] = p.adds ? p.sum[thread][e] : 0; }
    for (i = 0; i < 64; i++)
        for (int k = 0; k < 16; k++)
            for (j = 0; j < p.columns; j++) sum[i][j] += a[i][k] * b[k][j];
    for (int thread = 0; thread < 128; thread++)
        for (int e = 0; e < p.columns / 2; e++) { place(thread, e, i, j); p.sum[thread][e] = sum[i][j]; }
}
inline void wait_for_products(size_t left) {
    Products &mine = own_products();
    while (mine.groups.size() > left) {
        for (const Product &product : mine.groups.front()) compute(product);
        mine.groups.erase(mine.groups.begin());
    }
}
/// What a thread brings to a product.
struct GroupFactors { Product product; const unsigned *held; float *sum; };
inline void begin_product(void **arguments) {
    Product product = static_cast<GroupFactors *>(arguments[0])->product;
    for (int thread = 0; thread < 128; thread++) {
        product.held[thread] = static_cast<GroupFactors *>(arguments[thread])->held;
        product.sum[thread] = static_cast<GroupFactors *>(arguments[thread])->sum;
    }
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
    if (map.axes != 3) emulated::fail("a box with another number of axes than its tensor");
    emulated::boxes.push_back({(unsigned char *)to, map, {x, y, z, 0}, (emulated::Barrier *)barrier});
}
TK_DEVICE void tk_copy_box(void *to, const tk_tensor_map &map, int x, int y, int z, int w, tk_barrier *barrier) {
    if (emulated::shared_offset(to, 0) % 128 != 0) emulated::fail("a box at an address that is no multiple of 128");
    if (map.axes != 4) emulated::fail("a box with another number of axes than its tensor");
    emulated::boxes.push_back({(unsigned char *)to, map, {x, y, z, w}, (emulated::Barrier *)barrier});
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
template <int N> TK_DEVICE void tk_products_done(float (&)[N]) {}
TK_DEVICE unsigned long long tk_factor(const void *x, int leap, int step) {
    return (unsigned long long)emulated::shared_offset(x, 0) >> 4 | (unsigned long long)(leap >> 4) << 16 | (unsigned long long)(step >> 4) << 32 | 1ull << 62;
}
#define TK_MULTIPLY(S, WIDEN)                                                                                                            \
    template <bool A_TURNED, bool B_TURNED, bool ADD = true, int N>                                                                     \
    TK_DEVICE void tk_multiply_##S(float (&sum)[N], unsigned long long a, unsigned long long b) {                                       \
        auto widen = [](unsigned short bits) -> float { return WIDEN; };                                                                \
        emulated::GroupFactors mine = {{a, b, A_TURNED, B_TURNED, ADD, 2 * N, {}, {}, widen}, nullptr, sum};                                 \
        emulated::collective(128, "wgmma", &mine, emulated::begin_product);                                                             \
    }                                                                                                                                   \
    template <bool B_TURNED, int N> TK_DEVICE void tk_multiply_held_##S(float (&sum)[N], const unsigned (&a)[4], unsigned long long b) { \
        auto widen = [](unsigned short bits) -> float { return WIDEN; };                                                                \
        emulated::GroupFactors mine = {{0, b, false, B_TURNED, true, 2 * N, {}, {}, widen}, a, sum};                                         \
        emulated::collective(128, "wgmma of registers", &mine, emulated::begin_product);                                                \
    }
TK_MULTIPLY(bf16, tk_bits_float((unsigned)bits << 16))
TK_MULTIPLY(f16, tk_half_to_float(bits))
#undef TK_MULTIPLY

#endif
