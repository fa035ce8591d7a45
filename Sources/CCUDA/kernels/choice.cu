// Comparisons, choices, bounds and tests of floats.
#include "functions.cuh"
#include "walk.cuh"

/// Operand 0 is a, 1 is b; bools, dense.
#define COMPARE(T, S)                                                                                                \
    TK_KERNEL(256) tk_compare_##S(const T *a, const T *b, unsigned char *out, tk_cuda_walk walk, long long op) {      \
        for (long long i = tk_first(); i < walk.count; i += tk_step()) {                                             \
            long long at[2];                                                                                         \
            tk_locate(walk, i, at);                                                                                  \
            out[i] = related((int)op, tk_widen(a[at[0]]), tk_widen(b[at[1]]));                                       \
        }                                                                                                            \
    }                                                                                                                \
    TK_EXPORT(tk_compare_##S)
TK_FLOAT_TYPES(COMPARE)
TK_INTEGER_TYPES(COMPARE)
#undef COMPARE

/// Operand 0 is the condition, 1 and 2 are what is chosen from; by the size of an element.
#define SELECT(T, S)                                                                                                 \
    TK_KERNEL(256) tk_select_##S(const unsigned char *condition, const T *a, const T *b, T *out, tk_cuda_walk walk) { \
        for (long long i = tk_first(); i < walk.count; i += tk_step()) {                                             \
            long long at[3];                                                                                         \
            tk_locate(walk, i, at);                                                                                  \
            out[i] = condition[at[0]] ? a[at[1]] : b[at[2]];                                                         \
        }                                                                                                            \
    }                                                                                                                \
    TK_EXPORT(tk_select_##S)
TK_SIZES(SELECT)
#undef SELECT

/// Bounds in the type of the elements; a NaN stays.
#define CLAMP_FLOAT(T, S)                                                                                            \
    TK_KERNEL(256) tk_clamp_##S(const T *x, T *out, long long n, double low, double high) {                           \
        tk_wide<T> least = (tk_wide<T>)low, most = (tk_wide<T>)high;                                                 \
        for (long long i = tk_first(); i < n; i += tk_step()) {                                                      \
            out[i] = tk_narrow<T>(clamped(tk_widen(x[i]), least, most));                                             \
        }                                                                                                            \
    }                                                                                                                \
    TK_EXPORT(tk_clamp_##S)                                                                                          \
    TK_KERNEL(256) tk_classify_##S(const T *x, unsigned char *out, long long n, long long op) {                       \
        for (long long i = tk_first(); i < n; i += tk_step()) {                                                      \
            out[i] = is_of_class((int)op, tk_widen(x[i]));                                                           \
        }                                                                                                            \
    }                                                                                                                \
    TK_EXPORT(tk_classify_##S)
TK_FLOAT_TYPES(CLAMP_FLOAT)
#undef CLAMP_FLOAT

/// Bounds as integers, the caller having brought them into the range of the type.
#define CLAMP_INTEGER(T, S)                                                                                          \
    TK_KERNEL(256) tk_clamp_##S(const T *x, T *out, long long n, long long low, long long high) {                     \
        for (long long i = tk_first(); i < n; i += tk_step()) {                                                      \
            long long v = x[i];                                                                                      \
            v = v < low ? low : v;                                                                                   \
            out[i] = (T)(v > high ? high : v);                                                                       \
        }                                                                                                            \
    }                                                                                                                \
    TK_EXPORT(tk_clamp_##S)
TK_INTEGER_TYPES(CLAMP_INTEGER)
#undef CLAMP_INTEGER
