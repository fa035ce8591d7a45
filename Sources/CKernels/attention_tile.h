// The pieces of attention for AVX-512. Scores lie transposed, one row per key and one lane per query, so that maxima, sums and factors
// of queries are vectors, and no operand is transposed between the two products. A panel is 32 queries; a tile is 112 keys, 8 panels of
// 14 rows, as many as fit the registers.
#ifndef TAPESTRY_ATTENTION_TILE_H
#define TAPESTRY_ATTENTION_TILE_H
#include "attention.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "gemm_panels.h"
#include "outer_avx512.h"

enum { ROWS = 14, LANES = 32, TILE = 112 };
#define LOG2E 1.44269504088896341

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi,bmi2")))
#define INLINE AVX512 static inline __attribute__((always_inline, unused))

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// ---- products of panels ----

// sum[i] += Σ_p a[p · a_step + i · a_row] · b[p · 32 ..< p · 32 + 32]
INLINE void accumulate(const int rows, int64_t k, const float *a, const int64_t a_step, const int64_t a_row, const float *b,
                       __m512 sum[ROWS][2]) {
#pragma clang loop unroll(disable)
    for (int64_t p = 0; p < k; p++) {
        __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
        if (a_row == 1) _mm_prefetch((const char *)(a + 24 * ROWS), _MM_HINT_T0);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) add_multiples(i, a + i * a_row, b0, b1, sum[i]);
        a += a_step;
        b += LANES;
    }
}

INLINE void set_zero(const int rows, __m512 sum[ROWS][2]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
}
INLINE void load_scaled(const int rows, const float *c, __m512 f0, __m512 f1, __m512 sum[ROWS][2]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        sum[i][0] = _mm512_mul_ps(_mm512_load_ps(c + i * LANES), f0);
        sum[i][1] = _mm512_mul_ps(_mm512_load_ps(c + i * LANES + 16), f1);
    }
}
INLINE void store_rows(const int rows, float *c, __m512 sum[ROWS][2]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        _mm512_store_ps(c + i * LANES, sum[i][0]);
        _mm512_store_ps(c + i * LANES + 16, sum[i][1]);
    }
}

// c [rows, 32] = c · factors + A [k groups of rows] · b [k, 32]; without factors, c = A · b.
#define SCALED_PRODUCT(n)                                                                                                           \
    AVX512 static void scaled_product##n(int64_t k, const float *a, const float *b, float *c, const __m512 *factors) {              \
        __m512 sum[ROWS][2];                                                                                                        \
        if (factors) load_scaled(n, c, factors[0], factors[1], sum);                                                                \
        else set_zero(n, sum);                                                                                                      \
        accumulate(n, k, a, n, 1, b, sum);                                                                                          \
        store_rows(n, c, sum);                                                                                                      \
    }
SCALED_PRODUCT(1) SCALED_PRODUCT(2) SCALED_PRODUCT(3) SCALED_PRODUCT(4) SCALED_PRODUCT(5) SCALED_PRODUCT(6) SCALED_PRODUCT(7)
SCALED_PRODUCT(8) SCALED_PRODUCT(9) SCALED_PRODUCT(10) SCALED_PRODUCT(11) SCALED_PRODUCT(12) SCALED_PRODUCT(13) SCALED_PRODUCT(14)
typedef void (*scaled_product_fn)(int64_t, const float *, const float *, float *, const __m512 *);
static const scaled_product_fn scaled_products[ROWS + 1] = {
    0, scaled_product1, scaled_product2, scaled_product3, scaled_product4, scaled_product5, scaled_product6, scaled_product7,
    scaled_product8, scaled_product9, scaled_product10, scaled_product11, scaled_product12, scaled_product13, scaled_product14
};

// ---- functions ----

// 2^x; 0 below -125. NaN stays. Error about 1 ulp.
INLINE __m512 exp2_ps(__m512 x) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    __m512 t = _mm512_add_ps(x, magic);   // its low bits are round(x)
    __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(t, magic));
    __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(1.3264726899347573e-3f), _mm512_set1_ps(9.671512660598586e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.550733744243552e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24022242084918444f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931469775984722f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-125.0f), _CMP_NLT_UQ);
    __m512i bits = _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23));
    return _mm512_castsi512_ps(_mm512_maskz_mov_epi32(kept, bits));
}

// tanh: an odd polynomial near 0 (Cephes), else 1 - 2 / (e^2x + 1).
INLINE __m512 tanh_ps(__m512 x) {
    __m512 a = _mm512_min_ps(_mm512_abs_ps(x), _mm512_set1_ps(20.0f)), z = _mm512_mul_ps(x, x);
    __m512 p = _mm512_fmadd_ps(z, _mm512_set1_ps(-5.70498872745e-3f), _mm512_set1_ps(2.06390887954e-2f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-5.37397155531e-2f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.33314422036e-1f));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(-3.33332819422e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, z), x, x);
    __m512 e = exp2_ps(_mm512_mul_ps(a, _mm512_set1_ps((float)(2 * LOG2E))));
    __m512 q = _mm512_sub_ps(_mm512_set1_ps(1), _mm512_div_ps(_mm512_set1_ps(2), _mm512_add_ps(e, _mm512_set1_ps(1))));
    q = _mm512_or_ps(q, _mm512_and_ps(x, _mm512_set1_ps(-0.0f)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_mask_mov_ps(_mm512_mask_mov_ps(q, _mm512_cmp_ps_mask(a, _mm512_set1_ps(0.625f), _CMP_LT_OQ), p), nan, x);
}

// ---- rows of the operands ----

INLINE int64_t element_size(int dtype) { return dtype == TK_F32 ? 4 : 2; }
INLINE const char *at(const void *x, int dtype, int64_t offset) { return (const char *)x + offset * element_size(dtype); }

// `rows` rows of d elements as floats: where they are if they are that, else converted into `scratch` [rows, d].
typedef struct { const float *x; int64_t ld; } float_rows;
INLINE float_rows as_floats(const void *x, int dtype, int64_t stride, int64_t rows, int64_t d, float *scratch) {
    if (dtype == TK_F32) return (float_rows){ x, stride };
    for (int64_t i = 0; i < rows; i++) tk_cast(dtype, TK_F32, at(x, dtype, i * stride), scratch + i * d, d);
    return (float_rows){ scratch, d };
}

// `lanes` (at most 32) rows of x, d long, as d rows of 32 lanes times `factor`; missing lanes are 0.
INLINE void pack_lanes(float_rows x, int64_t lanes, int64_t d, float factor, float *out) {
    tk_pack_transposed(x.x, x.ld, least(lanes, 16), d, out, LANES);
    tk_pack_transposed(x.x + 16 * x.ld, x.ld, lanes > 16 ? lanes - 16 : 0, d, out + 16, LANES);
    if (factor == 1) return;
    __m512 f = _mm512_set1_ps(factor);
    for (int64_t p = 0; p < 2 * d; p++) _mm512_store_ps(out + 16 * p, _mm512_mul_ps(_mm512_load_ps(out + 16 * p), f));
}

// Rows of keys or values as groups of 14 rows per element, panel after panel of 14 rows; needs 16 floats more.
INLINE void pack_key_rows(float_rows x, int64_t rows, int64_t d, float *out) {
    for (int64_t j = 0; j < rows; j += ROWS) tk_pack_transposed(x.x + j * x.ld, x.ld, least(ROWS, rows - j), d, out + j * d, ROWS);
}

// Rows as panels of columns: [panel of `split`][TILE rows][columns of the panel]; needs 16 floats more.
INLINE void pack_columns(float_rows x, int64_t rows, row_split split, float *out) {
    for (int64_t panel = 0; panel < split.count; panel++) {
        int64_t start = panel_start(split, panel), n = panel_rows(split, panel);
        float *to = out + start * TILE;
        __mmask16 mask = (__mmask16)((1u << n) - 1);
        for (int64_t j = 0; j < rows; j++) _mm512_storeu_ps(to + j * n, _mm512_maskz_loadu_ps(mask, x.x + j * x.ld + start));
    }
}

// x [d, 32], lanes in columns, times the factors of the lanes, as `lanes` rows of d elements at `out`. Uses 32 · (d + 16) floats.
INLINE void store_lanes(const float *x, int64_t d, int64_t lanes, __m512 f0, __m512 f1, char *out, int dtype, int64_t stride, float *scratch) {
    float *scaled = scratch, block[16 * LANES] __attribute__((aligned(64)));
    int64_t ld = round_up(d, 16);
    for (int64_t p = 0; p < d; p += 16) {
        int64_t n = least(16, d - p);
        for (int64_t i = 0; i < n; i++) {
            _mm512_store_ps(block + i * LANES, _mm512_mul_ps(_mm512_load_ps(x + (p + i) * LANES), f0));
            _mm512_store_ps(block + i * LANES + 16, _mm512_mul_ps(_mm512_load_ps(x + (p + i) * LANES + 16), f1));
        }
        tk_pack_transposed(block, LANES, n, lanes, scaled + p, ld);
    }
    for (int64_t i = 0; i < lanes; i++) {
        if (dtype == TK_F32) memcpy(out + i * stride * 4, scaled + i * ld, (size_t)d * 4);
        else tk_cast(TK_F32, dtype, scaled + i * ld, out + i * stride * element_size(dtype), d);
    }
}

// ---- what changes scores ----

// One panel of queries: lanes i0 ..< i0 + lanes of head h of example b.
typedef struct {
    const tk_attention_shape *s;
    int64_t b, h, i0, lanes;
    __m512i low[2], high[2];   // the keys each lane sees: low ..< high
    __m512 position[2];        // of each lane among the keys
    int64_t low_first, low_last, high_first, high_last;
    uint32_t key[2], threshold;   // of dropout
} query_panel;

INLINE query_panel make_panel(const tk_attention_shape *s, int64_t b, int64_t h, int64_t i0) {
    query_panel p = { .s = s, .b = b, .h = h, .i0 = i0, .lanes = least(LANES, s->q_len - i0) };
    tk_key_range first = tk_visible_keys(s, i0), last = tk_visible_keys(s, i0 + p.lanes - 1);
    p.low_first = first.low;
    p.low_last = last.low;
    p.high_first = first.high;
    p.high_last = last.high;
    bool edges = first.low != last.low || first.high != last.high;
    int32_t low[LANES], high[LANES];
    float position[LANES];
    for (int64_t l = 0; l < LANES; l++) {
        tk_key_range r = edges ? tk_visible_keys(s, i0 + least(l, p.lanes - 1)) : first;
        low[l] = (int32_t)r.low;
        high[l] = (int32_t)r.high;
        position[l] = (float)(i0 + l + s->position);
    }
    for (int v = 0; v < 2; v++) {
        p.low[v] = _mm512_loadu_si512(low + 16 * v);
        p.high[v] = _mm512_loadu_si512(high + 16 * v);
        p.position[v] = _mm512_loadu_ps(position + 16 * v);
    }
    if (s->dropout > 0) {
        tk_dropout_key(s, p.key);
        p.threshold = tk_dropout_threshold(s);
    }
    return p;
}

// Whether key j is seen, by lane.
INLINE __mmask16 seen(const query_panel *p, int v, int64_t j) {
    __m512i key = _mm512_set1_epi32((int32_t)j);
    return _mm512_cmplt_epi32_mask(key, p->high[v]) & _mm512_cmpge_epi32_mask(key, p->low[v]);
}
// Whether all lanes see the key by their place.
INLINE bool all_see(const query_panel *p, int64_t j) { return j < p->high_first && j >= p->low_last; }

// The mask of keys from ..< to (of the tile that begins at j0) as numbers to add, times log2 e, one row of 32 lanes per key.
AVX512 __attribute__((unused)) static void load_mask(const query_panel *p, int64_t j0, int64_t from, int64_t to, float *bias) {
    const tk_attention_shape *s = p->s;
    int64_t width = s->mask_adds ? 4 : 1, query = s->mask_strides[2];
    const char *base = (const char *)s->mask
        + (p->b * s->mask_strides[0] + p->h * s->mask_strides[1] + p->i0 * query + (j0 + from) * s->mask_strides[3]) * width;
    const __m512 scale = _mm512_set1_ps((float)LOG2E), hidden = _mm512_set1_ps(-INFINITY);
    float rows[LANES * TILE];
    int64_t n = to - from, distinct = query == 0 ? 1 : p->lanes;
    for (int64_t i = 0; i < distinct; i++) {
        const char *row = base + i * query * width;
        for (int64_t j = 0; j < n; j += 16) {
            __mmask16 m = n - j >= 16 ? 0xffff : (__mmask16)((1u << (n - j)) - 1);
            __m512 x;
            if (s->mask_strides[3] == 0) {
                x = s->mask_adds ? _mm512_mul_ps(_mm512_set1_ps(*(const float *)row), scale) : *row ? _mm512_setzero_ps() : hidden;
            } else if (s->mask_adds) {
                x = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, (const float *)row + j), scale);
            } else {
                __m128i bytes = _mm_maskz_loadu_epi8(m, row + j);
                x = _mm512_mask_mov_ps(hidden, _mm_test_epi8_mask(bytes, bytes), _mm512_setzero_ps());
            }
            _mm512_mask_storeu_ps(rows + i * TILE + j, m, x);
        }
    }
    float *out = bias + from * LANES;
    if (distinct == 1 && query == 0) {
        for (int64_t j = 0; j < n; j++) {
            _mm512_store_ps(out + j * LANES, _mm512_set1_ps(rows[j]));
            _mm512_store_ps(out + j * LANES + 16, _mm512_set1_ps(rows[j]));
        }
    } else {
        pack_lanes((float_rows){ rows, TILE }, p->lanes, n, 1, out);
    }
}

// What a panel's scores pass through, with everything that all its rows share.
typedef struct {
    bool capped, sloped, masked;
    __m512 cap, inverse_cap, slope;
} score_change;
INLINE score_change make_change(const tk_attention_shape *s, int64_t h) {
    score_change c = { .capped = s->soft_cap > 0, .sloped = s->slopes != NULL, .masked = s->mask != NULL };
    if (c.capped) {
        c.cap = _mm512_set1_ps((float)(s->soft_cap * LOG2E));
        c.inverse_cap = _mm512_set1_ps((float)(1 / s->soft_cap));
    }
    if (c.sloped) c.slope = _mm512_set1_ps((float)(s->slopes[h] * LOG2E));
    return c;
}
// What q is multiplied by before the product: scores come in base 2, unless they are to be capped first.
INLINE float query_factor(const tk_attention_shape *s) { return (float)(s->soft_cap > 0 ? s->scale : s->scale * LOG2E); }

// The score of key j in base 2, hidden ones -∞; `slope_of_cap` becomes the derivative of the cap.
INLINE __m512 change(const score_change *c, const query_panel *p, int v, int64_t j, __m512 x, const float *bias, __m512 *slope_of_cap) {
    if (c->capped) {
        __m512 t = tanh_ps(_mm512_mul_ps(x, c->inverse_cap));
        x = _mm512_mul_ps(t, c->cap);
        *slope_of_cap = _mm512_fnmadd_ps(t, t, _mm512_set1_ps(1));
    }
    if (c->sloped) {
        __m512 distance = _mm512_abs_ps(_mm512_sub_ps(p->position[v], _mm512_set1_ps((float)j)));
        x = _mm512_fnmadd_ps(c->slope, distance, x);
    }
    if (c->masked) {
        __m512 added = _mm512_load_ps(bias + 16 * v);
        // A hidden key is hidden whatever its score, NaN included.
        x = _mm512_add_ps(x, added);
        x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(added, _mm512_set1_ps(-INFINITY), _CMP_EQ_OQ), _mm512_set1_ps(-INFINITY));
    }
    return all_see(p, j) ? x : _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), seen(p, v, j), x);
}

// Which weights dropout keeps, one bit per lane, for keys from ..< to of the tile that begins at j0 (a multiple of 4).
AVX512 __attribute__((unused)) static void kept_lanes(const query_panel *p, int64_t j0, int64_t from, int64_t to, __mmask16 (*kept)[2]) {
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m2 = _mm512_set1_epi64(0xCD9E8D57);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), limit = _mm512_set1_epi32((int32_t)p->threshold);
    for (int64_t j = from & ~(int64_t)3; j < to; j += 4)
        for (int v = 0; v < 2; v++) {
            __m512i c[4] = { _mm512_set1_epi32((int32_t)((j0 + j) / 4)), _mm512_add_epi32(lane, _mm512_set1_epi32((int32_t)(p->i0 + 16 * v))),
                             _mm512_set1_epi32((int32_t)(p->b * p->s->heads + p->h)), _mm512_setzero_si512() };
            uint32_t k0 = p->key[0], k1 = p->key[1];
            for (int round = 0; round < 10; round++) {
                __m512i e0 = _mm512_mul_epu32(c[0], m0), o0 = _mm512_mul_epu32(_mm512_srli_epi64(c[0], 32), m0);
                __m512i e2 = _mm512_mul_epu32(c[2], m2), o2 = _mm512_mul_epu32(_mm512_srli_epi64(c[2], 32), m2);
                __m512i high0 = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(e0, 32), o0);
                __m512i low0 = _mm512_mask_blend_epi32(0xaaaa, e0, _mm512_slli_epi64(o0, 32));
                __m512i high2 = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(e2, 32), o2);
                __m512i low2 = _mm512_mask_blend_epi32(0xaaaa, e2, _mm512_slli_epi64(o2, 32));
                __m512i n0 = _mm512_xor_si512(_mm512_xor_si512(high2, c[1]), _mm512_set1_epi32((int32_t)k0));
                __m512i n2 = _mm512_xor_si512(_mm512_xor_si512(high0, c[3]), _mm512_set1_epi32((int32_t)k1));
                c[0] = n0;
                c[1] = low2;
                c[2] = n2;
                c[3] = low0;
                k0 += 0x9E3779B9u;
                k1 += 0xBB67AE85u;
            }
            for (int64_t w = 0; w < 4; w++) kept[j + w][v] = _mm512_cmpge_epu32_mask(c[w], limit);
        }
}
#endif
#endif
