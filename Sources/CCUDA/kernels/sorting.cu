// Stable sorting along the middle of [outer, n, inner]: order-preserving keys with their positions, by a bitonic network (Batcher, 1968) over
// rows of a power of two. Equal keys are ordered by position, so that the network is stable.
#include "types.cuh"

/// An unsigned number that is ordered as the element is: a NaN is the largest.
TK_DEVICE unsigned long long key_of(double x) {
    if (x != x) return 0xfffffffffffffffeull;
    unsigned long long bits = tk_double_bits(x == 0 ? 0.0 : x);   // both zeros are equal
    return bits >> 63 ? ~bits : bits | 0x8000000000000000ull;
}
TK_DEVICE unsigned long long key_of(float x) { return key_of((double)x); }
TK_DEVICE unsigned long long key_of(long long x) { return (unsigned long long)x ^ 0x8000000000000000ull; }
TK_DEVICE unsigned long long key_of(int x) { return key_of((long long)x); }
TK_DEVICE unsigned long long key_of(signed char x) { return key_of((long long)x); }
TK_DEVICE unsigned long long key_of(unsigned char x) { return key_of((long long)x); }

/// Keys and positions [rows, size] of rows of n ≤ size elements; what is over is the largest. Descending, keys are turned around.
#define KEYS(T, S)                                                                                                                  \
    TK_KERNEL(256) tk_sort_keys_##S(const T *x, unsigned long long *keys, long long *places, long long rows, long long n,            \
                                    long long inner, long long size, long long descending) {                                        \
        for (long long e = tk_first(); e < rows * size; e += tk_step()) {                                                           \
            long long row = e / size, j = e % size;                                                                                 \
            unsigned long long key = 0xffffffffffffffffull;                                                                         \
            if (j < n) {                                                                                                            \
                key = key_of(tk_widen(x[(row / inner * n + j) * inner + row % inner]));                                             \
                if (descending) key = ~key;                                                                                         \
            }                                                                                                                       \
            keys[e] = key;                                                                                                          \
            places[e] = j;                                                                                                          \
        }                                                                                                                           \
    }                                                                                                                               \
    TK_EXPORT(tk_sort_keys_##S)
TK_FLOAT_TYPES(KEYS)
TK_INTEGER_TYPES(KEYS)
#undef KEYS

/// One step of the network: pairs `distance` apart, in runs of `run` that alternate their direction.
TK_KERNEL(256) tk_sort_step(unsigned long long *keys, long long *places, long long pairs, long long size, long long run, long long distance) {
    for (long long e = tk_first(); e < pairs; e += tk_step()) {
        long long half = size / 2, row = e / half, k = e % half;
        long long low = row * size + k / distance * 2 * distance + k % distance, high = low + distance;
        bool rises = (low % size & run) == 0;
        unsigned long long a = keys[low], b = keys[high];
        long long at = places[low], other = places[high];
        bool exceeds = a > b || (a == b && at > other);
        if (exceeds == rises) {
            keys[low] = b; keys[high] = a;
            places[low] = other; places[high] = at;
        }
    }
}
TK_EXPORT(tk_sort_step)

enum { SORT_TILE = 1024 };
/// All steps of the network for runs of `first` … `last` within tiles of SORT_TILE elements (fewer in shorter rows): those at distances that
/// lie in a tile, which shared memory holds. A block of 256 threads to a tile.
TK_KERNEL(256) tk_sort_tile(unsigned long long *keys, long long *places, long long size, long long first, long long last) {
    TK_SHARED unsigned long long tile_keys[SORT_TILE];
    TK_SHARED long long tile_places[SORT_TILE];
    int tile = size < SORT_TILE ? (int)size : SORT_TILE;
    long long begin = (long long)blockIdx.x * tile;
    for (int e = threadIdx.x; e < tile; e += blockDim.x) { tile_keys[e] = keys[begin + e]; tile_places[e] = places[begin + e]; }
    for (long long run = first; run <= last; run *= 2)
        for (int distance = (run < tile ? (int)run : tile) / 2; distance > 0; distance /= 2) {
            __syncthreads();
            for (int e = threadIdx.x; e < tile / 2; e += blockDim.x) {
                int low = e / distance * 2 * distance + e % distance, high = low + distance;
                bool rises = run == size || ((begin + low) % size & run) == 0;
                unsigned long long a = tile_keys[low], b = tile_keys[high];
                long long at = tile_places[low], other = tile_places[high];
                if ((a > b || (a == b && at > other)) == rises) {
                    tile_keys[low] = b; tile_keys[high] = a;
                    tile_places[low] = other; tile_places[high] = at;
                }
            }
        }
    __syncthreads();
    for (int e = threadIdx.x; e < tile; e += blockDim.x) { keys[begin + e] = tile_keys[e]; places[begin + e] = tile_places[e]; }
}
TK_EXPORT(tk_sort_tile)

/// The first k positions of every row, into [outer, k, inner].
TK_KERNEL(256) tk_sort_places(const long long *places, long long *out, long long rows, long long k, long long inner, long long size) {
    for (long long e = tk_first(); e < rows * k; e += tk_step()) {
        long long o = e / (k * inner), j = e / inner % k, i = e % inner;
        out[e] = places[(o * inner + i) * size + j];
    }
}
TK_EXPORT(tk_sort_places)
