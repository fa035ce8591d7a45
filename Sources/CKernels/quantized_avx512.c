// Quantised weights with AVX-512: VNNI's sums of four products of bytes for quantised rows, bfloat16's pairs for float ones.
#include "quantized.h"

#if defined(__x86_64__)
#include "CKernels.h"
#include "gemm_pack.h"
#include "readahead.h"

enum { MR = 14, NR = TK_PANEL, GAP = 16, BLOCK_ROWS = 168 };

#define VNNI __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,bmi,bmi2")))
#define BF16 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma,bmi,bmi2")))

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1); }

// ---- rows quantised as they come: y = (Σ q w - zero Σ w) scale scales + bias ----

typedef struct {
    const tk_quantized_product *p;
    int64_t quads;              // groups of four of k
    uint8_t *rows;              // panels of A: `quads` groups of 4 bytes of up to MR rows, with a gap
    tk_row_scale *row_scales;
    int64_t row_panels, row_blocks, column_panels, column_block, per_task;
} job;

static int64_t panel_offset(const job *w, int64_t panel) { return panel * (MR * w->quads + GAP) * 4; }

AVX512 static tk_row_scale quantize_row(const float *x, int64_t k, uint8_t *out) {
    __m512 low = _mm512_setzero_ps(), high = low;
    int64_t i = 0;
    for (; i + 16 <= k; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        low = _mm512_min_ps(low, v);
        high = _mm512_max_ps(high, v);
    }
    if (i < k) {
        __m512 v = _mm512_maskz_loadu_ps(first(k - i), x + i);
        low = _mm512_min_ps(low, v);
        high = _mm512_max_ps(high, v);
    }
    tk_row_scale s = tk_row_scale_of(_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
    __m512 scale = _mm512_set1_ps(1 / s.scale);
    __m512i zero = _mm512_set1_epi32(s.zero), nothing = _mm512_setzero_si512();
    for (i = 0; i < k; i += 16) {
        __mmask16 mask = first(k - i);
        __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale)), zero);
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, nothing)));
    }
    return s;
}

AVX512 static void quantize_panels(void *context, int64_t low, int64_t high) {
    const job *w = context;
    const tk_quantized_product *p = w->p;
    size_t bytes = (size_t)(MR * w->quads * 4);
    uint8_t *rows = tk_alloc(bytes);
    for (int64_t panel = low; panel < high; panel++) {
        int64_t row = panel * MR, n = least(MR, p->m - row);
        for (int64_t i = 0; i < n; i++) {
            uint8_t *to = n == 1 ? w->rows + panel_offset(w, panel) : rows + i * w->quads * 4;   // a single row needs no packing
            w->row_scales[row + i] = quantize_row(p->x + (row + i) * p->k, p->k, to);
            for (int64_t j = p->k; j < w->quads * 4; j++) to[j] = 0;
        }
        if (n > 1) pack_transposed(rows, w->quads * 4, n, w->quads * 4, (float *)(w->rows + panel_offset(w, panel)), n);
    }
    tk_free(rows, bytes);
}

VNNI static inline __attribute__((always_inline)) void dynamic_kernel(const int rows, const tk_quantized_product *p, int64_t quads,
                                                                      const int32_t *a, const int8_t *b, int64_t row, int64_t j,
                                                                      const tk_row_scale *row_scales) {
    __m512i sum[MR][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = sum[i][1] = _mm512_setzero_si512();
        // The lines of y come while the sums are made.
        __builtin_prefetch(p->y + (row + i) * p->n + j, 1);
        __builtin_prefetch(p->y + (row + i) * p->n + j + 16, 1);
    }
#pragma clang loop unroll_count(2)
    for (int64_t q = 0; q < quads; q++) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
        _mm_prefetch((const char *)(b + TK_INT8_AHEAD), _MM_HINT_T0);
        _mm_prefetch((const char *)(b + TK_INT8_AHEAD + 64), _MM_HINT_T0);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32(a[i]);
            sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], x, b0);
            sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], x, b1);
        }
        a += rows;
        b += 4 * NR;
    }
#pragma clang loop unroll(full)
    for (int h = 0; h < 2; h++) {
        __mmask16 mask = first(p->n - j - 16 * h);
        __m512 scale = _mm512_maskz_loadu_ps(mask, p->scales + j + 16 * h);
        __m512 bias = p->bias ? _mm512_maskz_loadu_ps(mask, p->bias + j + 16 * h) : _mm512_setzero_ps();
        __m512i sums = _mm512_maskz_loadu_epi32(mask, p->sums + j + 16 * h);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            tk_row_scale s = row_scales[row + i];
            __m512i exact = _mm512_sub_epi32(sum[i][h], _mm512_mullo_epi32(sums, _mm512_set1_epi32(s.zero)));
            __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(exact), _mm512_mul_ps(scale, _mm512_set1_ps(s.scale)));
            _mm512_mask_storeu_ps(p->y + (row + i) * p->n + j + 16 * h, mask, _mm512_add_ps(y, bias));
        }
    }
}

typedef void (*kernel_fn)(const tk_quantized_product *, int64_t, const int32_t *, const int8_t *, int64_t, int64_t, const tk_row_scale *);
#define KERNEL(n)                                                                                                               \
    VNNI static void kernel##n(const tk_quantized_product *p, int64_t quads, const int32_t *a, const int8_t *b, int64_t row,     \
                               int64_t j, const tk_row_scale *s) {                                                                \
        dynamic_kernel(n, p, quads, a, b, row, j, s);                                                                              \
    }
KERNEL(1) KERNEL(2) KERNEL(3) KERNEL(4) KERNEL(5) KERNEL(6) KERNEL(7) KERNEL(8) KERNEL(9) KERNEL(10) KERNEL(11) KERNEL(12) KERNEL(13)
KERNEL(14)
static const kernel_fn kernels[MR + 1] = { 0, kernel1, kernel2, kernel3, kernel4, kernel5, kernel6, kernel7, kernel8, kernel9,
                                           kernel10, kernel11, kernel12, kernel13, kernel14 };

static void multiply_task(void *context, int64_t task) {
    const job *w = context;
    int64_t block = task / w->column_block, part = task % w->column_block, per_block = BLOCK_ROWS / MR;
    int64_t end = least((part + 1) * w->per_task, w->column_panels), last = least((block + 1) * per_block, w->row_panels);
    for (int64_t column = part * w->per_task; column < end; column++) {
        const int8_t *b = (const int8_t *)w->p->panels + column * w->quads * 4 * NR;
        for (int64_t panel = block * per_block; panel < last; panel++) {
            int64_t row = panel * MR, n = least(MR, w->p->m - row);
            kernels[n](w->p, w->quads, (const int32_t *)(w->rows + panel_offset(w, panel)), b, row, column * NR, w->row_scales);
        }
    }
}

void tk_int8_dynamic_avx512(const tk_quantized_product *p) {
    job w = { .p = p, .quads = tk_groups_of(p->k, 4), .row_panels = tk_groups_of(p->m, MR), .column_panels = tk_groups_of(p->n, NR) };
    size_t row_bytes = (size_t)panel_offset(&w, w.row_panels), scale_bytes = (size_t)p->m * sizeof(tk_row_scale);
    w.rows = tk_alloc(row_bytes);
    w.row_scales = tk_alloc(scale_bytes);
    int64_t grain = 16384 / (MR * p->k) + 1;
    if (w.row_panels <= grain) quantize_panels(&w, 0, w.row_panels);
    else tk_parallel_ranges(w.row_panels, grain, quantize_panels, &w);
    w.row_blocks = tk_groups_of(w.row_panels, BLOCK_ROWS / MR);
    // Integers add up to the same in any split. A task is worth at least some 2^15 products.
    int64_t wanted = tk_groups_of(32, w.row_blocks), most = (int64_t)((double)p->m * (double)p->n * (double)p->k / 32768) + 1;
    w.column_block = least(least(wanted, most), w.column_panels);
    w.per_task = w.row_panels == 1 ? tk_panels_per_task(w.column_panels, w.quads * 4 * NR) : tk_groups_of(w.column_panels, w.column_block);
    w.column_block = tk_groups_of(w.column_panels, w.per_task);
    int64_t tasks = w.row_blocks * w.column_block;
    if (tasks == 1) multiply_task(&w, 0);
    else {
        if (w.row_panels == 1) tk_note_matrix(p->panels, (size_t)(w.column_panels * w.quads * 4 * NR));
        tk_parallel(tasks, multiply_task, &w);
    }
    tk_free(w.row_scales, scale_bytes);
    tk_free(w.rows, row_bytes);
}

// ---- one float row ----

AVX512 static void store_columns(const tk_quantized_product *p, int64_t j, __m512 sum) {
    __mmask16 mask = first(p->n - j);
    if (p->bias) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, p->bias + j));
    _mm512_mask_storeu_ps(p->y + j, mask, sum);
}

AVX512 void tk_int8_row_avx512(const tk_quantized_product *p, int64_t low, int64_t high) {
    int64_t quads = tk_groups_of(p->k, 4);
    for (int64_t panel = low; panel < high; panel++) {
        const int8_t *b = (const int8_t *)p->panels + panel * quads * 4 * NR;
        __m512 sum[2][4];
        for (int h = 0; h < 2; h++) for (int i = 0; i < 4; i++) sum[h][i] = _mm512_setzero_ps();
        for (int64_t q = 0; q < quads; q++) {
            float last[4] = { 0 };
            const float *x = p->x + 4 * q;
            if (4 * q + 4 > p->k) {
                for (int64_t i = 0; i < p->k - 4 * q; i++) last[i] = x[i];
                x = last;
            }
            _mm_prefetch((const char *)(b + TK_INT8_AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)(b + TK_INT8_AHEAD + 64), _MM_HINT_T0);
#pragma clang loop unroll(full)
            for (int h = 0; h < 2; h++) {
                __m512i w = _mm512_loadu_si512(b + 64 * h);
#pragma clang loop unroll(full)
                for (int i = 0; i < 4; i++) {
                    __m512i byte = _mm512_srai_epi32(i == 3 ? w : _mm512_slli_epi32(w, 24 - 8 * i), 24);
                    sum[h][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(byte), _mm512_set1_ps(x[i]), sum[h][i]);
                }
            }
            b += 4 * NR;
        }
        for (int h = 0; h < 2; h++) {
            int64_t j = panel * NR + 16 * h;
            __m512 all = _mm512_add_ps(_mm512_add_ps(sum[h][0], sum[h][1]), _mm512_add_ps(sum[h][2], sum[h][3]));
            store_columns(p, j, _mm512_mul_ps(all, _mm512_maskz_loadu_ps(first(p->n - j), p->scales + j)));
        }
    }
}

// The bfloat16 numbers `from` ... `from` + 15, twice.
BF16 static __m512i table(int from) {
    __m512 values = _mm512_add_ps(_mm512_set1_ps((float)from), _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    return (__m512i)_mm512_cvtne2ps_pbh(values, values);
}

INLINE __m512 widened(const uint16_t *x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16));
}

// `x`: bfloat16, with zeros up to a whole group. A lookup by the low bits of each word turns nibbles into bfloat16.
BF16 static inline __attribute__((always_inline)) void int4_row(const bool has_offsets, const tk_quantized_product *p, const uint16_t *x,
                                                                int64_t low, int64_t high) {
    __m512i numbers = table(has_offsets ? 0 : -8);
    int64_t groups = tk_groups_of(p->k, p->group), blocks = p->group / 8;
    __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    for (int64_t panel = low; panel < high; panel++) {
        const uint8_t *b = (const uint8_t *)p->panels + panel * groups * blocks * 128;
        __m512 sum[2] = { _mm512_setzero_ps(), _mm512_setzero_ps() };
        for (int64_t g = 0; g < groups; g++) {
            __m512 part[2][2], xs = _mm512_setzero_ps();
            for (int h = 0; h < 2; h++) part[h][0] = part[h][1] = _mm512_setzero_ps();
            const int32_t *pairs = (const int32_t *)(x + g * p->group);
            _mm_prefetch((const char *)(p->steps + (panel * groups + g + 32) * NR), _MM_HINT_T0);
            for (int64_t i = 0; i < blocks; i++) {
                _mm_prefetch((const char *)(b + TK_INT4_AHEAD), _MM_HINT_T0);
                _mm_prefetch((const char *)(b + TK_INT4_AHEAD + 64), _MM_HINT_T0);
#pragma clang loop unroll(full)
                for (int n = 0; n < 4; n++) {
                    __m512bh pair = (__m512bh)_mm512_set1_epi32(pairs[4 * i + n]);
                    if (has_offsets) xs = _mm512_dpbf16_ps(xs, pair, ones);
#pragma clang loop unroll(full)
                    for (int h = 0; h < 2; h++) {
                        __m512i w = _mm512_permutexvar_epi16(_mm512_srli_epi16(_mm512_loadu_si512(b + 64 * h), 4 * n), numbers);
                        part[h][n & 1] = _mm512_dpbf16_ps(part[h][n & 1], pair, (__m512bh)w);
                    }
                }
                b += 128;
            }
            int64_t at = (panel * groups + g) * NR;
#pragma clang loop unroll(full)
            for (int h = 0; h < 2; h++) {
                sum[h] = _mm512_fmadd_ps(_mm512_add_ps(part[h][0], part[h][1]), widened(p->steps + at + 16 * h), sum[h]);
                if (has_offsets) sum[h] = _mm512_fmadd_ps(xs, widened(p->offsets + at + 16 * h), sum[h]);
            }
        }
        for (int h = 0; h < 2; h++) store_columns(p, panel * NR + 16 * h, sum[h]);
    }
}

BF16 void tk_int4_row_avx512(const tk_quantized_product *p, const uint16_t *x, int64_t low, int64_t high) {
    if (p->offsets) int4_row(true, p, x, low, high);
    else int4_row(false, p, x, low, high);
}

// ---- panels for the bfloat16 product ----

BF16 static __m512i as_pairs(__m512 even, __m512 odd) {
    __m512i a = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even)), b = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
    return _mm512_or_si512(a, _mm512_slli_epi32(b, 16));
}

BF16 void tk_int8_panel_avx512(const tk_quantized_product *p, int64_t panel, int64_t p0, int64_t pairs, float *out) {
    const int8_t *b = (const int8_t *)p->panels + panel * tk_groups_of(p->k, 4) * 4 * NR;
    for (int h = 0; h < 2; h++) {
        int64_t j = panel * NR + 16 * h;
        __m512 scale = _mm512_maskz_loadu_ps(first(p->n - j), p->scales + j);
        for (int64_t i = 0; i < pairs; i++) {
            // A pair is the low or the high half of four bytes.
            __m512i w = _mm512_loadu_si512(b + (p0 + i) / 2 * 4 * NR + 64 * h);
            if ((p0 + i) & 1) w = _mm512_srli_epi32(w, 16);
            __m512 even = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(w, 24), 24));
            __m512 odd = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(w, 16), 24));
            _mm512_storeu_si512(out + i * NR + 16 * h, as_pairs(_mm512_mul_ps(even, scale), _mm512_mul_ps(odd, scale)));
        }
    }
}

BF16 void tk_int4_panel_avx512(const tk_quantized_product *p, int64_t panel, int64_t p0, int64_t pairs, float *out) {
    int64_t groups = tk_groups_of(p->k, p->group);
    const uint8_t *b = (const uint8_t *)p->panels + panel * groups * p->group / 8 * 128;
    __m512i numbers = table(p->offsets ? 0 : -8);
    for (int64_t i = 0; i < pairs; i++) {
        int64_t at = (panel * groups + 2 * (p0 + i) / p->group) * NR;
        for (int h = 0; h < 2; h++) {
            __m512i w = _mm512_loadu_si512(b + (p0 + i) / 4 * 128 + 64 * h);
            w = _mm512_permutexvar_epi16(_mm512_srl_epi16(w, _mm_cvtsi32_si128((int)((p0 + i) % 4 * 4))), numbers);
            __m512 step = widened(p->steps + at + 16 * h), offset = p->offsets ? widened(p->offsets + at + 16 * h) : _mm512_setzero_ps();
            __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
            __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)));
            _mm512_storeu_si512(out + i * NR + 16 * h, as_pairs(_mm512_fmadd_ps(even, step, offset), _mm512_fmadd_ps(odd, step, offset)));
        }
    }
}
#endif
