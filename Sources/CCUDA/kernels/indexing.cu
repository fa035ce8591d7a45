// Gathering, scattering and positions. Whatever adds several elements to one place does it in the order of the elements, so that
// results are the same in every run.
#include "complex.cuh"
#include "functions.cuh"

/// x [.., n, inner] by index [.., m, inner]; also rows of a table, where one index serves a whole row.
#define GATHER(T, S)                                                                                                              \
    TK_KERNEL(256) tk_gather_rows_##S(const T *table, const long long *ids, T *out, long long count, long long width) {            \
        for (long long i = tk_first(); i < count * width; i += tk_step()) out[i] = table[ids[i / width] * width + i % width];     \
    }                                                                                                                             \
    TK_EXPORT(tk_gather_rows_##S)                                                                                                 \
    TK_KERNEL(256) tk_gather_##S(const T *x, const long long *index, T *out, long long outer, long long n, long long inner, long long m) { \
        for (long long e = tk_first(); e < outer * m * inner; e += tk_step())                                                     \
            out[e] = x[(e / (m * inner) * n + index[e]) * inner + e % inner];                                                     \
    }                                                                                                                             \
    TK_EXPORT(tk_gather_##S)
TK_SIZES(GATHER)
#undef GATHER

#define SET_ROWS(T, S)                                                                                                             \
    TK_KERNEL(256) tk_set_rows_##S(T *out, const long long *ids, const T *rows, long long count, long long width) {                 \
        for (long long i = tk_first(); i < count * width; i += tk_step()) out[ids[i / width] * width + i % width] = rows[i];       \
    }                                                                                                                              \
    TK_EXPORT(tk_set_rows_##S)
TK_SIZES(SET_ROWS)
#undef SET_ROWS

/// Rows added to where their ids say, given the sorted ids and their positions, so that equal ids lie together: a block of blockDim.x
/// columns to a run of them. Without `adds` a sum takes the place of what was there.
template <class T> TK_DEVICE void scatter_rows(T *out, const unsigned long long *ids, const long long *places, const T *rows, long long n,
                                               long long width, bool adds) {
    long long j = (long long)blockIdx.y * blockDim.x + threadIdx.x;
    if (j >= width) return;
    for (long long head = blockIdx.x; head < n; head += gridDim.x) {
        unsigned long long id = ids[head];
        if (head > 0 && ids[head - 1] == id) continue;
        T *to = out + (long long)(id ^ 0x8000000000000000ull) * width + j;
        tk_wide<T> sum = adds ? tk_widen(*to) : tk_wide<T>();
        for (long long i = head; i < n && ids[i] == id;) {
            int many = 1;   // some at a time, so that loads overlap
            while (many < 4 && i + many < n && ids[i + many] == id) many++;
            tk_wide<T> value[4];
#pragma unroll
            for (int k = 0; k < 4; k++) value[k] = k < many ? tk_widen(rows[places[i + k] * width + j]) : tk_wide<T>();
#pragma unroll
            for (int k = 0; k < 4; k++) if (k < many) sum = sum + value[k];
            i += many;
        }
        *to = tk_narrow<T>(sum);
    }
}
#define SCATTER_ROWS(T, S)                                                                                                         \
    TK_KERNEL(256) tk_scatter_rows_##S(T *out, const unsigned long long *ids, const long long *places, const T *rows, long long n,  \
                                       long long width, long long adds) {                                                          \
        scatter_rows(out, ids, places, rows, n, width, adds != 0);                                                                 \
    }                                                                                                                              \
    TK_EXPORT(tk_scatter_rows_##S)
TK_FLOAT_TYPES(SCATTER_ROWS)
TK_INTEGER_TYPES(SCATTER_ROWS)
TK_COMPLEX_TYPES(SCATTER_ROWS)
#undef SCATTER_ROWS

enum { SCATTER_ADD = -1, SCATTER_SET = 0, SCATTER_PROD, SCATTER_MAX, SCATTER_MIN };
template <class F> TK_DEVICE tk_complex<F> scattered(int op, tk_complex<F> old, tk_complex<F> x) {
    return op == SCATTER_ADD ? old + x : op == SCATTER_SET ? x : old * x;
}
template <class F> TK_DEVICE F scattered(int op, F old, F x) {
    switch (op) {
    case SCATTER_ADD: return old + x;
    case SCATTER_SET: return x;
    case SCATTER_PROD: return old * x;
    case SCATTER_MAX: return larger(old, x);
    default: return smaller(old, x);
    }
}

/// A thread to a column [o, ·, i], whose elements it takes in order; or, where columns are few, to a run of equal indices of the columns'
/// sorted ones, which it takes in the same order.
#define SCATTER(T, S)                                                                                                              \
    TK_KERNEL(256) tk_scatter_##S(const T *x, const long long *index, T *out, long long outer, long long n, long long inner, long long m, \
                                  long long op) {                                                                                  \
        for (long long c = tk_first(); c < outer * inner; c += tk_step()) {                                                        \
            long long o = c / inner, i = c % inner;                                                                                \
            for (long long j = 0; j < m; j++) {                                                                                    \
                long long from = (o * m + j) * inner + i, to = (o * n + index[from]) * inner + i;                                  \
                out[to] = tk_narrow<T>(scattered((int)op, tk_widen(out[to]), tk_widen(x[from])));                                  \
            }                                                                                                                      \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_scatter_##S)                                                                                                      \
    TK_KERNEL(256) tk_scatter_sorted_##S(const T *x, const unsigned long long *ids, const long long *places, T *out, long long outer, \
                                         long long n, long long inner, long long m, long long size, long long op) {                \
        for (long long e = tk_first(); e < outer * inner * m; e += tk_step()) {                                                    \
            long long c = e / m, k = e % m, o = c / inner, i = c % inner;                                                          \
            const unsigned long long *row = ids + c * size;                                                                        \
            if (k > 0 && row[k - 1] == row[k]) continue;                                                                           \
            T *to = out + (o * n + (long long)(row[k] ^ 0x8000000000000000ull)) * inner + i;                                       \
            for (long long j = k; j < m && row[j] == row[k]; j++)                                                                  \
                *to = tk_narrow<T>(scattered((int)op, tk_widen(*to), tk_widen(x[(o * m + places[c * size + j]) * inner + i])));    \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_scatter_sorted_##S)
TK_FLOAT_TYPES(SCATTER)
TK_INTEGER_TYPES(SCATTER)
TK_COMPLEX_TYPES(SCATTER)
#undef SCATTER

/// The first position of an index outside 0 ..< limit, into `first`, which starts at the largest number.
TK_KERNEL(256) tk_first_out_of_range(const long long *index, unsigned long long *first, long long n, long long limit) {
    for (long long i = tk_first(); i < n; i += tk_step())
        if (index[i] < 0 || index[i] >= limit) { tk_atomic_min(first, (unsigned long long)i); break; }
}
TK_EXPORT(tk_first_out_of_range)

enum { NONZERO_CHUNK = 1024 };
/// How many elements of every chunk are true, a warp to a chunk; then where each chunk's positions begin, by one block; then the positions.
TK_KERNEL(256) tk_nonzero_count(const unsigned char *x, long long *counts, long long n) {
    int lane = threadIdx.x % 32;
    for (long long c = tk_first() / 32; c * NONZERO_CHUNK < n; c += tk_step() / 32) {
        long long total = 0;
        for (long long i = c * NONZERO_CHUNK + lane; i < n && i < (c + 1) * NONZERO_CHUNK; i += 32) total += x[i] != 0;
#pragma unroll
        for (int mask = 16; mask > 0; mask >>= 1) total += tk_shuffle_xor(total, mask);
        if (lane == 0) counts[c] = total;
    }
}
TK_EXPORT(tk_nonzero_count)
TK_KERNEL(256) tk_nonzero_begin(long long *counts, long long chunks) {
    TK_SHARED long long totals[256];
    long long part = (chunks + 255) / 256, first = threadIdx.x * part, last = first + part < chunks ? first + part : chunks;
    long long total = 0;
    for (long long c = first; c < last; c++) total += counts[c];
    totals[threadIdx.x] = total;
    __syncthreads();
    total = 0;
    for (int k = 0; k < (int)threadIdx.x; k++) total += totals[k];
    for (long long c = first; c < last; c++) { long long here = counts[c]; counts[c] = total; total += here; }
    if (threadIdx.x == 255) counts[chunks] = total;
}
TK_EXPORT(tk_nonzero_begin)
TK_KERNEL(256) tk_nonzero_write(const unsigned char *x, const long long *begins, long long *out, long long n) {
    int lane = threadIdx.x % 32;
    for (long long c = tk_first() / 32; c * NONZERO_CHUNK < n; c += tk_step() / 32) {
        long long to = begins[c];
        for (long long begin = c * NONZERO_CHUNK; begin < n && begin < (c + 1) * NONZERO_CHUNK; begin += 32) {
            int own = begin + lane < n && x[begin + lane] != 0, sum = own;
#pragma unroll
            for (int step = 1; step < 32; step *= 2) {
                int before = tk_shuffle(sum, lane < step ? lane : lane - step);
                if (lane >= step) sum += before;
            }
            if (own) out[to + sum - 1] = begin + lane;
            to += tk_shuffle(sum, 31);
        }
    }
}
TK_EXPORT(tk_nonzero_write)

/// The first (right: last) place of each value in its sorted row; NaN sorts last.
#define SEARCH(T, S)                                                                                                               \
    TK_KERNEL(256) tk_search_##S(const T *sorted, const T *values, long long *out, long long rows, long long n, long long m,        \
                                 long long shared, long long right) {                                                              \
        for (long long e = tk_first(); e < rows * m; e += tk_step()) {                                                             \
            const T *row = sorted + (shared ? 0 : e / m * n);                                                                      \
            tk_wide<T> v = tk_widen(values[e]);                                                                                    \
            long long low = 0, high = n;                                                                                           \
            while (low < high) {                                                                                                   \
                long long middle = (low + high) / 2;                                                                               \
                tk_wide<T> u = tk_widen(row[middle]);                                                                              \
                bool before = right ? (v != v || u <= v) : (v != v ? u == u : u < v);                                              \
                if (before) low = middle + 1;                                                                                      \
                else high = middle;                                                                                                \
            }                                                                                                                      \
            out[e] = low;                                                                                                          \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_search_##S)
TK_FLOAT_TYPES(SEARCH)
TK_INTEGER_TYPES(SEARCH)
#undef SEARCH
