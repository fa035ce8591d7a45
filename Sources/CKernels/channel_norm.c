// Batch, group and instance normalisation: one reading of x for the statistics, one for the output.
#include <math.h>
#include <string.h>

#include "windows.h"

// Rows shorter than this are taken together, channel beside channel.
enum { SHORT = 16, TILE = 64, PIECE = 4096 };

typedef struct {
    int dtype;
    const tk_norm_shape *s;
    const void *x, *g, *weight, *bias;
    void *y;
    double *mean, *variance;      // of the statistics' sets
    double *sums;                 // pairs: Σ g and Σ g (x - mean), per sample and channel, or per channel if rows are short
    void *a, *b, *c, *centre;     // per row: coefficients in the type
    void *scale, *shift;          // of the output, where its sign decides
    double eps;
    bool fixed;
} norm;

static int64_t sets(const tk_norm_shape *s) { return s->groups ? s->batch * s->groups : s->channels; }
static int64_t set_size(const tk_norm_shape *s) {
    return s->groups ? s->channels / s->groups * s->inner : s->batch * s->inner;
}
/// Rows that have coefficients of their own.
static int64_t rows(const tk_norm_shape *s) { return s->groups ? s->batch * s->channels : s->channels; }
static int64_t set_of(const tk_norm_shape *s, int64_t row) { return s->groups ? row / (s->channels / s->groups) : row; }

static double read(const norm *m, const void *p, int64_t i) { return m->dtype == TK_F32 ? ((const float *)p)[i] : ((const double *)p)[i]; }
static void write(const norm *m, void *p, int64_t i, double v) {
    if (m->dtype == TK_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}

// ---- statistics ----

typedef struct { double count, mean, m2; } moments;

// Merges a dense piece into the moments (Chan et al., 1979): the piece's mean first, then its deviations, from the cache.
static void merge(const norm *m, moments *t, int64_t at, int64_t n) {
    const tk_windows *level = tk_current_windows();
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t k = n - i < PIECE ? n - i : PIECE;
        double mean, m2;
        if (m->dtype == TK_F32) {
            const float *x = (const float *)m->x + at + i;
            // The deviations are from the mean as a float; what that is off by is taken out again.
            mean = level->sum_f32(x, k) / (double)k;
            double off = mean - (double)(float)mean;
            m2 = level->squares_f32(x, (float)mean, k) - (double)k * off * off;
            m2 = m2 < 0 ? 0 : m2;
        } else {
            const double *x = (const double *)m->x + at + i;
            mean = level->sum_f64(x, k) / (double)k;
            m2 = level->squares_f64(x, mean, k);
        }
        double total = t->count + (double)k, delta = mean - t->mean;
        t->m2 += m2 + delta * delta * t->count * (double)k / total;
        t->mean += delta * (double)k / total;
        t->count = total;
    }
}

static void set_task(void *context, int64_t set) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    moments t = {0, 0, 0};
    if (s->groups) merge(m, &t, set * set_size(s), set_size(s));
    else
        for (int64_t n = 0; n < s->batch; n++) merge(m, &t, (n * s->channels + set) * s->inner, s->inner);
    m->mean[set] = t.mean;
    m->variance[set] = t.m2 / t.count;
}

// A tile of channels with short rows, over the batch: column sums, then column squares.
static void tile_task(void *context, int64_t tile) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    int64_t first = tile * TILE, channels = s->channels - first < TILE ? s->channels - first : TILE, width = channels * s->inner;
    double sum[TILE * SHORT] = {0}, mean[TILE * SHORT], count = (double)(s->batch * s->inner);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t n = 0; n < s->batch; n++) {
            int64_t at = (n * s->channels + first) * s->inner;
            for (int64_t i = 0; i < width; i++) {
                double v = read(m, m->x, at + i);
                sum[i] += pass ? (v - mean[i]) * (v - mean[i]) : v;
            }
        }
        for (int64_t c = 0; c < channels; c++) {
            double total = 0;
            for (int64_t i = 0; i < s->inner; i++) total += sum[c * s->inner + i];
            (pass ? m->variance : m->mean)[first + c] = total / count;
            for (int64_t i = 0; i < s->inner; i++) { mean[c * s->inner + i] = total / count; sum[c * s->inner + i] = 0; }
        }
    }
}

// The gradient starts from the statistics as they are kept: with the same here, it finds the same sign for every output.
static void round_variance(norm *m, int64_t set) {
    if (m->dtype == TK_F32) m->variance[set] = (float)m->variance[set];
}

static void find_statistics(norm *m) {
    const tk_norm_shape *s = m->s;
    if (!s->groups && s->inner < SHORT) tk_parallel((s->channels + TILE - 1) / TILE, tile_task, m);
    else tk_parallel(sets(s), set_task, m);
    for (int64_t i = 0; i < sets(s); i++) round_variance(m, i);
}

// ---- output ----

// What the output is at least.
static double least(const norm *m) { return m->s->rectified ? 0 : -INFINITY; }

static void scale_rows(void *context, int64_t low, int64_t high) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    const tk_windows *level = tk_current_windows();
    for (int64_t r = low; r < high; r++) {
        int64_t k = s->groups ? r : r % s->channels, at = r * s->inner;
        if (m->dtype == TK_F32)
            level->scale_f32((const float *)m->x + at, ((float *)m->centre)[k], ((float *)m->a)[k], ((float *)m->c)[k], (float)least(m),
                             (float *)m->y + at, s->inner);
        else
            level->scale_f64((const double *)m->x + at, ((double *)m->centre)[k], ((double *)m->a)[k], ((double *)m->c)[k], least(m),
                             (double *)m->y + at, s->inner);
    }
}

// Samples with short rows: the coefficients of neighbouring channels lie beside each other.
#define EACH(T, EXPR)                                                                               \
    for (int64_t n = low; n < high; n++) {                                                          \
        int64_t base = s->groups ? n * s->channels : 0, at = n * s->channels * s->inner;            \
        const T *x = (const T *)m->x + at, *g = m->g ? (const T *)m->g + at : x;                    \
        const T *a = (const T *)m->a + base, *b = m->b ? (const T *)m->b + base : a;                \
        const T *c = (const T *)m->c + base, *centre = (const T *)m->centre + base;                 \
        const T *scale = m->scale ? (const T *)m->scale + base : a, *shift = m->scale ? (const T *)m->shift + base : a;    \
        T *y = (T *)m->y + at, bottom = (T)least(m);                                                \
        (void)g; (void)b; (void)scale; (void)shift; (void)bottom;                                   \
        if (s->inner == 1)                                                                          \
            for (int64_t k = 0; k < s->channels; k++) { int64_t i = k; y[i] = (EXPR); }             \
        else                                                                                        \
            for (int64_t k = 0; k < s->channels; k++)                                               \
                for (int64_t i = k * s->inner; i < (k + 1) * s->inner; i++) y[i] = (EXPR);          \
    }
static void scale_samples(void *context, int64_t low, int64_t high) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
#define SCALED ((x[i] - centre[k]) * a[k] + c[k])
    if (m->dtype == TK_F32) EACH(float, SCALED < bottom ? bottom : SCALED)
    else EACH(double, SCALED < bottom ? bottom : SCALED)
}

static void run_rows(norm *m, tk_range_fn by_row, tk_range_fn by_sample) {
    const tk_norm_shape *s = m->s;
    if (s->inner < SHORT) tk_parallel_ranges(s->batch, TK_GRAIN / (s->channels * s->inner + 1) + 1, by_sample, m);
    else tk_parallel_ranges(s->batch * s->channels, TK_GRAIN / (s->inner + 1) + 1, by_row, m);
}

static void apply(norm *m, double eps) {
    const tk_norm_shape *s = m->s;
    int64_t n = rows(s);
    size_t bytes = (size_t)(n * 8);
    m->a = tk_alloc(bytes), m->c = tk_alloc(bytes), m->centre = tk_alloc(bytes);
    for (int64_t r = 0; r < n; r++) {
        int64_t set = set_of(s, r), c = r % s->channels;
        write(m, m->centre, r, m->mean[set]);
        write(m, m->a, r, (m->weight ? read(m, m->weight, c) : 1) * (1 / sqrt(m->variance[set] + eps)));
        write(m, m->c, r, m->bias ? read(m, m->bias, c) : 0);
    }
    run_rows(m, scale_rows, scale_samples);
    tk_free(m->a, bytes);
    tk_free(m->c, bytes);
    tk_free(m->centre, bytes);
}

// ---- one set after the other, while its rows are in the caches ----

static bool is_by_set(const tk_norm_shape *s) { return s->inner >= SHORT && sets(s) >= 16 && set_size(s) <= 1 << 18; }
static int64_t rows_of_set(const tk_norm_shape *s) { return s->groups ? s->channels / s->groups : s->batch; }
static int64_t row_of_set(const tk_norm_shape *s, int64_t set, int64_t i) {
    return s->groups ? set * (s->channels / s->groups) + i : i * s->channels + set;
}

static void whole_set_task(void *context, int64_t set) {
    norm *m = context;
    const tk_norm_shape *s = m->s;
    const tk_windows *level = tk_current_windows();
    set_task(context, set);
    round_variance(m, set);
    double rstd = 1 / sqrt(m->variance[set] + m->eps);
    for (int64_t i = 0; i < rows_of_set(s); i++) {
        int64_t row = row_of_set(s, set, i), c = row % s->channels, at = row * s->inner;
        double scale = (m->weight ? read(m, m->weight, c) : 1) * rstd, shift = m->bias ? read(m, m->bias, c) : 0;
        if (m->dtype == TK_F32)
            level->scale_f32((const float *)m->x + at, (float)m->mean[set], (float)scale, (float)shift, (float)least(m), (float *)m->y + at,
                             s->inner);
        else level->scale_f64((const double *)m->x + at, m->mean[set], scale, shift, least(m), (double *)m->y + at, s->inner);
    }
}

static norm make_norm(int dtype, const tk_norm_shape *s, const void *x) {
    norm m = {.dtype = dtype, .s = s, .x = x};
    m.mean = tk_alloc((size_t)(sets(s) * 8 + 8));
    m.variance = tk_alloc((size_t)(sets(s) * 8 + 8));
    return m;
}

static void drop_norm(norm *m) {
    tk_free(m->mean, (size_t)(sets(m->s) * 8 + 8));
    tk_free(m->variance, (size_t)(sets(m->s) * 8 + 8));
}

void tk_channel_norm(int dtype, const tk_norm_shape *s, const void *x, const void *weight, const void *bias, void *y, void *mean,
                     void *variance, double eps) {
    norm m = make_norm(dtype, s, x);
    m.weight = weight, m.bias = bias, m.y = y;
    m.eps = eps;
    bool by_set = is_by_set(s);
    if (by_set) tk_parallel(sets(s), whole_set_task, &m);
    else find_statistics(&m);
    for (int64_t i = 0; i < sets(s); i++) {
        write(&m, mean, i, m.mean[i]);
        write(&m, variance, i, m.variance[i]);
    }
    if (!by_set) apply(&m, eps);
    drop_norm(&m);
}

static void take_statistics(norm *m, const void *mean, const void *variance) {
    for (int64_t i = 0; i < sets(m->s); i++) {
        m->mean[i] = read(m, mean, i);
        m->variance[i] = read(m, variance, i);
    }
}

void tk_channel_norm_apply(int dtype, const tk_norm_shape *s, const void *x, const void *mean, const void *variance,
                           const void *weight, const void *bias, void *y, double eps) {
    norm m = make_norm(dtype, s, x);
    m.weight = weight, m.bias = bias, m.y = y;
    take_statistics(&m, mean, variance);
    apply(&m, eps);
    drop_norm(&m);
}

// ---- gradient ----

// How the output of row r was made, whose sign says whether a gradient passes; without rectifying, 1 says that it does.
// `variance` holds inverse roots by now.
static double gate_scale(const norm *m, int64_t r) {
    int64_t c = r % m->s->channels;
    return m->s->rectified ? (m->weight ? read(m, m->weight, c) : 1) * m->variance[m->s->groups ? set_of(m->s, r) : c] : 0;
}
static double gate_shift(const norm *m, int64_t r) { return !m->s->rectified ? 1 : m->bias ? read(m, m->bias, r % m->s->channels) : 0; }

// Whether the gradient passes an output, which is found as it was made, in its type.
static bool passes(const norm *m, double x, double mean, double scale, double shift) {
    if (m->dtype == TK_F32) return !(((float)x - (float)mean) * (float)scale + (float)shift <= 0);
    return !((x - mean) * scale + shift <= 0);
}

static void sum_rows(void *context, int64_t low, int64_t high) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    const tk_windows *level = tk_current_windows();
    for (int64_t r = low; r < high; r++) {
        int64_t at = r * s->inner;
        double mean = m->mean[s->groups ? set_of(s, r) : r % s->channels], *out = m->sums + 2 * r;
        double scale = gate_scale(m, r), shift = gate_shift(m, r);
        out[0] = out[1] = 0;
        if (m->dtype == TK_F32) level->products_f32((const float *)m->x + at, (const float *)m->g + at, (float)mean, (float)scale, (float)shift, s->inner, out);
        else level->products_f64((const double *)m->x + at, (const double *)m->g + at, mean, scale, shift, s->inner, out);
    }
}

static void sum_tile(void *context, int64_t tile) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    int64_t first = tile * TILE, channels = s->channels - first < TILE ? s->channels - first : TILE;
    for (int64_t c = first; c < first + channels; c++) m->sums[2 * c] = m->sums[2 * c + 1] = 0;
    for (int64_t n = 0; n < s->batch; n++)
        for (int64_t c = first; c < first + channels; c++) {
            double scale = gate_scale(m, c), shift = gate_shift(m, c);
            for (int64_t i = (n * s->channels + c) * s->inner, k = 0; k < s->inner; k++) {
                double x = read(m, m->x, i + k), g = passes(m, x, m->mean[c], scale, shift) ? read(m, m->g, i + k) : 0;
                m->sums[2 * c] += g;
                m->sums[2 * c + 1] += g * (x - m->mean[c]);
            }
        }
}

static void blend_rows(void *context, int64_t low, int64_t high) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    const tk_windows *level = tk_current_windows();
    for (int64_t r = low; r < high; r++) {
        int64_t k = s->groups ? r : r % s->channels, at = r * s->inner;
        double scale = gate_scale(m, r), shift = gate_shift(m, r);
        if (m->dtype == TK_F32)
            level->blend_f32((const float *)m->x + at, (const float *)m->g + at, ((float *)m->centre)[k], ((float *)m->a)[k], ((float *)m->b)[k],
                             ((float *)m->c)[k], (float)scale, (float)shift, (float *)m->y + at, s->inner);
        else
            level->blend_f64((const double *)m->x + at, (const double *)m->g + at, ((double *)m->centre)[k], ((double *)m->a)[k],
                             ((double *)m->b)[k], ((double *)m->c)[k], scale, shift, (double *)m->y + at, s->inner);
    }
}

static void blend_samples(void *context, int64_t low, int64_t high) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
#define BLENDED(PASSED) (a[k] * (PASSED) + (b[k] * (x[i] - centre[k]) + c[k]))
#define GATED ((x[i] - centre[k]) * scale[k] + shift[k] <= 0 ? 0 : g[i])
    if (m->dtype == TK_F32 && m->scale) EACH(float, BLENDED(GATED))
    else if (m->dtype == TK_F32) EACH(float, BLENDED(g[i]))
    else if (m->scale) EACH(double, BLENDED(GATED))
    else EACH(double, BLENDED(g[i]))
}

// Sums and dx of a set; `variance` holds inverse roots by now.
static void whole_set_grad_task(void *context, int64_t set) {
    const norm *m = context;
    const tk_norm_shape *s = m->s;
    const tk_windows *level = tk_current_windows();
    double rstd = m->variance[set], total[2] = {0, 0}, count = (double)set_size(s);
    for (int64_t i = 0; i < rows_of_set(s); i++) {
        int64_t row = row_of_set(s, set, i);
        double w = m->weight ? read(m, m->weight, row % s->channels) : 1;
        sum_rows(context, row, row + 1);
        total[0] += w * m->sums[2 * row];
        total[1] += w * m->sums[2 * row + 1] * rstd;
    }
    double b = m->fixed ? 0 : -rstd * rstd * total[1] / count, c = m->fixed ? 0 : -rstd * total[0] / count;
    for (int64_t i = 0; m->y && i < rows_of_set(s); i++) {
        int64_t row = row_of_set(s, set, i), at = row * s->inner;
        double a = rstd * (m->weight ? read(m, m->weight, row % s->channels) : 1), scale = gate_scale(m, row), shift = gate_shift(m, row);
        if (m->dtype == TK_F32)
            level->blend_f32((const float *)m->x + at, (const float *)m->g + at, (float)m->mean[set], (float)a, (float)b, (float)c,
                             (float)scale, (float)shift, (float *)m->y + at, s->inner);
        else
            level->blend_f64((const double *)m->x + at, (const double *)m->g + at, m->mean[set], a, b, c, scale, shift, (double *)m->y + at,
                             s->inner);
    }
}

// With h = (x - mean) rstd and s = g w: dx = rstd (s - mean(s) - h mean(s h)), dw = Σ g h, db = Σ g
void tk_channel_norm_grad(int dtype, const tk_norm_shape *s, const void *x, const void *g, const void *mean, const void *variance,
                          const void *weight, const void *bias, void *dx, void *dweight, void *dbias, double eps, bool fixed) {
    norm m = make_norm(dtype, s, x);
    m.g = g, m.weight = weight, m.bias = bias, m.y = dx;
    take_statistics(&m, mean, variance);
    for (int64_t i = 0; i < sets(s); i++) m.variance[i] = 1 / sqrt(m.variance[i] + eps);   // from here on its inverse root
    const double *rstd = m.variance;
    bool short_rows = !s->groups && s->inner < SHORT;
    int64_t sums = short_rows ? s->channels : s->batch * s->channels, n = rows(s);
    size_t sum_bytes = (size_t)(sums * 16), bytes = (size_t)(n * 8), total_bytes = (size_t)((sets(s) + s->channels) * 16);
    m.sums = tk_alloc(sum_bytes);
    m.fixed = fixed;
    bool by_set = is_by_set(s);
    if (by_set) tk_parallel(sets(s), whole_set_grad_task, &m);
    else if (short_rows) tk_parallel((s->channels + TILE - 1) / TILE, sum_tile, &m);
    else tk_parallel_ranges(sums, TK_GRAIN / (s->inner + 1) + 1, sum_rows, &m);
    // Per channel, and per set with the weight.
    double *channel = tk_alloc(total_bytes), *set = channel + 2 * s->channels;
    memset(channel, 0, total_bytes);
    for (int64_t r = 0; r < sums; r++) {
        int64_t c = r % s->channels, k = s->groups ? set_of(s, r) : c;
        double w = weight ? read(&m, weight, c) : 1;
        channel[2 * c] += m.sums[2 * r];
        channel[2 * c + 1] += m.sums[2 * r + 1] * rstd[k];
        set[2 * k] += w * m.sums[2 * r];
        set[2 * k + 1] += w * m.sums[2 * r + 1] * rstd[k];
    }
    for (int64_t c = 0; c < s->channels; c++) {
        if (dbias) write(&m, dbias, c, channel[2 * c]);
        if (dweight) write(&m, dweight, c, channel[2 * c + 1]);
    }
    if (dx && !by_set) {
        double count = (double)set_size(s);
        m.a = tk_alloc(bytes), m.b = tk_alloc(bytes), m.c = tk_alloc(bytes), m.centre = tk_alloc(bytes);
        if (s->rectified) m.scale = tk_alloc(bytes), m.shift = tk_alloc(bytes);
        for (int64_t r = 0; r < n; r++) {
            int64_t k = set_of(s, r);
            double w = weight ? read(&m, weight, r % s->channels) : 1;
            write(&m, m.centre, r, m.mean[k]);
            write(&m, m.a, r, rstd[k] * w);
            write(&m, m.b, r, fixed ? 0 : -rstd[k] * rstd[k] * set[2 * k + 1] / count);
            write(&m, m.c, r, fixed ? 0 : -rstd[k] * set[2 * k] / count);
            if (!s->rectified) continue;
            write(&m, m.scale, r, gate_scale(&m, r));
            write(&m, m.shift, r, gate_shift(&m, r));
        }
        run_rows(&m, blend_rows, blend_samples);
        tk_free(m.a, bytes);
        tk_free(m.b, bytes);
        tk_free(m.c, bytes);
        tk_free(m.centre, bytes);
        if (s->rectified) {
            tk_free(m.scale, bytes);
            tk_free(m.shift, bytes);
        }
    }
    tk_free(channel, total_bytes);
    tk_free(m.sums, sum_bytes);
    drop_norm(&m);
}
