// Complex numbers, elementwise: one kernel for all functions of one argument and one for those of two, computed in double and rounded
// once, but for sums, differences and products.
#include "complex.cuh"
#include "functions.cuh"
#include "walk.cuh"

TK_DEVICE tk_pair complex_unary(int op, tk_pair z) {
    const double ln2 = 0.69314718055994530942, ln10 = 2.30258509299404568402, pi = 3.14159265358979323846;
    tk_pair one = pair(1, 0);
    switch (op) {
    case OP_NEG: return -z;
    case OP_SIGN: { double size = hypot(z.re, z.im); return size == 0 ? pair(0, 0) : pair(z.re / size, z.im / size); }
    case OP_SQUARE: return z * z;
    case OP_SQRT: return complex_sqrt(z);
    case OP_RSQRT: return one / complex_sqrt(z);
    case OP_RECIPROCAL: return one / z;
    case OP_EXP: return complex_exp(z);
    case OP_EXPM1: return complex_expm1(z);
    case OP_LOG: return complex_log(z);
    case OP_LOG1P: return complex_log1p(z);
    case OP_LOG2: { tk_pair l = complex_log(z); return pair(l.re / ln2, l.im / ln2); }
    case OP_LOG10: { tk_pair l = complex_log(z); return pair(l.re / ln10, l.im / ln10); }
    case OP_EXP2: return complex_exp(pair(z.re * ln2, z.im * ln2));
    case OP_SIN: return turned_back(complex_sinh(turned(z)));
    case OP_COS: return complex_cosh(turned(z));
    case OP_TAN: return turned_back(complex_tanh(turned(z)));
    case OP_ASIN: return complex_asin(z);
    case OP_ACOS: return complex_acos(z);
    case OP_ATAN: return turned_back(complex_atanh(turned(z)));
    case OP_SINH: return complex_sinh(z);
    case OP_COSH: return complex_cosh(z);
    case OP_TANH: return complex_tanh(z);
    case OP_ASINH: return turned_back(complex_asin(turned(z)));
    case OP_ACOSH: return complex_acosh(z);
    case OP_ATANH: return complex_atanh(z);
    case OP_SIGMOID: return one / (one + complex_exp(-z));
    case OP_SILU: return z / (one + complex_exp(-z));
    default: {   // sinc
        if (z.re == 0 && z.im == 0) return one;
        tk_pair a = pair(z.re * pi, z.im * pi);
        return turned_back(complex_sinh(turned(a))) / a;
    }
    }
}

TK_DEVICE tk_pair load_pair(const void *x, long long i, bool wide) {
    return wide ? ((const tk_pair *)x)[i] : to_pair(((const tk_complex<float> *)x)[i]);
}
TK_DEVICE void store_pair(void *out, long long i, bool wide, tk_pair z) {
    if (wide) ((tk_pair *)out)[i] = z;
    else ((tk_complex<float> *)out)[i] = from_pair<float>(z);
}

/// `wide`: complex128, else complex64.
TK_KERNEL(256) tk_unary_complex(const void *x, void *out, long long n, long long op, long long wide) {
    for (long long i = tk_first(); i < n; i += tk_step()) store_pair(out, i, wide != 0, complex_unary((int)op, load_pair(x, i, wide != 0)));
}
TK_EXPORT(tk_unary_complex)

/// Operand 0 is a, 1 is b; the result is dense.
TK_KERNEL(256) tk_binary_complex(const void *a, const void *b, void *out, tk_cuda_walk walk, long long op, long long wide) {
    for (long long i = tk_first(); i < walk.count; i += tk_step()) {
        long long at[2];
        tk_locate(walk, i, at);
        tk_pair u = load_pair(a, at[0], wide != 0), v = load_pair(b, at[1], wide != 0), z;
        switch (op) {
        case OP_ADD: z = u + v; break;
        case OP_SUB: z = u - v; break;
        case OP_MUL: z = u * v; break;
        case OP_DIV: z = u / v; break;
        default: z = complex_power(u, v);
        }
        store_pair(out, i, wide != 0, z);
    }
}
TK_EXPORT(tk_binary_complex)

/// Whether they are equal, or (`differs`) are not.
TK_KERNEL(256) tk_compare_complex(const void *a, const void *b, unsigned char *out, tk_cuda_walk walk, long long differs, long long wide) {
    for (long long i = tk_first(); i < walk.count; i += tk_step()) {
        long long at[2];
        tk_locate(walk, i, at);
        out[i] = (load_pair(a, at[0], wide != 0) == load_pair(b, at[1], wide != 0)) != (differs != 0);
    }
}
TK_EXPORT(tk_compare_complex)
