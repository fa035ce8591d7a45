// module: tensor_sm80
// Attention of float16 and bfloat16 by tensor cores (Dao, "FlashAttention-2", 2023): 64 queries to a block, 16 to a warp, 64 keys at a time, with
// a running maximum and sum in float32. What no query of a block sees is left out. The gradients compute the weights again from the kept
// logarithms of the sums: a block to 64 keys for dk and dv, to 64 queries for dq, so that every sum has one order. Heads of up to HEAD elements,
// a multiple of 8; causal masks and windows, grouped queries.
#include "attention_tiles.cuh"
#include "tensor_product.cuh"

enum { ATTENTION_ROWS = 64, ATTENTION_COLUMNS = 32, ATTENTION_THREADS = 128 };

/// ROWS rows of HEAD elements to shared memory; zeros outside `rows` and `dim`.
template <class T, int ROWS, int HEAD> TK_DEVICE void fetch_rows(T *to, const T *x, long long step, int row0, int rows, int dim) {
#pragma unroll
    for (int part = 0; part < ROWS * HEAD / 8 / ATTENTION_THREADS; part++) {
        int e = part * ATTENTION_THREADS + threadIdx.x, row = e / (HEAD / 8), column = e % (HEAD / 8) * 8;
        bool inside = row0 + row < rows && column < dim;
        tk_copy_async(to + tile_place<T, HEAD, true>(row, column), inside ? x + (row0 + row) * step + column : x, inside ? 16 : 0);
    }
}

/// sum [16, 8 N] += the 16 rows of a tile that begin at `row` · the first 8 N rows of `other`, transposed.
template <class T, int HEAD, int N> TK_DEVICE void multiply_rows(float (&sum)[N][4], const T *tile, int row, const T *other) {
#pragma unroll 4   // more than that is loaded ahead into registers that are not there
    for (int k = 0; k < HEAD; k += 16) {
        unsigned u[4], v[4];
        load_fragment<T, HEAD, true, false>(u, tile, row, k);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            load_fragment<T, HEAD, true, true>(v, other, n * 8, k);
            multiply_add(sum[n], u, v[0], v[1], T());
            multiply_add(sum[n + 1], u, v[2], v[3], T());
        }
    }
}
/// sum [16, HEAD] += weights [16, 8 N] · the first 8 N rows of `other`: sums of one product are factors of the next as they lie.
template <class T, int HEAD, int N> TK_DEVICE void multiply_weights(float (&sum)[HEAD / 8][4], const float (&weight)[N][4], const T *other) {
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        unsigned u[4] = {packed(weight[n][0], weight[n][1], T()), packed(weight[n][2], weight[n][3], T()),
                         packed(weight[n + 1][0], weight[n + 1][1], T()), packed(weight[n + 1][2], weight[n + 1][3], T())};
#pragma unroll
        for (int d = 0; d < HEAD; d += 16) {
            unsigned v[4];
            load_fragment<T, HEAD, false, true>(v, other, d, n * 8);
            multiply_add(sum[d / 8], u, v[0], v[1], T());
            multiply_add(sum[d / 8 + 1], u, v[2], v[3], T());
        }
    }
}
template <int N> TK_DEVICE void clear(float (&sum)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[n][e] = 0;
}

template <class T, int HEAD> TK_DEVICE void flash_attention(const T *q, const T *k, const T *v, T *out, float *lse, const tk_cuda_attention &p) {
    const int PER_ROWS = ATTENTION_ROWS * HEAD, N = ATTENTION_ROWS / 8;
    alignas(16) TK_SHARED unsigned char memory[3 * PER_ROWS * sizeof(T)];
    T *queries = (T *)memory, *keys = queries + PER_ROWS, *values = keys + PER_ROWS;
    int blocks = (int)((p.queries + ATTENTION_ROWS - 1) / ATTENTION_ROWS), head = blockIdx.x / blocks;
    int i0 = (blocks - 1 - (int)blockIdx.x % blocks) * ATTENTION_ROWS;   // those with the most keys first
    int b = head / (int)p.heads, h = head % (int)p.heads, kv = h / (int)(p.heads / p.kv_heads), lane = threadIdx.x % 32, row0 = threadIdx.x / 32 * 16;
    const T *query = q + b * p.q[0] + h * p.q[1], *key = k + b * p.k[0] + kv * p.k[1], *value = v + b * p.v[0] + kv * p.v[1];
    int from, to, dim = (int)p.dim, width = (int)p.value_dim;
    const sight sees(p);
    keys_seen(p, i0, i0 + ATTENTION_ROWS - 1, from, to);
    from = from / ATTENTION_ROWS * ATTENTION_ROWS;
    fetch_rows<T, ATTENTION_ROWS, HEAD>(queries, query, p.q[2], i0, (int)p.queries, dim);
    if (from < to) fetch_rows<T, ATTENTION_ROWS, HEAD>(keys, key, p.k[2], from, (int)p.keys, dim);
    tk_copy_commit();
    float total[HEAD / 8][4], high[2], sum[2] = {0, 0}, scale = (float)(p.scale * 1.4426950408889634074);   // powers of two are cheaper
    high[0] = high[1] = -tk_infinity(0.0f);
    clear(total);
    for (int j0 = from; j0 < to; j0 += ATTENTION_ROWS) {
        tk_copy_wait<0>();
        __syncthreads();   // the keys (and first the queries) are there, and all are done with the values before
        fetch_rows<T, ATTENTION_ROWS, HEAD>(values, value, p.v[2], j0, (int)p.keys, width);
        tk_copy_commit();
        float score[N][4];
        clear(score);
        multiply_rows<T, HEAD, N>(score, queries, row0, keys);
        tk_copy_wait<0>();
        __syncthreads();   // the values are there, and all are done with the keys
        if (j0 + ATTENTION_ROWS < to) fetch_rows<T, ATTENTION_ROWS, HEAD>(keys, key, p.k[2], j0 + ATTENTION_ROWS, (int)p.keys, dim);
        tk_copy_commit();
        bool edge = j0 + ATTENTION_ROWS > sees.keys || sees.window > 0 || (sees.causal && j0 + ATTENTION_ROWS - 1 > i0 + sees.position);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = high[half];
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    score[n][e] *= scale;
                    if (edge && !sees(i0 + row0 + lane / 4 + half * 8, j0 + n * 8 + lane % 4 * 2 + e % 2)) score[n][e] = -tk_infinity(0.0f);
                    most = fmaxf(most, score[n][e]);
                }
            most = fmaxf(most, tk_shuffle_xor(most, 1));
            most = fmaxf(most, tk_shuffle_xor(most, 2));
            float base = most == -tk_infinity(0.0f) ? 0.0f : most, factor = tk_exp2(high[half] - base);
            high[half] = most;
            sum[half] *= factor;
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 2 * half; e < 2 * half + 2; e++) {
                    score[n][e] = tk_exp2(score[n][e] - base);
                    sum[half] += score[n][e];
                }
#pragma unroll
            for (int d = 0; d < HEAD / 8; d++) {
                total[d][2 * half] *= factor;
                total[d][2 * half + 1] *= factor;
            }
        }
        multiply_weights<T, HEAD, N>(total, score, values);
    }
    tk_copy_wait<0>();
#pragma unroll
    for (int half = 0; half < 2; half++) {
        sum[half] += tk_shuffle_xor(sum[half], 1);
        sum[half] += tk_shuffle_xor(sum[half], 2);
        int i = i0 + row0 + lane / 4 + half * 8;
        if (lane % 4 == 0 && i < p.queries)
            lse[head * p.queries + i] = sum[half] == 0 ? -tk_infinity(0.0f) : (high[half] + log2(sum[half])) * 0.69314718055994530942f;
        sum[half] = sum[half] == 0 ? 0.0f : 1.0f / sum[half];
    }
    store_rows<T, HEAD>(out + b * p.out[0] + h * p.out[1], p.out[2], i0 + row0, (int)p.queries, width, [&](int d, int e) { return total[d][e]; }, sum[0],
                        sum[1]);
}

/// The gradients of 64 rows: of keys and values, over all queries, or of queries, over all keys. `one` is k or q and belongs to the scores,
/// `two` is v or g and belongs to the gradients of the weights; the others come 32 at a time.
template <class T, int HEAD, bool KEYS>
TK_DEVICE void flash_gradients(const T *q, const T *k, const T *v, const T *g, const float *lse, const float *delta, T *dq, T *dk, T *dv,
                               const tk_cuda_attention &p) {
    TK_DYNAMIC_SHARED(memory);
    const int PER_ROWS = ATTENTION_ROWS * HEAD, PER_COLUMNS = ATTENTION_COLUMNS * HEAD, N = ATTENTION_COLUMNS / 8;
    T *one = (T *)memory, *two = one + PER_ROWS, *others = two + PER_ROWS;   // then two stages of both kinds of columns
    int rows = (int)(KEYS ? p.keys : p.queries), columns = (int)(KEYS ? p.queries : p.keys), heads = (int)(KEYS ? p.kv_heads : p.heads);
    int blocks = (rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS, row = blockIdx.x % blocks * ATTENTION_ROWS, head = blockIdx.x / blocks;
    int b = head / heads, h = head % heads, group = (int)(p.heads / p.kv_heads), kv = KEYS ? h : h / group;
    int lane = threadIdx.x % 32, row0 = threadIdx.x / 32 * 16, dim = (int)p.dim, width = (int)p.value_dim, from, to;
    const T *key = k + b * p.k[0] + kv * p.k[1], *value = v + b * p.v[0] + kv * p.v[1];
    const sight sees(p);
    if (KEYS) queries_seen(p, row, row + ATTENTION_ROWS - 1, from, to);
    else keys_seen(p, row, row + ATTENTION_ROWS - 1, from, to);
    from = from / ATTENTION_COLUMNS * ATTENTION_COLUMNS;
    int parts = to > from ? (to - from + ATTENTION_COLUMNS - 1) / ATTENTION_COLUMNS : 0, steps = KEYS ? parts * group : parts;
    fetch_rows<T, ATTENTION_ROWS, HEAD>(one, KEYS ? key : q + b * p.q[0] + h * p.q[1], KEYS ? p.k[2] : p.q[2], row, rows, dim);
    fetch_rows<T, ATTENTION_ROWS, HEAD>(two, KEYS ? value : g + b * p.g[0] + h * p.g[1], KEYS ? p.v[2] : p.g[2], row, rows, width);
    auto fetch = [&](int step) {
        if (step < steps) {
            T *to = others + step % 2 * 2 * PER_COLUMNS;
            int c0 = from + step % parts * ATTENTION_COLUMNS, at = h * group + step / parts;   // the head of the queries
            fetch_rows<T, ATTENTION_COLUMNS, HEAD>(to, KEYS ? q + b * p.q[0] + at * p.q[1] : key, KEYS ? p.q[2] : p.k[2], c0, columns, dim);
            fetch_rows<T, ATTENTION_COLUMNS, HEAD>(to + PER_COLUMNS, KEYS ? g + b * p.g[0] + at * p.g[1] : value, KEYS ? p.g[2] : p.v[2], c0, columns,
                                                   width);
        }
        tk_copy_commit();
    };
    fetch(0);
    float first[HEAD / 8][4], second[KEYS ? HEAD / 8 : 1][4], scale = (float)p.scale;
    clear(first);
    clear(second);
    for (int step = 0; step < steps; step++) {
        fetch(step + 1);
        tk_copy_wait<1>();
        __syncthreads();
        const T *other = others + step % 2 * 2 * PER_COLUMNS;
        int c0 = from + step % parts * ATTENTION_COLUMNS, at = b * (int)p.heads + (KEYS ? h * group + step / parts : h);
        float weight[N][4], slope[N][4];
        clear(weight);
        clear(slope);
        multiply_rows<T, HEAD, N>(weight, one, row0, other);
        multiply_rows<T, HEAD, N>(slope, two, row0, other + PER_COLUMNS);
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int r = row + row0 + lane / 4 + e / 2 * 8, c = c0 + n * 8 + lane % 4 * 2 + e % 2, i = KEYS ? c : r, j = KEYS ? r : c;
                bool seen = sees(i, j);
                long long place = (long long)at * p.queries + i;
                float w = seen ? tk_exp2((weight[n][e] * scale - lse[place]) * 1.4426950408889634074f) : 0.0f;
                slope[n][e] = seen ? w * (slope[n][e] - delta[place]) * scale : 0.0f;
                weight[n][e] = w;
            }
        multiply_weights<T, HEAD, N>(first, slope, other);
        if constexpr (KEYS) multiply_weights<T, HEAD, N>(second, weight, other + PER_COLUMNS);
        __syncthreads();   // before these columns are overwritten
    }
    tk_copy_wait<0>();
    if constexpr (KEYS) {
        store_rows<T, HEAD>(dk + b * p.dk[0] + h * p.dk[1], p.dk[2], row + row0, rows, dim, [&](int d, int e) { return first[d][e]; }, 1, 1);
        store_rows<T, HEAD>(dv + b * p.dv[0] + h * p.dv[1], p.dv[2], row + row0, rows, width, [&](int d, int e) { return second[d][e]; }, 1, 1);
    } else {
        store_rows<T, HEAD>(dq + b * p.dq[0] + h * p.dq[1], p.dq[2], row + row0, rows, dim, [&](int d, int e) { return first[d][e]; }, 1, 1);
    }
}

#define FLASH_ATTENTION(T, S, HEAD)                                                                                                          \
    TK_KERNEL(ATTENTION_THREADS) tk_flash_attention_##HEAD##_##S(const T *q, const T *k, const T *v, T *out, float *lse, tk_cuda_attention p) { \
        flash_attention<T, HEAD>(q, k, v, out, lse, p);                                                                                      \
    }                                                                                                                                        \
    TK_EXPORT(tk_flash_attention_##HEAD##_##S)                                                                                               \
    TK_KERNEL(ATTENTION_THREADS) tk_flash_gradients_keys_##HEAD##_##S(const T *q, const T *k, const T *v, const T *g, const float *lse,        \
                                                                      const float *delta, T *dk, T *dv, tk_cuda_attention p) {               \
        flash_gradients<T, HEAD, true>(q, k, v, g, lse, delta, 0, dk, dv, p);                                                                \
    }                                                                                                                                        \
    TK_EXPORT(tk_flash_gradients_keys_##HEAD##_##S)                                                                                          \
    TK_KERNEL(ATTENTION_THREADS) tk_flash_gradients_queries_##HEAD##_##S(const T *q, const T *k, const T *v, const T *g, const float *lse,     \
                                                                         const float *delta, T *dq, tk_cuda_attention p) {                   \
        flash_gradients<T, HEAD, false>(q, k, v, g, lse, delta, dq, 0, 0, p);                                                                \
    }                                                                                                                                        \
    TK_EXPORT(tk_flash_gradients_queries_##HEAD##_##S)
#define FLASH_ATTENTION_HEADS(T, S) FLASH_ATTENTION(T, S, 64) FLASH_ATTENTION(T, S, 128)
FLASH_ATTENTION_HEADS(tk_bfloat, bf16)
FLASH_ATTENTION_HEADS(tk_half, f16)
#undef FLASH_ATTENTION_HEADS
#undef FLASH_ATTENTION
