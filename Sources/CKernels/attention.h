// What the files of attention share.
#ifndef TAPESTRY_ATTENTION_H
#define TAPESTRY_ATTENTION_H
#include "CKernels.h"

typedef struct { int64_t low, high; } tk_key_range;

/// The keys that the query at position i sees by its place alone: low ..< high, both growing with i.
static inline tk_key_range tk_visible_keys(const tk_attention_shape *s, int64_t i) {
    int64_t at = i + s->position;
    tk_key_range r = { 0, s->kv_len };
    if (s->causal && at + 1 < r.high) r.high = at + 1;
    if (s->window > 0) {
        if (at - s->window + 1 > r.low) r.low = at - s->window + 1;
        if (at + s->window < r.high) r.high = at + s->window;
    }
    if (r.low > s->kv_len) r.low = s->kv_len;
    if (r.high < r.low) r.high = r.low;
    return r;
}

/// Whether scores are changed by more than the scale before the softmax.
static inline bool tk_changes_scores(const tk_attention_shape *s) { return s->soft_cap > 0 || s->slopes || s->mask; }

/// The key of the stream that dropout draws from: kept weights have word j % 4 of counter (j / 4, i, batch · heads + head, 0) at or
/// above the threshold.
static inline void tk_dropout_key(const tk_attention_shape *s, uint32_t key[2]) {
    uint32_t seed[2] = { (uint32_t)s->seed, (uint32_t)(s->seed >> 32) }, words[4];
    uint32_t counter[4] = { (uint32_t)s->offset, (uint32_t)(s->offset >> 32), 0, 0 };
    tk_philox4x32(counter, seed, words);
    key[0] = words[0];
    key[1] = words[1];
}
static inline uint32_t tk_dropout_threshold(const tk_attention_shape *s) {
    double t = s->dropout * 4294967296.0;
    return t >= 4294967295.0 ? 4294967295u : (uint32_t)t;
}

/// Scratch of this size, or the end with a message.
void *tk_attention_scratch(size_t bytes);

#if defined(__x86_64__)
// attention_avx512.c, attention_avx512_few.c, attention_avx512_grad.c; f32, f16 and bf16.
void tk_attention_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, float *lse);
/// The same for a few queries, and when that is the faster way.
bool tk_attention_wants_few(const tk_attention_shape *s);
void tk_attention_few_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, float *lse);
void tk_attention_grad_avx512(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, const void *out,
                              const float *lse, const void *dout, tk_attention_strides dout_strides, void *dq,
                              tk_attention_strides dq_strides, void *dk, tk_attention_strides dk_strides, void *dv,
                              tk_attention_strides dv_strides);
#endif
#endif
