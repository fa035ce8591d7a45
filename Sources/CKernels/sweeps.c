// Optimizer sweeps of the rarer rules, one pass over parameter, gradient and state. The scalars are made in double by the caller.
#include <math.h>

#include "levels.h"

typedef struct {
    int rule, dtype;
    char *p, *a, *b;
    const char *g;
    const tk_sweep_options *o;
} rule_context;

static inline float root_f32(float x) { return sqrtf(x); }
static inline double root_f64(double x) { return sqrt(x); }
static inline float size_f32(float x) { return fabsf(x); }
static inline double size_f64(double x) { return fabs(x); }

// d = ±g + decay p, q = p · shrink: the gradient and the parameter that the rule goes on with.
#define EACH                                   \
    for (int64_t i = 0; i < n; i++) {          \
        const REAL d = sign * g[i] + decay * p[i], q = p[i] * shrink;

#define DEFINE_SWEEPS(NAME, T, ROOT, SIZE)                                                                      \
    static void NAME(int rule, T *p, const T *g, T *a, T *b, int64_t n, const tk_sweep_options *o) {            \
        typedef T REAL;                                                                                         \
        const T sign = o->maximize ? -1 : 1, decay = (T)o->decay, shrink = (T)o->shrink, rate = (T)o->rate;     \
        const T eps = (T)o->eps, c0 = (T)o->c[0], c1 = (T)o->c[1], c2 = (T)o->c[2], c3 = (T)o->c[3];            \
        switch (rule) {                                                                                         \
        case TK_ADAGRAD:                                                                                        \
            EACH a[i] += d * d; p[i] = q - rate * d / (ROOT(a[i]) + eps); }                                     \
            break;                                                                                              \
        case TK_ADADELTA:                                                                                       \
            EACH a[i] = c0 * a[i] + c1 * d * d;                                                                 \
            const T step = ROOT(b[i] + eps) / ROOT(a[i] + eps) * d;                                             \
            b[i] = c0 * b[i] + c1 * step * step; p[i] = q - rate * step; }                                      \
            break;                                                                                              \
        case TK_ADAMAX:                                                                                         \
            EACH a[i] += c0 * (d - a[i]);                                                                       \
            const T old = c1 * b[i], now = SIZE(d) + eps;                                                       \
            b[i] = now > old || now != now ? now : old; p[i] = q - rate * a[i] / b[i]; }                        \
            break;                                                                                              \
        case TK_NADAM:                                                                                          \
            EACH a[i] += c0 * (d - a[i]); b[i] = c1 * b[i] + c2 * d * d;                                        \
            p[i] = q - (rate * d + c3 * a[i]) / (ROOT(b[i]) * (T)o->c[4] + eps); }                              \
            break;                                                                                              \
        case TK_RADAM:                                                                                          \
            EACH a[i] += c0 * (d - a[i]); b[i] = c1 * b[i] + c2 * d * d;                                        \
            p[i] = q - rate * a[i] / (o->c[3] ? ROOT(b[i]) + eps : 1); }                                        \
            break;                                                                                              \
        case TK_ASGD:                                                                                           \
            EACH p[i] = q - rate * d; a[i] = o->c[0] == 1 ? p[i] : a[i] + c0 * (p[i] - a[i]); }                 \
            break;                                                                                              \
        case TK_RPROP:                                                                                          \
            EACH const T same = d * a[i]; T step = b[i] * (same > 0 ? c1 : same < 0 ? c0 : same == 0 ? 1 : same); \
            step = step < c2 ? c2 : step > c3 ? c3 : step;                                                      \
            const T kept = same < 0 ? 0 : d;                                                                    \
            b[i] = step; a[i] = kept;                                                                           \
            p[i] = q - (kept > 0 ? step : kept < 0 ? -step : kept * step); }                                    \
            break;                                                                                              \
        case TK_LION:                                                                                           \
            EACH const T u = c0 * a[i] + c1 * d;                                                                \
            a[i] = c2 * a[i] + c3 * d;                                                                          \
            p[i] = q - rate * (u > 0 ? 1 : u < 0 ? -1 : u); }                                                   \
            break;                                                                                              \
        }                                                                                                       \
    }

DEFINE_SWEEPS(sweep_f32, float, root_f32, size_f32)
DEFINE_SWEEPS(sweep_f64, double, root_f64, size_f64)

#define AT(field) (s->field ? s->field + low * size : 0)

static void rule_range(void *x, int64_t low, int64_t high) {
    const rule_context *s = x;
    int64_t size = tk_element_size(s->dtype), n = high - low;
    if (s->dtype == TK_F32) sweep_f32(s->rule, (float *)AT(p), (const float *)AT(g), (float *)AT(a), (float *)AT(b), n, s->o);
    else sweep_f64(s->rule, (double *)AT(p), (const double *)AT(g), (double *)AT(a), (double *)AT(b), n, s->o);
}

void tk_sweep(int rule, int dtype, void *p, const void *g, void *a, void *b, int64_t n, const tk_sweep_options *o) {
    rule_context s = {rule, dtype, p, a, b, g, o};
    tk_parallel_ranges(n, TK_GRAIN, rule_range, &s);
}
