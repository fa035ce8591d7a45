// How rows of a matrix product are shared out over panels of at most TK_TILE_ROWS, and where packed panels lie.
#ifndef TAPESTRY_GEMM_PANELS_H
#define TAPESTRY_GEMM_PANELS_H
#include <stddef.h>
#include <stdint.h>

#include "gemm_avx512.h"

/// Panels as even as can be: the first `longer` have two rows more than `size`. Both are even numbers, since a kernel of 13 rows runs at 0.92
/// of the rate of one of 12 or 14 on Cascade Lake; the last panel lacks a row if their number is odd.
typedef struct { int64_t rows, count, size, longer; } row_split;

static inline row_split split_rows(int64_t rows) {
    int64_t count = (rows + TK_TILE_ROWS - 1) / TK_TILE_ROWS, pairs = (rows + 1) / 2, each = count ? count : 1;
    return (row_split){ rows, count, pairs / each * 2, pairs % each };
}
static inline int64_t panel_start(row_split s, int64_t panel) { return panel * s.size + 2 * (panel < s.longer ? panel : s.longer); }
static inline int64_t panel_rows(row_split s, int64_t panel) {
    int64_t left = s.rows - panel_start(s, panel), rows = s.size + 2 * (panel < s.longer);
    return rows < left ? rows : left;
}
/// In elements of 4 bytes, `k` a row, with a gap between panels for what packing writes past the end.
static inline int64_t panel_offset(row_split s, int64_t panel, int64_t k) { return panel_start(s, panel) * k + panel * TK_PACK_GAP; }
static inline size_t panel_bytes(row_split s, int64_t k) { return (size_t)(s.rows * k + s.count * TK_PACK_GAP) * 4; }
#endif
