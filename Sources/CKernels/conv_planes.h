// The input of a convolution cut into planes in which every tap reads places one after the other; see conv_planes_avx512.c.
#ifndef TAPESTRY_CONV_PLANES_H
#define TAPESTRY_CONV_PLANES_H

#include "conv.h"

typedef struct {
    const tk_conv_shape *s;
    int64_t taps;            // of all inputs
    int64_t rows;            // of outputs that the planes serve
    int64_t height, width;   // of a plane
    // Planes by the remainders of columns by the stride, which taps share and which are wider than the outputs; or, `tight`, one for each
    // column of taps, as wide as the outputs.
    bool tight;
    int64_t columns;         // of planes, per input and row of planes
    int64_t size;            // elements of all planes of one sample's group, and what may be read past them
} tk_planes;

/// Whether there are such planes: convolutions over two axes with steps of at most 4.
bool tk_has_planes(const tk_conv_shape *s);
/// Planes for about `most` outputs: whole rows. Tight ones, where they fit a cache and the others are much wider, if `may_be_tight`.
tk_planes tk_make_planes(const tk_conv_shape *s, int64_t most, bool may_be_tight);
/// Where each tap of each input begins: output (i, j) reads offset + i · width + j.
void tk_find_offsets(const tk_planes *p, int64_t *offsets);
/// The planes for the output rows from `first` on, of the inputs at x, with zeros for the padding.
void tk_fill_planes(const tk_planes *p, const float *x, int64_t first, float *out);

#endif
