// Attention of a few queries to many keys, as when a model writes token by token: keys and values are read once, where they lie. Long
// sequences are split into parts of keys, whose results are put together by their maxima and sums (Dao et al., "Flash-Decoding", 2023).
#include "attention_tile.h"

#if defined(__x86_64__)

enum { PART = 512, AHEAD = 4096 };   // keys; bytes of keys

typedef struct {
    const tk_attention_shape *s;
    int dtype;
    const void *q, *k, *v;
    int64_t parts, queries;   // of the keys; per key head
    float *sums;              // per task and query: maximum (base 2), sum, and [value_dim rounded up to 16] of values
    int64_t sum_floats;
} few;

INLINE void fetch(const char *p, int64_t lines) {
    for (int64_t i = 0; i < lines; i++) _mm_prefetch(p + 64 * i, _MM_HINT_T0);
}

INLINE __mmask16 first_lanes(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

INLINE __m512 load_floats(const char *p, int dtype, __mmask16 m) {
    if (dtype == TK_F32) return _mm512_maskz_loadu_ps(m, p);
    __m256i x = _mm256_maskz_loadu_epi16(m, p);
    if (dtype == TK_F16) return _mm512_cvtph_ps(x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

// The sums of 16 vectors as one.
INLINE __m512 sums_of_16(__m512 a[16]) {
    __m512 t[8], u[4];
    for (int i = 0; i < 8; i++) t[i] = _mm512_add_ps(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        __m512d x = _mm512_castps_pd(t[2 * i]), y = _mm512_castps_pd(t[2 * i + 1]);
        u[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    __m512 v0 = _mm512_add_ps(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd));
    __m512 v1 = _mm512_add_ps(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(v0, v1, 0x88), _mm512_shuffle_f32x4(v0, v1, 0xdd));
}

// q · k for 16 keys, `n` of them there.
INLINE __m512 scores_of_16(const int dtype, const float *q, const char *k, int64_t stride, int64_t n, int64_t d) {
    __m512 sum[16];
#pragma clang loop unroll(full)
    for (int r = 0; r < 16; r++) sum[r] = _mm512_setzero_ps();
    int64_t size = element_size(dtype);
    for (int64_t p = 0; p < d; p += 16) {
        __mmask16 m = first_lanes(d - p);
        __m512 x = _mm512_load_ps(q + p);
#pragma clang loop unroll(full)
        for (int r = 0; r < 16; r++)
            if (r < n) sum[r] = _mm512_fmadd_ps(load_floats(k + (r * stride + p) * size, dtype, m), x, sum[r]);
    }
    return sums_of_16(sum);
}

// Scores of keys j ..< j + 16 (in base 2) of query i, with what changes them, hidden ones -∞.
AVX512 static __m512 change_16(const tk_attention_shape *s, int64_t b, int64_t h, int64_t i, int64_t j, tk_key_range r, __m512 x) {
    const __m512 hidden = _mm512_set1_ps(-INFINITY);
    const __m512i key = _mm512_add_epi32(_mm512_set1_epi32((int32_t)j), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __mmask16 in = first_lanes(s->kv_len - j);
    if (s->soft_cap > 0)
        x = _mm512_mul_ps(tanh_ps(_mm512_mul_ps(x, _mm512_set1_ps((float)(1 / s->soft_cap)))), _mm512_set1_ps((float)(s->soft_cap * LOG2E)));
    if (s->slopes) {
        __m512 distance = _mm512_abs_ps(_mm512_sub_ps(_mm512_set1_ps((float)(i + s->position)), _mm512_cvtepi32_ps(key)));
        x = _mm512_fnmadd_ps(_mm512_set1_ps((float)(s->slopes[h] * LOG2E)), distance, x);
    }
    if (s->mask) {
        int64_t at = b * s->mask_strides[0] + h * s->mask_strides[1] + i * s->mask_strides[2] + j * s->mask_strides[3];
        if (s->mask_adds) {
            const float *m = (const float *)s->mask + at;
            __m512 added = s->mask_strides[3] ? _mm512_maskz_loadu_ps(in, m) : _mm512_set1_ps(*m);
            x = _mm512_fmadd_ps(added, _mm512_set1_ps((float)LOG2E), x);
            x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(added, hidden, _CMP_EQ_OQ), hidden);
        } else {
            const char *m = (const char *)s->mask + at;
            __m128i bytes = s->mask_strides[3] ? _mm_maskz_loadu_epi8(in, m) : _mm_set1_epi8(*m);
            x = _mm512_mask_mov_ps(hidden, _mm_test_epi8_mask(bytes, bytes), x);
        }
    }
    __mmask16 seen = _mm512_cmplt_epi32_mask(key, _mm512_set1_epi32((int32_t)r.high)) & _mm512_cmpge_epi32_mask(key, _mm512_set1_epi32((int32_t)r.low));
    return _mm512_mask_mov_ps(hidden, seen, x);
}

AVX512 static void drop_few(const tk_attention_shape *s, int64_t bh, int64_t i, int64_t j0, int64_t n, float *weights) {
    uint32_t key[2], words[4], threshold = tk_dropout_threshold(s);
    tk_dropout_key(s, key);
    for (int64_t j = 0; j < n; j++) {
        if (j % 4 == 0) tk_philox4x32((uint32_t[4]){ (uint32_t)((j0 + j) / 4), (uint32_t)i, (uint32_t)bh, 0 }, key, words);
        if (words[j % 4] < threshold) weights[j] = 0;
    }
}

// out [dv] = Σ weights[j] v[j]
INLINE void weighted_sum(const int dtype, const float *weights, const char *v, int64_t stride, int64_t n, int64_t dv, float *out) {
    int64_t size = element_size(dtype);
    for (int64_t p = 0; p < dv; p += 64) {
        __m512 sum[2][4];
        __mmask16 m[4];
        for (int c = 0; c < 4; c++) {
            sum[0][c] = sum[1][c] = _mm512_setzero_ps();
            m[c] = dv - p - 16 * c <= 0 ? 0 : first_lanes(dv - p - 16 * c);
        }
        int64_t j = 0;
        for (; j + 2 <= n; j += 2)
#pragma clang loop unroll(full)
            for (int h = 0; h < 2; h++) {
                __m512 w = _mm512_set1_ps(weights[j + h]);
#pragma clang loop unroll(full)
                for (int c = 0; c < 4; c++)
                    sum[h][c] = _mm512_fmadd_ps(w, load_floats(v + ((j + h) * stride + p + 16 * c) * size, dtype, m[c]), sum[h][c]);
            }
        for (; j < n; j++)
            for (int c = 0; c < 4; c++)
                sum[0][c] = _mm512_fmadd_ps(_mm512_set1_ps(weights[j]), load_floats(v + (j * stride + p + 16 * c) * size, dtype, m[c]), sum[0][c]);
        for (int c = 0; c < 4; c++)
            if (m[c]) _mm512_store_ps(out + p + 16 * c, _mm512_add_ps(sum[0][c], sum[1][c]));
    }
}

INLINE void part_body(const few *c, const int dtype, int64_t task) {
    const tk_attention_shape *s = c->s;
    int64_t head = task / c->parts, part = task % c->parts, b = head / s->kv_heads, kv = head % s->kv_heads, group = s->heads / s->kv_heads;
    int64_t j0 = part * PART, n = least(PART, s->kv_len - j0), d = s->dim, dv = s->value_dim;
    const char *k = at(c->k, dtype, b * s->k.batch + kv * s->k.head + j0 * s->k.position);
    const char *v = at(c->v, dtype, b * s->v.batch + kv * s->v.head + j0 * s->v.position);
    size_t bytes = (size_t)round_up(most(d, 1), 16) * sizeof(float);
    float *query = tk_attention_scratch(bytes), scores[PART] __attribute__((aligned(64)));
    bool changes = tk_changes_scores(s);
    // Keys that come next and the values of these are fetched while the first query is at work: they lie in pieces that are too short for
    // the CPU to see where they go on.
    int64_t key_bytes = s->k.position * element_size(dtype), key_lines = ceil_div(d * element_size(dtype), 64);
    int64_t value_bytes = s->v.position * element_size(dtype), value_lines = ceil_div(dv * element_size(dtype), 64);
    int64_t ahead = round_up(AHEAD / (64 * most(key_lines, 1)) + 1, 16);
    for (int64_t j = 0; j < least(ahead, n); j++) fetch(k + j * key_bytes, key_lines);
    for (int64_t g = 0; g < c->queries; g++) {
        int64_t h = kv * group + g / s->q_len, i = g % s->q_len;
        float *sums = c->sums + (task * c->queries + g) * c->sum_floats;
        const char *q = at(c->q, dtype, b * s->q.batch + h * s->q.head + i * s->q.position);
        const __m512 factor = _mm512_set1_ps(query_factor(s));
        for (int64_t p = 0; p < d; p += 16)
            _mm512_store_ps(query + p, _mm512_mul_ps(load_floats(q + p * element_size(dtype), dtype, first_lanes(d - p)), factor));
        tk_key_range r = tk_visible_keys(s, i);
        __m512 top = _mm512_set1_ps(-INFINITY);
        for (int64_t j = 0; j < n; j += 16) {
            const char *rows = k + j * key_bytes;
            for (int64_t r = j; g == 0 && r < least(j + 16, n); r++) {
                if (r + ahead < n) fetch(k + (r + ahead) * key_bytes, key_lines);
                fetch(v + r * value_bytes, value_lines);
            }
            __m512 x = n - j >= 16 ? scores_of_16(dtype, query, rows, s->k.position, 16, d) : scores_of_16(dtype, query, rows, s->k.position, n - j, d);
            if (changes || j0 + j < r.low || j0 + j + 16 > r.high) x = change_16(s, b, h, i, j0 + j, r, x);
            _mm512_store_ps(scores + j, x);
            top = _mm512_max_ps(x, top);
        }
        float maximum = -INFINITY, lanes[16];
        _mm512_storeu_ps(lanes, top);
        for (int l = 0; l < 16; l++) maximum = lanes[l] > maximum || lanes[l] != lanes[l] ? lanes[l] : maximum;
        __m512 shift = _mm512_set1_ps(maximum < -1e30f ? -1e30f : maximum), sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < n; j += 16) {
            __m512 w = exp2_ps(_mm512_sub_ps(_mm512_load_ps(scores + j), shift));
            _mm512_store_ps(scores + j, w);
            sum = _mm512_add_ps(sum, w);
        }
        if (s->dropout > 0) drop_few(s, b * s->heads + h, i, j0, n, scores);
        sums[0] = maximum;
        sums[1] = _mm512_reduce_add_ps(sum);
        weighted_sum(dtype, scores, v, s->v.position, n, dv, sums + 16);
    }
    tk_free(query, bytes);
}

AVX512 static void part_task(void *context, int64_t task) {
    const few *c = context;
    if (c->dtype == TK_F32) part_body(c, TK_F32, task);
    else if (c->dtype == TK_BF16) part_body(c, TK_BF16, task);
    else part_body(c, TK_F16, task);
}

// Puts the parts of query g of a key head together.
AVX512 static void join(const few *c, int64_t head, int64_t g, void *out, float *lse) {
    const tk_attention_shape *s = c->s;
    int64_t b = head / s->kv_heads, h = head % s->kv_heads * (s->heads / s->kv_heads) + g / s->q_len, i = g % s->q_len, dv = s->value_dim;
    float maximum = -INFINITY, sum = 0, *total = c->sums + (head * c->parts * c->queries + g) * c->sum_floats;
    for (int64_t p = 0; p < c->parts; p++) {
        float m = total[p * c->queries * c->sum_floats];
        maximum = m > maximum || m != m ? m : maximum;
    }
    for (int64_t p = 0; p < c->parts; p++) {
        float *x = total + p * c->queries * c->sum_floats, f = x[0] == -INFINITY ? 0 : exp2f(x[0] - maximum);
        sum += x[1] * f;
        for (int64_t j = 0; j < dv; j++) total[16 + j] = (p ? total[16 + j] : 0) + x[16 + j] * f;
    }
    float inverse = sum == 0 ? 0 : 1 / (sum * (float)(1 - s->dropout));
    for (int64_t j = 0; j < dv; j++) total[16 + j] *= inverse;
    tk_cast(TK_F32, c->dtype, total + 16, (char *)at(out, c->dtype, b * s->out.batch + h * s->out.head + i * s->out.position), dv);
    lse[(b * s->heads + h) * s->q_len + i] = sum == 0 ? -INFINITY : (maximum + log2f(sum)) * (float)(1 / LOG2E);
}

bool tk_attention_wants_few(const tk_attention_shape *s) { return s->q_len * (s->heads / s->kv_heads) <= 8 && s->q_len <= 4; }

AVX512 void tk_attention_few_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, float *lse) {
    few c = { .s = s, .dtype = dtype, .q = q, .k = k, .v = v, .parts = most(1, ceil_div(s->kv_len, PART)),
              .queries = s->q_len * (s->heads / s->kv_heads), .sum_floats = 16 + round_up(s->value_dim, 16) };
    int64_t heads = s->batch * s->kv_heads, tasks = heads * c.parts;
    size_t bytes = (size_t)(tasks * c.queries * c.sum_floats) * sizeof(float);
    c.sums = tk_attention_scratch(bytes);
    // What fits the first caches is done before another thread is awake.
    if (heads * s->kv_len * (s->dim + s->value_dim) * c.queries < 64 << 10) for (int64_t t = 0; t < tasks; t++) part_task(&c, t);
    else tk_parallel(tasks, part_task, &c);
    for (int64_t head = 0; head < heads; head++)
        for (int64_t g = 0; g < c.queries; g++) join(&c, head, g, out, lse);
    tk_free(c.sums, bytes);
}
#endif
