// Gathering, scattering, scans and positions. Whatever adds several elements to one place does it in the order of the elements, so that
// results are the same in every run.
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

// Rows that go to the same place are linked: `next[i]` is the row after i with the same id (or -1), and `heads[i]` says that none came before.
TK_KERNEL(256) tk_link_rows(const long long *ids, long long *next, unsigned char *heads, long long n) {
    for (long long i = tk_first(); i < n; i += tk_step()) {
        long long id = ids[i], after = i + 1, before = i - 1;
        while (after < n && ids[after] != id) after++;
        while (before >= 0 && ids[before] != id) before--;
        next[i] = after < n ? after : -1;
        heads[i] = before < 0;
    }
}
TK_EXPORT(tk_link_rows)

/// A block of 256 threads to a chain of rows.
#define SCATTER_ROWS(T, S)                                                                                                         \
    TK_KERNEL(256) tk_scatter_rows_##S(T *out, const long long *ids, const long long *next, const unsigned char *heads, const T *rows, \
                                       long long n, long long width) {                                                             \
        for (long long head = blockIdx.x; head < n; head += gridDim.x) {                                                           \
            if (!heads[head]) continue;                                                                                            \
            for (long long j = threadIdx.x; j < width; j += blockDim.x) {                                                          \
                tk_wide<T> sum = 0;                                                                                                \
                for (long long i = head; i >= 0; i = next[i]) sum += tk_widen(rows[i * width + j]);                                \
                out[ids[head] * width + j] = tk_narrow<T>(sum);                                                                    \
            }                                                                                                                      \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_scatter_rows_##S)
TK_FLOAT_TYPES(SCATTER_ROWS)
TK_INTEGER_TYPES(SCATTER_ROWS)
#undef SCATTER_ROWS

enum { SCATTER_ADD = -1, SCATTER_SET = 0, SCATTER_PROD, SCATTER_MAX, SCATTER_MIN };
template <class F> TK_DEVICE F scattered(int op, F old, F x) {
    switch (op) {
    case SCATTER_ADD: return old + x;
    case SCATTER_SET: return x;
    case SCATTER_PROD: return old * x;
    case SCATTER_MAX: return larger(old, x);
    default: return smaller(old, x);
    }
}

/// A thread to a column [o, ·, i], whose elements it takes in order.
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
    TK_EXPORT(tk_scatter_##S)
TK_FLOAT_TYPES(SCATTER)
TK_INTEGER_TYPES(SCATTER)
#undef SCATTER

/// The first position of an index outside 0 ..< limit, into `first`, which starts at the largest number.
TK_KERNEL(256) tk_first_out_of_range(const long long *index, unsigned long long *first, long long n, long long limit) {
    for (long long i = tk_first(); i < n; i += tk_step())
        if (index[i] < 0 || index[i] >= limit) { tk_atomic_min(first, (unsigned long long)i); break; }
}
TK_EXPORT(tk_first_out_of_range)

/// Running sums, a thread to a column; float32 is summed in double, as on the CPU.
template <class T> struct running { typedef T type; };
template <> struct running<float> { typedef double type; };
template <> struct running<tk_half> { typedef double type; };
template <> struct running<tk_bfloat> { typedef double type; };
#define CUMSUM(T, S)                                                                                                               \
    TK_KERNEL(256) tk_cumsum_##S(const T *x, T *out, long long outer, long long n, long long inner) {                               \
        for (long long c = tk_first(); c < outer * inner; c += tk_step()) {                                                        \
            long long at = c / inner * n * inner + c % inner;                                                                      \
            running<T>::type sum = 0;                                                                                              \
            for (long long j = 0; j < n; j++, at += inner) { sum += tk_widen(x[at]); out[at] = tk_narrow<T>((tk_wide<T>)sum); }    \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_cumsum_##S)
TK_FLOAT_TYPES(CUMSUM)
TK_INTEGER_TYPES(CUMSUM)
#undef CUMSUM

/// Running products, maxima, minima (ops 0, 1, 2), and where an extremum is, the last of equals; a NaN stays.
#define SCAN(T, S)                                                                                                                 \
    TK_KERNEL(256) tk_scan_##S(const T *x, T *out, long long *places, long long outer, long long n, long long inner, long long op) { \
        for (long long c = tk_first(); c < outer * inner; c += tk_step()) {                                                        \
            long long at = c / inner * n * inner + c % inner, place = 0;                                                           \
            tk_wide<T> value = 0;                                                                                                  \
            for (long long j = 0; j < n; j++, at += inner) {                                                                       \
                tk_wide<T> v = tk_widen(x[at]);                                                                                    \
                if (j == 0) value = v;                                                                                             \
                else if (op == 0) value = value * v;                                                                               \
                else if (v != v || (value == value && (op == 1 ? v >= value : v <= value))) { value = v; place = j; }             \
                out[at] = tk_narrow<T>(value);                                                                                     \
                if (places) places[at] = place;                                                                                    \
            }                                                                                                                      \
        }                                                                                                                          \
    }                                                                                                                              \
    TK_EXPORT(tk_scan_##S)
TK_FLOAT_TYPES(SCAN)
TK_INTEGER_TYPES(SCAN)
#undef SCAN

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
