// module: hopper_sm90a
// Attention of float16 and bfloat16 on sm_90 (Shah et al., "FlashAttention-3", 2024). A block has 128 rows, 64 to each of two groups of four
// warps, which multiply straight from shared memory; a third group has the other side's tiles copied there, a stage ahead. Weights are
// factors of the next product in the registers where they were made, and are made while products run. As in attention_tensor.cu, a
// running maximum and sum in float32, and gradients in two passes (of keys and values by blocks of keys, of queries by blocks of queries), so that
// every sum has one order. The scale of scores is greater than 0.
#include "attention_tiles.cuh"
#include "hopper_tiles.cuh"

/// Rows of a block; keys of a tile of the forward pass, and how many such tiles there are; columns of a tile of the gradients, and how many.
enum { PAIR_ROWS = 128, KEY_TILE = 128, KEY_STAGES = 2, GRADIENT_TILE = 64, GRADIENT_STAGES = 3, BOX_64 = 64 * HOPPER_ROW };

/// ROWS rows of HEAD elements to shared memory, in boxes of 64 × 64 one below the other, then the next 64 columns; zeros for what is outside.
template <int ROWS, int HEAD> TK_DEVICE void copy_rows(unsigned char *to, const tk_tensor_map &map, int row0, int head, int batch, tk_barrier *barrier) {
#pragma unroll
    for (int column = 0; column < HEAD; column += 64)
#pragma unroll
        for (int row = 0; row < ROWS; row += 64)
            tk_copy_box(to + (column / 64 * ROWS + row) * HOPPER_ROW, map, column, row0 + row, head, batch, barrier);
}

/// Begins sum [64, N] = the 64 rows at `rows` · the N rows of `columns`, transposed; the boxes of both are so many bytes apart.
template <class T, int HEAD, int N> TK_DEVICE void begin_scores(float (&sum)[N], const unsigned char *rows, int rows_box, const unsigned char *columns,
                                                                int columns_box) {
    multiply_boxes<false, false, false>(sum, factor_at<false>(rows, 0, rows_box), factor_at<false>(columns, 0, columns_box), T());
#pragma unroll
    for (int k = 16; k < HEAD; k += 16)
        multiply_boxes<false, false>(sum, factor_at<false>(rows, k, rows_box), factor_at<false>(columns, k, columns_box), T());
}
/// Begins sum [64, HEAD] += weights [64, 16 N] · the 16 N rows of `others`.
template <class T, int SUMS, int N> TK_DEVICE void begin_weighted(float (&sum)[SUMS], const unsigned (&weights)[N][4], const unsigned char *others, int box) {
#pragma unroll
    for (int n = 0; n < N; n++) multiply_held<true>(sum, weights[n], factor_at<true>(others, n * 16, box), T());
}
/// Sums of one product as factors of the next.
template <class T, int SUMS> TK_DEVICE void pack_weights(unsigned (&weights)[SUMS / 8][4], const float (&sum)[SUMS]) {
#pragma unroll
    for (int n = 0; n < SUMS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) weights[n][e] = packed(sum[n * 8 + e * 2], sum[n * 8 + e * 2 + 1], T());
}

template <class T, int HEAD>
TK_DEVICE void hopper_attention(const tk_tensor_map &q, const tk_tensor_map &k, const tk_tensor_map &v, T *out, float *lse, const tk_cuda_attention &p) {
    TK_DYNAMIC_SHARED(memory);
    const int TILE = KEY_TILE * HEAD * 2, BOX = KEY_TILE * HOPPER_ROW, SUMS = KEY_TILE / 2;
    unsigned char *queries = memory, *keys = queries + TILE, *values = keys + KEY_STAGES * TILE;
    tk_barrier *ready = (tk_barrier *)(values + KEY_STAGES * TILE), *keys_there = ready + 1, *values_there = keys_there + KEY_STAGES,
               *keys_free = values_there + KEY_STAGES, *values_free = keys_free + KEY_STAGES;
    if (threadIdx.x == 0) {
        tk_barrier_start(ready, 1);
        for (int stage = 0; stage < KEY_STAGES; stage++) {
            tk_barrier_start(keys_there + stage, 1);
            tk_barrier_start(values_there + stage, 1);
            tk_barrier_start(keys_free + stage, 8);   // the warps that multiply
            tk_barrier_start(values_free + stage, 8);
        }
        tk_barriers_started();
    }
    __syncthreads();
    int blocks = (int)((p.queries + PAIR_ROWS - 1) / PAIR_ROWS), head = blockIdx.x / blocks;
    int i0 = (blocks - 1 - (int)blockIdx.x % blocks) * PAIR_ROWS;   // those with the most keys first
    int b = head / (int)p.heads, h = head % (int)p.heads, from, to;
    keys_seen(p, i0, i0 + PAIR_ROWS - 1, from, to);
    int steps = to > from ? (to - from + KEY_TILE - 1) / KEY_TILE : 0;
    if (threadIdx.x < 128) {
        tk_release_registers<24>();
        if (threadIdx.x != 0 || steps == 0) return;
        int kv = h / (int)(p.heads / p.kv_heads);
        tk_barrier_expect(ready, TILE);
        copy_rows<PAIR_ROWS, HEAD>(queries, q, i0, h, b, ready);
        for (int step = 0; step < steps; step++) {
            int stage = step % KEY_STAGES, free = step / KEY_STAGES % 2 ^ 1;   // at first there is nothing to wait for
            tk_barrier_wait(keys_free + stage, free);
            tk_barrier_expect(keys_there + stage, TILE);
            copy_rows<KEY_TILE, HEAD>(keys + stage * TILE, k, from + step * KEY_TILE, kv, b, keys_there + stage);
            tk_barrier_wait(values_free + stage, free);
            tk_barrier_expect(values_there + stage, TILE);
            copy_rows<KEY_TILE, HEAD>(values + stage * TILE, v, from + step * KEY_TILE, kv, b, values_there + stage);
        }
        return;
    }
    tk_claim_registers<240>();
    int group = threadIdx.x / 128 - 1, lane = threadIdx.x % 32, row = i0 + (threadIdx.x / 32 - 4) * 16 + lane / 4;
    const unsigned char *own = queries + group * BOX_64;
    const sight sees(p);
    float total[HEAD / 2], score[SUMS], high[2], sum[2] = {0, 0}, scale = (float)(p.scale * 1.4426950408889634074);   // powers of two are cheaper
    unsigned weights[SUMS / 8][4];
    high[0] = high[1] = -tk_infinity(0.0f);
#pragma unroll
    for (int e = 0; e < HEAD / 2; e++) total[e] = 0;
    // Scores of the keys from j0 on become weights, up to the factor that the sums before are to have.
    auto weigh = [&](int j0, float (&factor)[2]) {
        int last = i0 + group * 64 + sees.position;   // what the first query of this group sees last
        bool edge = j0 + KEY_TILE > sees.keys || sees.window > 0 || (sees.causal && j0 + KEY_TILE - 1 > last);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float most = high[half];
#pragma unroll
            for (int n = 0; n < SUMS / 4; n++)
#pragma unroll
                for (int e = n * 4 + half * 2; e < n * 4 + half * 2 + 2; e++) {
                    if (edge && !sees(row + half * 8, j0 + n * 8 + lane % 4 * 2 + e % 2)) score[e] = -tk_infinity(0.0f);
                    most = fmaxf(most, score[e]);
                }
            most = fmaxf(most, tk_shuffle_xor(most, 1));
            most = fmaxf(most, tk_shuffle_xor(most, 2));
            float base = most == -tk_infinity(0.0f) ? 0.0f : most * scale;
            factor[half] = tk_exp2(high[half] * scale - base);
            high[half] = most;
            sum[half] *= factor[half];
#pragma unroll
            for (int n = 0; n < SUMS / 4; n++)
#pragma unroll
                for (int e = n * 4 + half * 2; e < n * 4 + half * 2 + 2; e++) {
                    score[e] = tk_exp2(score[e] * scale - base);
                    sum[half] += score[e];
                }
        }
    };
    if (steps > 0) {
        float factor[2];
        tk_barrier_wait(ready, 0);
        tk_barrier_wait(keys_there, 0);
        tk_products_begin();
        begin_scores<T, HEAD>(score, own, BOX, keys, BOX);
        tk_products_commit();
        tk_products_wait<0>();
        tk_products_done(score);
        if (lane == 0) tk_barrier_arrive(keys_free);
        weigh(from, factor);
        pack_weights<T>(weights, score);
        for (int step = 1; step < steps; step++) {
            int stage = step % KEY_STAGES, before = (step - 1) % KEY_STAGES;
            tk_barrier_wait(values_there + before, (step - 1) / KEY_STAGES % 2);   // they were asked for before the keys
            tk_barrier_wait(keys_there + stage, step / KEY_STAGES % 2);
            tk_products_begin();
            begin_scores<T, HEAD>(score, own, BOX, keys + stage * TILE, BOX);
            tk_products_commit();
            begin_weighted<T>(total, weights, values + before * TILE, BOX);
            tk_products_commit();
            tk_products_wait<1>();
            tk_products_done(score);
            if (lane == 0) tk_barrier_arrive(keys_free + stage);
            weigh(from + step * KEY_TILE, factor);   // while values are summed
            tk_products_wait<0>();
            tk_products_done(total);
            if (lane == 0) tk_barrier_arrive(values_free + before);
#pragma unroll
            for (int e = 0; e < HEAD / 2; e++) total[e] *= factor[e / 2 % 2];
            pack_weights<T>(weights, score);
        }
        int stage = (steps - 1) % KEY_STAGES;
        tk_barrier_wait(values_there + stage, (steps - 1) / KEY_STAGES % 2);
        tk_products_begin();
        begin_weighted<T>(total, weights, values + stage * TILE, BOX);
        tk_products_commit();
        tk_products_wait<0>();
        tk_products_done(total);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        sum[half] += tk_shuffle_xor(sum[half], 1);
        sum[half] += tk_shuffle_xor(sum[half], 2);
        int i = row + half * 8;
        if (lane % 4 == 0 && i < p.queries)
            lse[head * p.queries + i] = sum[half] == 0 ? -tk_infinity(0.0f) : (high[half] * scale + log2(sum[half])) * 0.69314718055994530942f;
        sum[half] = sum[half] == 0 ? 0.0f : 1.0f / sum[half];
    }
    store_rows<T, HEAD>(out + b * p.out[0] + h * p.out[1], p.out[2], row - lane / 4, (int)p.queries, (int)p.value_dim,
                        [&](int d, int e) { return total[d * 4 + e]; }, sum[0], sum[1]);
}

/// The gradients of 128 rows: of keys and values, over all queries, or of queries, over all keys. `one` is k or q and belongs to the scores,
/// `two` is v or g and belongs to the gradients of the weights; the others come 64 at a time, and where they are queries, with their
/// logarithms and deltas.
template <class T, int HEAD, bool KEYS>
TK_DEVICE void hopper_gradients(const tk_tensor_map &q, const tk_tensor_map &k, const tk_tensor_map &v, const tk_tensor_map &g, const float *lse,
                               const float *delta, T *dq, T *dk, T *dv, const tk_cuda_attention &p) {
    TK_DYNAMIC_SHARED(memory);
    const int TILE = PAIR_ROWS * HEAD * 2, BOX = PAIR_ROWS * HOPPER_ROW, OTHER = GRADIENT_TILE * HEAD * 2, STAGES = GRADIENT_STAGES;
    unsigned char *one = memory, *two = one + TILE, *others = two + TILE;   // then stages of both kinds of columns
    float *facts = (float *)(others + STAGES * 2 * OTHER);                   // and of logarithms and deltas
    tk_barrier *ready = (tk_barrier *)(facts + STAGES * 2 * GRADIENT_TILE), *there = ready + 1, *free = there + STAGES;
    if (threadIdx.x == 0) {
        tk_barrier_start(ready, 1);
        for (int stage = 0; stage < STAGES; stage++) {
            tk_barrier_start(there + stage, KEYS ? 33 : 1);
            tk_barrier_start(free + stage, 8);
        }
        tk_barriers_started();
    }
    __syncthreads();
    int rows = (int)(KEYS ? p.keys : p.queries), columns = (int)(KEYS ? p.queries : p.keys), heads = (int)(KEYS ? p.kv_heads : p.heads);
    int blocks = (rows + PAIR_ROWS - 1) / PAIR_ROWS, place = (int)blockIdx.x % blocks, head = blockIdx.x / blocks;
    int first_row = (KEYS ? place : blocks - 1 - place) * PAIR_ROWS;   // under a causal mask, those with the most others first
    int b = head / heads, h = head % heads, each = (int)(p.heads / p.kv_heads), from, to;
    if (KEYS) queries_seen(p, first_row, first_row + PAIR_ROWS - 1, from, to);
    else keys_seen(p, first_row, first_row + PAIR_ROWS - 1, from, to);
    int parts = to > from ? (to - from + GRADIENT_TILE - 1) / GRADIENT_TILE : 0, steps = KEYS ? parts * each : parts;
    if (threadIdx.x < 128) {
        tk_release_registers<24>();
        if (steps == 0) return;
        int kv = KEYS ? h : h / each, lane = threadIdx.x % 32;
        if (threadIdx.x == 0) {
            tk_barrier_expect(ready, 2 * TILE);
            copy_rows<PAIR_ROWS, HEAD>(one, KEYS ? k : q, first_row, h, b, ready);
            copy_rows<PAIR_ROWS, HEAD>(two, KEYS ? v : g, first_row, h, b, ready);
        }
        if (threadIdx.x != 0 && (!KEYS || threadIdx.x / 32 != 1)) return;
        for (int step = 0; step < steps; step++) {
            int stage = step % STAGES, c0 = from + step % parts * GRADIENT_TILE, at = KEYS ? h * each + step / parts : kv;
            tk_barrier_wait(free + stage, step / STAGES % 2 ^ 1);
            if (threadIdx.x == 0) {
                unsigned char *to = others + stage * 2 * OTHER;
                tk_barrier_expect(there + stage, 2 * OTHER);
                copy_rows<GRADIENT_TILE, HEAD>(to, KEYS ? q : k, c0, at, b, there + stage);
                copy_rows<GRADIENT_TILE, HEAD>(to + OTHER, KEYS ? g : v, c0, at, b, there + stage);
            } else {   // the second warp, for its part of the facts
                float *to = facts + stage * 2 * GRADIENT_TILE;
                for (int c = lane; c < GRADIENT_TILE; c += 32) {
                    bool inside = c0 + c < columns;
                    long long from = (b * p.heads + at) * p.queries + c0 + c;
                    to[c] = inside ? lse[from] * 1.4426950408889634074f : 0.0f;
                    to[GRADIENT_TILE + c] = inside ? delta[from] : 0.0f;
                }
                tk_barrier_arrive(there + stage);
            }
        }
        return;
    }
    tk_claim_registers<240>();
    int group = threadIdx.x / 128 - 1, lane = threadIdx.x % 32, row = first_row + (threadIdx.x / 32 - 4) * 16 + lane / 4;
    const unsigned char *own = one + group * BOX_64, *second_own = two + group * BOX_64;
    const sight sees(p);
    float first[HEAD / 2], second[KEYS ? HEAD / 2 : 1], weight[GRADIENT_TILE / 2], slope[GRADIENT_TILE / 2], scale = (float)p.scale;
    float power = (float)(p.scale * 1.4426950408889634074), fact[2][2] = {};
    unsigned weights[GRADIENT_TILE / 16][4], slopes[GRADIENT_TILE / 16][4];
#pragma unroll
    for (int e = 0; e < HEAD / 2; e++) first[e] = 0;
#pragma unroll
    for (int e = 0; e < (KEYS ? HEAD / 2 : 1); e++) second[e] = 0;
    if (!KEYS) {
#pragma unroll
        for (int half = 0; half < 2; half++)
            if (row + half * 8 < rows) {
                long long at = head * p.queries + row + half * 8;
                fact[half][0] = lse[at] * 1.4426950408889634074f;
                fact[half][1] = delta[at];
            }
    }
    if (steps > 0) tk_barrier_wait(ready, 0);
    for (int step = 0; step < steps; step++) {
        int stage = step % STAGES, c0 = from + step % parts * GRADIENT_TILE;
        const unsigned char *other = others + stage * 2 * OTHER;
        const float *known = facts + stage * 2 * GRADIENT_TILE + lane % 4 * 2;
        tk_barrier_wait(there + stage, step / STAGES % 2);
        tk_products_begin();
        begin_scores<T, HEAD>(weight, own, BOX, other, BOX_64);
        tk_products_commit();
        begin_scores<T, HEAD>(slope, second_own, BOX, other + OTHER, BOX_64);
        tk_products_commit();
        tk_products_wait<1>();
        tk_products_done(weight);
        int near = first_row + group * 64 + (KEYS ? 63 : sees.position), far = KEYS ? c0 + sees.position : c0 + GRADIENT_TILE - 1;
        bool edge = c0 + GRADIENT_TILE > columns || sees.window > 0 || (sees.causal && (KEYS ? far < near : far > near));
#pragma unroll
        for (int e = 0; e < GRADIENT_TILE / 2; e++) {
            int c = e / 4 * 8 + e % 2, r = row + e / 2 % 2 * 8, across = c0 + c + lane % 4 * 2;
            float power_of_sum = KEYS ? known[c] : fact[e / 2 % 2][0];
            weight[e] = tk_exp2(weight[e] * power - power_of_sum);
            if (edge && !(KEYS ? sees(across, r) : sees(r, across))) weight[e] = 0;
        }
        if constexpr (KEYS) {
            pack_weights<T>(weights, weight);
            tk_products_begin();
            begin_weighted<T>(second, weights, other + OTHER, BOX_64);
            tk_products_commit();
            tk_products_wait<1>();   // for the slopes, not for this
        } else {
            tk_products_wait<0>();
        }
        tk_products_done(slope);
#pragma unroll
        for (int e = 0; e < GRADIENT_TILE / 2; e++) {
            float change = slope[e] - (KEYS ? known[GRADIENT_TILE + e / 4 * 8 + e % 2] : fact[e / 2 % 2][1]);
            slope[e] = weight[e] == 0 ? 0.0f : weight[e] * change * scale;   // where a query sees nothing, its logarithm is infinite
        }
        pack_weights<T>(slopes, slope);
        tk_products_begin();
        begin_weighted<T>(first, slopes, other, BOX_64);
        tk_products_commit();
        tk_products_wait<0>();
        tk_products_done(first);
        if constexpr (KEYS) tk_products_done(second);
        if (lane == 0) tk_barrier_arrive(free + stage);
    }
    auto firsts = [&](int d, int e) { return first[d * 4 + e]; };
    int row0 = row - lane / 4;
    if constexpr (KEYS) {
        store_rows<T, HEAD>(dk + b * p.dk[0] + h * p.dk[1], p.dk[2], row0, rows, (int)p.dim, firsts, 1, 1);
        store_rows<T, HEAD>(dv + b * p.dv[0] + h * p.dv[1], p.dv[2], row0, rows, (int)p.value_dim, [&](int d, int e) { return second[d * 4 + e]; }, 1, 1);
    } else {
        store_rows<T, HEAD>(dq + b * p.dq[0] + h * p.dq[1], p.dq[2], row0, rows, (int)p.dim, firsts, 1, 1);
    }
}

#define HOPPER_ATTENTION(T, S, HEAD)                                                                                                         \
    TK_KERNEL(384)                                                                                                                          \
    tk_hopper_attention_##HEAD##_##S(TK_TENSOR_MAP q, TK_TENSOR_MAP k, TK_TENSOR_MAP v, T *out, float *lse, tk_cuda_attention p) {            \
        hopper_attention<T, HEAD>(q, k, v, out, lse, p);                                                                                     \
    }                                                                                                                                       \
    TK_EXPORT(tk_hopper_attention_##HEAD##_##S)                                                                                              \
    TK_KERNEL(384)                                                                                                                          \
    tk_hopper_gradients_keys_##HEAD##_##S(TK_TENSOR_MAP q, TK_TENSOR_MAP k, TK_TENSOR_MAP v, TK_TENSOR_MAP g, const float *lse,              \
                                         const float *delta, T *dk, T *dv, tk_cuda_attention p) {                                           \
        hopper_gradients<T, HEAD, true>(q, k, v, g, lse, delta, 0, dk, dv, p);                                                               \
    }                                                                                                                                       \
    TK_EXPORT(tk_hopper_gradients_keys_##HEAD##_##S)                                                                                         \
    TK_KERNEL(384)                                                                                                                          \
    tk_hopper_gradients_queries_##HEAD##_##S(TK_TENSOR_MAP q, TK_TENSOR_MAP k, TK_TENSOR_MAP v, TK_TENSOR_MAP g, const float *lse,           \
                                            const float *delta, T *dq, tk_cuda_attention p) {                                               \
        hopper_gradients<T, HEAD, false>(q, k, v, g, lse, delta, dq, 0, 0, p);                                                               \
    }                                                                                                                                       \
    TK_EXPORT(tk_hopper_gradients_queries_##HEAD##_##S)
#define HOPPER_ATTENTION_HEADS(T, S) HOPPER_ATTENTION(T, S, 64) HOPPER_ATTENTION(T, S, 128)
HOPPER_ATTENTION_HEADS(tk_bfloat, bf16)
HOPPER_ATTENTION_HEADS(tk_half, f16)
#undef HOPPER_ATTENTION_HEADS
#undef HOPPER_ATTENTION_ATTENTION
