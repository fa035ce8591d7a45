// Filling and copying, by the size of an element.
#include "types.cuh"
#include "walk.cuh"

/// `pattern` is the element repeated to 16 bytes, written whole where `out` is aligned.
template <class T> TK_DEVICE void fill(T *out, long long n, T value, tk_16bytes pattern) {
    const int each = 16 / sizeof(T);
    long long whole = (unsigned long long)out % 16 == 0 ? n / each : 0;
    for (long long i = tk_first(); i < whole; i += tk_step()) ((tk_16bytes *)out)[i] = pattern;
    for (long long i = whole * each + tk_first(); i < n; i += tk_step()) out[i] = value;
}

/// Any strides on both sides: operand 0 is the source, 1 the destination.
template <class T> TK_DEVICE void copy(const T *x, T *out, const tk_cuda_walk &walk) {
    for (long long i = tk_first(); i < walk.count; i += tk_step()) {
        long long at[2];
        tk_locate(walk, i, at);
        out[at[1]] = x[at[0]];
    }
}

enum { TILE = 32, TILE_ROWS = 8 };

/// out[b, j, i] = x[b, i, j] for matrices [rows, columns], through tiles in shared memory, so that both sides are read along rows. A
/// block has 32 × 8 threads and takes tiles from blockIdx.x on.
template <class T> TK_DEVICE void transpose(const T *x, T *out, long long rows, long long columns, long long batch, long long row_step,
                                            long long batch_step) {
    TK_SHARED T tile[TILE][TILE + 1];
    long long down = (rows + TILE - 1) / TILE, across = (columns + TILE - 1) / TILE;
    for (long long t = blockIdx.x; t < down * across * batch; t += gridDim.x) {
        long long b = t / (down * across), i0 = t / across % down * TILE, j0 = t % across * TILE;
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS)
            if (i0 + k < rows && j0 + threadIdx.x < columns) tile[k][threadIdx.x] = x[b * batch_step + (i0 + k) * row_step + j0 + threadIdx.x];
        __syncthreads();
        for (int k = threadIdx.y; k < TILE; k += TILE_ROWS)
            if (j0 + k < columns && i0 + threadIdx.x < rows) out[(b * columns + j0 + k) * rows + i0 + threadIdx.x] = tile[threadIdx.x][k];
        __syncthreads();
    }
}

#define MEMORY(T, S)                                                                                                                 \
    TK_KERNEL(256) tk_fill_##S(T *out, long long n, T value, tk_16bytes pattern) { fill(out, n, value, pattern); }                    \
    TK_EXPORT(tk_fill_##S)                                                                                                           \
    TK_KERNEL(256) tk_copy_##S(const T *x, T *out, tk_cuda_walk walk) { copy(x, out, walk); }                                         \
    TK_EXPORT(tk_copy_##S)                                                                                                           \
    TK_KERNEL(256) tk_transpose_##S(const T *x, T *out, long long rows, long long columns, long long batch, long long row_step,       \
                                    long long batch_step) { transpose(x, out, rows, columns, batch, row_step, batch_step); }         \
    TK_EXPORT(tk_transpose_##S)
TK_SIZES(MEMORY)
#undef MEMORY
