// Optimizer sweeps of the rarer rules, one pass over parameter, gradient and state. The scalars are made in double by the caller.
#include <math.h>

#include "levels.h"

typedef struct {
    int rule, dtype;
    char *p, *a, *b;
    const char *g;
    const tk_sweep_options *o;
} rule_context;

#define TK_SWEEP(type) sweep_baseline_##type
#include "templates/sweeps.inc"
#undef TK_SWEEP

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define TK_SWEEP(type) sweep_avx2_##type
#include "templates/sweeps.inc"
#undef TK_SWEEP
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define TK_SWEEP(type) sweep_avx512_##type
#include "templates/sweeps.inc"
#undef TK_SWEEP
#pragma clang attribute pop
#define AT_LEVEL(type) (tk_isa_level() == 2 ? sweep_avx512_##type : tk_isa_level() == 1 ? sweep_avx2_##type : sweep_baseline_##type)
#else
#define AT_LEVEL(type) sweep_baseline_##type
#endif

#define AT(field) (s->field ? s->field + low * size : 0)

static void rule_range(void *x, int64_t low, int64_t high) {
    const rule_context *s = x;
    int64_t size = tk_element_size(s->dtype), n = high - low;
    if (s->dtype == TK_F32) AT_LEVEL(f32)(s->rule, (float *)AT(p), (const float *)AT(g), (float *)AT(a), (float *)AT(b), n, s->o);
    else AT_LEVEL(f64)(s->rule, (double *)AT(p), (const double *)AT(g), (double *)AT(a), (double *)AT(b), n, s->o);
}

void tk_sweep(int rule, int dtype, void *p, const void *g, void *a, void *b, int64_t n, const tk_sweep_options *o) {
    rule_context s = {rule, dtype, p, a, b, g, o};
    tk_parallel_ranges(n, TK_GRAIN, rule_range, &s);
}
