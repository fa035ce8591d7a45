// Connectionist temporal classification: forward variables, loss and gradient, one task per sequence.
#include <math.h>

#include "levels.h"

typedef struct {
    const tk_ctc_shape *s;
    const char *log_probs;
    char *alpha, *loss, *dx;
    const char *g;
    bool zero_infinity;
} ctc_context;

// The extended labels: blanks before, between and after those of the target.
static inline int64_t label_at(const tk_ctc_shape *s, const int64_t *target, int64_t i) {
    return i % 2 == 0 ? s->blank : target[i / 2];
}

#define DEFINE_CTC(T, SUFFIX, EXP, LOG)                                                                          \
    static inline T add3_##SUFFIX(T a, T b, T c) {                                                               \
        T top = a > b ? a : b;                                                                                   \
        top = top > c ? top : c;                                                                                 \
        if (top == -INFINITY) return top;                                                                        \
        return LOG(EXP(a - top) + EXP(b - top) + EXP(c - top)) + top;                                            \
    }                                                                                                            \
    static void ctc_forward_##SUFFIX(void *context, int64_t n) {                                                 \
        const ctc_context *c = context;                                                                          \
        const tk_ctc_shape *s = c->s;                                                                            \
        const int64_t *target = s->targets + s->target_offsets[n];                                               \
        int64_t steps = s->input_lengths[n], states = 2 * s->target_lengths[n] + 1, row = s->batch * s->classes; \
        const T *x = (const T *)c->log_probs + n * s->classes;                                                   \
        T *alpha = (T *)c->alpha + n * s->time * s->max_states, *loss = (T *)c->loss + n;                        \
        if (steps == 0) { *loss = states == 1 ? 0 : INFINITY; return; }                                          \
        for (int64_t i = 0; i < states; i++) alpha[i] = i < 2 ? x[label_at(s, target, i)] : -INFINITY;           \
        for (int64_t t = 1; t < steps; t++) {                                                                    \
            const T *old = alpha + (t - 1) * s->max_states;                                                      \
            T *now = alpha + t * s->max_states;                                                                  \
            for (int64_t i = 0; i < states; i++) {                                                               \
                int64_t label = label_at(s, target, i);                                                          \
                bool skips = i > 1 && label != label_at(s, target, i - 2);                                       \
                now[i] = add3_##SUFFIX(old[i], i > 0 ? old[i - 1] : -INFINITY, skips ? old[i - 2] : -INFINITY)   \
                    + x[t * row + label];                                                                        \
            }                                                                                                    \
        }                                                                                                        \
        const T *last = alpha + (steps - 1) * s->max_states;                                                     \
        *loss = -add3_##SUFFIX(last[states - 1], states > 1 ? last[states - 2] : -INFINITY, -INFINITY);          \
    }                                                                                                            \
    static void ctc_backward_##SUFFIX(void *context, int64_t n) {                                                \
        const ctc_context *c = context;                                                                          \
        const tk_ctc_shape *s = c->s;                                                                            \
        const int64_t *target = s->targets + s->target_offsets[n];                                               \
        int64_t steps = s->input_lengths[n], states = 2 * s->target_lengths[n] + 1, row = s->batch * s->classes; \
        const T *x = (const T *)c->log_probs + n * s->classes, g = ((const T *)c->g)[n];                         \
        T *alpha = (T *)c->alpha + n * s->time * s->max_states, *dx = (T *)c->dx + n * s->classes;               \
        T nll = ((const T *)c->loss)[n];                                                                         \
        if (c->zero_infinity && nll == INFINITY) return;                                                         \
        T *beta = tk_alloc(2 * states * sizeof(T));                                                              \
        for (int64_t t = steps - 1; t >= 0; t--) {                                                               \
            T *now = beta + (t % 2) * states, *next = beta + ((t + 1) % 2) * states, *d = dx + t * row;          \
            for (int64_t k = 0; k < s->classes; k++) d[k] = -INFINITY;                                           \
            for (int64_t i = 0; i < states; i++) {                                                               \
                int64_t label = label_at(s, target, i);                                                          \
                T way;                                                                                           \
                if (t == steps - 1) way = i >= states - 2 ? 0 : -INFINITY;                                       \
                else {                                                                                           \
                    bool skips = i + 2 < states && label != label_at(s, target, i + 2);                          \
                    way = add3_##SUFFIX(next[i], i + 1 < states ? next[i + 1] : -INFINITY,                       \
                                        skips ? next[i + 2] : -INFINITY);                                        \
                }                                                                                                \
                now[i] = way + x[t * row + label];                                                               \
                d[label] = add3_##SUFFIX(d[label], alpha[t * s->max_states + i] + now[i], -INFINITY);            \
            }                                                                                                    \
            for (int64_t k = 0; k < s->classes; k++) {                                                           \
                T p = x[t * row + k];                                                                            \
                T share = d[k] == -INFINITY && nll != INFINITY ? 0 : EXP(d[k] + nll - p);                        \
                d[k] = (EXP(p) - share) * g;                                                                     \
            }                                                                                                    \
        }                                                                                                        \
        tk_free(beta, 2 * states * sizeof(T));                                                                   \
    }

DEFINE_CTC(float, f32, expf, logf)
DEFINE_CTC(double, f64, exp, log)

void tk_ctc(int dtype, const tk_ctc_shape *s, const void *log_probs, void *alpha, void *loss) {
    ctc_context c = {s, log_probs, alpha, loss, 0, 0, false};
    tk_parallel(s->batch, dtype == TK_F32 ? ctc_forward_f32 : ctc_forward_f64, &c);
}

void tk_ctc_grad(int dtype, const tk_ctc_shape *s, const void *log_probs, const void *alpha, const void *loss, const void *g,
                 bool zero_infinity, void *dx) {
    ctc_context c = {s, log_probs, (char *)alpha, (char *)loss, dx, g, zero_infinity};
    tk_parallel(s->batch, dtype == TK_F32 ? ctc_backward_f32 : ctc_backward_f64, &c);
}
