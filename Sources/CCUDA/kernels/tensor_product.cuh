// Products by tensor cores (mma.sync, sm_80): tiles of TILE × TILE, 64 bytes of k at a time, of which two more are on their way to shared memory
// while one is multiplied. Pieces of 16 bytes of a tile change places with each other, so that what a warp reads together lies in different
// banks. Operands are matrices, or what a convolution makes of its input.
#ifndef TK_TENSOR_PRODUCT_CUH
#define TK_TENSOR_PRODUCT_CUH
#include "epilogue.cuh"

enum { TENSOR_STAGES = 3, TENSOR_BYTES = 64 };
/// Elements of k in a tile.
template <class T> struct tensor_depth { enum { value = TENSOR_BYTES / sizeof(T) }; };
/// Bytes of shared memory of a product.
template <int TILE> struct tensor_memory { enum { bytes = TENSOR_STAGES * 2 * TILE * TENSOR_BYTES }; };

TK_DEVICE void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, tk_bfloat) { tk_multiply_add_bf16(sum, a, b0, b1); }
TK_DEVICE void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, tk_half) { tk_multiply_add_f16(sum, a, b0, b1); }
TK_DEVICE void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, float) { tk_multiply_add_tf32(sum, a, b0, b1); }

/// The place of an element of a tile with rows of WIDTH. Rows of k that are read as columns of floats (there is no ldmatrix for them) are
/// moved otherwise than those of ldmatrix.
template <class T, int WIDTH, bool ALONG_K> TK_DEVICE int tile_place(int row, int column) {
    const int each = 16 / sizeof(T), pieces = WIDTH / each;
    int moved = sizeof(T) == 4 && !ALONG_K ? row % 4 * 2 : pieces >= 8 ? row % 8 : row / 2 % 4;
    return row * WIDTH + ((column / each) ^ moved) * each + column % each;
}

/// Brings a tile to shared memory: [TILE, depth] of an operand whose rows lie along k, otherwise [depth, TILE]. An operand has
/// `piece(row, column, to, bytes)`, in which 16 bytes lie together, if `in_pieces()`; else `at(line, k)`, null where the element is 0.
template <class T, int TILE, int THREADS, class Operand> TK_DEVICE void fetch_tile(T *to, const Operand &x, int line0, int k0) {
    const int depth = tensor_depth<T>::value, each = 16 / sizeof(T);
    const int width = Operand::along_k ? depth : TILE, height = Operand::along_k ? TILE : depth;
    if (x.in_pieces()) {
#pragma unroll
        for (int part = 0; part < height * width / each / THREADS; part++) {
            int e = part * THREADS + threadIdx.x, row = e / (width / each), column = e % (width / each) * each;
            const T *from;
            int bytes = Operand::along_k ? x.piece(line0 + row, k0 + column, from) : x.piece(k0 + row, line0 + column, from);
            tk_copy_async(to + tile_place<T, width, Operand::along_k>(row, column), from, bytes);
        }
        return;
    }
#pragma unroll 2
    for (int part = 0; part < height * width / THREADS; part++) {
        int e = part * THREADS + threadIdx.x, row = e / width, column = e % width;
        const T *from = Operand::along_k ? x.at(line0 + row, k0 + column) : x.at(line0 + column, k0 + row);
        T *place = to + tile_place<T, width, Operand::along_k>(row, column);
        if (sizeof(T) == 4) tk_copy_word_async(place, from ? from : x.base(), from ? 4 : 0);
        else *place = from ? *from : T();
    }
}

/// A fragment of 16 lines and 32 bytes of k, of a tile with rows of WIDTH: the registers of the left factor, or of two neighbours on the right.
template <class T, int WIDTH, bool ALONG_K, bool RIGHT> TK_DEVICE void load_fragment(unsigned (&out)[4], const T *tile, int line, int k) {
    const int each = 16 / sizeof(T);
    int lane = threadIdx.x % 32, matrix = lane / 8, row = lane % 8;
    // Of the four matrices the left factor has the first two beside each other in lines, the right one in k.
    int l = RIGHT ? matrix / 2 * 8 : matrix % 2 * 8, d = RIGHT ? matrix % 2 * each : matrix / 2 * each;
    if (ALONG_K) {
        tk_load_matrices(out, tile + tile_place<T, WIDTH, true>(line + l + row, k + d), false);
    } else if (sizeof(T) == 2) {
        tk_load_matrices(out, tile + tile_place<T, WIDTH, false>(k + d + row, line + l), true);
    } else {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int across = RIGHT ? e / 2 * 8 : e % 2 * 8, along = RIGHT ? e % 2 * 4 : e / 2 * 4;
            out[e] = *(const unsigned *)(tile + tile_place<T, WIDTH, false>(k + along + lane % 4, line + across + lane / 4));
        }
    }
    if (sizeof(T) == 4) {
#pragma unroll
        for (int e = 0; e < 4; e++) out[e] = tk_tf32(out[e]);
    }
}

/// The tile at (i0, j0) of left · right, over the steps first ..< last of k, given to store(i, j, four sums, count) for what is inside [m, n].
/// A tile of 128 has 256 threads, with 64 × 32 sums to a warp; one of 64 has 128, with 32 × 32.
template <class T, int TILE, class Left, class Right, class Store>
TK_DEVICE void tensor_product(const Left &left, const Right &right, int i0, int j0, int m, int n, int first, int last, const Store &store,
                              unsigned char *memory) {
    const int THREADS = 2 * TILE, ROWS = TILE / 2, COLUMNS = 32, ACROSS = TILE / COLUMNS, DEPTH = tensor_depth<T>::value;
    const int PER_TILE = TILE * DEPTH, HALF = DEPTH / 2;
    T *lefts = (T *)memory, *rights = lefts + TENSOR_STAGES * PER_TILE;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = warp / ACROSS * ROWS, column0 = warp % ACROSS * COLUMNS;
    float sum[ROWS / 16][COLUMNS / 8][4];
#pragma unroll
    for (int i = 0; i < ROWS / 16; i++)
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
    auto fetch = [&](int step) {
        if (step < last) {
            int stage = (step - first) % TENSOR_STAGES;
            fetch_tile<T, TILE, THREADS>(lefts + stage * PER_TILE, left, i0, step * DEPTH);
            fetch_tile<T, TILE, THREADS>(rights + stage * PER_TILE, right, j0, step * DEPTH);
        }
        tk_copy_commit();   // a group to a step, of whatever there is, so that waiting counts steps
    };
#pragma unroll
    for (int step = 0; step < TENSOR_STAGES - 1; step++) fetch(first + step);
    for (int step = first; step < last; step++) {
        tk_copy_wait<TENSOR_STAGES - 2>();
        __syncthreads();   // the tile is there for all threads, and all are done with the one that is overwritten next
        fetch(step + TENSOR_STAGES - 1);
        int stage = (step - first) % TENSOR_STAGES;
        const T *x = lefts + stage * PER_TILE, *y = rights + stage * PER_TILE;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            unsigned u[ROWS / 16][4], v[COLUMNS / 16][4];
#pragma unroll
            for (int i = 0; i < ROWS / 16; i++) load_fragment<T, Left::along_k ? DEPTH : TILE, Left::along_k, false>(u[i], x, row0 + i * 16, half * HALF);
#pragma unroll
            for (int j = 0; j < COLUMNS / 16; j++) load_fragment<T, Right::along_k ? DEPTH : TILE, Right::along_k, true>(v[j], y, column0 + j * 16, half * HALF);
#pragma unroll
            for (int i = 0; i < ROWS / 16; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS / 8; j++) multiply_add(sum[i][j], u[i], v[j / 2][j % 2 * 2], v[j / 2][j % 2 * 2 + 1], T());
        }
    }
    tk_copy_wait<0>();
    __syncthreads();   // the tiles' memory holds sums now, 32 rows of a warp at a time
    float *slab = (float *)memory + warp * 32 * (COLUMNS + 8);
#pragma unroll 1
    for (int part = 0; part < ROWS / 32; part++) {
#pragma unroll   // registers have numbers: a copy of these stores, but of nothing else, to each part
        for (int i = 0; i < ROWS / 16; i++)
            if (i / 2 == part) {
#pragma unroll
                for (int j = 0; j < COLUMNS / 8; j++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        slab[(i % 2 * 16 + lane / 4 + e / 2 * 8) * (COLUMNS + 8) + j * 8 + lane % 4 * 2 + e % 2] = sum[i][j][e];
            }
        tk_store_slab<32, COLUMNS>(slab, i0 + row0 + part * 32, j0 + column0, m, n, store);
    }
    __syncthreads();
}

/// The tile of a block, numbered so that neighbours share operands: columns of tiles that are 8 high.
template <int TILE> TK_DEVICE void place_of_tile(int number, int m, int n, int &i0, int &j0) {
    int down = (m + TILE - 1) / TILE, across = (n + TILE - 1) / TILE, band = number / (8 * across) * 8;
    int height = down - band < 8 ? down - band : 8, rest = number - band * across;
    i0 = (band + rest % height) * TILE;
    j0 = rest / height * TILE;
}

/// A matrix whose `lines` (rows on the left, columns on the right) lie along k, or across it.
template <class T, bool ALONG_K> struct tensor_matrix {
    enum { along_k = ALONG_K };
    const T *x;
    long long row_length;
    int lines, depth;
    bool aligned;
    TK_DEVICE_MEMBER bool in_pieces() const { return aligned; }
    TK_DEVICE_MEMBER const T *base() const { return x; }
    /// Bytes that are there of a piece, and where.
    TK_DEVICE_MEMBER int piece(int row, int column, const T *&from) const {
        int height = ALONG_K ? lines : depth, width = ALONG_K ? depth : lines, left = row < height ? width - column : 0;
        from = left > 0 ? x + row * row_length + column : x;
        return left >= (int)(16 / sizeof(T)) ? 16 : left > 0 ? left * (int)sizeof(T) : 0;
    }
    TK_DEVICE_MEMBER const T *at(int line, int k) const {
        if (line >= lines || k >= depth) return 0;
        return x + (ALONG_K ? line * row_length + k : k * row_length + line);
    }
};

template <class T> TK_DEVICE bool in_pieces(const T *x, long long row_length, long long stride) {
    const int each = 16 / sizeof(T);
    return row_length % each == 0 && stride % each == 0 && (unsigned long long)x % 16 == 0;
}

#endif
