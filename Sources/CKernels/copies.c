// Copies between layouts.
#include <string.h>

#include "isa.h"
#include "stream.h"
#include "strided.h"
#include "transpose_avx512.h"

enum { TILE = 32, SIDE = 16 };  // SIDE: of what registers hold

typedef struct { const char *src; char *dst; int64_t size; bool stream; } copy_context;

#if defined(__x86_64__)
// Past the caches, two lines of each of eight pages in turns: one page after the other takes 14 % longer on Cascade Lake, and so do lines in pieces.
AVX512 static void stream_pages(char *d, const char *s, int64_t bytes) {
    enum { PAGE = 4096, PAGES = 8, LINES = 128 };
    int64_t i = (int64_t)(-(uintptr_t)d & 63);
    if (i > bytes) i = bytes;
    memcpy(d, s, (size_t)i);
    for (; i + PAGES * PAGE <= bytes; i += PAGES * PAGE)
        for (int64_t at = i; at < i + PAGE; at += LINES)
            for (int64_t p = at; p < at + PAGES * PAGE; p += PAGE) {
                __m512i first = _mm512_loadu_si512(s + p), second = _mm512_loadu_si512(s + p + 64);
                _mm512_stream_si512((void *)(d + p), first);
                _mm512_stream_si512((void *)(d + p + 64), second);
            }
    tk_stream_copy(d + i, s + i, bytes - i);
}
#endif

static void stream_row(char *d, const char *s, int64_t bytes) {
#if defined(__x86_64__)
    if (tk_isa_level() == 2) {
        stream_pages(d, s, bytes);
        return;
    }
#endif
    tk_stream_copy(d, s, bytes);
}

#define COPY(T) for (int64_t i = 0; i < n; i++) ((T *)d)[i * sd] = ((const T *)s)[i * ss]

static void copy_row(void *p, const tk_walk *w, const int64_t *o, int64_t n) {
    const copy_context *c = p;
    int64_t ss = tk_inner_stride(w, 0), sd = tk_inner_stride(w, 1);
    const char *s = c->src + o[0] * c->size;
    char *d = c->dst + o[1] * c->size;
    if (ss == 1 && sd == 1) {
        if (c->stream) stream_row(d, s, n * c->size);
        else memcpy(d, s, (size_t)(n * c->size));
        return;
    }
    switch (c->size) {
    case 1: COPY(uint8_t); break;
    case 2: COPY(uint16_t); break;
    case 4: COPY(uint32_t); break;
    case 8: COPY(uint64_t); break;
    default: COPY(tk_pair);
    }
}

// ---- transposes ----

// Tile by tile, so that both sides use whole cache lines at once: rows a power of two apart share the sets of a cache. The last two
// axes of the walk are the tile's; tiles follow each other along the source's rows, which the CPU then fetches ahead.
typedef struct { const tk_walk *w; copy_context c; bool registers; int64_t bands; } transpose_context;

typedef struct { const char *src; char *dst; int64_t source_step, row_step, height, width; } transpose_tile;

#define TRANSPOSE(T)                                                                                            \
    {                                                                                                           \
        T buffer[TILE][TILE + 1];                                                                               \
        for (int64_t k = 0; k < t->width; k++)                                                                  \
            for (int64_t i = 0; i < t->height; i++) buffer[k][i] = ((const T *)t->src)[i + k * t->source_step]; \
        for (int64_t i = 0; i < t->height; i++)                                                                 \
            for (int64_t k = 0; k < t->width; k++) ((T *)t->dst)[i * t->row_step + k] = buffer[k][i];           \
    }

static void plain_tile(const transpose_tile *t, int64_t size) {
    switch (size) {
    case 1: TRANSPOSE(uint8_t) break;
    case 2: TRANSPOSE(uint16_t) break;
    case 4: TRANSPOSE(uint32_t) break;
    case 8: TRANSPOSE(uint64_t) break;
    default: TRANSPOSE(tk_pair)
    }
}

#if defined(__x86_64__)
// SIDE x SIDE elements of 4 bytes. Two such tiles beside each other write two lines that are neighbours, which memory takes faster;
// the source's lines of the tile after this one are asked for.
AVX512 static void register_tile(const float *s, int64_t source_step, float *d, int64_t row_step, bool stream) {
    __m512 r[SIDE];
    for (int k = 0; k < SIDE; k++) {
        r[k] = _mm512_loadu_ps(s + k * source_step);
        __builtin_prefetch(s + k * source_step + SIDE, 0, 3);
    }
    transpose16(r);
    if (stream) for (int k = 0; k < SIDE; k++) _mm512_stream_ps(d + k * row_step, r[k]);
    else for (int k = 0; k < SIDE; k++) _mm512_storeu_ps(d + k * row_step, r[k]);
}

/// The whole register tiles of a tile; what is left of it by the plain way.
static void register_tiles(const transpose_tile *t, bool stream) {
    int64_t height = t->height / SIDE * SIDE, width = t->width / SIDE * SIDE;
    for (int64_t i = 0; i < height; i += SIDE)
        for (int64_t k = 0; k < width; k += SIDE)
            register_tile((const float *)t->src + i + k * t->source_step, t->source_step, (float *)t->dst + i * t->row_step + k,
                          t->row_step, stream);
    transpose_tile right = *t, below = *t;
    right.src += width * t->source_step * 4;
    right.dst += width * 4;
    right.width -= width;
    below.src += height * 4;
    below.dst += height * t->row_step * 4;
    below.height -= height;
    below.width = width;
    plain_tile(&right, 4);
    plain_tile(&below, 4);
}
#endif

static void transpose_range(void *p, int64_t low, int64_t high) {
    const transpose_context *t = p;
    const tk_walk *w = t->w;
    int64_t rows = w->dims[w->rank - 2], columns = w->dims[w->rank - 1], size = t->c.size;
    transpose_tile tile = {.source_step = w->strides[0][w->rank - 1], .row_step = w->strides[1][w->rank - 2]};
    for (int64_t task = low; task < high; task++) {
        int64_t rest = task / t->bands, first = task % t->bands * TILE;
        const char *s = t->c.src + first * tile.source_step * size;
        char *d = t->c.dst + first * size;
        for (int k = w->rank - 3; k >= 0; k--) {
            int64_t i = rest % w->dims[k];
            rest /= w->dims[k];
            s += i * w->strides[0][k] * size;
            d += i * w->strides[1][k] * size;
        }
        tile.width = columns - first < TILE ? columns - first : TILE;
        for (int64_t row = 0; row < rows; row += TILE) {
            tile.height = rows - row < TILE ? rows - row : TILE;
            tile.src = s + row * size;
            tile.dst = d + row * tile.row_step * size;
#if defined(__x86_64__)
            if (t->registers) {
                register_tiles(&tile, t->c.stream);
                continue;
            }
#endif
            plain_tile(&tile, size);
        }
    }
}

static void transpose(const tk_walk *w, copy_context c) {
    bool registers = false;
#if defined(__x86_64__)
    registers = c.size == 4 && tk_isa_level() == 2;
#endif
    if (c.stream) {  // whole lines only
        c.stream = registers && (uintptr_t)c.dst % 64 == 0;
        for (int k = 0; k + 1 < w->rank; k++) c.stream &= w->strides[1][k] % SIDE == 0;
    }
    int64_t rows = w->dims[w->rank - 2];
    transpose_context t = {w, c, registers, (w->width + TILE - 1) / TILE};
    int64_t grain = TK_GRAIN / (TILE * rows);
    tk_parallel_ranges(w->rows / rows * t.bands, grain > 0 ? grain : 1, transpose_range, &t);
}

void tk_copy_strided(int dtype, int rank, const int64_t *dims, const void *src, const int64_t *src_strides, void *dst,
                     const int64_t *dst_strides) {
    tk_walk w;
    if (!tk_walk_make(&w, rank, dims, 2, (const int64_t *const[]){src_strides, dst_strides})) return;
    copy_context c = {src, dst, tk_element_size(dtype), false};
    c.stream = tk_streams(w.rows * w.width * c.size);
    bool is_transpose = w.rank >= 2 && tk_inner_stride(&w, 1) == 1 && tk_inner_stride(&w, 0) != 1
        && w.strides[0][w.rank - 2] == 1 && w.width >= 4 && w.dims[w.rank - 2] >= 4;
    if (is_transpose) transpose(&w, c);
    else tk_walk_run(&w, copy_row, &c);
    if (c.stream) tk_stream_fence();
}
