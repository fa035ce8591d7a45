// How the rows of a matrix product are shared out over panels of at most TK_TILE_ROWS, and where packed panels lie.
#ifndef TAPESTRY_GEMM_PANELS_H
#define TAPESTRY_GEMM_PANELS_H
#include <stddef.h>
#include <stdint.h>

#include "gemm_avx512.h"

/// Panels as even as can be: the first `longer` have a row more than `size`.
typedef struct { int64_t count, size, longer; } split;

static inline split split_rows(int64_t rows) {
    int64_t count = (rows + TK_TILE_ROWS - 1) / TK_TILE_ROWS;
    return (split){ count, rows / count, rows % count };
}
static inline int64_t panel_rows(split s, int64_t panel) { return s.size + (panel < s.longer); }
static inline int64_t panel_start(split s, int64_t panel) { return panel * s.size + (panel < s.longer ? panel : s.longer); }
/// In elements of 4 bytes, `k` a row, with a gap between panels for what packing writes past the end.
static inline int64_t panel_offset(split s, int64_t panel, int64_t k) { return panel_start(s, panel) * k + panel * TK_PACK_GAP; }
static inline size_t panel_bytes(split s, int64_t rows, int64_t k) { return (size_t)(rows * k + s.count * TK_PACK_GAP) * 4; }
#endif
