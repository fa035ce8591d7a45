// Optimizer sweeps, split over the pool. float64 and the rarer rules are plain loops.
#include <math.h>

#include "levels.h"

typedef struct {
    int dtype;
    char *p, *a, *b, *c;
    const char *g;
    const void *options;
} sweep_context;

#define AT(field) (s->field ? s->field + low * size : 0)

static void sgd_range(void *x, int64_t low, int64_t high) {
    const sweep_context *s = x;
    const tk_sgd_options *o = s->options;
    int64_t size = tk_element_size(s->dtype), n = high - low;
    if (s->dtype == TK_F32) { tk_current_level()->sgd((float *)AT(p), (const float *)AT(g), (float *)AT(a), n, o); return; }
    double *p = (double *)AT(p), *buf = (double *)AT(a);
    const double *g = (const double *)AT(g);
    for (int64_t i = 0; i < n; i++) {
        double d = (o->maximize ? -g[i] : g[i]) + o->weight_decay * p[i];
        if (buf) {
            buf[i] = o->first ? d : o->momentum * buf[i] + (1 - o->dampening) * d;
            d = o->nesterov ? d + o->momentum * buf[i] : buf[i];
        }
        p[i] -= o->lr * d;
    }
}

void tk_sgd(int dtype, void *p, const void *g, void *momentum_buffer, int64_t n, const tk_sgd_options *o) {
    sweep_context s = {dtype, p, momentum_buffer, 0, 0, g, o};
    tk_parallel_ranges(n, TK_GRAIN, sgd_range, &s);
}

static void adam_range(void *x, int64_t low, int64_t high) {
    const sweep_context *s = x;
    const tk_adam_options *o = s->options;
    int64_t size = tk_element_size(s->dtype), n = high - low;
    if (s->dtype == TK_F32) {
        tk_current_level()->adam((float *)AT(p), (const float *)AT(g), (float *)AT(a), (float *)AT(b), (float *)AT(c), n, o);
        return;
    }
    double *p = (double *)AT(p), *m = (double *)AT(a), *v = (double *)AT(b), *top = (double *)AT(c);
    const double *g = (const double *)AT(g);
    double bc1 = 1 - pow(o->beta1, (double)o->step), root = sqrt(1 - pow(o->beta2, (double)o->step));
    for (int64_t i = 0; i < n; i++) {
        double d = o->maximize ? -g[i] : g[i];
        if (o->decoupled) p[i] *= 1 - o->lr * o->weight_decay;
        else d += o->weight_decay * p[i];
        m[i] += (1 - o->beta1) * (d - m[i]);
        v[i] = o->beta2 * v[i] + (1 - o->beta2) * d * d;
        double w = v[i];
        if (top) w = top[i] = top[i] > w ? top[i] : w;
        p[i] -= o->lr / bc1 * m[i] / (sqrt(w) / root + o->eps);
    }
}

void tk_adam(int dtype, void *p, const void *g, void *m, void *v, void *max_v, int64_t n, const tk_adam_options *o) {
    sweep_context s = {dtype, p, m, v, max_v, g, o};
    tk_parallel_ranges(n, TK_GRAIN, adam_range, &s);
}

#define RMSPROP(T, SQRT)                                                                  \
    {                                                                                     \
        T *p = (T *)AT(p), *square = (T *)AT(a), *average = (T *)AT(b), *buf = (T *)AT(c); \
        const T *g = (const T *)AT(g);                                                    \
        T lr = (T)o->lr, al = (T)o->alpha, be = (T)(1 - o->alpha), eps = (T)o->eps, wd = (T)o->weight_decay, mu = (T)o->momentum; \
        for (int64_t i = 0; i < n; i++) {                                                 \
            T d = (o->maximize ? -g[i] : g[i]) + wd * p[i];                               \
            square[i] = al * square[i] + be * d * d;                                      \
            T v = square[i];                                                              \
            if (average) { average[i] += be * (d - average[i]); v -= average[i] * average[i]; } \
            T step = d / (SQRT(v) + eps);                                                 \
            if (buf) step = buf[i] = mu * buf[i] + step;                                  \
            p[i] -= lr * step;                                                            \
        }                                                                                 \
    }

static void rmsprop_range(void *x, int64_t low, int64_t high) {
    const sweep_context *s = x;
    const tk_rmsprop_options *o = s->options;
    int64_t size = tk_element_size(s->dtype), n = high - low;
    if (s->dtype == TK_F32) RMSPROP(float, __builtin_elementwise_sqrt) else RMSPROP(double, __builtin_elementwise_sqrt)
}

void tk_rmsprop(int dtype, void *p, const void *g, void *square_avg, void *grad_avg, void *momentum_buffer, int64_t n,
                const tk_rmsprop_options *o) {
    sweep_context s = {dtype, p, square_avg, grad_avg, momentum_buffer, g, o};
    tk_parallel_ranges(n, TK_GRAIN, rmsprop_range, &s);
}
