// Discrete Fourier transforms by KISS FFT (libkissfft-dev, BSD-3-Clause).
#ifndef TAPESTRY_CFFT_H
#define TAPESTRY_CFFT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Whether the library was there when this was compiled.
bool tk_fft_available(void);
/// out[o, k, i] = scale * sum over j of in[o, j, i] exp(-2 pi i j k / n), or +2 pi i if inverse, for complex [outer, n, inner], dense:
/// pairs of floats, or of doubles if `is_double`. Computed in double. `out` may be `in`. n >= 1. Lines are shared out over the pool.
void tk_fft(bool is_double, int64_t outer, int64_t n, int64_t inner, const void *in, void *out, bool inverse, double scale);

#ifdef __cplusplus
}
#endif
#endif
