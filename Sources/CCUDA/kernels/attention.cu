// softmax(scale · q kᵀ) v without a matrix of scores: 32 keys at a time with a running maximum and sum (Milakov and Gimelshein, 2018; Dao et
// al., 2022), a warp to a query. The gradients compute the weights again from the kept logarithms of the sums: a warp to a query for dq, a
// warp to a key for dk and dv, so that nothing is added atomically. With masks, windows, ALiBi, soft caps and dropout.
#include "arguments.cuh"
#include "groups.cuh"
#include "philox.cuh"

/// Rows of values that a warp sums at a time: 8 to a lane.
enum { LANES = 32, EACH = 8, CHUNK = LANES * EACH };

TK_DEVICE bool sees(const tk_cuda_attention &p, long long i, long long j) {
    long long at = i + p.position;
    if (j >= p.keys || (p.causal && j > at)) return false;
    return p.window <= 0 || (j > at - p.window && j < at + p.window);
}

/// What becomes of the score of key j for query i, -∞ if it is hidden; `slope` is the derivative of the cap.
template <class F> TK_DEVICE F changed(const tk_cuda_attention &p, const void *mask, const double *alibi, long long b, long long h, long long i,
                                       long long j, F x, F &slope) {
    slope = (F)1;
    if (!sees(p, i, j)) return -tk_infinity((F)0);
    if (p.soft_cap > 0) {
        F t = tanh(x / (F)p.soft_cap);
        x = t * (F)p.soft_cap;
        slope = (F)1 - t * t;
    }
    long long distance = i + p.position - j;
    if (alibi) x -= (F)alibi[h] * (F)(distance < 0 ? -distance : distance);
    if (mask) {
        long long at = b * p.mask_strides[0] + h * p.mask_strides[1] + i * p.mask_strides[2] + j * p.mask_strides[3];
        if (!p.mask_adds) return ((const unsigned char *)mask)[at] ? x : -tk_infinity((F)0);
        F added = ((const F *)mask)[at];
        x = added == -tk_infinity((F)0) ? added : x + added;
    }
    return x;
}

/// Whether dropout keeps the weight of key j for query i; `head` counts batch · heads.
TK_DEVICE bool keeps(const tk_cuda_attention &p, long long head, long long i, long long j) {
    tk_words key = tk_philox(p.seed, p.offset);
    double t = p.dropout * 4294967296.0;
    unsigned threshold = t >= 4294967295.0 ? 4294967295u : (unsigned)t;
    tk_words w = tk_philox((unsigned)(j / 4), (unsigned)i, (unsigned)head, 0, key.at[0], key.at[1]);
    unsigned word = j % 4 == 0 ? w.at[0] : j % 4 == 1 ? w.at[1] : j % 4 == 2 ? w.at[2] : w.at[3];
    return word >= threshold;
}

template <class T> TK_DEVICE tk_wide<T> dot(const T *a, const T *b, long long n) {
    tk_wide<T> sum = 0;
    for (long long d = 0; d < n; d++) sum += tk_widen(a[d]) * tk_widen(b[d]);
    return sum;
}

template <class T> TK_DEVICE void attention(const T *q, const T *k, const T *v, T *out, tk_wide<T> *lse, const void *mask, const double *alibi,
                                            const tk_cuda_attention &p) {
    typedef tk_wide<T> F;
    long long row = tk_row();
    if (row >= p.batch * p.heads * p.queries) return;
    int lane = threadIdx.x;
    long long i = row % p.queries, h = row / p.queries % p.heads, b = row / (p.queries * p.heads), kv = h / (p.heads / p.kv_heads);
    const T *query = q + b * p.q[0] + h * p.q[1] + i * p.q[2], *keys = k + b * p.k[0] + kv * p.k[1], *values = v + b * p.v[0] + kv * p.v[1];
    T *to = out + b * p.out[0] + h * p.out[1] + i * p.out[2];
    for (long long c0 = 0; c0 < p.value_dim || c0 == 0; c0 += CHUNK) {
        F m = tk_lowest((F)0), sum = (F)0, total[EACH];
#pragma unroll
        for (int e = 0; e < EACH; e++) total[e] = (F)0;
        for (long long j0 = 0; j0 < p.keys; j0 += LANES) {
            long long j = j0 + lane;
            F slope, x = -tk_infinity((F)0);
            if (sees(p, i, j)) x = changed(p, mask, alibi, b, h, i, j, dot(query, keys + j * p.k[2], p.dim) * (F)p.scale, slope);
            F high = x;
#pragma unroll
            for (int step = 16; step > 0; step >>= 1) high = larger(high, tk_shuffle_xor(high, step));
            if (high == -tk_infinity((F)0)) continue;   // all lanes alike: nothing of these keys is seen
            F next = larger(m, high), factor = exp(m - next), w = x == -tk_infinity((F)0) ? (F)0 : exp(x - next), part = w;
            m = next;
#pragma unroll
            for (int step = 16; step > 0; step >>= 1) part += tk_shuffle_xor(part, step);
            sum = sum * factor + part;
            if (p.dropout > 0 && !keeps(p, row / p.queries, i, j)) w = (F)0;
#pragma unroll
            for (int e = 0; e < EACH; e++) total[e] *= factor;
            int n = (int)(p.keys - j0 < LANES ? p.keys - j0 : LANES);
            for (int t = 0; t < n; t++) {
                F weight = tk_shuffle(w, t);
                const T *value = values + (j0 + t) * p.v[2] + c0;
#pragma unroll
                for (int e = 0; e < EACH; e++) {
                    long long d = e * LANES + lane;
                    if (c0 + d < p.value_dim) total[e] += weight * tk_widen(value[d]);
                }
            }
        }
        F inverse = sum == (F)0 ? (F)0 : (F)1 / (sum * (F)(1 - p.dropout));
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            long long d = c0 + e * LANES + lane;
            if (d < p.value_dim) to[d] = tk_narrow<T>(total[e] * inverse);
        }
        if (lane == 0) lse[row] = sum == (F)0 ? -tk_infinity((F)0) : m + log(sum);
    }
}

/// The weight of key j for query i as the values saw it, and the gradient of its score, from dot products s = q k and d = g v.
template <class F> TK_DEVICE void slopes_of(const tk_cuda_attention &p, const void *mask, const double *alibi, long long b, long long h, long long i,
                                            long long j, F s, F d, F lse, F delta, F &weight, F &gradient) {
    F slope, x = changed(p, mask, alibi, b, h, i, j, s * (F)p.scale, slope);
    F w = x == -tk_infinity((F)0) ? (F)0 : exp(x - lse), grown = (F)(1 / (1 - p.dropout));
    bool kept = p.dropout <= 0 || keeps(p, b * p.heads + h, i, j);
    if (p.dropout > 0) d = kept ? d * grown : (F)0;
    weight = p.dropout > 0 ? (kept ? w * grown : (F)0) : w;
    gradient = w == (F)0 ? (F)0 : w * (d - delta) * slope * (F)p.scale;
}

/// delta[row] = Σ g · out, a warp to a row.
template <class T> TK_DEVICE void deltas(const T *out, const T *g, tk_wide<T> *delta, const tk_cuda_attention &p) {
    long long row = tk_row();
    if (row >= p.batch * p.heads * p.queries) return;
    long long i = row % p.queries, h = row / p.queries % p.heads, b = row / (p.queries * p.heads);
    const T *x = out + b * p.out[0] + h * p.out[1] + i * p.out[2], *y = g + b * p.g[0] + h * p.g[1] + i * p.g[2];
    tk_wide<T> sum = 0;
    for (long long d = threadIdx.x; d < p.value_dim; d += LANES) sum += tk_widen(x[d]) * tk_widen(y[d]);
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) sum += tk_shuffle_xor(sum, step);
    if (threadIdx.x == 0) delta[row] = sum;
}

template <class T> TK_DEVICE void grad_queries(const T *q, const T *k, const T *v, const T *g, const tk_wide<T> *lse, const tk_wide<T> *delta, T *dq,
                                               const void *mask, const double *alibi, const tk_cuda_attention &p) {
    typedef tk_wide<T> F;
    long long row = tk_row();
    if (row >= p.batch * p.heads * p.queries) return;
    int lane = threadIdx.x;
    long long i = row % p.queries, h = row / p.queries % p.heads, b = row / (p.queries * p.heads), kv = h / (p.heads / p.kv_heads);
    const T *query = q + b * p.q[0] + h * p.q[1] + i * p.q[2], *keys = k + b * p.k[0] + kv * p.k[1], *values = v + b * p.v[0] + kv * p.v[1];
    const T *slope = g + b * p.g[0] + h * p.g[1] + i * p.g[2];
    T *to = dq + b * p.dq[0] + h * p.dq[1] + i * p.dq[2];
    for (long long c0 = 0; c0 < p.dim; c0 += CHUNK) {
        F total[EACH];
#pragma unroll
        for (int e = 0; e < EACH; e++) total[e] = (F)0;
        for (long long j0 = 0; j0 < p.keys; j0 += LANES) {
            long long j = j0 + lane;
            F weight, ds = (F)0;
            if (sees(p, i, j))
                slopes_of(p, mask, alibi, b, h, i, j, dot(query, keys + j * p.k[2], p.dim), dot(slope, values + j * p.v[2], p.value_dim), lse[row],
                          delta[row], weight, ds);
            int n = (int)(p.keys - j0 < LANES ? p.keys - j0 : LANES);
            for (int t = 0; t < n; t++) {
                F one = tk_shuffle(ds, t);
                const T *key = keys + (j0 + t) * p.k[2] + c0;
#pragma unroll
                for (int e = 0; e < EACH; e++) {
                    long long d = e * LANES + lane;
                    if (c0 + d < p.dim) total[e] += one * tk_widen(key[d]);
                }
            }
        }
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            long long d = c0 + e * LANES + lane;
            if (d < p.dim) to[d] = tk_narrow<T>(total[e]);
        }
    }
}

template <class T> TK_DEVICE void grad_keys(const T *q, const T *k, const T *v, const T *g, const tk_wide<T> *lse, const tk_wide<T> *delta, T *dk,
                                            T *dv, const void *mask, const double *alibi, const tk_cuda_attention &p) {
    typedef tk_wide<T> F;
    long long row = tk_row();
    if (row >= p.batch * p.kv_heads * p.keys) return;
    int lane = threadIdx.x;
    long long j = row % p.keys, kv = row / p.keys % p.kv_heads, b = row / (p.keys * p.kv_heads), group = p.heads / p.kv_heads;
    const T *key = k + b * p.k[0] + kv * p.k[1] + j * p.k[2], *value = v + b * p.v[0] + kv * p.v[1] + j * p.v[2];
    long long widest = p.dim > p.value_dim ? p.dim : p.value_dim;
    for (long long c0 = 0; c0 < widest; c0 += CHUNK) {
        F keys[EACH], values[EACH];
#pragma unroll
        for (int e = 0; e < EACH; e++) keys[e] = values[e] = (F)0;
        for (long long h = kv * group; h < (kv + 1) * group; h++) {
            const T *queries = q + b * p.q[0] + h * p.q[1], *slopes = g + b * p.g[0] + h * p.g[1];
            for (long long i0 = 0; i0 < p.queries; i0 += LANES) {
                long long i = i0 + lane, at = (b * p.heads + h) * p.queries + i;
                F weight = (F)0, ds = (F)0;
                if (i < p.queries && sees(p, i, j))
                    slopes_of(p, mask, alibi, b, h, i, j, dot(queries + i * p.q[2], key, p.dim), dot(slopes + i * p.g[2], value, p.value_dim),
                              lse[at], delta[at], weight, ds);
                int n = (int)(p.queries - i0 < LANES ? p.queries - i0 : LANES);
                for (int t = 0; t < n; t++) {
                    F w = tk_shuffle(weight, t), s = tk_shuffle(ds, t);
                    const T *one = queries + (i0 + t) * p.q[2] + c0, *other = slopes + (i0 + t) * p.g[2] + c0;
#pragma unroll
                    for (int e = 0; e < EACH; e++) {
                        long long d = e * LANES + lane;
                        if (c0 + d < p.dim) keys[e] += s * tk_widen(one[d]);
                        if (c0 + d < p.value_dim) values[e] += w * tk_widen(other[d]);
                    }
                }
            }
        }
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            long long d = c0 + e * LANES + lane;
            if (d < p.dim) dk[b * p.dk[0] + kv * p.dk[1] + j * p.dk[2] + d] = tk_narrow<T>(keys[e]);
            if (d < p.value_dim) dv[b * p.dv[0] + kv * p.dv[1] + j * p.dv[2] + d] = tk_narrow<T>(values[e]);
        }
    }
}

#define ATTENTION(T, S)                                                                                                                    \
    TK_KERNEL(128) tk_attention_##S(const T *q, const T *k, const T *v, T *out, tk_wide<T> *lse, const void *mask, const double *alibi,     \
                                    tk_cuda_attention p) { attention(q, k, v, out, lse, mask, alibi, p); }                                 \
    TK_EXPORT(tk_attention_##S)                                                                                                            \
    TK_KERNEL(128) tk_attention_deltas_##S(const T *out, const T *g, tk_wide<T> *delta, tk_cuda_attention p) { deltas(out, g, delta, p); }  \
    TK_EXPORT(tk_attention_deltas_##S)                                                                                                     \
    TK_KERNEL(128) tk_attention_grad_queries_##S(const T *q, const T *k, const T *v, const T *g, const tk_wide<T> *lse,                     \
                                                 const tk_wide<T> *delta, T *dq, const void *mask, const double *alibi,                    \
                                                 tk_cuda_attention p) { grad_queries(q, k, v, g, lse, delta, dq, mask, alibi, p); }        \
    TK_EXPORT(tk_attention_grad_queries_##S)                                                                                               \
    TK_KERNEL(128) tk_attention_grad_keys_##S(const T *q, const T *k, const T *v, const T *g, const tk_wide<T> *lse, const tk_wide<T> *delta, \
                                              T *dk, T *dv, const void *mask, const double *alibi, tk_cuda_attention p) {                  \
        grad_keys(q, k, v, g, lse, delta, dk, dv, mask, alibi, p);                                                                         \
    }                                                                                                                                      \
    TK_EXPORT(tk_attention_grad_keys_##S)
TK_FLOAT_TYPES(ATTENTION)
#undef ATTENTION

/// Which weights dropout keeps: bools [batch, heads, queries, keys].
TK_KERNEL(256) tk_attention_kept(unsigned char *out, tk_cuda_attention p) {
    for (long long e = tk_first(); e < p.batch * p.heads * p.queries * p.keys; e += tk_step())
        out[e] = keeps(p, e / (p.keys * p.queries), e / p.keys % p.queries, e % p.keys);
}
TK_EXPORT(tk_attention_kept)
