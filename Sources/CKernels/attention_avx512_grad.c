// The gradient of attention with AVX-512 (Dao, 2023): the weights are computed again tile by tile from the log of their sums. A task has a
// range of keys and all queries that see them, so that every product is made once; the gradient of the queries is a sum over the
// ranges, which depend on the shape alone.
#include "attention_tile.h"

#if defined(__x86_64__)

// Tiles whose operands stay in the second cache together; panels of queries whose products with them are summed in registers.
enum { GROUP = 4, QUERY_PANELS = 2, QUERIES = QUERY_PANELS * LANES };

typedef struct {
    const tk_attention_shape *s;
    int dtype;
    const void *q, *k, *v, *out, *dout;
    const float *lse;
    float *delta;                       // [batch, heads, q_len]
    void *dq, *dk, *dv;
    tk_attention_strides dos, dqs, dks, dvs;
    int64_t chunks, chunk_tiles;        // of keys per key head
    int64_t panels;                     // of queries
    float **parts;                      // per task: what its keys add to dq, [group of heads][panel][dim, 32]
    row_split columns;                  // of a key
} backward;

INLINE int64_t group_of(const tk_attention_shape *s) { return s->heads / s->kv_heads; }

// delta[i] = Σ dout · out
AVX512 static void delta_task(void *context, int64_t task) {
    const backward *c = context;
    const tk_attention_shape *s = c->s;
    int64_t head = task / c->panels, b = head / s->heads, h = head % s->heads, i0 = task % c->panels * LANES;
    int64_t rows = least(LANES, s->q_len - i0), d = s->value_dim;
    size_t bytes = c->dtype == TK_F32 ? 0 : (size_t)(2 * LANES * d) * sizeof(float);
    float *scratch = bytes ? tk_attention_scratch(bytes) : NULL;
    float_rows x = as_floats(at(c->out, c->dtype, b * s->out.batch + h * s->out.head + i0 * s->out.position), c->dtype, s->out.position,
                             rows, d, scratch);
    float_rows y = as_floats(at(c->dout, c->dtype, b * c->dos.batch + h * c->dos.head + i0 * c->dos.position), c->dtype,
                             c->dos.position, rows, d, scratch + LANES * d);
    for (int64_t i = 0; i < rows; i++) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < d; j += 16) {
            __mmask16 m = d - j >= 16 ? 0xffff : (__mmask16)((1u << (d - j)) - 1);
            sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x.x + i * x.ld + j), _mm512_maskz_loadu_ps(m, y.x + i * y.ld + j), sum);
        }
        c->delta[head * s->q_len + i0 + i] = _mm512_reduce_add_ps(sum);
    }
    if (bytes) tk_free(scratch, bytes);
}

// The operands of a tile of keys.
typedef struct { float *k, *v, *k_columns, *dk, *dv; } key_tile;
// Of a block of queries. `q` and `dout` [dim, 32] per panel; `q_rows` and `dout_rows` [32 columns][QUERIES, 32].
typedef struct { float *q, *dout, *q_rows, *dout_rows; } query_block;

// Rows of x as panels of 32 columns, [columns / 32][QUERIES, 32]; what is missing is 0.
INLINE void pack_rows(float_rows x, int64_t rows, int64_t d, int64_t block_rows, float *out) {
    for (int64_t j = 0; j < d; j += 16) {
        __mmask16 m = d - j >= 16 ? 0xffff : (__mmask16)((1u << (d - j)) - 1);
        float *to = out + j / LANES * LANES * block_rows + j % LANES;
        for (int64_t i = 0; i < rows; i++) _mm512_store_ps(to + i * LANES, _mm512_maskz_loadu_ps(m, x.x + i * x.ld + j));
    }
}

// c [14, 32] (+)= a [panels of 14 × 32 lanes, `apart` floats apart]ᵀ-free product with b [panels · 32, 32]: rows are keys, the sum is over queries.
AVX512 static void add_over_queries(int64_t panels, int64_t last, const float *a, int64_t apart, const float *b, float *c) {
    __m512 sum[ROWS][2];
    set_zero(ROWS, sum);
    for (int64_t p = 0; p < panels; p++)
        accumulate(ROWS, p == panels - 1 ? last : LANES, a + p * apart, 1, LANES, b + p * LANES * LANES, sum);
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS; i++) {
        _mm512_store_ps(c + i * LANES, _mm512_add_ps(_mm512_load_ps(c + i * LANES), sum[i][0]));
        _mm512_store_ps(c + i * LANES + 16, _mm512_add_ps(_mm512_load_ps(c + i * LANES + 16), sum[i][1]));
    }
}

// Scores and gradients of the weights, [keys, 32] each, to the weights and the gradients of the scores.
AVX512 static void score_grads(const query_panel *p, const score_change *how, int64_t j0, int64_t from, int64_t to, const __m512 lse[2],
                               const __m512 delta[2], float *scores, float *grads, const float *bias, bool changes) {
    for (int64_t j = from; j < to; j++) {
        float *s = scores + j * LANES, *g = grads + j * LANES;
        for (int v = 0; v < 2; v++) {
            __m512 x = _mm512_load_ps(s + 16 * v), slope;
            if (changes) x = change(how, p, v, j0 + j, x, bias + j * LANES, &slope);
            else if (!all_see(p, j0 + j)) x = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), seen(p, v, j0 + j), x);
            __m512 w = exp2_ps(_mm512_sub_ps(x, lse[v]));
            __m512 ds = _mm512_mul_ps(w, _mm512_sub_ps(_mm512_load_ps(g + 16 * v), delta[v]));
            if (changes && how->capped) ds = _mm512_mul_ps(ds, slope);
            _mm512_store_ps(s + 16 * v, w);
            _mm512_store_ps(g + 16 * v, ds);
        }
    }
}
// With dropout: the weights that the values saw, times 1 / (1 - p), and gradients through them.
AVX512 static void dropped_grads(const query_panel *p, const score_change *how, int64_t j0, int64_t from, int64_t to, const __m512 lse[2],
                                 const __m512 delta[2], float *scores, float *grads, const float *bias) {
    __mmask16 kept[TILE + 4][2];
    kept_lanes(p, j0, from, to, kept);
    const __m512 grown = _mm512_set1_ps((float)(1 / (1 - p->s->dropout)));
    for (int64_t j = from; j < to; j++) {
        float *s = scores + j * LANES, *g = grads + j * LANES;
        for (int v = 0; v < 2; v++) {
            __m512 slope, x = change(how, p, v, j0 + j, _mm512_load_ps(s + 16 * v), bias + j * LANES, &slope);
            __m512 w = exp2_ps(_mm512_sub_ps(x, lse[v]));
            __m512 dp = _mm512_maskz_mul_ps(kept[j][v], _mm512_load_ps(g + 16 * v), grown);
            __m512 ds = _mm512_mul_ps(w, _mm512_sub_ps(dp, delta[v]));
            if (how->capped) ds = _mm512_mul_ps(ds, slope);
            _mm512_store_ps(s + 16 * v, _mm512_maskz_mul_ps(kept[j][v], w, grown));
            _mm512_store_ps(g + 16 * v, ds);
        }
    }
}

// A panel of queries, with what its lanes share over all keys.
typedef struct {
    query_panel p;
    __m512 lse[2], delta[2];
    float *dq;
} grad_panel;

INLINE grad_panel make_grad_panel(const backward *c, int64_t b, int64_t h, int64_t i0, float *dq) {
    const tk_attention_shape *s = c->s;
    grad_panel g = { .p = make_panel(s, b, h, i0), .dq = dq };
    float lse[LANES], delta[LANES];
    for (int64_t l = 0; l < LANES; l++) {
        float x = l < g.p.lanes ? c->lse[(b * s->heads + h) * s->q_len + i0 + l] : INFINITY;
        lse[l] = x == -INFINITY ? INFINITY : x * (float)LOG2E;   // a row that sees nothing has no weights
        delta[l] = l < g.p.lanes ? c->delta[(b * s->heads + h) * s->q_len + i0 + l] : 0;
    }
    for (int v = 0; v < 2; v++) {
        g.lse[v] = _mm512_loadu_ps(lse + 16 * v);
        g.delta[v] = _mm512_loadu_ps(delta + 16 * v);
    }
    return g;
}

AVX512 static void product_panel(int64_t d, const float *k, const float *q, float *out) {
    __m512 sum[ROWS][2];
    set_zero(ROWS, sum);
    accumulate(ROWS, d, k, ROWS, 1, q, sum);
    store_rows(ROWS, out, sum);
}

// One tile of keys against one block of queries. `scores` and `grads` [QUERY_PANELS][TILE, 32].
AVX512 static void tile_grads(const backward *c, const score_change *how, const grad_panel *panels, int64_t count, const query_block *block,
                              int64_t j0, const key_tile *tile, float *scores, float *grads, float *bias) {
    const tk_attention_shape *s = c->s;
    int64_t d = s->dim, dv = s->value_dim, rows = least(TILE, s->kv_len - j0), from = TILE, to = 0;
    const __m512 one[2] = { _mm512_set1_ps(1), _mm512_set1_ps(1) };
    for (int64_t i = 0; i < count; i++) {
        from = least(from, most(panels[i].p.low_first - j0, 0));
        to = most(to, least(panels[i].p.high_last - j0, rows));
    }
    if (to <= from) return;
    from -= from % ROWS;
    bool changes = how->capped || how->sloped || how->masked;
    for (int64_t i = 0; i < count; i++) {
        const grad_panel *g = &panels[i];
        float *x = scores + i * TILE * LANES, *y = grads + i * TILE * LANES;
        // What this panel does not see, but another of the block does, has zeros.
        int64_t first = most(g->p.low_first - j0, from), last = least(g->p.high_last - j0, to);
        first = most(from, first - first % ROWS);
        if (last <= first) first = last = from;
        for (int64_t j = first; j < last; j += ROWS) {
            product_panel(d, tile->k + j * d, block->q + i * LANES * d, x + j * LANES);
            product_panel(dv, tile->v + j * dv, block->dout + i * LANES * dv, y + j * LANES);
        }
        if (how->masked) load_mask(&g->p, j0, first, last, bias);
        if (s->dropout > 0) dropped_grads(&g->p, how, j0, first, last, g->lse, g->delta, x, y, bias);
        else score_grads(&g->p, how, j0, first, last, g->lse, g->delta, x, y, bias, changes);
        int64_t end = from + round_up(to - from, ROWS);
        memset(x + from * LANES, 0, (size_t)((first - from) * LANES) * sizeof(float));
        memset(y + from * LANES, 0, (size_t)((first - from) * LANES) * sizeof(float));
        memset(x + last * LANES, 0, (size_t)((end - last) * LANES) * sizeof(float));
        memset(y + last * LANES, 0, (size_t)((end - last) * LANES) * sizeof(float));
        if (last > first)
            for (int64_t panel = 0; panel < c->columns.count; panel++) {
                int64_t start = panel_start(c->columns, panel), n = panel_rows(c->columns, panel);
                scaled_products[n](last - first, tile->k_columns + start * TILE + first * n, y + first * LANES, g->dq + start * LANES, one);
            }
    }
    int64_t lanes = panels[count - 1].p.lanes, apart = TILE * LANES;
    for (int64_t j = from; j < to; j += ROWS) {
        for (int64_t p = 0; p < dv; p += LANES)
            add_over_queries(count, lanes, scores + j * LANES, apart, block->dout_rows + p * QUERIES, tile->dv + p * TILE + j * LANES);
        for (int64_t p = 0; p < d; p += LANES)
            add_over_queries(count, lanes, grads + j * LANES, apart, block->q_rows + p * QUERIES, tile->dk + p * TILE + j * LANES);
    }
}

// [columns / 32][TILE, 32] times `factor` as rows at `out`.
INLINE void store_tile(const float *x, int64_t rows, int64_t d, float factor, char *out, int dtype, int64_t stride, float *scratch) {
    const __m512 f = _mm512_set1_ps(factor);
    for (int64_t i = 0; i < rows; i++) {
        char *row = out + i * stride * element_size(dtype);
        float *to = dtype == TK_F32 ? (float *)row : scratch;
        for (int64_t j = 0; j < d; j += 16) {
            __mmask16 m = d - j >= 16 ? 0xffff : (__mmask16)((1u << (d - j)) - 1);
            const float *from = x + j / LANES * LANES * TILE + i * LANES + j % LANES;
            _mm512_mask_storeu_ps(to + j, m, _mm512_mul_ps(_mm512_load_ps(from), f));
        }
        if (dtype != TK_F32) tk_cast(TK_F32, dtype, scratch, row, d);
    }
}

// dq of one panel from its sum; what lies in `sum` is in units of the scores.
INLINE void store_dq(const backward *c, int64_t b, int64_t h, int64_t panel, const float *sum, float *scratch) {
    const tk_attention_shape *s = c->s;
    int64_t i0 = panel * LANES;
    const __m512 scale = _mm512_set1_ps((float)s->scale);
    char *out = (char *)at(c->dq, c->dtype, b * c->dqs.batch + h * c->dqs.head + i0 * c->dqs.position);
    store_lanes(sum, s->dim, least(LANES, s->q_len - i0), scale, scale, out, c->dtype, c->dqs.position, scratch);
}

INLINE size_t part_bytes(const backward *c) {
    return (size_t)most(1, group_of(c->s) * c->panels * LANES * c->s->dim) * sizeof(float);
}

AVX512 static void keys_task(void *context, int64_t task) {
    const backward *c = context;
    const tk_attention_shape *s = c->s;
    int64_t heads = s->batch * s->kv_heads, head = task % heads, chunk = task / heads, b = head / s->kv_heads, kv = head % s->kv_heads;
    int64_t group = group_of(s), d = s->dim, dv = s->value_dim, dp = round_up(d, LANES), dvp = round_up(dv, LANES), wide = round_up(most(d, dv), 16);
    int64_t first_key = chunk * c->chunk_tiles * TILE, last_key = least(s->kv_len, first_key + c->chunk_tiles * TILE);
    float *dq = tk_attention_scratch(part_bytes(c));
    memset(dq, 0, part_bytes(c));
    // Scratch: GROUP tiles of keys, a block of queries, scores and gradients, a mask, rows being converted.
    int64_t tile_floats = round_up(TILE * (2 * d + dv) + 64, 16) + TILE * (dp + dvp);
    int64_t block_floats = QUERIES * (d + dv + dp + dvp), pair = QUERY_PANELS * TILE * LANES, tiles_at_once = least(GROUP, c->chunk_tiles);
    int64_t floats = tiles_at_once * tile_floats + block_floats + 2 * pair + TILE * LANES + TILE * (wide + 16);
    size_t bytes = (size_t)floats * sizeof(float);
    float *memory = tk_attention_scratch(bytes), *next = memory;
    key_tile tiles[GROUP];
    for (int64_t t = 0; t < tiles_at_once; t++) {
        tiles[t].dk = next;
        tiles[t].dv = tiles[t].dk + TILE * dp;
        tiles[t].k = tiles[t].dv + TILE * dvp;
        tiles[t].v = tiles[t].k + TILE * d + 16;
        tiles[t].k_columns = tiles[t].v + TILE * dv + 16;
        next += tile_floats;
    }
    query_block block = { .q = next, .dout = next + QUERIES * d, .q_rows = next + QUERIES * (d + dv), .dout_rows = next + QUERIES * (d + dv + dp) };
    memset(block.q_rows, 0, (size_t)(QUERIES * (dp + dvp)) * sizeof(float));
    float *scores = next + block_floats, *grads = scores + pair, *bias = grads + pair, *scratch = bias + TILE * LANES;
    for (int64_t key = first_key; key < last_key; key += GROUP * TILE) {
        int64_t end = least(last_key, key + GROUP * TILE), count = ceil_div(end - key, TILE);
        for (int64_t t = 0; t < count; t++) {
            int64_t j0 = key + t * TILE, rows = least(TILE, end - j0);
            const char *k = at(c->k, c->dtype, b * s->k.batch + kv * s->k.head + j0 * s->k.position);
            const char *v = at(c->v, c->dtype, b * s->v.batch + kv * s->v.head + j0 * s->v.position);
            float_rows k_rows = as_floats(k, c->dtype, s->k.position, rows, d, scratch);
            pack_key_rows(k_rows, rows, d, tiles[t].k);
            pack_columns(k_rows, rows, c->columns, tiles[t].k_columns);
            pack_key_rows(as_floats(v, c->dtype, s->v.position, rows, dv, scratch), rows, dv, tiles[t].v);
            memset(tiles[t].dk, 0, (size_t)(TILE * (dp + dvp)) * sizeof(float));
        }
        for (int64_t g = 0; g < group; g++) {
            int64_t h = kv * group + g;
            score_change how = make_change(s, h);
            for (int64_t i0 = 0; i0 < s->q_len; i0 += QUERIES) {
                int64_t queries = least(QUERIES, s->q_len - i0), panels = ceil_div(queries, LANES);
                if (tk_visible_keys(s, i0 + queries - 1).high <= key || tk_visible_keys(s, i0).low >= end) continue;
                grad_panel p[QUERY_PANELS];
                const char *q = at(c->q, c->dtype, b * s->q.batch + h * s->q.head + i0 * s->q.position);
                const char *dout = at(c->dout, c->dtype, b * c->dos.batch + h * c->dos.head + i0 * c->dos.position);
                float_rows q_rows = as_floats(q, c->dtype, s->q.position, queries, d, scratch);
                pack_rows(q_rows, queries, d, QUERIES, block.q_rows);
                for (int64_t i = 0; i < panels; i++) {
                    p[i] = make_grad_panel(c, b, h, i0 + i * LANES, dq + (g * c->panels + i0 / LANES + i) * LANES * d);
                    pack_lanes((float_rows){ q_rows.x + i * LANES * q_rows.ld, q_rows.ld }, p[i].p.lanes, d, query_factor(s), block.q + i * LANES * d);
                }
                float_rows do_rows = as_floats(dout, c->dtype, c->dos.position, queries, dv, scratch);
                pack_rows(do_rows, queries, dv, QUERIES, block.dout_rows);
                for (int64_t i = 0; i < panels; i++)
                    pack_lanes((float_rows){ do_rows.x + i * LANES * do_rows.ld, do_rows.ld }, p[i].p.lanes, dv, 1, block.dout + i * LANES * dv);
                for (int64_t t = 0; t < count; t++) tile_grads(c, &how, p, panels, &block, key + t * TILE, &tiles[t], scores, grads, bias);
            }
        }
        for (int64_t t = 0; t < count; t++) {
            int64_t j0 = key + t * TILE, rows = least(TILE, end - j0);
            char *dk = (char *)at(c->dk, c->dtype, b * c->dks.batch + kv * c->dks.head + j0 * c->dks.position);
            char *dvs = (char *)at(c->dv, c->dtype, b * c->dvs.batch + kv * c->dvs.head + j0 * c->dvs.position);
            store_tile(tiles[t].dk, rows, d, (float)s->scale, dk, c->dtype, c->dks.position, scratch);
            store_tile(tiles[t].dv, rows, dv, 1, dvs, c->dtype, c->dvs.position, scratch);
        }
    }
    if (c->chunks > 1) {
        c->parts[task] = dq;
    } else {
        for (int64_t i = 0; i < group * c->panels; i++)
            store_dq(c, b, kv * group + i / c->panels, i % c->panels, dq + i * LANES * d, scratch);
        tk_free(dq, part_bytes(c));
    }
    tk_free(memory, bytes);
}

// The sum over the ranges of keys, in order.
AVX512 static void sum_task(void *context, int64_t task) {
    const backward *c = context;
    const tk_attention_shape *s = c->s;
    int64_t group = group_of(s), heads = s->batch * s->kv_heads, bh = task / c->panels, b = bh / s->heads, h = bh % s->heads;
    int64_t head = b * s->kv_heads + h / group, n = LANES * s->dim, offset = (h % group * c->panels + task % c->panels) * n;
    float *sum = c->parts[head] + offset;
    for (int64_t chunk = 1; chunk < c->chunks; chunk++) {
        const float *x = c->parts[chunk * heads + head] + offset;
        for (int64_t i = 0; i < n; i += 16) _mm512_store_ps(sum + i, _mm512_add_ps(_mm512_load_ps(sum + i), _mm512_load_ps(x + i)));
    }
    size_t bytes = (size_t)(LANES * (round_up(s->dim, 16) + 16)) * sizeof(float);
    float *scratch = tk_attention_scratch(bytes);
    store_dq(c, b, h, task % c->panels, sum, scratch);
    tk_free(scratch, bytes);
}

AVX512 void tk_attention_grad_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, const void *out,
                                     const float *lse, const void *dout, tk_attention_strides dos, void *dq, tk_attention_strides dqs,
                                     void *dk, tk_attention_strides dks, void *dv, tk_attention_strides dvs) {
    backward c = { .s = s, .dtype = dtype, .q = q, .k = k, .v = v, .out = out, .dout = dout, .lse = lse, .dq = dq, .dk = dk, .dv = dv,
                   .dos = dos, .dqs = dqs, .dks = dks, .dvs = dvs, .panels = ceil_div(s->q_len, LANES), .columns = split_rows(s->dim) };
    // Ranges of keys give a few heads enough tasks; each costs a copy of dq.
    int64_t heads = s->batch * s->kv_heads, tiles = most(1, ceil_div(s->kv_len, TILE));
    c.chunks = most(1, least(heads < 8 ? least(8, ceil_div(16, heads)) : 1, tiles / GROUP));
    c.chunk_tiles = ceil_div(tiles, c.chunks);
    c.chunks = ceil_div(tiles, c.chunk_tiles);
    size_t delta_bytes = (size_t)most(1, s->batch * s->heads * s->q_len) * sizeof(float), parts_bytes = (size_t)(c.chunks * heads) * sizeof(float *);
    c.delta = tk_attention_scratch(delta_bytes);
    c.parts = tk_attention_scratch(parts_bytes);
    tk_parallel(s->batch * s->heads * c.panels, delta_task, &c);
    tk_parallel(c.chunks * heads, keys_task, &c);
    if (c.chunks > 1) {
        tk_parallel(s->batch * s->heads * c.panels, sum_task, &c);
        for (int64_t i = 0; i < c.chunks * heads; i++) tk_free(c.parts[i], part_bytes(&c));
    }
    tk_free(c.parts, parts_bytes);
    tk_free(c.delta, delta_bytes);
}
#endif
