// Vector times matrix in bfloat16 with AVX512-BF16: the matrix is read once, in the order it lies in memory.
#include "gemm_bf16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "CKernels.h"
#include "readahead.h"

#define BF16 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma,bmi,bmi2")))
#define BF16_INLINE BF16 static inline __attribute__((always_inline))

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

BF16_INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }

// y[0 ..< n] = sum (+ bias, + y), rounded once; n is at most 16.
BF16_INLINE void finish(const tk_bgemv *g, int64_t row, int64_t j, int64_t n, __m512 sum) {
    __mmask16 mask = first(n);
    if (g->bias) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, g->bias + j));
    if (g->half) {
        uint16_t *y = (uint16_t *)g->y + row * g->n + j;
        if (g->accumulate) {
            __m512i old = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, y)), 16);
            sum = _mm512_add_ps(sum, _mm512_castsi512_ps(old));
        }
        _mm256_mask_storeu_epi16(y, mask, (__m256i)_mm512_cvtneps_pbh(sum));
    } else {
        float *y = (float *)g->y + row * g->n + j;
        if (g->accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, y));
        _mm512_mask_storeu_ps(y, mask, sum);
    }
}

// ---- w [n, k]: dot products of rows ----

enum { STEPS = 4 };   // vectors of a row at a time

// sums[r] = x row r · a row of w. One row after the other: memory gives most to a single stream.
BF16_INLINE void dots(const int rows, const tk_bgemv *g, const uint16_t *w, float *sums) {
    __m512 sum[TK_GEMV_ROWS][STEPS];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < STEPS; i++) sum[r][i] = _mm512_setzero_ps();
    int64_t p = 0;
    for (; p + 32 * STEPS <= g->k; p += 32 * STEPS)
#pragma clang loop unroll(full)
        for (int i = 0; i < STEPS; i++) {
            __m512bh line = (__m512bh)_mm512_loadu_si512(w + p + 32 * i);
            _mm_prefetch((const char *)(w + p + 32 * i + 2048), _MM_HINT_T0);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++)
                sum[r][i] = _mm512_dpbf16_ps(sum[r][i], (__m512bh)_mm512_loadu_si512(g->x + r * g->k + p + 32 * i), line);
        }
    for (; p < g->k; p += 32) {
        __mmask32 there = g->k - p >= 32 ? 0xffffffffu : (1u << (g->k - p)) - 1;
        __m512bh line = (__m512bh)_mm512_maskz_loadu_epi16(there, w + p);
        for (int r = 0; r < rows; r++)
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], (__m512bh)_mm512_maskz_loadu_epi16(there, g->x + r * g->k + p), line);
    }
    for (int r = 0; r < rows; r++)
        sums[16 * r] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[r][0], sum[r][1]), _mm512_add_ps(sum[r][2], sum[r][3])));
}

typedef void (*dots_fn)(const tk_bgemv *, const uint16_t *, float *);
#define DOTS(n) BF16 static void dots##n(const tk_bgemv *g, const uint16_t *w, float *sums) { dots(n, g, w, sums); }
DOTS(1) DOTS(2) DOTS(3) DOTS(4)
static const dots_fn dots_of[TK_GEMV_ROWS + 1] = { 0, dots1, dots2, dots3, dots4 };

BF16 static void dot_rows(void *context, int64_t low, int64_t high) {
    const tk_bgemv *g = context;
    for (int64_t j = low; j < high; j += 16) {
        float sums[TK_GEMV_ROWS][16] = { { 0 } };   // [rows of x, rows of w]
        int64_t n = least(16, high - j);
        for (int64_t i = 0; i < n; i++) dots_of[g->m](g, g->w + (j + i) * g->ld, &sums[0][i]);
        for (int64_t r = 0; r < g->m; r++) finish(g, r, j, n, _mm512_loadu_ps(sums[r]));
    }
}

// ---- w [k, n]: rows of w, scaled and added up. The sum over k is cut into parts, added up in order ----

enum { CHUNK = 4096, PAIRS = 2 };   // columns per task; pairs of rows that are read together

typedef struct {
    const tk_bgemv *g;
    int64_t part, parts, chunks, width;   // rows per part (even); columns of a part's sums
    float *sums;                          // [parts, width]
} columns_job;

// The columns of 32 sums as unpacking leaves them: the first four of each eight, then the others.
BF16_INLINE void add_pairs(const int pairs, bool odd, const uint16_t *w, int64_t ld, const __m512bh *x, int64_t columns, float *sums,
                           bool begins) {
    for (int64_t j = 0; j < columns; j += 32) {
        __mmask32 mask = columns - j >= 32 ? 0xffffffffu : (1u << (columns - j)) - 1;
        __m512 low = begins ? _mm512_setzero_ps() : _mm512_load_ps(sums + j), high = begins ? low : _mm512_load_ps(sums + j + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < pairs; i++) {
            __m512i r0 = _mm512_maskz_loadu_epi16(mask, w + 2 * i * ld + j);
            __m512i r1 = odd && i == pairs - 1 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16(mask, w + (2 * i + 1) * ld + j);
            // The rows that come next are too far away for hardware prefetching.
            _mm_prefetch((const char *)(w + (2 * i + 2 * pairs) * ld + j), _MM_HINT_T0);
            _mm_prefetch((const char *)(w + (2 * i + 1 + 2 * pairs) * ld + j), _MM_HINT_T0);
            low = _mm512_dpbf16_ps(low, x[i], (__m512bh)_mm512_unpacklo_epi16(r0, r1));
            high = _mm512_dpbf16_ps(high, x[i], (__m512bh)_mm512_unpackhi_epi16(r0, r1));
        }
        _mm512_store_ps(sums + j, low);
        _mm512_store_ps(sums + j + 16, high);
    }
}

BF16 static void add_rows(void *context, int64_t task) {
    const columns_job *c = context;
    const tk_bgemv *g = c->g;
    int64_t part = task / c->chunks, j = task % c->chunks * CHUNK, columns = least(CHUNK, g->n - j);
    int64_t p = part * c->part, end = least(p + c->part, g->k);
    float *sums = c->sums + part * c->width + j;
    bool begins = true;
    while (p < end) {
        int64_t pairs = least(PAIRS, ceil_div(end - p, 2));
        bool odd = p + 2 * pairs > end;
        __m512bh x[PAIRS];
        for (int64_t i = 0; i < pairs; i++) {
            uint32_t pair = g->x[p + 2 * i];
            if (p + 2 * i + 1 < end) pair |= (uint32_t)g->x[p + 2 * i + 1] << 16;
            x[i] = (__m512bh)_mm512_set1_epi32((int)pair);
        }
        const uint16_t *w = g->w + p * g->ld + j;
        if (pairs == PAIRS && !odd) add_pairs(PAIRS, false, w, g->ld, x, columns, sums, begins);
        else for (int64_t i = 0; i < pairs; i++) {
            if (odd && i == pairs - 1) add_pairs(1, true, w + 2 * i * g->ld, g->ld, x + i, columns, sums, begins);
            else add_pairs(1, false, w + 2 * i * g->ld, g->ld, x + i, columns, sums, begins);
            begins = false;
        }
        begins = false;
        p += 2 * pairs;
    }
}

BF16 static void sum_parts(void *context, int64_t low, int64_t high) {
    const columns_job *c = context;
    static const int order[16] = { 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23 };
    __m512i near = _mm512_loadu_si512(order), far = _mm512_add_epi32(near, _mm512_set1_epi32(8));
    for (int64_t j = low; j < high; j += 32) {
        __m512 a = _mm512_load_ps(c->sums + j), b = _mm512_load_ps(c->sums + j + 16);
        for (int64_t part = 1; part < c->parts; part++) {
            a = _mm512_add_ps(a, _mm512_load_ps(c->sums + part * c->width + j));
            b = _mm512_add_ps(b, _mm512_load_ps(c->sums + part * c->width + j + 16));
        }
        finish(c->g, 0, j, high - j, _mm512_permutex2var_ps(a, near, b));
        if (high - j > 16) finish(c->g, 0, j + 16, high - j - 16, _mm512_permutex2var_ps(a, far, b));
    }
}

void tk_bgemv_avx512(const tk_bgemv *g, bool parallel) {
    if (g->transposed) {
        int64_t grain = round_up(ceil_div(65536, g->k), 16);
        if (parallel && g->n > grain) {
            if (g->ld == g->k) tk_note_matrix(g->w, (size_t)(g->n * g->k) * 2);
            tk_parallel_ranges(g->n, grain, dot_rows, (void *)g);
        } else dot_rows((void *)g, 0, g->n);
        return;
    }
    columns_job c = { .g = g, .chunks = ceil_div(g->n, CHUNK), .width = round_up(g->n, 32) };
    // About 16 tasks, of at least 64 thousand elements and 32 rows.
    int64_t parts = least(ceil_div(16, c.chunks), ceil_div(g->k * g->n, 65536));
    c.part = round_up(ceil_div(g->k, parts), 2 * PAIRS);
    if (c.part < 32) c.part = 32;
    if (c.part > 256) c.part = 256;
    c.parts = ceil_div(g->k, c.part);
    size_t bytes = (size_t)(c.parts * c.width) * sizeof(float);
    c.sums = tk_alloc(bytes);
    if (parallel && c.parts * c.chunks > 1) tk_parallel(c.parts * c.chunks, add_rows, &c);
    else for (int64_t t = 0; t < c.parts * c.chunks; t++) add_rows(&c, t);
    if (parallel && c.parts * g->n > 65536) tk_parallel_ranges(g->n, round_up(ceil_div(65536, c.parts), 32), sum_parts, &c);
    else sum_parts(&c, 0, g->n);
    tk_free(c.sums, bytes);
}
#endif
