// Products with quantised weights; see CKernels.h for the layouts.
#ifndef TAPESTRY_QUANTIZED_H
#define TAPESTRY_QUANTIZED_H
#include <stdbool.h>
#include <stdint.h>

enum { TK_PANEL = 32 };   // columns of the result per panel

// A float product x [m, k] · Wᵀ + bias = y [m, n] and what W is made of.
typedef struct {
    const float *x, *bias;
    float *y;
    int64_t m, n, k;
    const void *panels;
    const float *scales;             // int8: per column
    const int32_t *sums;             // int8: of the columns' quantised weights
    const uint16_t *steps, *offsets; // int4: bfloat16 per group and column
    int64_t group;
} tk_quantized_product;

static inline int64_t tk_groups_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

// One row is bound by reading the weights, fetched this far ahead in runs of about 128 KB, of which each thread gets some to share.
enum { TK_INT8_AHEAD = 4096, TK_INT4_AHEAD = 8192 };
static inline int64_t tk_panels_per_task(int64_t panels, int64_t panel_bytes) {
    int64_t run = (128 << 10) / panel_bytes, share = panels / 12, n = run < share ? run : share;
    return panels * panel_bytes < 32 << 10 ? panels : n < 1 ? 1 : n;
}

// Needs tk_has_byte_dot().
void tk_int8_dynamic_avx512(const tk_quantized_product *p);
// One row of x, needs tk_has_bf16_dot() for int4 and AVX-512 for int8: columns of panels `low` ..< `high`.
void tk_int8_row_avx512(const tk_quantized_product *p, int64_t low, int64_t high);
void tk_int4_row_avx512(const tk_quantized_product *p, const uint16_t *x, int64_t low, int64_t high);
// One panel's weights of `pairs` pairs of k from p0 on, as the bfloat16 product reads them.
void tk_int8_panel_avx512(const tk_quantized_product *p, int64_t panel, int64_t p0, int64_t pairs, float *out);
void tk_int4_panel_avx512(const tk_quantized_product *p, int64_t panel, int64_t p0, int64_t pairs, float *out);

/// scale and zero point of a row: q = round(x / scale) + zero is in 0 ... 255, and 0 is exact.
typedef struct { float scale; int32_t zero; } tk_row_scale;
static inline tk_row_scale tk_row_scale_of(float low, float high) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    float scale = (high - low) / 255;
    if (!(scale > 0)) return (tk_row_scale){ 1, 0 };
    float zero = __builtin_rintf(-low / scale);
    return (tk_row_scale){ scale, zero < 0 ? 0 : zero > 255 ? 255 : (int32_t)zero };
}
#endif
