// KISS FFT takes lengths with small prime factors in n log n and the others in n times the largest factor; lengths with a large
// factor go through a convolution of a power of two instead (Bluestein 1970).
#include "CFFT.h"

#include "CKernels.h"

#if __has_include(<kissfft/kissfft.hh>)

#include <cmath>
#include <complex>
#include <kissfft/kissfft.hh>
#include <memory>
#include <vector>

namespace {

using number = std::complex<double>;
using plan = kissfft<double>;

std::size_t largest_factor(std::size_t n) {
    std::size_t largest = 1;
    for (std::size_t p = 2; p * p <= n; p += 1 + (p > 2))
        while (n % p == 0) {
            largest = p;
            n /= p;
        }
    return n > largest ? n : largest;
}

/// exp(sign i pi k^2 / n), k^2 taken modulo 2n so that no digits are lost.
number chirp(std::size_t k, std::size_t n, double sign) {
    double angle = M_PI * (double)((unsigned __int128)k * k % (2 * n)) / (double)n;
    return number(std::cos(angle), sign * std::sin(angle));
}

/// A transform of one length in one direction; copies serve other threads.
class transform {
public:
    transform(std::size_t n, bool inverse) : n(n), sign(inverse ? 1 : -1), small(largest_factor(n) <= 50 ? n : 1, inverse) {
        if (largest_factor(n) <= 50) return;
        m = 1;
        while (m < 2 * n - 1) m *= 2;
        forward = std::make_shared<plan>(m, false);
        backward = std::make_shared<plan>(m, true);
        factors.resize(n);
        std::vector<number> kernel(m);
        for (std::size_t k = 0; k < n; k++) {
            factors[k] = chirp(k, n, sign);
            kernel[k] = std::conj(factors[k]);
            if (k > 0) kernel[m - k] = kernel[k];
        }
        spectrum.resize(m);
        forward->transform(kernel.data(), spectrum.data());
        for (auto &z : spectrum) z /= (double)m;
    }

    void operator()(const number *in, number *out) {
        if (m == 0) return small.transform(in, out);
        // A power of two has no generic stage, the one with scratch: the plans may be shared.
        a.assign(m, 0);
        b.resize(m);
        for (std::size_t k = 0; k < n; k++) a[k] = in[k] * factors[k];
        forward->transform(a.data(), b.data());
        for (std::size_t k = 0; k < m; k++) b[k] *= spectrum[k];
        backward->transform(b.data(), a.data());
        for (std::size_t k = 0; k < n; k++) out[k] = a[k] * factors[k];
    }

private:
    std::size_t n, m = 0;
    double sign;
    plan small;
    std::shared_ptr<plan> forward, backward;
    std::vector<number> factors, spectrum, a, b;
};

struct call {
    const transform *base;
    const void *in;
    void *out;
    int64_t n, inner;
    double scale;
};

template <typename T> void lines(void *context, int64_t low, int64_t high) {
    const call &c = *static_cast<const call *>(context);
    transform run = *c.base;
    std::vector<number> line((std::size_t)c.n), result((std::size_t)c.n);
    for (int64_t i = low; i < high; i++) {
        int64_t start = i / c.inner * c.n * c.inner + i % c.inner;
        auto in = static_cast<const std::complex<T> *>(c.in) + start;
        auto out = static_cast<std::complex<T> *>(c.out) + start;
        for (int64_t k = 0; k < c.n; k++) line[(std::size_t)k] = number(in[k * c.inner].real(), in[k * c.inner].imag());
        run(line.data(), result.data());
        for (int64_t k = 0; k < c.n; k++) {
            number z = result[(std::size_t)k] * c.scale;
            out[k * c.inner] = std::complex<T>((T)z.real(), (T)z.imag());
        }
    }
}

}  // namespace

bool tk_fft_available(void) { return true; }

void tk_fft(bool is_double, int64_t outer, int64_t n, int64_t inner, const void *in, void *out, bool inverse, double scale) {
    int64_t count = outer * inner;
    if (count == 0) return;
    const transform base((std::size_t)n, inverse);
    call c = {&base, in, out, n, inner, scale};
    // Some tasks per core, each with a copy of the plan; one if there is little to do.
    int64_t grain = (count + 15) / 16, least = 16384 / n + 1;
    tk_parallel_ranges(count, grain > least ? grain : least, is_double ? lines<double> : lines<float>, &c);
}

#else

#include <cstdlib>

bool tk_fft_available(void) { return false; }

void tk_fft(bool, int64_t, int64_t, int64_t, const void *, void *, bool, double) { std::abort(); }

#endif
