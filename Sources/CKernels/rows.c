// Fused operations on rows. float32 uses the vector kernels; the half types go through float32 row by row; float64 uses libm.
#include <math.h>
#include <string.h>

#include "levels.h"
#include "stream.h"

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

/// A temporary float32 copy of a half-precision buffer (NULL stays NULL).
static float *widen(int dtype, const void *x, int64_t n) {
    if (!x) return 0;
    float *w = tk_alloc((size_t)(n * 4));
    tk_cast(dtype, TK_F32, x, w, n);
    return w;
}
/// Rounds a temporary back and frees it.
static void narrow(int dtype, float *w, void *out, int64_t n) {
    if (!w) return;
    if (out) tk_cast(TK_F32, dtype, w, out, n);
    tk_free(w, (size_t)(n * 4));
}

static int64_t row_grain(int64_t cols) {
    int64_t grain = 16384 / (cols > 0 ? cols : 1);
    return grain > 0 ? grain : 1;
}

typedef struct {
    int dtype, log;
    const void *x, *g, *w, *b, *mean, *rstd, *lse;
    void *y, *out_mean, *out_rstd, *dw, *db;
    const int64_t *labels;
    int64_t rows, cols, ignore, group;
    double eps, smoothing;
} rows_context;

#define F32(p, row) ((const float *)c->p + (row) * c->cols)
#define F64(p, row) ((const double *)c->p + (row) * c->cols)

// Rows of floats: float32's own, 16-bit ones by way of buffers, `count` rows long, that a task keeps in its caches. What is read and
// what is written have buffers of their own: loops over overlapping ones run without vectors.
static float *row_buffers(const rows_context *c, int count) { return is_half(c->dtype) ? tk_alloc((size_t)(c->cols * count * 4)) : 0; }
static void free_buffers(const rows_context *c, float *buffers, int count) { if (buffers) tk_free(buffers, (size_t)(c->cols * count * 4)); }
static const float *row_in(const rows_context *c, const void *x, int64_t r, float *buffer) {
    if (!buffer) return (const float *)x + r * c->cols;
    tk_current_level()->half_to_float(c->dtype, (const uint16_t *)x + r * c->cols, buffer, c->cols);
    return buffer;
}
static float *row_out(const rows_context *c, void *y, int64_t r, float *buffer) { return buffer || !y ? buffer : (float *)y + r * c->cols; }
static void row_done(const rows_context *c, void *y, int64_t r, const float *buffer) {
    if (buffer && y) tk_current_level()->float_to_half(c->dtype, buffer, (uint16_t *)y + r * c->cols, c->cols);
}

// ---- softmax ----

static void softmax_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    if (c->dtype != TK_F64) {
        float *x = row_buffers(c, 2), *y = x ? x + c->cols : 0;
        for (int64_t r = low; r < high; r++) {
            tk_current_level()->softmax_row(row_in(c, c->x, r, x), row_out(c, c->y, r, y), c->cols, c->log);
            row_done(c, c->y, r, y);
        }
        free_buffers(c, x, 2);
        return;
    }
    for (int64_t r = low; r < high; r++) {
        const double *x = F64(x, r);
        double *y = (double *)c->y + r * c->cols, m = -INFINITY, s = 0;
        for (int64_t i = 0; i < c->cols; i++) m = x[i] > m ? x[i] : m;
        for (int64_t i = 0; i < c->cols; i++) s += exp(x[i] - m);
        double l = log(s);
        for (int64_t i = 0; i < c->cols; i++) y[i] = c->log ? x[i] - m - l : exp(x[i] - m) / s;
    }
}

static void softmax_any(int dtype, const void *x, void *y, int64_t rows, int64_t cols, int log) {
    if (rows * cols == 0) return;
    rows_context c = {.dtype = dtype, .log = log, .x = x, .y = y, .rows = rows, .cols = cols};
    tk_parallel_ranges(rows, row_grain(cols), softmax_range, &c);
}
void tk_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols) { softmax_any(dtype, x, y, rows, cols, 0); }
void tk_log_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols) { softmax_any(dtype, x, y, rows, cols, 1); }

static void softmax_grad_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    if (c->dtype != TK_F64) {
        float *y = row_buffers(c, 3), *g = y ? y + c->cols : 0, *dx = g ? g + c->cols : 0;
        for (int64_t r = low; r < high; r++) {
            tk_current_level()->softmax_grad_row(row_in(c, c->x, r, y), row_in(c, c->g, r, g), row_out(c, c->y, r, dx), c->cols, c->log);
            row_done(c, c->y, r, dx);
        }
        free_buffers(c, y, 3);
        return;
    }
    for (int64_t r = low; r < high; r++) {
        const double *y = F64(x, r), *g = F64(g, r);
        double *dx = (double *)c->y + r * c->cols, s = 0;
        for (int64_t i = 0; i < c->cols; i++) s += c->log ? g[i] : y[i] * g[i];
        for (int64_t i = 0; i < c->cols; i++) dx[i] = c->log ? g[i] - exp(y[i]) * s : y[i] * (g[i] - s);
    }
}

static void softmax_grad_any(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols, int log) {
    if (rows * cols == 0) return;
    rows_context c = {.dtype = dtype, .log = log, .x = y, .g = g, .y = dx, .rows = rows, .cols = cols};
    tk_parallel_ranges(rows, row_grain(cols), softmax_grad_range, &c);
}
void tk_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols) { softmax_grad_any(dtype, y, g, dx, rows, cols, 0); }
void tk_log_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols) { softmax_grad_any(dtype, y, g, dx, rows, cols, 1); }

// ---- cross-entropy ----

static void cross_entropy_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    float *buffer = row_buffers(c, 1);
    for (int64_t r = low; r < high; r++) {
        int64_t label = c->labels[r];
        double lse, sum, picked = 0;
        if (c->dtype != TK_F64) {
            const float *x = row_in(c, c->x, r, buffer);
            float s;
            lse = tk_current_level()->lse_row(x, c->cols, &s);
            sum = s;
            if (label != c->ignore) picked = x[label];
        } else {
            const double *x = F64(x, r);
            double m = -INFINITY, s = 0;
            sum = 0;
            for (int64_t i = 0; i < c->cols; i++) { m = x[i] > m ? x[i] : m; sum += x[i]; }
            for (int64_t i = 0; i < c->cols; i++) s += exp(x[i] - m);
            lse = m + log(s);
            if (label != c->ignore) picked = x[label];
        }
        double e = c->smoothing, loss = 0;
        if (label != c->ignore) loss = (1 - e) * (lse - picked) + (e > 0 ? e * (lse - sum / (double)c->cols) : 0);
        if (c->dtype != TK_F64) { ((float *)c->y)[r] = (float)loss; ((float *)c->out_mean)[r] = (float)lse; }
        else { ((double *)c->y)[r] = loss; ((double *)c->out_mean)[r] = lse; }
    }
    free_buffers(c, buffer, 1);
}

void tk_cross_entropy(int dtype, const void *logits, const int64_t *labels, void *loss, void *lse, int64_t rows, int64_t cols,
                      int64_t ignore_index, double smoothing) {
    rows_context c = {.dtype = dtype, .x = logits, .labels = labels, .y = loss, .out_mean = lse, .rows = rows, .cols = cols,
                      .ignore = ignore_index, .smoothing = smoothing};
    tk_parallel_ranges(rows, row_grain(cols), cross_entropy_range, &c);
}

static void cross_entropy_grad_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    int64_t size = tk_element_size(c->dtype);
    float *buffer = row_buffers(c, 2), *out = buffer ? buffer + c->cols : 0;
    for (int64_t r = low; r < high; r++) {
        int64_t label = c->labels[r];
        double e = c->smoothing, u = e / (double)c->cols;
        if (label == c->ignore) memset((char *)c->y + r * c->cols * size, 0, (size_t)(c->cols * size));
        else if (c->dtype != TK_F64) {
            float *dx = row_out(c, c->y, r, out), g = ((const float *)c->g)[r];
            bool stream = c->dtype == TK_F32 && tk_streams(c->rows * c->cols * 4);
            tk_current_level()->cross_entropy_grad_row(row_in(c, c->x, r, buffer), ((const float *)c->lse)[r], g, (float)u, dx, c->cols, stream);
            dx[label] -= g * (float)(1 - e);
            row_done(c, c->y, r, out);
        } else {
            double *dx = (double *)c->y + r * c->cols, g = ((const double *)c->g)[r], l = ((const double *)c->lse)[r];
            for (int64_t i = 0; i < c->cols; i++) dx[i] = g * (exp(F64(x, r)[i] - l) - u);
            dx[label] -= g * (1 - e);
        }
    }
    free_buffers(c, buffer, 2);
}

void tk_cross_entropy_grad(int dtype, const void *logits, const int64_t *labels, const void *lse, const void *g, void *dx,
                           int64_t rows, int64_t cols, int64_t ignore_index, double smoothing) {
    rows_context c = {.dtype = dtype, .x = logits, .labels = labels, .lse = lse, .g = g, .y = dx, .rows = rows, .cols = cols,
                      .ignore = ignore_index, .smoothing = smoothing};
    tk_parallel_ranges(rows, row_grain(cols), cross_entropy_grad_range, &c);
}

// ---- layer and RMS normalisation (mean == NULL) ----

static void norm_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    if (c->dtype != TK_F64) {
        float *buffer = row_buffers(c, 2), *out = buffer ? buffer + c->cols : 0;
        for (int64_t r = low; r < high; r++) {
            const float *x = row_in(c, c->x, r, buffer);
            float *y = row_out(c, c->y, r, out), *rstd = (float *)c->out_rstd + r;
            if (c->out_mean) tk_current_level()->layer_norm_row(x, c->w, c->b, y, (float *)c->out_mean + r, rstd, c->cols, (float)c->eps);
            else tk_current_level()->rms_norm_row(x, c->w, y, rstd, c->cols, (float)c->eps);
            row_done(c, c->y, r, out);
        }
        free_buffers(c, buffer, 2);
        return;
    }
    for (int64_t r = low; r < high; r++) {
        const double *x = F64(x, r), *w = c->w, *b = c->b;
        double *y = (double *)c->y + r * c->cols, m = 0, s = 0, n = (double)c->cols;
        if (c->out_mean) { for (int64_t i = 0; i < c->cols; i++) m += x[i]; m /= n; ((double *)c->out_mean)[r] = m; }
        for (int64_t i = 0; i < c->cols; i++) s += (x[i] - m) * (x[i] - m);
        double q = 1 / sqrt(s / n + c->eps);
        ((double *)c->out_rstd)[r] = q;
        for (int64_t i = 0; i < c->cols; i++) y[i] = (x[i] - m) * q * (w ? w[i] : 1) + (b ? b[i] : 0);
    }
}

static void norm(int dtype, const void *x, const void *w, const void *b, void *y, void *mean, void *rstd, int64_t rows, int64_t cols, double eps) {
    float *ww = is_half(dtype) ? widen(dtype, w, cols) : 0, *wb = is_half(dtype) ? widen(dtype, b, cols) : 0;
    rows_context c = {.dtype = dtype, .x = x, .w = ww ? ww : w, .b = wb ? wb : b, .y = y, .out_mean = mean, .out_rstd = rstd, .rows = rows,
                      .cols = cols, .eps = eps};
    tk_parallel_ranges(rows, row_grain(cols), norm_range, &c);
    narrow(dtype, ww, 0, cols);
    narrow(dtype, wb, 0, cols);
}
void tk_layer_norm(int dtype, const void *x, const void *weight, const void *bias, void *y, void *mean, void *rstd, int64_t rows, int64_t cols, double eps) {
    norm(dtype, x, weight, bias, y, mean, rstd, rows, cols, eps);
}
void tk_rms_norm(int dtype, const void *x, const void *weight, void *y, void *rstd, int64_t rows, int64_t cols, double eps) {
    norm(dtype, x, weight, 0, y, 0, rstd, rows, cols, eps);
}

/// One group of rows: gradients of the rows, and the group's share of dw and db in its own partial row.
static void norm_grad_task(void *p, int64_t t) {
    const rows_context *c = p;
    int64_t low = t * c->group, high = low + c->group < c->rows ? low + c->group : c->rows;
    int64_t size = c->dtype == TK_F64 ? 8 : 4;
    char *dw = c->dw ? (char *)c->dw + t * c->cols * size : 0, *db = c->db ? (char *)c->db + t * c->cols * size : 0;
    if (dw) memset(dw, 0, (size_t)(c->cols * size));
    if (db) memset(db, 0, (size_t)(c->cols * size));
    if (c->dtype != TK_F64) {
        float *bx = row_buffers(c, 3), *bg = bx ? bx + c->cols : 0, *bd = bx && c->y ? bx + 2 * c->cols : 0;
        for (int64_t r = low; r < high; r++) {
            const float *x = row_in(c, c->x, r, bx), *g = row_in(c, c->g, r, bg);
            float *dx = row_out(c, c->y, r, bd), q = ((const float *)c->rstd)[r];
            if (c->mean) tk_current_level()->layer_norm_grad_row(x, c->w, ((const float *)c->mean)[r], q, g, dx, (float *)dw, (float *)db, c->cols);
            else tk_current_level()->rms_norm_grad_row(x, c->w, q, g, dx, (float *)dw, c->cols);
            row_done(c, c->y, r, bd);
        }
        free_buffers(c, bx, 3);
        return;
    }
    for (int64_t r = low; r < high; r++) {
        const double *x = F64(x, r), *g = F64(g, r), *w = c->w;
        double m = c->mean ? ((const double *)c->mean)[r] : 0, q = ((const double *)c->rstd)[r], a = 0, b = 0, n = (double)c->cols;
        for (int64_t i = 0; i < c->cols; i++) {
            double s = g[i] * (w ? w[i] : 1), h = (x[i] - m) * q;
            a += s;
            b += s * h;
            if (dw) ((double *)dw)[i] += g[i] * h;
            if (db) ((double *)db)[i] += g[i];
        }
        if (!c->mean) a = 0;
        if (c->y) for (int64_t i = 0; i < c->cols; i++) ((double *)c->y)[r * c->cols + i] = q * (g[i] * (w ? w[i] : 1) - a / n - (x[i] - m) * q * b / n);
    }
}

static void sum_groups(int dtype, void *parts, void *out, int64_t groups, int64_t cols) {
    if (!is_half(dtype)) { tk_reduce(TK_SUM, dtype, parts, out, 1, groups, cols); return; }
    float *sum = (float *)parts + groups * cols;
    tk_reduce(TK_SUM, TK_F32, parts, sum, 1, groups, cols);
    tk_cast(TK_F32, dtype, sum, out, cols);
}

static void norm_grad(int dtype, const void *x, const void *w, const void *mean, const void *rstd, const void *g, void *dx, void *dw, void *db, int64_t rows, int64_t cols) {
    int64_t group = (rows + 31) / 32, element = tk_element_size(dtype);
    if (group < 16) group = 16;
    int64_t groups = (rows + group - 1) / group;
    if (groups == 0 || cols == 0) {
        if (dw) memset(dw, 0, (size_t)(cols * element));
        if (db) memset(db, 0, (size_t)(cols * element));
        return;
    }
    // The partial sums of 16-bit types are floats, in one row more than there are groups: the place of their sum.
    bool half = is_half(dtype);
    int64_t size = half ? 4 : element;
    float *ww = half ? widen(dtype, w, cols) : 0;
    size_t bytes = (size_t)((groups + half) * cols * size);
    void *pw = dw ? tk_alloc(bytes) : 0, *pb = db ? tk_alloc(bytes) : 0;
    rows_context c = {.dtype = dtype, .x = x, .w = ww ? ww : w, .mean = mean, .rstd = rstd, .g = g, .y = dx, .dw = pw, .db = pb,
                      .rows = rows, .cols = cols, .group = group};
    tk_parallel(groups, norm_grad_task, &c);
    if (dw) { sum_groups(dtype, pw, dw, groups, cols); tk_free(pw, bytes); }
    if (db) { sum_groups(dtype, pb, db, groups, cols); tk_free(pb, bytes); }
    narrow(dtype, ww, 0, cols);
}
void tk_layer_norm_grad(int dtype, const void *x, const void *weight, const void *mean, const void *rstd, const void *g, void *dx, void *dweight, void *dbias, int64_t rows, int64_t cols) {
    norm_grad(dtype, x, weight, mean, rstd, g, dx, dweight, dbias, rows, cols);
}
void tk_rms_norm_grad(int dtype, const void *x, const void *weight, const void *rstd, const void *g, void *dx, void *dweight, int64_t rows, int64_t cols) {
    norm_grad(dtype, x, weight, 0, rstd, g, dx, dweight, 0, rows, cols);
}
