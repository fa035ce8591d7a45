// Single-precision matrix products for AVX-512, after the scheme of Goto and van de Geijn (2008) and BLIS (Van Zee and van de Geijn,
// 2015): blocks of B are packed once into panels of 32 columns, shared by all threads; blocks of rows of A are packed by the thread
// that uses them into panels of up to 14 rows; a kernel holds a 14 × 32 tile of C in 28 registers.
//
// Every element is summed in the same order, whatever the split: one chain of fused multiply-adds per block of k, the blocks in order.
#include "gemm_avx512.h"

#if defined(__x86_64__)
#include "CKernels.h"
#include "gemm_pack.h"
#include "gemm_panels.h"
#include "levels.h"
#include "outer_avx512.h"
#include "stream.h"

enum { MR = TK_TILE_ROWS, NR = 32, KC = 1024, ROWS = 112, COLUMNS = 6144, FEW = 672 /* rows, which one packing holds for all */ };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// ---- packing ----

// Rows that are packed lie further apart than hardware prefetching follows; past the end a prefetch does nothing.
enum { AHEAD = 32 };
INLINE void prefetch_row(const float *row, int64_t count) {
    _mm_prefetch((const char *)row, _MM_HINT_T0);
    _mm_prefetch((const char *)(row + count - 1), _MM_HINT_T0);
}

// One panel of B: k rows of 32 columns, `width` of them there, the others 0.
AVX512 static void pack_b_panel(const float *b, int64_t ldb, bool transposed, int64_t k, int64_t width, float *out) {
    if (transposed) {
        pack_transposed(b, ldb * 4, least(width, 16), k * 4, out, NR);
        pack_transposed(b + 16 * ldb, ldb * 4, width > 16 ? width - 16 : 0, k * 4, out + 16, NR);
    } else if (width == NR) {
        for (int64_t p = 0; p < k; p++) {
            prefetch_row(b + (p + AHEAD) * ldb, NR);
            _mm512_store_ps(out + p * NR, _mm512_loadu_ps(b + p * ldb));
            _mm512_store_ps(out + p * NR + 16, _mm512_loadu_ps(b + p * ldb + 16));
        }
    } else {
        __mmask16 low = width >= 16 ? 0xffff : (__mmask16)((1u << width) - 1), high = width > 16 ? (__mmask16)((1u << (width - 16)) - 1) : 0;
        for (int64_t p = 0; p < k; p++) {
            _mm512_store_ps(out + p * NR, _mm512_maskz_loadu_ps(low, b + p * ldb));
            _mm512_store_ps(out + p * NR + 16, _mm512_maskz_loadu_ps(high, b + p * ldb + 16));
        }
    }
}

// One panel of A: k groups of `rows` elements. Writes up to TK_PACK_GAP elements past the end.
AVX512 static void pack_a_panel(const float *a, int64_t lda, int64_t k, int64_t rows, float *out) {
    pack_transposed(a, lda * 4, rows, k * 4, out, rows);
}

// `count` panels of `rows` each of a transposed A at once, so that every line of memory is read once.
AVX512 static void pack_a_panels(const float *a, int64_t lda, int64_t k, int64_t rows, int64_t count, float *out) {
    __mmask16 mask = (__mmask16)((1u << rows) - 1);
    int64_t stride = rows * k + TK_PACK_GAP;
    for (int64_t p = 0; p < k; p++) {
        const float *from = a + p * lda, *ahead = from + AHEAD / 2 * lda;
        float *to = out + p * rows;
        for (int64_t i = 0; i < rows * count; i += 16) _mm_prefetch((const char *)(ahead + i), _MM_HINT_T0);
#pragma clang loop unroll_count(4)
        for (int64_t panel = 0; panel < count; panel++, from += rows, to += stride) _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(mask, from));
    }
}

// ---- the kernel ----

typedef enum { WRITE, ADD, SUBTRACT, BIAS, STREAM /* past the caches: whole lines, aligned */ } update;

// The lines of memory that will be packed next: rows of `count` lines, the next row `turn` bytes after the end of one. A kernel
// fetches `per_step` of them into the second cache for every 8 of k. Packing from memory takes three times as long as from there.
typedef struct {
    const char *at;
    int64_t turn;
    int32_t count, left, per_step;
} walk;

static walk walk_over(const float *x, int64_t ld, int64_t columns, int32_t per_step) {
    int32_t count = (int32_t)ceil_div(columns, 16);
    return (walk){ (const char *)x, (ld - 16 * count) * 4, count, count, per_step };
}

enum { STEP = 8, NEXT = 16 /* of k: how far ahead the panels are fetched into the first cache */ };

// C[rows, width] (=, +=, -= or = bias +) A panel · B panel.
INLINE void kernel(const int rows, int64_t k, const float *a, const float *b, float *c, int64_t ldc, int64_t width, update how,
                   const float *bias, walk *next) {
    __m512 sum[MR][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
        if (how != STREAM) {
            __builtin_prefetch(c + i * ldc, 1, 3);
            __builtin_prefetch(c + i * ldc + 16, 1, 3);
        }
    }
    // The panels displace C's lines from the first cache meanwhile.
    int64_t fetches = how == STREAM ? k : (k - 1) / STEP * STEP - 2 * STEP;
    walk w = *next;
    for (int64_t step = 0; step < k; step += STEP) {
        for (int32_t i = 0; i < w.per_step; i++) {
            _mm_prefetch(w.at, _MM_HINT_T1);
            w.at += 64;
            if (--w.left == 0) {
                w.left = w.count;
                w.at += w.turn;
            }
        }
        int64_t end = step + STEP < k ? step + STEP : k;
        if (step == fetches) {
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) {
                __builtin_prefetch(c + i * ldc, 1, 3);
                __builtin_prefetch(c + i * ldc + 16, 1, 3);
            }
        }
#pragma clang loop unroll(disable)
        for (int64_t p = step; p < end; p++) {
            __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
            _mm_prefetch((const char *)(b + NEXT * NR), _MM_HINT_T0);
            _mm_prefetch((const char *)(b + NEXT * NR + 16), _MM_HINT_T0);
            _mm_prefetch((const char *)(a + NEXT * rows), _MM_HINT_T0);
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) add_multiples(i, a + i, b0, b1, sum[i]);
            a += rows;
            b += NR;
        }
    }
    next->at = w.at;
    next->left = w.left;
    __mmask16 low = 0xffff, high = 0xffff;
    if (width < NR) {
        low = width >= 16 ? 0xffff : (__mmask16)((1u << width) - 1);
        high = width > 16 ? (__mmask16)((1u << (width - 16)) - 1) : 0;
    }
    __m512 bias0 = _mm512_setzero_ps(), bias1 = bias0;
    if (how == BIAS) {
        bias0 = _mm512_maskz_loadu_ps(low, bias);
        bias1 = _mm512_maskz_loadu_ps(high, bias + 16);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *row = c + i * ldc;
        __m512 s0 = sum[i][0], s1 = sum[i][1];
        if (how == ADD) {
            s0 = _mm512_add_ps(s0, _mm512_maskz_loadu_ps(low, row));
            s1 = _mm512_add_ps(s1, _mm512_maskz_loadu_ps(high, row + 16));
        } else if (how == SUBTRACT) {
            s0 = _mm512_sub_ps(_mm512_maskz_loadu_ps(low, row), s0);
            s1 = _mm512_sub_ps(_mm512_maskz_loadu_ps(high, row + 16), s1);
        } else if (how == BIAS) {
            s0 = _mm512_add_ps(s0, bias0);
            s1 = _mm512_add_ps(s1, bias1);
        } else if (how == STREAM) {
            _mm512_stream_ps(row, s0);
            _mm512_stream_ps(row + 16, s1);
            continue;
        }
        _mm512_mask_storeu_ps(row, low, s0);
        _mm512_mask_storeu_ps(row + 16, high, s1);
    }
}

typedef void (*kernel_fn)(int64_t, const float *, const float *, float *, int64_t, int64_t, update, const float *, walk *);
#define KERNEL(n)                                                                                                               \
    AVX512 static void kernel##n(int64_t k, const float *a, const float *b, float *c, int64_t ldc, int64_t width, update how,     \
                                 const float *bias, walk *next) {                                                                 \
        kernel(n, k, a, b, c, ldc, width, how, bias, next);                                                                       \
    }
KERNEL(1) KERNEL(2) KERNEL(3) KERNEL(4) KERNEL(5) KERNEL(6) KERNEL(7) KERNEL(8) KERNEL(9) KERNEL(10) KERNEL(11) KERNEL(12) KERNEL(13)
KERNEL(14)
static const kernel_fn kernels[MR + 1] = { 0, kernel1, kernel2, kernel3, kernel4, kernel5, kernel6, kernel7, kernel8, kernel9,
                                           kernel10, kernel11, kernel12, kernel13, kernel14 };

// ---- the product ----

// One block of sums: p0 ..< p0 + k, over columns j0 ..< j0 + columns.
typedef struct {
    const tk_sgemm *g;
    int64_t j0, columns, p0, k;
    update how;
    bool activates;     // the last block of a product with a function of its own
    float *shared;      // the packed panels that all threads read: of B, or of A
    int64_t per_pack;   // panels per packing task
    int64_t rows;       // of C per computing task, of many rows
} block;

static const float *b_at(const block *w, int64_t panel) {
    int64_t j = w->j0 + panel * NR;
    return w->g->b + (w->g->transpose_b ? j * w->g->ldb + w->p0 : w->p0 * w->g->ldb + j);
}

static const float *a_at(const block *w, int64_t row) {
    return w->g->a + (w->g->transpose_a ? w->p0 * w->g->lda + row : row * w->g->lda + w->p0);
}

static void pack_b(const block *w, int64_t panel, float *out) {
    pack_b_panel(b_at(w, panel), w->g->ldb, w->g->transpose_b, w->k, least(NR, w->columns - panel * NR), out);
}

// The panels first ..< end of the rows that begin at `row`.
static void pack_a(const block *w, int64_t row, row_split s, int64_t first, int64_t end, float *out) {
    if (w->g->transpose_a) {
        // Panels of the same number of rows at a time.
        for (int64_t from = first, to; from < end; from = to) {
            int64_t n = panel_rows(s, from);
            for (to = from + 1; to < end && panel_rows(s, to) == n;) to++;
            pack_a_panels(a_at(w, row + panel_start(s, from)), w->g->lda, w->k, n, to - from, out + panel_offset(s, from, w->k));
        }
        return;
    }
    for (int64_t panel = first; panel < end; panel++)
        pack_a_panel(a_at(w, row + panel_start(s, panel)), w->g->lda, w->k, panel_rows(s, panel), out + panel_offset(s, panel, w->k));
}

// C at rows row ..< and one panel of columns, from packed panels of A (all of `s`) and of B.
static void multiply(const block *w, int64_t row, row_split s, int64_t column, const float *a, const float *b, walk *next) {
    const tk_sgemm *g = w->g;
    int64_t j = w->j0 + column * NR, width = least(NR, w->columns - column * NR);
    const float *bias = g->bias ? g->bias + j : NULL;
    update how = w->how == STREAM && width < NR ? WRITE : w->how;
    for (int64_t panel = 0; panel < s.count; panel++) {
        int64_t start = panel_start(s, panel), n = panel_rows(s, panel);
        int64_t at = (row + start) * g->ldc + j;
        kernels[n](w->k, a + panel_offset(s, panel, w->k), b, g->c + at, g->ldc, width, how, bias, next);
        if (w->activates) tk_current_level()->activate_tile(g->activation, g->c + at, g->activated + at, g->ldc, n, width);
    }
}

// Many rows: B is packed for all, each task packs its rows of A.

static void pack_b_task(void *context, int64_t task) {
    const block *w = context;
    int64_t end = least((task + 1) * w->per_pack, ceil_div(w->columns, NR));
    for (int64_t panel = task * w->per_pack; panel < end; panel++) pack_b(w, panel, w->shared + panel * w->k * NR);
}

static void rows_task(void *context, int64_t task) {
    const block *w = context;
    const tk_sgemm *g = w->g;
    int64_t row = task * w->rows, rows = least(w->rows, g->m - row), columns = ceil_div(w->columns, NR);
    row_split s = split_rows(rows);
    size_t bytes = panel_bytes(s, w->k);
    float *a = tk_alloc(bytes);
    pack_a(w, row, s, 0, s.count, a);
    // The next panel of B is fetched while this one is multiplied, the next task's rows over the last columns.
    walk next = { .at = (const char *)a, .per_step = 0 };
    int64_t more = least(w->rows, g->m - row - rows), lines = more * ceil_div(w->k, 16), start = columns;
    if (more > 0) {
        next = walk_over(a_at(w, row + rows), g->lda, g->transpose_a ? more : w->k, 2);
        start -= least(columns, ceil_div(lines, 2 * s.count * ceil_div(w->k, STEP)));
    }
    for (int64_t column = 0; column < columns; column++) {
        const float *b = w->shared + column * w->k * NR;
        walk panel = walk_over(b + w->k * NR, NR, NR, column + 1 < columns ? (int32_t)ceil_div(2 * STEP, s.count) : 0);
        multiply(w, row, s, column, a, b, column < start ? &panel : &next);
    }
    tk_free(a, bytes);
}

// Few rows: A is packed for all, each task packs a panel of B, which then stays in the core's own caches.

static void pack_a_task(void *context, int64_t task) {
    const block *w = context;
    row_split s = split_rows(w->g->m);
    pack_a(w, 0, s, task * w->per_pack, least((task + 1) * w->per_pack, s.count), w->shared);
}

static void column_task(void *context, int64_t column) {
    const block *w = context;
    const tk_sgemm *g = w->g;
    row_split s = split_rows(g->m);
    size_t bytes = (size_t)(w->k * NR) * sizeof(float);
    float *b = tk_alloc(bytes);
    pack_b(w, column, b);
    walk next = { .at = (const char *)b, .per_step = 0 };
    // Its 2 k lines, over the panels of A.
    if (column + 1 < ceil_div(w->columns, NR))
        next = walk_over(b_at(w, column + 1), g->ldb, g->transpose_b ? w->k : NR, (int32_t)ceil_div(2 * STEP, s.count));
    multiply(w, 0, s, column, w->shared, b, &next);
    tk_free(b, bytes);
}

static void run(int64_t threads, int64_t tasks, tk_task_fn fn, block *w) {
    if (threads > 1) tk_parallel(tasks, fn, w);
    else for (int64_t t = 0; t < tasks; t++) fn(w, t);
}

// Whether C goes past the caches. The product of a transposed A with few k is, as a rule, a weight's gradient: much is written for what is
// computed, and the optimizer reads it when everything else has been through the caches.
static bool streams(const tk_sgemm *g) {
    enum { LARGE = 4 << 20 };
    return g->transpose_a && !g->transpose_b && !g->accumulate && !g->subtract && !g->bias && !g->activated && g->k <= KC && g->m * g->n * 4 >= LARGE && g->ldc % 16 == 0 &&
           ((uintptr_t)g->c & 63) == 0;
}

void tk_sgemm_avx512(const tk_sgemm *g, bool parallel) {
    // Blocks of k as even as can be; they depend on k alone.
    int64_t blocks = ceil_div(g->k, KC), kc = ceil_div(ceil_div(g->k, blocks), 8) * 8;
    int64_t threads = parallel ? tk_thread_count() : 1;
    bool few_rows = g->m <= FEW && g->m <= g->n, stream = streams(g);
    int64_t columns = few_rows ? g->n : COLUMNS;
    row_split rows = split_rows(g->m);
    size_t bytes = few_rows ? panel_bytes(rows, kc) : (size_t)(ceil_div(least(g->n, columns), NR) * NR * kc) * sizeof(float);
    float *shared = tk_alloc(bytes);
    for (int64_t j = 0; j < g->n; j += columns)
        for (int64_t p = 0; p < g->k; p += kc) {
            block w = { .g = g, .j0 = j, .columns = least(columns, g->n - j), .p0 = p, .k = least(kc, g->k - p), .shared = shared };
            w.how = g->subtract ? SUBTRACT : p > 0 || g->accumulate ? ADD : g->bias ? BIAS : stream ? STREAM : WRITE;
            w.activates = g->activated && p + kc >= g->k;
            int64_t panels = ceil_div(w.columns, NR);
            if (few_rows) {
                w.per_pack = ceil_div(rows.count, threads * 2);
                run(threads, ceil_div(rows.count, w.per_pack), pack_a_task, &w);
                run(threads, panels, column_task, &w);
            } else {
                w.per_pack = ceil_div(panels, threads * 4);
                run(threads, ceil_div(panels, w.per_pack), pack_b_task, &w);
                w.rows = ceil_div(g->m, threads * ceil_div(g->m, threads * ROWS));
                run(threads, ceil_div(g->m, w.rows), rows_task, &w);
            }
        }
    tk_free(shared, bytes);
    if (stream) tk_stream_fence();
}

void tk_pack_tile_rows(const float *a, int64_t lda, int64_t k, int64_t rows, float *out) {
    pack_a_panel(a, lda, k, rows, out);
}

void tk_pack_transposed(const float *x, int64_t ld, int64_t lines, int64_t k, float *out, int64_t stride) {
    pack_transposed(x, ld * 4, lines, k * 4, out, stride);
}

void tk_multiply_tile(int64_t rows, int64_t k, const float *a, const float *b, float *c, int64_t ldc, int64_t width, bool add) {
    walk none = { .at = (const char *)a, .per_step = 0 };
    kernels[rows](k, a, b, c, ldc, width, add ? ADD : WRITE, 0, &none);
}
#endif
