// Discrete Fourier transforms along the middle of [outer, n, inner]: Stockham's self-sorting passes, one for each small factor of n, and
// Bluestein's convolution (1970) for lengths with a factor that is not small. Roots of unity come from a table.
#include "complex.cuh"

/// exp(-2πi k / n), from an angle of at most an eighth of the circle.
TK_CALLED tk_pair root_of_unity(long long k, long long n) {
    long long quarter = 4 * k / n, rest = 4 * k - quarter * n;
    bool mirrored = 2 * rest > n;
    double s, c;
    sincos(1.57079632679489661923 * ((double)(mirrored ? n - rest : rest) / (double)n), &s, &c);
    if (mirrored) { double t = s; s = c; c = t; }
    switch (quarter & 3) {
    case 0: return pair(c, -s);
    case 1: return pair(-s, -c);
    case 2: return pair(-c, s);
    default: return pair(s, c);
    }
}

#define ROOTS(T, S)                                                                                                                   \
    TK_KERNEL(256) tk_fourier_roots_##S(T *roots, long long n) {                                                                      \
        for (long long k = tk_first(); k < n; k += tk_step()) roots[k] = from_pair<decltype(T().re)>(root_of_unity(k, n));            \
    }                                                                                                                                 \
    TK_EXPORT(tk_fourier_roots_##S)
TK_COMPLEX_TYPES(ROOTS)
#undef ROOTS

/// The pass for a factor `radix` of n after factors whose product is `before`: a thread to an output, which sums `radix` inputs.
template <class F> TK_DEVICE void fourier_pass(const tk_complex<F> *x, tk_complex<F> *out, const tk_complex<F> *roots, long long outer, long long n,
                                               long long inner, long long radix, long long before, bool inverse, F scale) {
    long long apart = n / radix, together = before * radix, stride = n / together;
    for (long long e = tk_first(); e < outer * n * inner; e += tk_step()) {
        long long i = e % inner, at = e / inner % n, o = e / (inner * n);
        long long turn = at % together, j = at / together * before + turn % before, step = turn * stride, place = 0;
        const tk_complex<F> *from = x + (o * n + j) * inner + i;
        tk_complex<F> sum = from[0];
        for (long long r = 1; r < radix; r++) {
            place += step;
            if (place >= n) place -= n;
            tk_complex<F> w = roots[place];
            if (inverse) w.im = -w.im;
            sum = sum + from[r * apart * inner] * w;
        }
        sum.re *= scale;
        sum.im *= scale;
        out[e] = sum;
    }
}
#define PASS(T, S)                                                                                                                    \
    TK_KERNEL(256) tk_fourier_pass_##S(const T *x, T *out, const T *roots, long long outer, long long n, long long inner,             \
                                       long long radix, long long before, long long inverse, double scale) {                          \
        typedef decltype(T().re) F;                                                                                                   \
        fourier_pass<F>(x, out, roots, outer, n, inner, radix, before, inverse != 0, (F)scale);                                       \
    }                                                                                                                                 \
    TK_EXPORT(tk_fourier_pass_##S)
TK_COMPLEX_TYPES(PASS)
#undef PASS

// Bluestein: X[k] = c[k] Σⱼ (x[j] c[j]) conj(c[k - j]) with c[k] = exp(-πi k² / n), conjugated for the inverse; a convolution of `size` points.
TK_DEVICE tk_pair chirp(long long k, long long n, bool inverse) {
    tk_pair c = root_of_unity(k * k % (2 * n), 2 * n);
    if (inverse) c.im = -c.im;
    return c;
}
/// x[j] c[j], and zeros up to `size`.
TK_KERNEL(256) tk_fourier_spread(const tk_pair *x, tk_pair *out, long long outer, long long n, long long inner, long long size, long long inverse) {
    for (long long e = tk_first(); e < outer * size * inner; e += tk_step()) {
        long long i = e % inner, j = e / inner % size, o = e / (inner * size);
        out[e] = j < n ? x[(o * n + j) * inner + i] * chirp(j, n, inverse != 0) : pair(0, 0);
    }
}
TK_EXPORT(tk_fourier_spread)
/// conj(c[|j|]), around a circle of `size`.
TK_KERNEL(256) tk_fourier_filter(tk_pair *out, long long n, long long size, long long inverse) {
    for (long long j = tk_first(); j < size; j += tk_step()) {
        long long k = j < n ? j : size - j;
        out[j] = k < n ? chirp(k, n, inverse == 0) : pair(0, 0);
    }
}
TK_EXPORT(tk_fourier_filter)
/// Every spectrum times the filter's.
TK_KERNEL(256) tk_fourier_multiply(tk_pair *x, const tk_pair *filter, long long outer, long long size, long long inner) {
    for (long long e = tk_first(); e < outer * size * inner; e += tk_step()) x[e] = x[e] * filter[e / inner % size];
}
TK_EXPORT(tk_fourier_multiply)
/// c[k] times the convolution.
TK_KERNEL(256) tk_fourier_collect(const tk_pair *x, tk_pair *out, long long outer, long long n, long long inner, long long size, long long inverse,
                                  double scale) {
    for (long long e = tk_first(); e < outer * n * inner; e += tk_step()) {
        long long i = e % inner, k = e / inner % n, o = e / (inner * n);
        tk_pair z = x[(o * size + k) * inner + i] * chirp(k, n, inverse != 0);
        out[e] = pair(z.re * scale, z.im * scale);
    }
}
TK_EXPORT(tk_fourier_collect)
