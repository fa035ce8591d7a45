// x [m, k] · Wᵀ + bias with quantised weights: rows of x quantised as they come, or float. Plain loops where the CPU has no
// instructions for it.
#include "quantized.h"
#include "CKernels.h"
#include "gemm_bf16.h"
#include "isa.h"
#include "readahead.h"

#include <string.h>

// ---- plain ----

static float step_of(const uint16_t *x, int64_t at) {
    uint32_t bits = (uint32_t)x[at] << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static int byte_at(const tk_quantized_product *p, int64_t j, int64_t i) {
    return ((const int8_t *)p->panels)[(j / TK_PANEL * tk_groups_of(p->k, 4) + i / 4) * 4 * TK_PANEL + j % TK_PANEL * 4 + i % 4];
}

static float nibble_at(const tk_quantized_product *p, int64_t j, int64_t i) {
    int64_t groups = tk_groups_of(p->k, p->group), block = (j / TK_PANEL * groups * p->group + i) / 8;
    const uint8_t *word = (const uint8_t *)p->panels + block * 128 + j % TK_PANEL * 4 + i % 2 * 2;
    int slot = (int)(i % 8 / 2), q = word[slot / 2] >> (slot % 2 * 4) & 15;
    int64_t at = (j / TK_PANEL * groups + i / p->group) * TK_PANEL + j % TK_PANEL;
    return p->offsets ? (float)q * step_of(p->steps, at) + step_of(p->offsets, at) : (float)(q - 8) * step_of(p->steps, at);
}

static void dynamic_row(void *context, int64_t row) {
    const tk_quantized_product *p = context;
    const float *x = p->x + row * p->k;
    float low = 0, high = 0;
    for (int64_t i = 0; i < p->k; i++) { low = x[i] < low ? x[i] : low; high = x[i] > high ? x[i] : high; }
    tk_row_scale s = tk_row_scale_of(low, high);
    size_t bytes = (size_t)p->k;
    uint8_t *q = tk_alloc(bytes);
    for (int64_t i = 0; i < p->k; i++) {
        float v = __builtin_rintf(x[i] * (1 / s.scale)) + (float)s.zero;
        q[i] = v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
    }
    for (int64_t j = 0; j < p->n; j++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < p->k; i++) sum += (int32_t)q[i] * byte_at(p, j, i);
        p->y[row * p->n + j] = (float)(sum - s.zero * p->sums[j]) * (p->scales[j] * s.scale) + (p->bias ? p->bias[j] : 0);
    }
    tk_free(q, bytes);
}

// The weights as floats [n, k], for a float product.
static void widened_range(void *context, int64_t low, int64_t high) {
    const tk_quantized_product *p = ((void **)context)[0];
    float *w = ((void **)context)[1];
    for (int64_t j = low; j < high; j++)
        for (int64_t i = 0; i < p->k; i++) w[j * p->k + i] = p->steps ? nibble_at(p, j, i) : (float)byte_at(p, j, i) * p->scales[j];
}

static void by_way_of_float(const tk_quantized_product *p) {
    size_t bytes = (size_t)(p->n * p->k) * sizeof(float);
    float *w = tk_alloc(bytes);
    void *context[2] = { (void *)p, w };
    tk_parallel_ranges(p->n, 16, widened_range, context);
    tk_gemm(TK_F32, false, true, p->m, p->n, p->k, p->x, p->k, 0, w, p->k, 0, p->y, p->n, 0, 1, false, p->bias);
    tk_free(w, bytes);
}

// ---- with AVX-512 ----

#if defined(__x86_64__)
typedef struct { const tk_quantized_product *p; const uint16_t *x; } row_job;

static void row_range(void *context, int64_t low, int64_t high) {
    const row_job *j = context;
    if (j->p->steps) tk_int4_row_avx512(j->p, j->x, low, high);
    else tk_int8_row_avx512(j->p, low, high);
}

static void panel(const void *context, int64_t index, int64_t p0, int64_t pairs, float *out) {
    const tk_quantized_product *p = context;
    if (p->steps) tk_int4_panel_avx512(p, index, p0, pairs, out);
    else tk_int8_panel_avx512(p, index, p0, pairs, out);
}

// x in bfloat16, rows padded by zeros to `columns`.
static uint16_t *narrowed(const tk_quantized_product *p, int64_t columns, size_t *bytes) {
    *bytes = (size_t)(p->m * columns) * 2;
    uint16_t *x = tk_alloc(*bytes);
    if (columns == p->k) tk_cast(TK_F32, TK_BF16, p->x, x, p->m * p->k);
    else
        for (int64_t i = 0; i < p->m; i++) {
            tk_cast(TK_F32, TK_BF16, p->x + i * p->k, x + i * columns, p->k);
            memset(x + i * columns + p->k, 0, (size_t)(columns - p->k) * 2);
        }
    return x;
}

static bool weights_only(const tk_quantized_product *p) {
    if (!tk_has_bf16_dot()) return false;
    size_t bytes = 0;
    if (p->m == 1) {
        row_job j = { p, 0 };
        if (p->steps) j.x = narrowed(p, tk_groups_of(p->k, p->group) * p->group, &bytes);
        int64_t panels = tk_groups_of(p->n, TK_PANEL);
        int64_t panel_bytes = TK_PANEL * tk_groups_of(p->k, p->steps ? p->group : 4) * (p->steps ? p->group / 2 : 4);
        int64_t grain = tk_panels_per_task(panels, panel_bytes);
        if (panels <= grain) row_range(&j, 0, panels);
        else {
            tk_note_matrix(p->panels, (size_t)(panels * panel_bytes));
            tk_parallel_ranges(panels, grain, row_range, &j);
        }
        if (bytes) tk_free((void *)j.x, bytes);
        return true;
    }
    uint16_t *x = narrowed(p, p->k, &bytes);
    tk_bgemm g = { .a = x, .bias = p->bias, .c = p->y, .m = p->m, .n = p->n, .k = p->k, .lda = p->k, .ldc = p->n, .panel = panel, .context = p };
    tk_bgemm_avx512(&g, true);
    tk_free(x, bytes);
    return true;
}
#endif

// Runs `fn` on float rows, whatever the type of x and y.
static void with_floats(int dtype, tk_quantized_product *p, const void *x, const void *bias, void *y, void (*fn)(const tk_quantized_product *)) {
    size_t x_bytes = (size_t)(p->m * p->k) * 4, y_bytes = (size_t)(p->m * p->n) * 4, bias_bytes = (size_t)p->n * 4;
    if (p->m <= 0 || p->n <= 0) return;
    if (dtype == TK_F32) {
        p->x = x;
        p->y = y;
        p->bias = bias;
        fn(p);
        return;
    }
    float *wide_x = tk_alloc(x_bytes), *wide_y = tk_alloc(y_bytes), *wide_bias = bias ? tk_alloc(bias_bytes) : 0;
    tk_cast(dtype, TK_F32, x, wide_x, p->m * p->k);
    if (bias) tk_cast(dtype, TK_F32, bias, wide_bias, p->n);
    p->x = wide_x;
    p->y = wide_y;
    p->bias = wide_bias;
    fn(p);
    tk_cast(TK_F32, dtype, wide_y, y, p->m * p->n);
    tk_free(wide_x, x_bytes);
    tk_free(wide_y, y_bytes);
    if (bias) tk_free(wide_bias, bias_bytes);
}

static void dynamic(const tk_quantized_product *p) {
#if defined(__x86_64__)
    if (p->k > 0 && tk_has_byte_dot()) { tk_int8_dynamic_avx512(p); return; }
#endif
    tk_parallel(p->m, dynamic_row, (void *)p);
}

static void float_rows(const tk_quantized_product *p) {
#if defined(__x86_64__)
    if (p->k > 0 && weights_only(p)) return;
#endif
    by_way_of_float(p);
}

void tk_linear_int8_dynamic(int dtype, int64_t m, int64_t n, int64_t k, const void *x, const int8_t *panels, const float *scales,
                            const int32_t *sums, const void *bias, void *y) {
    tk_quantized_product p = { .m = m, .n = n, .k = k, .panels = panels, .scales = scales, .sums = sums };
    with_floats(dtype, &p, x, bias, y, dynamic);
}

void tk_linear_int8(int dtype, int64_t m, int64_t n, int64_t k, const void *x, const int8_t *panels, const float *scales,
                    const void *bias, void *y) {
    tk_quantized_product p = { .m = m, .n = n, .k = k, .panels = panels, .scales = scales };
    with_floats(dtype, &p, x, bias, y, float_rows);
}

void tk_linear_int4(int dtype, int64_t m, int64_t n, int64_t k, int64_t group, const void *x, const uint8_t *panels,
                    const uint16_t *steps, const uint16_t *offsets, const void *bias, void *y) {
    tk_quantized_product p = { .m = m, .n = n, .k = k, .panels = panels, .steps = steps, .offsets = offsets, .group = group };
    with_floats(dtype, &p, x, bias, y, float_rows);
}
