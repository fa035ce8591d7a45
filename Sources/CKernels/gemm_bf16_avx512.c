// bfloat16 matrix products for CPUs with AVX512-BF16, on the scheme of gemm_avx512.c: an element of a packed panel is a pair of
// neighbours in k, and vdpbf16ps adds both products to a float. The packed operand that all threads read holds all of k, and a task
// sums its blocks of k itself, so that a bfloat16 result is rounded once, from float sums that stay in the task's caches.
//
// Every element is summed in the same order, whatever the split. The instruction takes subnormal numbers as 0.
#include "gemm_bf16.h"

#if defined(__x86_64__)
#include "CKernels.h"
#include "gemm_pack.h"
#include "gemm_panels.h"

enum { MR = TK_TILE_ROWS, NR = 32, KC = 800, ROWS = 168, COLUMNS = 4096, SHARED = 40 << 20 };   // KC in pairs, SHARED in bytes

#define BF16 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma,bmi,bmi2")))
#define BF16_INLINE BF16 static inline __attribute__((always_inline))

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// ---- packing; k counts elements, panels hold ceil(k / 2) pairs ----

INLINE __mmask32 first(int64_t n) { return n >= 32 ? 0xffffffffu : n <= 0 ? 0 : (1u << n) - 1; }

// One panel of B: pairs of 32 columns, `width` of them there, the others 0.
AVX512 static void pack_b_panel(const uint16_t *b, int64_t ldb, bool transposed, int64_t k, int64_t width, float *out) {
    if (transposed) {
        pack_transposed(b, ldb * 2, least(width, 16), k * 2, out, NR);
        pack_transposed(b + 16 * ldb, ldb * 2, width > 16 ? width - 16 : 0, k * 2, out + 16, NR);
        return;
    }
    static const uint16_t order[32] = { 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39,
                                        8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47 };
    __m512i low = _mm512_loadu_si512(order), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    __mmask32 mask = first(width);
    for (int64_t p = 0; p < k; p += 2) {
        __m512i r0 = _mm512_maskz_loadu_epi16(mask, b + p * ldb);
        __m512i r1 = p + 1 < k ? _mm512_maskz_loadu_epi16(mask, b + (p + 1) * ldb) : _mm512_setzero_si512();
        // The rows are further apart than hardware prefetching follows.
        _mm_prefetch((const char *)(b + (p + 32) * ldb), _MM_HINT_T0);
        _mm_prefetch((const char *)(b + (p + 33) * ldb), _MM_HINT_T0);
        _mm512_store_si512(out + p / 2 * NR, _mm512_permutex2var_epi16(r0, low, r1));
        _mm512_store_si512(out + p / 2 * NR + 16, _mm512_permutex2var_epi16(r0, high, r1));
    }
}

// One panel of A: groups of `rows` pairs. Writes up to TK_PACK_GAP elements past the end.
AVX512 static void pack_a_panel(const uint16_t *a, int64_t lda, bool transposed, int64_t k, int64_t rows, float *out) {
    if (!transposed) {
        pack_transposed(a, lda * 2, rows, k * 2, out, rows);
        return;
    }
    __mmask16 mask = (__mmask16)first(rows);
    for (int64_t p = 0; p < k; p += 2) {
        __m512i pair = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, a + p * lda));
        if (p + 1 < k)
            pair = _mm512_or_si512(pair, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, a + (p + 1) * lda)), 16));
        _mm512_storeu_si512(out + p / 2 * rows, pair);
    }
}

// ---- the kernel ----

// Where sums begin and where they go. Rows are `from_ld` and `to_ld` elements apart.
typedef struct {
    const void *from;       // NULL: nothing is added
    void *to;
    const float *bias;      // NULL: none
    int64_t from_ld, to_ld, width;
    bool from_half, to_half;
} ends;

INLINE __m512 widened(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }

BF16_INLINE void begin(const int rows, __m512 sum[MR][2], const ends *e) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
        // The lines of C come while the sums are made.
        const char *row = (const char *)e->to + i * e->to_ld * (e->to_half ? 2 : 4);
        __builtin_prefetch(row, 1);
        if (!e->to_half) __builtin_prefetch(row + 64, 1);
    }
}

// A packed panel of A: groups of `rows` pairs.
BF16_INLINE void packed_sums(const int rows, int64_t pairs, const float *a, const float *b, __m512 sum[MR][2]) {
#pragma clang loop unroll_count(2)
    for (int64_t p = 0; p < pairs; p++) {
        __m512bh b0 = (__m512bh)_mm512_load_ps(b), b1 = (__m512bh)_mm512_load_ps(b + 16);
        _mm_prefetch((const char *)(b + 16 * NR), _MM_HINT_T0);
        _mm_prefetch((const char *)(b + 16 * NR + 16), _MM_HINT_T0);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            __m512bh x = (__m512bh)_mm512_set1_ps(a[i]);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, b0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, b1);
        }
        a += rows;
        b += NR;
    }
}

// Rows of A where they lie, `ld` bytes apart. A pointer to every third row and two steps address them all without further arithmetic.
BF16_INLINE void direct_sums(const int rows, int64_t pairs, const char *a, int64_t ld, const float *b, __m512 sum[MR][2]) {
    const char *third[(MR + 2) / 3];
#pragma clang loop unroll(full)
    for (int i = 0; i < (rows + 2) / 3; i++) third[i] = a + 3 * i * ld;
#pragma clang loop unroll(disable)
    for (int64_t p = 0; p < pairs; p++) {
        __m512bh b0 = (__m512bh)_mm512_load_ps(b), b1 = (__m512bh)_mm512_load_ps(b + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            __m512 x;
            // Written out, as the compiler would load all rows first and run out of registers.
            if (i % 3 == 0) __asm__ volatile("vbroadcastss (%1), %0" : "=v"(x) : "r"(third[i / 3]));
            else if (i % 3 == 1) __asm__ volatile("vbroadcastss (%1,%2), %0" : "=v"(x) : "r"(third[i / 3]), "r"(ld));
            else __asm__ volatile("vbroadcastss (%1,%2,2), %0" : "=v"(x) : "r"(third[i / 3]), "r"(ld));
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], (__m512bh)x, b0);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], (__m512bh)x, b1);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < (rows + 2) / 3; i++) third[i] += 4;
        b += NR;
    }
}

BF16_INLINE void finish(const int rows, __m512 sum[MR][2], const ends *e) {
    __mmask16 low = (__mmask16)first(e->width), high = (__mmask16)(first(e->width) >> 16);
    if (e->bias) {
        __m512 bias0 = _mm512_maskz_loadu_ps(low, e->bias), bias1 = _mm512_maskz_loadu_ps(high, e->bias + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            sum[i][0] = _mm512_add_ps(sum[i][0], bias0);
            sum[i][1] = _mm512_add_ps(sum[i][1], bias1);
        }
    }
    if (e->from) {
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            __m512 x0, x1;
            if (e->from_half) {
                const uint16_t *row = (const uint16_t *)e->from + i * e->from_ld;
                x0 = widened(_mm256_maskz_loadu_epi16(low, row));
                x1 = widened(_mm256_maskz_loadu_epi16(high, row + 16));
            } else {
                const float *row = (const float *)e->from + i * e->from_ld;
                x0 = _mm512_maskz_loadu_ps(low, row);
                x1 = _mm512_maskz_loadu_ps(high, row + 16);
            }
            sum[i][0] = _mm512_add_ps(sum[i][0], x0);
            sum[i][1] = _mm512_add_ps(sum[i][1], x1);
        }
    }
    if (e->to_half && e->width == NR) {
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            _mm512_storeu_si512((uint16_t *)e->to + i * e->to_ld, (__m512i)_mm512_cvtne2ps_pbh(sum[i][1], sum[i][0]));
    } else if (e->to_half) {
        __mmask32 mask = first(e->width);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            _mm512_mask_storeu_epi16((uint16_t *)e->to + i * e->to_ld, mask, (__m512i)_mm512_cvtne2ps_pbh(sum[i][1], sum[i][0]));
    } else {
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            float *row = (float *)e->to + i * e->to_ld;
            _mm512_mask_storeu_ps(row, low, sum[i][0]);
            _mm512_mask_storeu_ps(row + 16, high, sum[i][1]);
        }
    }
}

// Packed panels, and rows of A where they lie.
typedef void (*kernel_fn)(int64_t, const void *, int64_t, const float *, const ends *);
#define KERNEL(n)                                                                                                      \
    BF16 static void kernel##n(int64_t pairs, const void *a, int64_t ld, const float *b, const ends *e) {               \
        __m512 sum[MR][2];                                                                                              \
        (void)ld;                                                                                                       \
        begin(n, sum, e);                                                                                               \
        packed_sums(n, pairs, a, b, sum);                                                                               \
        finish(n, sum, e);                                                                                              \
    }                                                                                                                   \
    BF16 static void direct##n(int64_t pairs, const void *a, int64_t ld, const float *b, const ends *e) {               \
        __m512 sum[MR][2];                                                                                              \
        begin(n, sum, e);                                                                                               \
        direct_sums(n, pairs, a, ld, b, sum);                                                                           \
        finish(n, sum, e);                                                                                              \
    }
KERNEL(1) KERNEL(2) KERNEL(3) KERNEL(4) KERNEL(5) KERNEL(6) KERNEL(7) KERNEL(8) KERNEL(9) KERNEL(10) KERNEL(11) KERNEL(12) KERNEL(13)
KERNEL(14)
static const kernel_fn kernels[2][MR + 1] = {
    { 0, kernel1, kernel2, kernel3, kernel4, kernel5, kernel6, kernel7, kernel8, kernel9, kernel10, kernel11, kernel12, kernel13, kernel14 },
    { 0, direct1, direct2, direct3, direct4, direct5, direct6, direct7, direct8, direct9, direct10, direct11, direct12, direct13, direct14 },
};

// ---- the product ----

// Columns j0 ..< j0 + columns of the result.
typedef struct {
    const tk_bgemm *g;
    int64_t j0, columns;
    int64_t pairs, kc, blocks;   // of k: all its pairs, those of a block, blocks
    float *shared;               // the packed operand that all threads read, block by block
    int64_t per_pack;            // panels per packing task
    int64_t rows, panels;        // per computing task
    bool direct;                 // A is read where it lies
} job;

static void pack_b(const job *w, int64_t panel, int64_t p0, int64_t pairs, float *out) {
    const tk_bgemm *g = w->g;
    int64_t j = w->j0 + panel * NR;
    if (g->panel) { g->panel(g->context, j / NR, p0, pairs, out); return; }
    const uint16_t *b = g->b + (g->transpose_b ? j * g->ldb + 2 * p0 : 2 * p0 * g->ldb + j);
    pack_b_panel(b, g->ldb, g->transpose_b, least(2 * pairs, g->k - 2 * p0), least(NR, w->columns - panel * NR), out);
}

static void pack_a(const job *w, int64_t row, int64_t rows, int64_t p0, int64_t pairs, float *out) {
    const tk_bgemm *g = w->g;
    const uint16_t *a = g->a + (g->transpose_a ? 2 * p0 * g->lda + row : row * g->lda + 2 * p0);
    pack_a_panel(a, g->lda, g->transpose_a, least(2 * pairs, g->k - 2 * p0), rows, out);
}

// C at rows `row` ..< and one panel of columns for one block of k. `a`: panels of `s`, whose pairs p are at `panel_offset` for `held`
// pairs. `sums`, if there, holds the task's float sums of this panel of columns, NR to a row.
static void multiply(const job *w, int64_t block, int64_t row, row_split s, int64_t column, const float *a, int64_t held, const float *b,
                     float *sums) {
    const tk_bgemm *g = w->g;
    int64_t j = w->j0 + column * NR, pairs = least(w->kc, w->pairs - block * w->kc);
    bool begins = block == 0, ends_here = block == w->blocks - 1;
    for (int64_t panel = 0; panel < s.count; panel++) {
        int64_t start = panel_start(s, panel), n = panel_rows(s, panel), at = (row + start) * g->ldc + j;
        void *c = g->half ? (void *)((uint16_t *)g->c + at) : (void *)((float *)g->c + at);
        float *own = sums ? sums + start * NR : 0;
        ends e = { .width = least(NR, w->columns - column * NR), .to = c, .to_ld = g->ldc, .to_half = g->half };
        if (begins) {
            if (g->bias) e.bias = g->bias + j;
            if (g->accumulate) { e.from = c; e.from_ld = g->ldc; e.from_half = g->half; }
        } else if (own) { e.from = own; e.from_ld = NR; }
        else { e.from = c; e.from_ld = g->ldc; }
        if (own && !ends_here) { e.to = own; e.to_ld = NR; e.to_half = false; }
        if (w->direct) kernels[1][n](pairs, g->a + (row + start) * g->lda + 2 * block * w->kc, 2 * g->lda, b, &e);
        else kernels[0][n](pairs, a + panel_offset(s, panel, held), 0, b, &e);
    }
}

// Many rows: B is packed for all, each task packs its rows of A.

static void pack_b_task(void *context, int64_t task) {
    const job *w = context;
    int64_t end = least((task + 1) * w->per_pack, ceil_div(w->columns, NR));
    for (int64_t panel = task * w->per_pack; panel < end; panel++)
        pack_b(w, panel, 0, w->pairs, w->shared + panel * w->pairs * NR);
}

static void rows_task(void *context, int64_t task) {
    const job *w = context;
    int64_t row = task * w->rows, rows = least(w->rows, w->g->m - row), panels = ceil_div(w->columns, NR);
    row_split s = split_rows(rows);
    size_t bytes = panel_bytes(s, w->kc), sum_bytes = w->g->half && w->blocks > 1 ? (size_t)(rows * panels * NR) * 4 : 0;
    float *a = tk_alloc(bytes), *sums = sum_bytes ? tk_alloc(sum_bytes) : 0;
    for (int64_t block = 0; block < w->blocks; block++) {
        int64_t p0 = block * w->kc, pairs = least(w->kc, w->pairs - p0);
        for (int64_t panel = 0; panel < s.count; panel++)
            pack_a(w, row + panel_start(s, panel), panel_rows(s, panel), p0, pairs, a + panel_offset(s, panel, pairs));
        for (int64_t column = 0; column < panels; column++)
            multiply(w, block, row, s, column, a, pairs, w->shared + (column * w->pairs + p0) * NR, sums ? sums + column * rows * NR : 0);
    }
    tk_free(a, bytes);
    if (sums) tk_free(sums, sum_bytes);
}

// Few rows: A is packed for all, each task packs its columns of B, whose panels then stay in the core's own caches.

static void pack_a_task(void *context, int64_t task) {
    const job *w = context;
    row_split s = split_rows(w->g->m);
    int64_t end = least((task + 1) * w->per_pack, s.count * w->blocks);
    for (int64_t i = task * w->per_pack; i < end; i++) {
        int64_t block = i / s.count, panel = i % s.count, p0 = block * w->kc, pairs = least(w->kc, w->pairs - p0);
        float *out = w->shared + w->g->m * p0 + block * s.count * TK_PACK_GAP + panel_offset(s, panel, pairs);
        pack_a(w, panel_start(s, panel), panel_rows(s, panel), p0, pairs, out);
    }
}

// Block by block of k, so that A is read once per task, not once per panel of B.
static void columns_task(void *context, int64_t task) {
    const job *w = context;
    int64_t m = w->g->m, first_panel = task * w->panels, end = least(first_panel + w->panels, ceil_div(w->columns, NR));
    row_split s = split_rows(m);
    size_t bytes = (size_t)(w->kc * NR) * 4, sum_bytes = w->g->half && w->blocks > 1 ? (size_t)((end - first_panel) * m * NR) * 4 : 0;
    float *b = tk_alloc(bytes), *sums = sum_bytes ? tk_alloc(sum_bytes) : 0;
    for (int64_t block = 0; block < w->blocks; block++)
        for (int64_t column = first_panel; column < end; column++) {
            int64_t p0 = block * w->kc, pairs = least(w->kc, w->pairs - p0);
            pack_b(w, column, p0, pairs, b);
            multiply(w, block, 0, s, column, w->shared + m * p0 + block * s.count * TK_PACK_GAP, pairs, b,
                     sums ? sums + (column - first_panel) * m * NR : 0);
        }
    tk_free(b, bytes);
    if (sums) tk_free(sums, sum_bytes);
}

static void run(int64_t threads, int64_t tasks, tk_task_fn fn, void *context) {
    if (threads > 1) tk_parallel(tasks, fn, context);
    else for (int64_t t = 0; t < tasks; t++) fn(context, t);
}

// Packing A pays over many panels of B only.
static bool reads_a_directly(const tk_bgemm *g, int64_t panels) { return !g->transpose_a && g->k % 2 == 0 && panels <= 128; }

void tk_bgemm_avx512(const tk_bgemm *g, bool parallel) {
    // Blocks of k as even as can be; they depend on k alone.
    job w = { .g = g, .pairs = ceil_div(g->k, 2) };
    w.blocks = ceil_div(w.pairs, KC);
    w.kc = round_up(ceil_div(w.pairs, w.blocks), 8);
    w.blocks = ceil_div(w.pairs, w.kc);
    int64_t threads = parallel ? tk_thread_count() : 1;
    bool few_rows = g->m <= 4 * ROWS && g->m <= g->n;
    if (few_rows) {
        row_split rows = split_rows(g->m);
        size_t bytes = panel_bytes(rows, w.pairs) + (size_t)(w.blocks * rows.count * TK_PACK_GAP) * 4;
        w.columns = g->n;
        int64_t packs = rows.count * w.blocks, panels = ceil_div(g->n, NR);
        w.direct = reads_a_directly(g, panels);
        if (w.direct) bytes = 0;
        w.shared = bytes ? tk_alloc(bytes) : 0;
        w.per_pack = ceil_div(packs, threads * 2);
        if (bytes) run(threads, ceil_div(packs, w.per_pack), pack_a_task, &w);
        // A long sum reads more of A than its columns are worth: fewer tasks.
        w.panels = ceil_div(panels, threads * (w.blocks > 4 ? 2 : ceil_div(panels, threads * 4)));
        run(threads, ceil_div(panels, w.panels), columns_task, &w);
        if (bytes) tk_free(w.shared, bytes);
        return;
    }
    int64_t columns = SHARED / 4 / w.pairs / NR * NR;
    columns = columns > COLUMNS ? COLUMNS : columns < 256 ? 256 : columns;
    columns = least(columns, round_up(g->n, NR));
    size_t bytes = (size_t)(columns * w.pairs) * 4;
    w.shared = tk_alloc(bytes);
    w.rows = ceil_div(g->m, threads * ceil_div(g->m, threads * ROWS));
    for (w.j0 = 0; w.j0 < g->n; w.j0 += columns) {
        w.columns = least(columns, g->n - w.j0);
        int64_t panels = ceil_div(w.columns, NR);
        w.per_pack = ceil_div(panels, threads * 4);
        run(threads, ceil_div(panels, w.per_pack), pack_b_task, &w);
        run(threads, ceil_div(g->m, w.rows), rows_task, &w);
    }
    tk_free(w.shared, bytes);
}
#endif
