// Philox4x32-10 (Salmon et al., 2011) and what is drawn from it, the CPU's numbers to the bit: plain IEEE operations, nothing contracted,
// and the same polynomials.
#include "philox.cuh"
#include "types.cuh"

TK_DEVICE float unit24(unsigned word) { return tk_product((float)(word >> 8), 5.9604644775390625e-8f); }
TK_DEVICE double unit53(unsigned high, unsigned low) {
    return tk_product((double)((((unsigned long long)high << 32) | low) >> 11), 1.1102230246251565404e-16);
}

TK_DEVICE double ln_unit(double u) {
    unsigned long long bits = tk_double_bits(u);
    long long e = (long long)(bits - 0x3fe6a09e667f3bcdull) >> 52;   // mantissa in [√½, √2)
    double m = tk_bits_double(bits - ((unsigned long long)e << 52));
    double s = (m - 1) / (m + 1), z = tk_product(s, s), p = 0;
#pragma unroll
    for (int k = 19; k >= 1; k -= 2) p = tk_sum(tk_product(p, z), 1.0 / k);
    return tk_sum(tk_product((double)e, 0.693147180559945309417), tk_product(tk_product(2.0, s), p));
}

/// c + z · rest, rounded twice.
TK_DEVICE double horner(double z, double rest, double c) { return tk_sum(c, tk_product(z, rest)); }

/// sin and cos of 2π t, t in [0, 1).
TK_DEVICE void turn(double t, double &sine, double &cosine) {
    double q = floor(tk_sum(tk_product(t, 4.0), 0.5)), x = tk_product(tk_sum(t, -tk_product(q, 0.25)), 6.28318530717958647693), z = tk_product(x, x);
    double s = horner(z, 1.0 / 6227020800.0, -1.0 / 39916800);
    s = horner(z, s, 1.0 / 362880);
    s = horner(z, s, -1.0 / 5040);
    s = horner(z, s, 1.0 / 120);
    s = horner(z, s, -1.0 / 6);
    s = tk_product(x, horner(z, s, 1.0));
    double k = horner(z, 1.0 / 479001600.0, -1.0 / 3628800);
    k = horner(z, k, 1.0 / 40320);
    k = horner(z, k, -1.0 / 720);
    k = horner(z, k, 1.0 / 24);
    k = horner(z, k, -0.5);
    k = horner(z, k, 1.0);
    switch ((int)q & 3) {
    case 0: sine = s; cosine = k; break;
    case 1: sine = k; cosine = -s; break;
    case 2: sine = -s; cosine = -k; break;
    default: sine = -k; cosine = s;
    }
}

/// Two normal numbers of one counter's words (wide: all four, otherwise a pair of them).
TK_DEVICE void box_muller(bool wide, unsigned w0, unsigned w1, unsigned w2, unsigned w3, double mean, double deviation, double (&out)[2]) {
    double u = wide ? tk_sum(unit53(w0, w1), 1.1102230246251565404e-16) : tk_product((double)(w0 >> 8) + 1, 5.9604644775390625e-8);
    double t = wide ? unit53(w2, w3) : tk_product((double)(w1 >> 8), 5.9604644775390625e-8);
    double r = sqrt(tk_product(-2.0, ln_unit(u))), s, k;
    turn(t, s, k);
    out[0] = tk_sum(mean, tk_product(deviation, tk_product(r, k)));
    out[1] = tk_sum(mean, tk_product(deviation, tk_product(r, s)));
}

// A thread takes whole counters: 4 elements, or 2 of 8 bytes.

template <class T> TK_DEVICE void uniform(T *out, long long n, unsigned long long seed, unsigned long long offset, double a, double b) {
    float low = (float)a, span = (float)(b - a), top = (float)b;
    for (long long c = tk_first(); c * 4 < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (c * 4 + k >= n) break;
            float f = tk_sum(low, tk_product(unit24(w.at[k]), span));
            out[c * 4 + k] = tk_narrow<T>(f < top || span <= 0 ? f : nextafterf(top, low));
        }
    }
}
TK_DEVICE void uniform(double *out, long long n, unsigned long long seed, unsigned long long offset, double a, double b) {
    for (long long c = tk_first(); c * 2 < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int k = 0; k < 2; k++) {
            if (c * 2 + k >= n) break;
            double v = tk_sum(a, tk_product(unit53(w.at[2 * k], w.at[2 * k + 1]), b - a));
            out[c * 2 + k] = v < b ? v : nextafter(b, a);
        }
    }
}

TK_DEVICE float narrowed(double x, float) { return (float)x; }
TK_DEVICE double narrowed(double x, double) { return x; }
template <class T> TK_DEVICE T narrowed(double x, T) { return tk_narrow<T>(tk_round_to_odd(x)); }

template <class T> TK_DEVICE void normal(T *out, long long n, unsigned long long seed, unsigned long long offset, double mean, double deviation) {
    const bool wide = sizeof(T) == 8;
    const int each = wide ? 2 : 4;
    for (long long c = tk_first(); c * each < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int pair = 0; pair < each / 2; pair++) {
            double v[2];
            if (wide) box_muller(true, w.at[0], w.at[1], w.at[2], w.at[3], mean, deviation, v);
            else box_muller(false, w.at[2 * pair], w.at[2 * pair + 1], 0, 0, mean, deviation, v);
#pragma unroll
            for (int k = 0; k < 2; k++) {
                long long i = c * each + 2 * pair + k;
                if (i < n) out[i] = narrowed(v[k], T());
            }
        }
    }
}

template <class T> TK_DEVICE void dropout(const T *x, T *out, unsigned char *mask, long long n, unsigned long long seed, unsigned long long offset,
                                          double keep) {
    unsigned limit = (unsigned)ceil(keep * 16777216.0);
    float scale = (float)(1 / keep);
    for (long long c = tk_first(); c * 4 < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            long long i = c * 4 + k;
            if (i >= n) break;
            bool kept = (w.at[k] >> 8) < limit;
            mask[i] = kept;
            tk_wide<T> v = tk_widen(x[i]);
            out[i] = tk_narrow<T>(!kept ? (tk_wide<T>)0 : sizeof(T) == 8 ? v / (tk_wide<T>)keep : v * (tk_wide<T>)scale);
        }
    }
}

#define RANDOM(T, S)                                                                                                                      \
    TK_KERNEL(256) tk_uniform_##S(T *out, long long n, unsigned long long seed, unsigned long long offset, double low, double high) {      \
        uniform(out, n, seed, offset, low, high);                                                                                         \
    }                                                                                                                                     \
    TK_EXPORT(tk_uniform_##S)                                                                                                             \
    TK_KERNEL(256) tk_normal_##S(T *out, long long n, unsigned long long seed, unsigned long long offset, double mean, double deviation) { \
        normal(out, n, seed, offset, mean, deviation);                                                                                    \
    }                                                                                                                                     \
    TK_EXPORT(tk_normal_##S)                                                                                                              \
    TK_KERNEL(256) tk_dropout_##S(const T *x, T *out, unsigned char *mask, long long n, unsigned long long seed, unsigned long long offset, \
                                  double keep) { dropout(x, out, mask, n, seed, offset, keep); }                                          \
    TK_EXPORT(tk_dropout_##S)                                                                                                             \
    TK_KERNEL(256) tk_dropout_grad_##S(const T *g, const unsigned char *mask, T *out, long long n, double keep) {                          \
        float scale = (float)(1 / keep);                                                                                                  \
        for (long long i = tk_first(); i < n; i += tk_step()) {                                                                           \
            tk_wide<T> v = tk_widen(g[i]);                                                                                                \
            out[i] = tk_narrow<T>(!mask[i] ? (tk_wide<T>)0 : sizeof(T) == 8 ? v / (tk_wide<T>)keep : v * (tk_wide<T>)scale);              \
        }                                                                                                                                 \
    }                                                                                                                                     \
    TK_EXPORT(tk_dropout_grad_##S)
TK_FLOAT_TYPES(RANDOM)
#undef RANDOM

/// Uniform in low ..< low + span, as int64.
TK_KERNEL(256) tk_random_integers(long long *out, long long n, unsigned long long seed, unsigned long long offset, long long low,
                                  unsigned long long span) {
    for (long long c = tk_first(); c * 2 < n; c += tk_step()) {
        tk_words w = tk_philox(seed, offset + (unsigned long long)c);
#pragma unroll
        for (int k = 0; k < 2; k++)
            if (c * 2 + k < n) {
                unsigned long long bits = ((unsigned long long)w.at[2 * k] << 32) | w.at[2 * k + 1];
                out[c * 2 + k] = (long long)((unsigned long long)low + tk_high_product(bits, span));
            }
    }
}
TK_EXPORT(tk_random_integers)
