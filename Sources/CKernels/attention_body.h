// Included by attention.c once for each element type T.

static inline void N(mm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T *a, int64_t lda, const T *b, int64_t ldb,
                         T beta, T *c, int64_t ldc) {
    if (m <= 0 || n <= 0) return;
    GEMM(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
         (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

// ---- what changes scores ----

// The score of key j for query i of head h, -∞ if it is hidden; *slope becomes the derivative of the cap.
static inline T N(change)(const tk_attention_shape *s, int64_t b, int64_t h, int64_t i, int64_t j, tk_key_range r, T x, T *slope) {
    *slope = 1;
    if (j < r.low || j >= r.high) return -INFINITY;
    if (s->soft_cap > 0) {
        T t = TANH(x / (T)s->soft_cap);
        x = t * (T)s->soft_cap;
        *slope = 1 - t * t;
    }
    int64_t distance = i + s->position - j;
    if (s->slopes) x -= (T)s->slopes[h] * (T)(distance < 0 ? -distance : distance);
    if (s->mask) {
        int64_t at = b * s->mask_strides[0] + h * s->mask_strides[1] + i * s->mask_strides[2] + j * s->mask_strides[3];
        if (!s->mask_adds) return ((const bool *)s->mask)[at] ? x : -INFINITY;
        T added = ((const T *)s->mask)[at];
        x = added == -INFINITY ? added : x + added;
    }
    return x;
}

static void N(drop_row)(const tk_attention_shape *s, int64_t bh, int64_t i, int64_t j0, int64_t n, T *row) {
    bool kept[key_tile];
    kept_row(s, bh, i, j0, n, kept);
    for (int64_t j = 0; j < n; j++) row[j] = kept[j] ? row[j] : 0;
}

// s = P, dp = the gradient of the scores (times scale), with everything that changes scores; zeros up to `padded`. With dropout, P is what
// the values saw.
static void N(backward_changed)(const tk_attention_shape *s, int64_t b, int64_t h, int64_t i, int64_t j0, int64_t n, int64_t padded, T lse,
                                T delta, T *p, T *dp) {
    tk_key_range r = tk_visible_keys(s, i);
    bool kept[key_tile];
    if (s->dropout > 0) kept_row(s, b * s->heads + h, i, j0, n, kept);
    T grown = (T)(1 / (1 - s->dropout));
    for (int64_t j = 0; j < n; j++) {
        T slope, x = N(change)(s, b, h, i, j0 + j, r, p[j], &slope);
        T w = x == -INFINITY ? 0 : EXP(x - lse), g = dp[j];
        if (s->dropout > 0) g = kept[j] ? g * grown : 0;
        p[j] = s->dropout > 0 ? kept[j] ? w * grown : 0 : w;
        dp[j] = w == 0 ? 0 : w * (g - delta) * slope * (T)s->scale;
    }
    for (int64_t j = n; j < padded; j++) p[j] = dp[j] = 0;
}

// ---- forward: one block of queries of one head ----
static void N(forward_task)(void *context, int64_t task) {
    const attention *c = context;
    const tk_attention_shape *s = c->s;
    int64_t block = c->q_blocks - 1 - task / (s->batch * s->heads), bh = task % (s->batch * s->heads);   // the longest first
    int64_t b = bh / s->heads, h = bh % s->heads, kv = h / (s->heads / s->kv_heads), d = s->dim, dv = s->value_dim;
    int64_t i0 = block * query_block, rows = s->q_len - i0 < query_block ? s->q_len - i0 : query_block;
    const T *q = (const T *)c->q + b * s->q.batch + h * s->q.head + i0 * s->q.position;
    const T *k = (const T *)c->k + b * s->k.batch + kv * s->k.head, *v = (const T *)c->v + b * s->v.batch + kv * s->v.head;
    T *out = (T *)c->result + b * s->out.batch + h * s->out.head + i0 * s->out.position;
    T *lse = (T *)c->lse + bh * s->q_len + i0;
    int64_t first = tk_visible_keys(s, i0).low, end = tk_visible_keys(s, i0 + rows - 1).high, keys = end - first;
    if (keys <= 0) {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < dv; j++) out[i * s->out.position + j] = 0;
            lse[i] = -INFINITY;
        }
        return;
    }
    int64_t width = keys < key_tile ? (keys + 15) & ~(int64_t)15 : key_tile;
    size_t bytes = (size_t)(query_block * width) * sizeof(T);
    T *scores = tk_attention_scratch(bytes);
    T maximum[query_block], sum[query_block];
    for (int64_t i = 0; i < rows; i++) maximum[i] = -INFINITY, sum[i] = 0;
    bool changes = tk_changes_scores(s) || s->window > 0;
    for (int64_t j0 = first; j0 < end; j0 += key_tile) {
        int64_t n = end - j0 < key_tile ? end - j0 : key_tile, padded = (n + 15) & ~(int64_t)15;
        N(mm)(false, true, rows, n, d, (T)s->scale, q, c->q_row, k + j0 * s->k.position, c->k_row, 0, scores, width);
        for (int64_t i = 0; i < rows; i++) {
            tk_key_range r = tk_visible_keys(s, i0 + i);
            int64_t seen = r.high - j0;
            if (seen > n) seen = n;
            if (seen < 0) seen = 0;
            T *row = scores + i * width, slope;
            if (changes)
                for (int64_t j = 0; j < seen; j++) row[j] = N(change)(s, b, h, i0 + i, j0 + j, r, row[j], &slope);
            T before = maximum[i], part = N(forward_row)(row, seen, padded, &maximum[i]);
            if (s->dropout > 0) N(drop_row)(s, bh, i0 + i, j0, seen, row);
            if (j0 == first) sum[i] = part;
            else if (maximum[i] == before) sum[i] += part;
            else {
                T factor = EXP(before - maximum[i]);
                sum[i] = sum[i] * factor + part;
                for (int64_t j = 0; j < dv; j++) out[i * s->out.position + j] *= factor;
            }
        }
        N(mm)(false, false, rows, dv, n, 1, scores, width, v + j0 * s->v.position, c->v_row, j0 == first ? 0 : 1, out, c->o_row);
    }
    for (int64_t i = 0; i < rows; i++) {
        T *o = out + i * s->out.position;
        if (sum[i] == 0) {
            for (int64_t j = 0; j < dv; j++) o[j] = 0;
            lse[i] = -INFINITY;
            continue;
        }
        T inverse = 1 / (sum[i] * (T)(1 - s->dropout));
        for (int64_t j = 0; j < dv; j++) o[j] *= inverse;
        lse[i] = maximum[i] + LOG(sum[i]);
    }
    tk_free(scores, bytes);
}

// ---- backward ----
// delta[i] = sum(dout * out) for a block of queries.
static void N(deltas)(const attention *c, int64_t b, int64_t h, int64_t i0, int64_t rows, T *delta) {
    const tk_attention_shape *s = c->s;
    const T *out = (const T *)c->out + b * s->out.batch + h * s->out.head + i0 * s->out.position;
    const T *dout = (const T *)c->dout + b * c->dos.batch + h * c->dos.head + i0 * c->dos.position;
    for (int64_t i = 0; i < rows; i++) {
        T part[16] = {0};
        const T *x = out + i * s->out.position, *y = dout + i * c->dos.position;
        int64_t j = 0;
        for (; j + 16 <= s->value_dim; j += 16)
            for (int l = 0; l < 16; l++) part[l] += x[j + l] * y[j + l];
        for (; j < s->value_dim; j++) part[j & 15] += x[j] * y[j];
        for (int w = 8; w; w /= 2)
            for (int l = 0; l < w; l++) part[l] += part[l + w];
        delta[i] = part[0];
    }
}

// Queries i0 ..< i0 + rows against keys j0 ..< j0 + n: P into p, the gradient of the scores (times scale) into ds.
static void N(score_grads)(const attention *c, int64_t b, int64_t h, int64_t i0, int64_t rows, int64_t j0, int64_t n, const T *delta,
                           T *p, T *ds, int64_t width) {
    const tk_attention_shape *s = c->s;
    int64_t kv = h / (s->heads / s->kv_heads), padded = (n + 15) & ~(int64_t)15;
    const T *q = (const T *)c->q + b * s->q.batch + h * s->q.head + i0 * s->q.position;
    const T *k = (const T *)c->k + b * s->k.batch + kv * s->k.head + j0 * s->k.position;
    const T *v = (const T *)c->v + b * s->v.batch + kv * s->v.head + j0 * s->v.position;
    const T *dout = (const T *)c->dout + b * c->dos.batch + h * c->dos.head + i0 * c->dos.position;
    const T *lse = (const T *)c->lse + (b * s->heads + h) * s->q_len + i0;
    N(mm)(false, true, rows, n, s->dim, (T)s->scale, q, c->q_row, k, c->k_row, 0, p, width);
    N(mm)(false, true, rows, n, s->value_dim, 1, dout, c->do_row, v, c->v_row, 0, ds, width);
    bool changes = tk_changes_scores(s) || s->window > 0 || s->dropout > 0;
    for (int64_t i = 0; i < rows; i++) {
        int64_t seen = tk_visible_keys(s, i0 + i).high - j0;
        if (seen > n) seen = n;
        if (seen < 0) seen = 0;
        if (changes) N(backward_changed)(s, b, h, i0 + i, j0, seen, padded, lse[i], delta[i], p + i * width, ds + i * width);
        else N(backward_row)(p + i * width, ds + i * width, seen, padded, lse[i], delta[i], (T)s->scale);
    }
}

static void N(zero_rows)(T *x, int64_t stride, int64_t rows, int64_t d) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j++) x[i * stride + j] = 0;
}

// For keys j0 ..< j1 of one key head, all the queries that see them: dk and dv, and dq too if asked (then the keys must be all).
static void N(backward_keys)(const attention *c, int64_t b, int64_t kv, int64_t j0, int64_t j1, bool with_dq) {
    const tk_attention_shape *s = c->s;
    int64_t d = s->dim, e = s->value_dim, group = s->heads / s->kv_heads, width = j1 - j0 < key_tile ? (j1 - j0 + 15) & ~(int64_t)15 : key_tile;
    T *dk = (T *)c->dk + b * c->dks.batch + kv * c->dks.head + j0 * c->dks.position;
    T *dv = (T *)c->dv + b * c->dvs.batch + kv * c->dvs.head + j0 * c->dvs.position;
    size_t bytes = (size_t)(2 * query_block * width) * sizeof(T);
    T *p = tk_attention_scratch(bytes), *ds = p + query_block * width;
    T delta[query_block];
    T beta = 0;
    if (s->window > 0 || tk_visible_keys(s, s->q_len - 1).high < j1) {
        N(zero_rows)(dk, c->dks.position, j1 - j0, d);
        N(zero_rows)(dv, c->dvs.position, j1 - j0, e);
        beta = 1;
    }
    // From the last block of queries, which mostly sees all the keys, so that it can set what the others add to.
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t block = c->q_blocks - 1; block >= 0; block--) {
            int64_t i0 = block * query_block, rows = s->q_len - i0 < query_block ? s->q_len - i0 : query_block;
            int64_t first = tk_visible_keys(s, i0).low, keys = tk_visible_keys(s, i0 + rows - 1).high;
            T *dq = (T *)c->dq + b * c->dqs.batch + h * c->dqs.head + i0 * c->dqs.position;
            if (keys <= j0 || first >= j1) {
                if (with_dq) N(zero_rows)(dq, c->dqs.position, rows, d);
                continue;
            }
            if (keys > j1) keys = j1;
            const T *q = (const T *)c->q + b * s->q.batch + h * s->q.head + i0 * s->q.position;
            const T *dout = (const T *)c->dout + b * c->dos.batch + h * c->dos.head + i0 * c->dos.position;
            N(deltas)(c, b, h, i0, rows, delta);
            for (int64_t t = j0; t < keys; t += key_tile) {
                int64_t n = keys - t < key_tile ? keys - t : key_tile;
                N(score_grads)(c, b, h, i0, rows, t, n, delta, p, ds, width);
                N(mm)(true, false, n, e, rows, 1, p, width, dout, c->do_row, beta, dv + (t - j0) * c->dvs.position, c->dv_row);
                N(mm)(true, false, n, d, rows, 1, ds, width, q, c->q_row, beta, dk + (t - j0) * c->dks.position, c->dk_row);
                if (with_dq) {
                    const T *k = (const T *)c->k + b * s->k.batch + kv * s->k.head + t * s->k.position;
                    N(mm)(false, false, rows, d, n, 1, ds, width, k, c->k_row, t == 0 ? 0 : 1, dq, c->dq_row);
                }
            }
            beta = 1;
        }
    if (beta == 0) {
        N(zero_rows)(dk, c->dks.position, j1 - j0, d);
        N(zero_rows)(dv, c->dvs.position, j1 - j0, e);
    }
    tk_free(p, bytes);
}

// One block of queries of one head: dq.
static void N(backward_queries)(const attention *c, int64_t b, int64_t h, int64_t block) {
    const tk_attention_shape *s = c->s;
    int64_t d = s->dim, kv = h / (s->heads / s->kv_heads);
    int64_t i0 = block * query_block, rows = s->q_len - i0 < query_block ? s->q_len - i0 : query_block;
    int64_t keys = tk_visible_keys(s, i0 + rows - 1).high, width = keys < key_tile ? (keys + 15) & ~(int64_t)15 : key_tile;
    T *dq = (T *)c->dq + b * c->dqs.batch + h * c->dqs.head + i0 * c->dqs.position;
    if (keys == 0) {
        N(zero_rows)(dq, c->dqs.position, rows, d);
        return;
    }
    size_t bytes = (size_t)(2 * query_block * width) * sizeof(T);
    T *p = tk_attention_scratch(bytes), *ds = p + query_block * width;
    T delta[query_block];
    N(deltas)(c, b, h, i0, rows, delta);
    for (int64_t t = 0; t < keys; t += key_tile) {
        int64_t n = keys - t < key_tile ? keys - t : key_tile;
        const T *k = (const T *)c->k + b * s->k.batch + kv * s->k.head + t * s->k.position;
        N(score_grads)(c, b, h, i0, rows, t, n, delta, p, ds, width);
        N(mm)(false, false, rows, d, n, 1, ds, width, k, c->k_row, t == 0 ? 0 : 1, dq, c->dq_row);
    }
    tk_free(p, bytes);
}

static void N(backward_task)(void *context, int64_t task) {
    const attention *c = context;
    const tk_attention_shape *s = c->s;
    if (!c->two_passes) {
        N(backward_keys)(c, task / s->kv_heads, task % s->kv_heads, 0, s->kv_len, true);
        return;
    }
    int64_t key_tasks = s->batch * s->kv_heads * c->k_blocks;
    if (task < key_tasks) {
        int64_t j0 = task % c->k_blocks * key_block, j1 = j0 + key_block, bkv = task / c->k_blocks;
        N(backward_keys)(c, bkv / s->kv_heads, bkv % s->kv_heads, j0, j1 < s->kv_len ? j1 : s->kv_len, false);
    } else {
        task -= key_tasks;
        int64_t block = c->q_blocks - 1 - task / (s->batch * s->heads), bh = task % (s->batch * s->heads);
        N(backward_queries)(c, bh / s->heads, bh % s->heads, block);
    }
}

// A dense copy [batch, heads, length, dim] of what BLAS cannot address (repeated or reversed positions); rare.
static T *N(dense)(const void *x, tk_attention_strides *strides, int64_t batch, int64_t heads, int64_t length, int64_t d) {
    T *copy = tk_attention_scratch((size_t)(batch * heads * length * d) * sizeof(T)), *y = copy;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < length; i++, y += d)
                memcpy(y, (const T *)x + b * strides->batch + h * strides->head + i * strides->position, (size_t)d * sizeof(T));
    *strides = (tk_attention_strides){ heads * length * d, length * d, d };
    return copy;
}

static void N(forward)(const tk_attention_shape *shape, const void *q, const void *k, const void *v, void *out, void *lse) {
    tk_attention_shape s = *shape;
    void *copies[3] = { NULL, NULL, NULL };
    int64_t d = s.dim, e = s.value_dim;
    size_t q_bytes = (size_t)(s.batch * s.heads * s.q_len * d) * sizeof(T), k_bytes = (size_t)(s.batch * s.kv_heads * s.kv_len * d) * sizeof(T);
    size_t o_bytes = (size_t)(s.batch * s.heads * s.q_len * e) * sizeof(T), v_bytes = (size_t)(s.batch * s.kv_heads * s.kv_len * e) * sizeof(T);
    tk_attention_strides o = s.out;
    T *result = out, *dense_out = NULL;
    tk_prepare_blas();
    if (!fits(s.q.position, s.q_len, d)) q = copies[0] = N(dense)(q, &s.q, s.batch, s.heads, s.q_len, d);
    if (!fits(s.k.position, s.kv_len, d)) k = copies[1] = N(dense)(k, &s.k, s.batch, s.kv_heads, s.kv_len, d);
    if (!fits(s.v.position, s.kv_len, e)) v = copies[2] = N(dense)(v, &s.v, s.batch, s.kv_heads, s.kv_len, e);
    if (!fits(o.position, s.q_len, e)) {
        result = dense_out = tk_attention_scratch(o_bytes);
        s.out = (tk_attention_strides){ s.heads * s.q_len * e, s.q_len * e, e };
    }
    attention c = { .s = &s, .q = q, .k = k, .v = v, .result = result, .lse = lse, .q_blocks = ceil_div(s.q_len, query_block),
                    .q_row = row_length(s.q.position, s.q_len, d), .k_row = row_length(s.k.position, s.kv_len, d),
                    .v_row = row_length(s.v.position, s.kv_len, e), .o_row = row_length(s.out.position, s.q_len, e) };
    tk_parallel(c.q_blocks * s.batch * s.heads, N(forward_task), &c);
    if (dense_out) {
        const T *x = dense_out;
        for (int64_t b = 0; b < s.batch; b++)
            for (int64_t h = 0; h < s.heads; h++)
                for (int64_t i = 0; i < s.q_len; i++, x += e)
                    memcpy((T *)out + b * o.batch + h * o.head + i * o.position, x, (size_t)e * sizeof(T));
        tk_free(dense_out, o_bytes);
    }
    const size_t bytes[3] = { q_bytes, k_bytes, v_bytes };
    for (int i = 0; i < 3; i++) tk_free(copies[i], bytes[i]);
}

static void N(backward)(const tk_attention_shape *shape, const void *q, const void *k, const void *v, const void *out, const void *lse,
                        const void *dout, tk_attention_strides dos, void *dq, tk_attention_strides dqs, void *dk,
                        tk_attention_strides dks, void *dv, tk_attention_strides dvs) {
    tk_attention_shape s = *shape;
    void *copies[4] = { NULL, NULL, NULL, NULL };
    int64_t d = s.dim, e = s.value_dim;
    size_t q_bytes = (size_t)(s.batch * s.heads * s.q_len * d) * sizeof(T), k_bytes = (size_t)(s.batch * s.kv_heads * s.kv_len * d) * sizeof(T);
    size_t o_bytes = (size_t)(s.batch * s.heads * s.q_len * e) * sizeof(T), v_bytes = (size_t)(s.batch * s.kv_heads * s.kv_len * e) * sizeof(T);
    tk_prepare_blas();
    if (!fits(s.q.position, s.q_len, d)) q = copies[0] = N(dense)(q, &s.q, s.batch, s.heads, s.q_len, d);
    if (!fits(s.k.position, s.kv_len, d)) k = copies[1] = N(dense)(k, &s.k, s.batch, s.kv_heads, s.kv_len, d);
    if (!fits(s.v.position, s.kv_len, e)) v = copies[2] = N(dense)(v, &s.v, s.batch, s.kv_heads, s.kv_len, e);
    if (!fits(dos.position, s.q_len, e)) dout = copies[3] = N(dense)(dout, &dos, s.batch, s.heads, s.q_len, e);
    attention c = { .s = &s, .q = q, .k = k, .v = v, .out = out, .dout = dout, .lse = (void *)lse, .dq = dq, .dk = dk, .dv = dv,
                    .q_blocks = ceil_div(s.q_len, query_block), .k_blocks = ceil_div(s.kv_len, key_block),
                    .q_row = row_length(s.q.position, s.q_len, d), .k_row = row_length(s.k.position, s.kv_len, d),
                    .v_row = row_length(s.v.position, s.kv_len, e), .do_row = row_length(dos.position, s.q_len, e),
                    .dq_row = row_length(dqs.position, s.q_len, d), .dk_row = row_length(dks.position, s.kv_len, d),
                    .dv_row = row_length(dvs.position, s.kv_len, e), .dos = dos, .dqs = dqs, .dks = dks, .dvs = dvs };
    // One pass does five products instead of seven; two give a few heads enough tasks.
    c.two_passes = s.batch * s.kv_heads < 8 && s.kv_len > key_block;
    tk_parallel(c.two_passes ? s.batch * s.kv_heads * c.k_blocks + s.batch * s.heads * c.q_blocks : s.batch * s.kv_heads,
                N(backward_task), &c);
    const size_t bytes[4] = { q_bytes, k_bytes, v_bytes, o_bytes };
    for (int i = 0; i < 4; i++) tk_free(copies[i], bytes[i]);
}
