// The input of a convolution cut into planes in which every tap reads places one after the other; see conv_planes_avx512.c.
#ifndef TAPESTRY_CONV_PLANES_H
#define TAPESTRY_CONV_PLANES_H

#include "conv.h"

typedef struct {
    const tk_conv_shape *s;
    int64_t taps;            // of all inputs
    int64_t rows;            // of outputs that the planes serve
    int64_t height, width;   // of a plane
    int64_t size;            // elements of all planes of one sample's group, and what may be read past them
} tk_planes;

/// Whether there are such planes: convolutions over two axes with steps of at most 4.
bool tk_has_planes(const tk_conv_shape *s);
/// Planes for about `most` outputs: whole rows.
tk_planes tk_make_planes(const tk_conv_shape *s, int64_t most);
/// Where each tap of each input begins: output (i, j) reads offset + i · width + j.
void tk_find_offsets(const tk_planes *p, int64_t *offsets);
/// The planes for the output rows from `first` on, of the inputs at x; the padding is zero already.
void tk_fill_planes(const tk_planes *p, const float *x, int64_t first, float *out);

#endif
