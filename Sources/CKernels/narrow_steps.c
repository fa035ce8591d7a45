// Optimizer sweeps of 16-bit parameters: widened a tile at a time, updated in float by the sweep of that type, and rounded.
#include <string.h>

#include "levels.h"

enum { TILE = 2048 };   // a multiple of 128, as stochastic rounding wants

typedef struct {
    const tk_narrowing *w;
    char *p;
    const char *g;
    float *a, *b, *c;
    int rule;
    const void *options;
    void (*step)(const void *self, float *p, const float *g, float *a, float *b, float *c, int64_t n);
} narrow_context;

#define AT(field) (s->field ? s->field + i : 0)

static void narrow_range(void *x, int64_t low, int64_t high) {
    const narrow_context *s = x;
    const tk_narrowing *w = s->w;
    const tk_level *l = tk_current_level();
    uint16_t *p = (uint16_t *)s->p, *rest = w->compensation;
    for (int64_t i = low; i < high; i += TILE) {
        float wide[TILE], gradient[TILE], back[TILE];
        int64_t n = high - i < TILE ? high - i : TILE;
        l->half_to_float(w->dtype, p + i, wide, n);
        if (w->rounding == TK_ROUND_COMPENSATED) {
            l->half_to_float(w->dtype, rest + i, back, n);
            for (int64_t k = 0; k < n; k++) wide[k] += back[k];
        }
        const float *g = (const float *)s->g + i;
        if (w->gradient_dtype != TK_F32) {
            l->half_to_float(w->gradient_dtype, (const uint16_t *)s->g + i, gradient, n);
            g = gradient;
        }
        s->step(s, wide, g, AT(a), AT(b), AT(c), n);
        if (w->rounding == TK_ROUND_STOCHASTIC) {
            l->round_stochastically(w->dtype, w->seed, w->offset, i, wide, p + i, n);
            continue;
        }
        l->float_to_half(w->dtype, wide, p + i, n);
        if (w->rounding == TK_ROUND_COMPENSATED) {
            l->half_to_float(w->dtype, p + i, back, n);
            for (int64_t k = 0; k < n; k++) wide[k] -= back[k];
            l->float_to_half(w->dtype, wide, rest + i, n);
        }
    }
}

static void run(narrow_context s, int64_t n) { tk_parallel_ranges(n, TK_GRAIN, narrow_range, &s); }

static void sgd_step(const void *self, float *p, const float *g, float *a, float *b, float *c, int64_t n) {
    (void)b, (void)c;
    tk_sgd(TK_F32, p, g, a, n, ((const narrow_context *)self)->options);
}
static void adam_step(const void *self, float *p, const float *g, float *a, float *b, float *c, int64_t n) {
    tk_adam(TK_F32, p, g, a, b, c, n, ((const narrow_context *)self)->options);
}
static void rmsprop_step(const void *self, float *p, const float *g, float *a, float *b, float *c, int64_t n) {
    tk_rmsprop(TK_F32, p, g, a, b, c, n, ((const narrow_context *)self)->options);
}
static void rule_step(const void *self, float *p, const float *g, float *a, float *b, float *c, int64_t n) {
    (void)c;
    const narrow_context *s = self;
    tk_sweep(s->rule, TK_F32, p, g, a, b, n, s->options);
}

void tk_narrow_sgd(const tk_narrowing *w, void *p, const void *g, float *momentum, int64_t n, const tk_sgd_options *o) {
    run((narrow_context){w, p, g, momentum, 0, 0, 0, o, sgd_step}, n);
}
void tk_narrow_adam(const tk_narrowing *w, void *p, const void *g, float *m, float *v, float *max_v, int64_t n, const tk_adam_options *o) {
    run((narrow_context){w, p, g, m, v, max_v, 0, o, adam_step}, n);
}
void tk_narrow_rmsprop(const tk_narrowing *w, void *p, const void *g, float *square, float *average, float *momentum, int64_t n,
                       const tk_rmsprop_options *o) {
    run((narrow_context){w, p, g, square, average, momentum, 0, o, rmsprop_step}, n);
}
void tk_narrow_sweep(const tk_narrowing *w, int rule, void *p, const void *g, float *a, float *b, int64_t n, const tk_sweep_options *o) {
    run((narrow_context){w, p, g, a, b, 0, rule, o, rule_step}, n);
}

// ---- the rounding alone ----

typedef struct { const float *x; uint16_t *y; uint64_t seed, offset; int dtype; } rounding_context;

static void rounding_range(void *x, int64_t low, int64_t high) {
    const rounding_context *c = x;
    tk_current_level()->round_stochastically(c->dtype, c->seed, c->offset, low, c->x + low, c->y + low, high - low);
}

void tk_round_stochastic(int dtype, uint64_t seed, uint64_t offset, const float *x, void *y, int64_t n) {
    rounding_context c = {x, y, seed, offset, dtype};
    tk_parallel_ranges(n, TK_GRAIN, rounding_range, &c);
}
