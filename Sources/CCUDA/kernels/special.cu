// Special functions of one and two arguments, in double for every type: one kernel for all of them.
#include "functions.cuh"
#include "special.cuh"
#include "walk.cuh"

/// `wide`: double, else float.
TK_KERNEL(256) tk_unary_special(const void *x, void *out, long long n, long long op, long long wide) {
    for (long long i = tk_first(); i < n; i += tk_step()) {
        double y = special_unary((int)op, wide ? ((const double *)x)[i] : (double)((const float *)x)[i]);
        if (wide) ((double *)out)[i] = y;
        else ((float *)out)[i] = (float)y;
    }
}
TK_EXPORT(tk_unary_special)

/// ζ(s, q); operand 0 is s, 1 is q, of any strides. Without `q` it is `scalar`.
TK_KERNEL(256) tk_zeta(const void *s, const void *q, void *out, tk_cuda_walk walk, double scalar, long long wide) {
    for (long long i = tk_first(); i < walk.count; i += tk_step()) {
        long long at[2];
        tk_locate(walk, i, at);
        double u = wide ? ((const double *)s)[at[0]] : (double)((const float *)s)[at[0]];
        double v = !q ? scalar : wide ? ((const double *)q)[at[1]] : (double)((const float *)q)[at[1]];
        double y = special_zeta(u, v);
        if (wide) ((double *)out)[i] = y;
        else ((float *)out)[i] = (float)y;
    }
}
TK_EXPORT(tk_zeta)
