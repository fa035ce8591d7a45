// Running products, extrema and log-sums along the middle of [outer, n, inner].
#include <math.h>

#include "levels.h"

typedef struct { int op, dtype; const char *x; char *out; int64_t *positions; int64_t n, inner; } scan_context;

#define PRODUCT(T, A)                                                                                \
    {                                                                                                \
        const T *v = (const T *)c->x + start;                                                        \
        T *y = (T *)c->out + start;                                                                  \
        A s = 1;                                                                                     \
        for (int64_t j = 0; j < c->n; j++) { s *= (A)v[j * c->inner]; y[j * c->inner] = (T)s; }      \
    }
#define COMPLEX_PRODUCT(T)                                                                           \
    {                                                                                                \
        const T *v = (const T *)c->x + 2 * start;                                                    \
        T *y = (T *)c->out + 2 * start;                                                              \
        double re = 1, im = 0;                                                                       \
        for (int64_t j = 0; j < c->n; j++) {                                                         \
            double a = v[2 * j * c->inner], b = v[2 * j * c->inner + 1], t = re * a - im * b;        \
            im = re * b + im * a;                                                                    \
            re = t;                                                                                  \
            y[2 * j * c->inner] = (T)re;                                                             \
            y[2 * j * c->inner + 1] = (T)im;                                                         \
        }                                                                                            \
    }
// The last of equals; a NaN is larger and smaller than anything, and stays.
#define EXTREMUM(T)                                                                                  \
    {                                                                                                \
        const T *v = (const T *)c->x + start;                                                        \
        T *y = (T *)c->out + start;                                                                  \
        T best = v[0];                                                                               \
        int64_t at = 0;                                                                              \
        for (int64_t j = 0; j < c->n; j++) {                                                         \
            T u = v[j * c->inner];                                                                   \
            if (u != u || (best == best && (c->op == TK_SCAN_MAX ? u >= best : u <= best))) { best = u; at = j; } \
            y[j * c->inner] = best;                                                                  \
            if (c->positions) c->positions[start + j * c->inner] = at;                               \
        }                                                                                            \
    }
#define LOG_SUM(T)                                                                                   \
    {                                                                                                \
        const T *v = (const T *)c->x + start;                                                        \
        T *y = (T *)c->out + start;                                                                  \
        double peak = -INFINITY, sum = 0;                                                            \
        for (int64_t j = 0; j < c->n; j++) {                                                         \
            double u = (double)v[j * c->inner];                                                      \
            if (u > peak) { sum = sum * exp(peak - u) + 1; peak = u; }                               \
            else if (u != u || isinf(u)) { if (u != u) sum = NAN; else if (u > 0) sum += 1; }        \
            else sum += exp(u - peak);                                                               \
            if (isinf(peak) && peak > 0 && sum == sum) sum = 1;                                      \
            y[j * c->inner] = (T)(peak == -INFINITY && sum == 0 ? -INFINITY : peak + log(sum));      \
        }                                                                                            \
    }

static void scan_range(void *p, int64_t low, int64_t high) {
    const scan_context *c = p;
    for (int64_t t = low; t < high; t++) {
        int64_t start = t / c->inner * c->n * c->inner + t % c->inner;
        switch (c->op) {
        case TK_SCAN_PROD:
            switch (c->dtype) {
            case TK_F32: PRODUCT(float, double) break;
            case TK_F64: PRODUCT(double, double) break;
            case TK_I8: PRODUCT(int8_t, uint32_t) break;
            case TK_I32: PRODUCT(int32_t, uint32_t) break;
            case TK_I64: PRODUCT(int64_t, uint64_t) break;
            case TK_C64: COMPLEX_PRODUCT(float) break;
            case TK_C128: COMPLEX_PRODUCT(double) break;
            default: PRODUCT(uint8_t, uint32_t)
            }
            break;
        case TK_SCAN_LOGSUMEXP:
            if (c->dtype == TK_F32) LOG_SUM(float) else LOG_SUM(double)
            break;
        default:
            switch (c->dtype) {
            case TK_F32: EXTREMUM(float) break;
            case TK_F64: EXTREMUM(double) break;
            case TK_I8: EXTREMUM(int8_t) break;
            case TK_I32: EXTREMUM(int32_t) break;
            case TK_I64: EXTREMUM(int64_t) break;
            default: EXTREMUM(uint8_t)
            }
        }
    }
}

void tk_scan(int op, int dtype, const void *x, void *out, int64_t *positions, int64_t outer, int64_t n, int64_t inner) {
    if (outer * n * inner == 0) return;
    if (dtype == TK_F16 || dtype == TK_BF16) {
        int64_t all = outer * n * inner;
        float *wide = tk_alloc((size_t)(all * 4));
        tk_cast(dtype, TK_F32, x, wide, all);
        tk_scan(op, TK_F32, wide, wide, positions, outer, n, inner);
        tk_cast(TK_F32, dtype, wide, out, all);
        tk_free(wide, (size_t)(all * 4));
        return;
    }
    scan_context c = {op, dtype, x, out, positions, n, inner};
    int64_t grain = TK_GRAIN / n;
    tk_parallel_ranges(outer * inner, grain > 0 ? grain : 1, scan_range, &c);
}
