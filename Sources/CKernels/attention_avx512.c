// softmax(q kᵀ) v with AVX-512 by tiles and a running maximum and sum (Milakov and Gimelshein, 2018; Dao, 2023). Keys and values are
// packed once for all blocks of queries; of a causal square, only what is seen is computed, to 32 queries by 14 keys.
#include "attention_tile.h"

#if defined(__x86_64__)

// Floats of packed keys and values that are there at one time, unless one head has more; and panels of queries per task.
enum { PACKED_LIMIT = 4 << 20, QUERY_PANELS = 4 };

typedef struct {
    const tk_attention_shape *s;
    int dtype;
    const void *q, *k, *v;
    void *out;
    float *lse, *packed;
    int64_t first_head, heads;      // of the wave: key heads are numbered batch · kv_heads + kv head
    int64_t tiles, tile_floats;     // per key head; floats of a packed tile
    int64_t blocks, panels;         // of queries; panels per block
    row_split columns;              // of a value
} forward;

AVX512 static void pack_task(void *context, int64_t task) {
    const forward *c = context;
    const tk_attention_shape *s = c->s;
    int64_t head = c->first_head + task / c->tiles, b = head / s->kv_heads, kv = head % s->kv_heads, j0 = task % c->tiles * TILE;
    int64_t rows = least(s->kv_len - j0, TILE);
    size_t bytes = c->dtype == TK_F32 ? 0 : (size_t)(TILE * most(s->dim, s->value_dim)) * sizeof(float);
    float *scratch = bytes ? tk_attention_scratch(bytes) : NULL, *out = c->packed + task * c->tile_floats;
    const char *k = at(c->k, c->dtype, b * s->k.batch + kv * s->k.head + j0 * s->k.position);
    const char *v = at(c->v, c->dtype, b * s->v.batch + kv * s->v.head + j0 * s->v.position);
    pack_key_rows(as_floats(k, c->dtype, s->k.position, rows, s->dim, scratch), rows, s->dim, out);
    pack_columns(as_floats(v, c->dtype, s->v.position, rows, s->value_dim, scratch), rows, c->columns, out + TILE * s->dim + 16);
    if (bytes) tk_free(scratch, bytes);
}

// One panel of queries on its way through the tiles.
typedef struct {
    query_panel p;
    __m512 maximum[2], sum[2];
    float *q, *out;             // [dim, 32], [value_dim, 32]
    bool begun;
} running;

// scores [rows of one panel of keys, 32] and their maxima.
AVX512 static void score_panel(int64_t d, const float *k, const float *q, float *scores, __m512 *m0, __m512 *m1) {
    __m512 sum[ROWS][2];
    set_zero(ROWS, sum);
    accumulate(ROWS, d, k, ROWS, 1, q, sum);
    store_rows(ROWS, scores, sum);
    __m512 a = *m0, b = *m1;
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS; i++) {
        a = _mm512_max_ps(sum[i][0], a);
        b = _mm512_max_ps(sum[i][1], b);
    }
    *m0 = a;
    *m1 = b;
}

// Changes and hides scores from ..< to and takes their maxima.
AVX512 static void change_scores(const query_panel *p, const score_change *c, int64_t j0, int64_t from, int64_t to, float *scores,
                                 const float *bias, __m512 m[2]) {
    __m512 unused;
    for (int64_t j = from; j < to; j++)
        for (int v = 0; v < 2; v++) {
            float *at = scores + j * LANES + 16 * v;
            __m512 x = change(c, p, v, j0 + j, _mm512_load_ps(at), bias + j * LANES, &unused);
            _mm512_store_ps(at, x);
            m[v] = _mm512_max_ps(x, m[v]);
        }
}

// Scores to exp2(score - shift), in place, adding to the sums.
AVX512 static void exponentials(int64_t from, int64_t to, float *scores, __m512 s0, __m512 s1, __m512 sum[2]) {
    __m512 sum0 = sum[0], sum1 = sum[1];
#pragma clang loop unroll_count(2)
    for (int64_t j = from; j < to; j++) {
        float *at = scores + j * LANES;
        __m512 a = exp2_ps(_mm512_sub_ps(_mm512_load_ps(at), s0)), b = exp2_ps(_mm512_sub_ps(_mm512_load_ps(at + 16), s1));
        _mm512_store_ps(at, a);
        _mm512_store_ps(at + 16, b);
        sum0 = _mm512_add_ps(sum0, a);
        sum1 = _mm512_add_ps(sum1, b);
    }
    sum[0] = sum0;
    sum[1] = sum1;
}

AVX512 static void drop(const query_panel *p, int64_t j0, int64_t from, int64_t to, float *weights) {
    __mmask16 kept[TILE + 4][2];
    kept_lanes(p, j0, from, to, kept);
    for (int64_t j = from; j < to; j++)
        for (int v = 0; v < 2; v++) {
            float *at = weights + j * LANES + 16 * v;
            _mm512_store_ps(at, _mm512_maskz_mov_ps(kept[j][v], _mm512_load_ps(at)));
        }
}

AVX512 static void add_tile(const forward *c, running *r, const score_change *how, int64_t tile, const float *packed, float *scores,
                            float *bias) {
    const tk_attention_shape *s = c->s;
    const query_panel *p = &r->p;
    int64_t j0 = tile * TILE, from = most(p->low_first - j0, 0), to = least(p->high_last - j0, TILE), d = s->dim;
    if (to <= from) return;
    from -= from % ROWS;
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    __m512 m[2] = { lowest, lowest }, before[2] = { r->maximum[0], r->maximum[1] };
    // Panels of keys that all lanes see as they are give their maxima as they are made; the others after their scores have been changed.
    bool changes = how->capped || how->sloped || how->masked;
    int64_t plain_from = changes ? to : least(most(p->low_last - j0, from), to), plain_to = changes ? to : least(most(p->high_first - j0, plain_from), to);
    plain_from = round_up(plain_from - from, ROWS) + from;
    plain_to = plain_to - (plain_to - from) % ROWS;
    if (plain_to < plain_from) plain_from = plain_to = to;
    for (int64_t j = from; j < to; j += ROWS) {
        __m512 a = lowest, b = lowest;
        score_panel(d, packed + j * d, r->q, scores + j * LANES, &a, &b);
        if (j >= plain_from && j < plain_to) {
            m[0] = _mm512_max_ps(a, m[0]);
            m[1] = _mm512_max_ps(b, m[1]);
        }
    }
    if (how->masked) load_mask(p, j0, from, to, bias);
    if (changes || plain_from > from) change_scores(p, how, j0, from, least(plain_from, to), scores, bias, m);
    if (plain_to < to) change_scores(p, how, j0, plain_to, to, scores, bias, m);
    __m512 shift[2], factors[2];
    for (int v = 0; v < 2; v++) {
        r->maximum[v] = _mm512_max_ps(m[v], before[v]);
        // Finite, so that what sees nothing has no ∞ - ∞.
        shift[v] = _mm512_max_ps(r->maximum[v], _mm512_set1_ps(-1e30f));
        factors[v] = exp2_ps(_mm512_sub_ps(before[v], shift[v]));
        r->sum[v] = _mm512_mul_ps(r->sum[v], factors[v]);
    }
    exponentials(from, to, scores, shift[0], shift[1], r->sum);
    if (s->dropout > 0) drop(p, j0, from, to, scores);
    const float *values = packed + TILE * d + 16;
    for (int64_t panel = 0; panel < c->columns.count; panel++) {
        int64_t start = panel_start(c->columns, panel), n = panel_rows(c->columns, panel);
        scaled_products[n](to - from, values + start * TILE + from * n, scores + from * LANES, r->out + start * LANES, r->begun ? factors : NULL);
    }
    r->begun = true;
}

AVX512 static void finish(const forward *c, running *r, float *scratch) {
    const tk_attention_shape *s = c->s;
    int64_t b = r->p.b, h = r->p.h, i0 = r->p.i0, lanes = r->p.lanes;
    __m512 factor[2];
    float lse[LANES];
    for (int v = 0; v < 2; v++) {
        __mmask16 any = _mm512_cmp_ps_mask(r->sum[v], _mm512_setzero_ps(), _CMP_NEQ_UQ);
        factor[v] = _mm512_maskz_div_ps(any, _mm512_set1_ps((float)(1 / (1 - s->dropout))), r->sum[v]);
        float sum[16], maximum[16];
        _mm512_storeu_ps(sum, r->sum[v]);
        _mm512_storeu_ps(maximum, r->maximum[v]);
        for (int l = 0; l < 16; l++)
            lse[16 * v + l] = sum[l] == 0 ? -INFINITY : (maximum[l] + log2f(sum[l])) * (float)(1 / LOG2E);
    }
    if (!r->begun) memset(r->out, 0, (size_t)(s->value_dim * LANES) * sizeof(float));
    char *out = (char *)at(c->out, c->dtype, b * s->out.batch + h * s->out.head + i0 * s->out.position);
    store_lanes(r->out, s->value_dim, lanes, factor[0], factor[1], out, c->dtype, s->out.position, scratch);
    memcpy(c->lse + (b * s->heads + h) * s->q_len + i0, lse, (size_t)lanes * sizeof(float));
}

AVX512 static void block_task(void *context, int64_t task) {
    const forward *c = context;
    const tk_attention_shape *s = c->s;
    int64_t group = s->heads / s->kv_heads, heads = c->heads * group;
    int64_t block = c->blocks - 1 - task / heads, kv_head = task % heads / group;   // the longest first
    int64_t b = (c->first_head + kv_head) / s->kv_heads, h = (c->first_head + kv_head) % s->kv_heads * group + task % group;
    int64_t d = s->dim, dv = s->value_dim, first = block * c->panels * LANES, most_d = round_up(most(d, dv), 16);
    int64_t count = least(c->panels, ceil_div(s->q_len - first, LANES));
    int64_t per_panel = LANES * (d + dv), tile_scores = TILE * LANES;
    size_t bytes = (size_t)(count * per_panel + 2 * tile_scores + LANES * (most_d + 16)) * sizeof(float);
    float *memory = tk_attention_scratch(bytes), *scores = memory + count * per_panel, *bias = scores + tile_scores, *scratch = bias + tile_scores;
    running r[QUERY_PANELS];
    score_change how = make_change(s, h);
    int64_t low = s->kv_len, high = 0;
    for (int64_t i = 0; i < count; i++) {
        r[i] = (running){ .p = make_panel(s, b, h, first + i * LANES), .q = memory + i * per_panel, .out = memory + i * per_panel + LANES * d };
        for (int v = 0; v < 2; v++) r[i].maximum[v] = _mm512_set1_ps(-INFINITY), r[i].sum[v] = _mm512_setzero_ps();
        const char *q = at(c->q, c->dtype, b * s->q.batch + h * s->q.head + r[i].p.i0 * s->q.position);
        pack_lanes(as_floats(q, c->dtype, s->q.position, r[i].p.lanes, d, scratch), r[i].p.lanes, d, query_factor(s), r[i].q);
        low = least(low, r[i].p.low_first);
        high = most(high, r[i].p.high_last);
    }
    for (int64_t tile = low / TILE; tile < ceil_div(high, TILE); tile++)
        for (int64_t i = 0; i < count; i++)
            add_tile(c, &r[i], &how, tile, c->packed + (kv_head * c->tiles + tile) * c->tile_floats, scores, bias);
    for (int64_t i = 0; i < count; i++) finish(c, &r[i], scratch);
    tk_free(memory, bytes);
}

AVX512 void tk_attention_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, float *lse) {
    forward c = { .s = s, .dtype = dtype, .q = q, .k = k, .v = v, .out = out, .lse = lse, .tiles = ceil_div(s->kv_len, TILE),
                  .tile_floats = round_up(TILE * (s->dim + s->value_dim) + 32, 16), .columns = split_rows(s->value_dim) };
    c.panels = s->q_len > 512 ? QUERY_PANELS : QUERY_PANELS / 2;
    c.blocks = ceil_div(s->q_len, c.panels * LANES);
    int64_t all = s->batch * s->kv_heads, wave = most(1, least(all, PACKED_LIMIT / most(1, c.tiles * c.tile_floats)));
    size_t bytes = (size_t)most(1, wave * c.tiles * c.tile_floats) * sizeof(float);
    c.packed = tk_attention_scratch(bytes);
    for (c.first_head = 0; c.first_head < all; c.first_head += wave) {
        c.heads = least(wave, all - c.first_head);
        tk_parallel(c.heads * c.tiles, pack_task, &c);
        tk_parallel(c.heads * (s->heads / s->kv_heads) * c.blocks, block_task, &c);
    }
    tk_free(c.packed, bytes);
}
#endif
