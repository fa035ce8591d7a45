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
/// How many elements of every chunk are true; then where each chunk's positions begin (one thread: chunks are few); then the positions.
TK_KERNEL(256) tk_nonzero_count(const unsigned char *x, long long *counts, long long n) {
    for (long long c = tk_first(); c * NONZERO_CHUNK < n; c += tk_step()) {
        long long total = 0;
        for (long long i = c * NONZERO_CHUNK; i < n && i < (c + 1) * NONZERO_CHUNK; i++) total += x[i] != 0;
        counts[c] = total;
    }
}
TK_EXPORT(tk_nonzero_count)
TK_KERNEL(256) tk_nonzero_begin(long long *counts, long long chunks) {
    if (tk_first() > 0) return;
    long long total = 0;
    for (long long c = 0; c < chunks; c++) { long long here = counts[c]; counts[c] = total; total += here; }
    counts[chunks] = total;
}
TK_EXPORT(tk_nonzero_begin)
TK_KERNEL(256) tk_nonzero_write(const unsigned char *x, const long long *begins, long long *out, long long n) {
    for (long long c = tk_first(); c * NONZERO_CHUNK < n; c += tk_step()) {
        long long to = begins[c];
        for (long long i = c * NONZERO_CHUNK; i < n && i < (c + 1) * NONZERO_CHUNK; i++) if (x[i]) out[to++] = i;
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
