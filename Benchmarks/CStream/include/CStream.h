#ifndef CSTREAM_H
#define CSTREAM_H
#include <stddef.h>

/// STREAM's triad (McCalpin, 1995) over part of three arrays: a[i] = b[i] + s c[i]. With non-temporal stores where asked and
/// possible; the arrays are then aligned to 64 bytes and n is a multiple of 16.
void stream_triad(float *a, const float *b, const float *c, float s, size_t n, int non_temporal);

#endif
