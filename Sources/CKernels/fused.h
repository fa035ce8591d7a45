// What the parts of a fused program's run share.
#ifndef TAPESTRY_FUSED_H
#define TAPESTRY_FUSED_H

#include "levels.h"

enum {
    TK_FUSED_BLOCK = 512,          // elements of a tile, at most
    TK_FUSED_CACHE = 24 << 10,     // bytes of all blocks of a tile
    TK_FUSED_OPERANDS = 2 * TK_FUSED_MOST_OPERANDS, TK_FUSED_SLOTS = 256, TK_INLINE_AXES = 16
};

/// The iteration space, its axes merged, and every operand's strides in it; the last two axes are a tile's.
typedef struct {
    int rank;
    int64_t dims[TK_INLINE_AXES], strides[TK_FUSED_OPERANDS][TK_INLINE_AXES];
} tk_fused_walk;

/// The part of a summed output that a task adds to: elements low ..< high, from `sums` on.
typedef struct { int64_t low, high; double *sums; } tk_fused_part;

typedef struct {
    const tk_fused_program *program;
    tk_fused_walk walk;
    int64_t tile_rows, tile_width, row_blocks, strips, tiles, block_bytes, tasks;
    int streaming_step[TK_FUSED_MOST_OPERANDS];        // that writes an output past the caches, or -1
    bool summed[TK_FUSED_MOST_OPERANDS], streams[TK_FUSED_MOST_OPERANDS], direct[TK_FUSED_MOST_OPERANDS], fetches[TK_FUSED_MOST_OPERANDS];
    tk_fused_part *parts[TK_FUSED_MOST_OPERANDS];      // of each task
    double *sums;
    size_t sum_bytes;
} tk_fused_run;

typedef struct { const char *from; int64_t rows, width; bool one_value; } tk_fused_loaded;

/// The sums of a task so far: float32 for a while, then added to the part's doubles.
typedef struct { tk_fused_part part; float *recent; int64_t from, to, rows; } tk_fused_sum;

/// What one task works in.
typedef struct {
    char *blocks;
    char *slots[TK_FUSED_SLOTS];
    uint8_t pace[TK_FUSED_SLOTS];
    tk_fused_loaded loaded[TK_FUSED_MOST_OPERANDS];
    tk_fused_sum sums[TK_FUSED_MOST_OPERANDS];
} tk_fused_scratch;

/// The type that elements are computed in.
static inline int tk_fused_type(int dtype) { return dtype == TK_F16 || dtype == TK_BF16 ? TK_F32 : dtype; }

// fused_sums.c
void tk_fused_plan_sums(tk_fused_run *r, int64_t count);
void tk_fused_begin_sums(const tk_fused_run *r, tk_fused_scratch *s, int64_t task);
void tk_fused_add(const tk_fused_run *r, tk_fused_scratch *s, int j, const char *x, int64_t offset, int64_t rows, int64_t width);
void tk_fused_end_sums(const tk_fused_run *r, tk_fused_scratch *s);
void tk_fused_finish_sums(tk_fused_run *r);

#endif
