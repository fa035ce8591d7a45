// Walking strided tensors: axes of size 1 dropped, mergeable axes merged, the rest visited row by row.
#ifndef TAPESTRY_STRIDED_H
#define TAPESTRY_STRIDED_H

#include <stdlib.h>

#include "levels.h"

enum { TK_MAX_OPERANDS = 4, TK_INLINE_RANK = 16 };

typedef struct {
    int rank, operands;
    int64_t dims[TK_INLINE_RANK];
    int64_t strides[TK_MAX_OPERANDS][TK_INLINE_RANK];
    int64_t rows, width;  // product of the outer dims, and the innermost one
} tk_walk;

/// A row: the operands' offsets (in elements), and the width; inner strides are in the walk.
typedef void (*tk_row_fn)(void *context, const tk_walk *w, const int64_t *offsets, int64_t width);

/// Builds the walk. Returns false for an empty tensor. Ranks above TK_INLINE_RANK after merging stop the program.
bool tk_walk_make(tk_walk *w, int rank, const int64_t *dims, int operands, const int64_t *const *strides);
/// Visits rows (long rows cut into pieces) over the pool.
void tk_walk_run(const tk_walk *w, tk_row_fn fn, void *context);

static inline int64_t tk_inner_stride(const tk_walk *w, int operand) {
    return w->rank ? w->strides[operand][w->rank - 1] : 1;
}

#endif
