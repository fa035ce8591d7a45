// Fused operations on rows. float32 uses the vector kernels; the half types go through float32; float64 uses libm.
#include <math.h>
#include <string.h>

#include "levels.h"

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

/// A temporary float32 copy of a half-precision buffer (NULL stays NULL).
static float *widen(int dtype, const void *x, int64_t n) {
    if (!x) return 0;
    float *w = tk_alloc((size_t)(n * 4));
    tk_cast(dtype, TK_F32, x, w, n);
    return w;
}
static float *scratch(const void *wanted, int64_t n) { return wanted ? tk_alloc((size_t)(n * 4)) : 0; }
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

// ---- softmax ----

static void softmax_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t r = low; r < high; r++) {
        if (c->dtype == TK_F32) { tk_current_level()->softmax_row(F32(x, r), (float *)c->y + r * c->cols, c->cols, c->log); continue; }
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
    if (is_half(dtype)) {
        float *w = widen(dtype, x, rows * cols);
        softmax_any(TK_F32, w, w, rows, cols, log);
        narrow(dtype, w, y, rows * cols);
        return;
    }
    rows_context c = {.dtype = dtype, .log = log, .x = x, .y = y, .rows = rows, .cols = cols};
    tk_parallel_ranges(rows, row_grain(cols), softmax_range, &c);
}
void tk_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols) { softmax_any(dtype, x, y, rows, cols, 0); }
void tk_log_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols) { softmax_any(dtype, x, y, rows, cols, 1); }

static void softmax_grad_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t r = low; r < high; r++) {
        if (c->dtype == TK_F32) {
            tk_current_level()->softmax_grad_row(F32(x, r), F32(g, r), (float *)c->y + r * c->cols, c->cols, c->log);
            continue;
        }
        const double *y = F64(x, r), *g = F64(g, r);
        double *dx = (double *)c->y + r * c->cols, s = 0;
        for (int64_t i = 0; i < c->cols; i++) s += c->log ? g[i] : y[i] * g[i];
        for (int64_t i = 0; i < c->cols; i++) dx[i] = c->log ? g[i] - exp(y[i]) * s : y[i] * (g[i] - s);
    }
}

static void softmax_grad_any(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols, int log) {
    if (rows * cols == 0) return;
    if (is_half(dtype)) {
        float *wy = widen(dtype, y, rows * cols), *wg = widen(dtype, g, rows * cols);
        softmax_grad_any(TK_F32, wy, wg, wg, rows, cols, log);
        narrow(dtype, wy, 0, rows * cols);
        narrow(dtype, wg, dx, rows * cols);
        return;
    }
    rows_context c = {.dtype = dtype, .log = log, .x = y, .g = g, .y = dx, .rows = rows, .cols = cols};
    tk_parallel_ranges(rows, row_grain(cols), softmax_grad_range, &c);
}
void tk_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols) { softmax_grad_any(dtype, y, g, dx, rows, cols, 0); }
void tk_log_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols) { softmax_grad_any(dtype, y, g, dx, rows, cols, 1); }

// ---- cross-entropy ----

static void cross_entropy_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t r = low; r < high; r++) {
        int64_t label = c->labels[r];
        double lse, sum, picked = 0;
        if (c->dtype == TK_F32) {
            float s;
            lse = tk_current_level()->lse_row(F32(x, r), c->cols, &s);
            sum = s;
            if (label != c->ignore) picked = F32(x, r)[label];
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
        if (c->dtype == TK_F32) { ((float *)c->y)[r] = (float)loss; ((float *)c->out_mean)[r] = (float)lse; }
        else { ((double *)c->y)[r] = loss; ((double *)c->out_mean)[r] = lse; }
    }
}

void tk_cross_entropy(int dtype, const void *logits, const int64_t *labels, void *loss, void *lse, int64_t rows, int64_t cols,
                      int64_t ignore_index, double smoothing) {
    if (is_half(dtype)) {
        float *w = widen(dtype, logits, rows * cols), *a = tk_alloc((size_t)(rows * 4)), *b = tk_alloc((size_t)(rows * 4));
        tk_cross_entropy(TK_F32, w, labels, a, b, rows, cols, ignore_index, smoothing);
        narrow(dtype, w, 0, rows * cols);
        narrow(dtype, a, loss, rows);
        narrow(dtype, b, lse, rows);
        return;
    }
    rows_context c = {.dtype = dtype, .x = logits, .labels = labels, .y = loss, .out_mean = lse, .rows = rows, .cols = cols,
                      .ignore = ignore_index, .smoothing = smoothing};
    tk_parallel_ranges(rows, row_grain(cols), cross_entropy_range, &c);
}

static void cross_entropy_grad_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t r = low; r < high; r++) {
        int64_t label = c->labels[r];
        double e = c->smoothing, u = e / (double)c->cols;
        if (c->dtype == TK_F32) {
            float *dx = (float *)c->y + r * c->cols;
            if (label == c->ignore) { memset(dx, 0, (size_t)(c->cols * 4)); continue; }
            float g = ((const float *)c->g)[r];
            tk_current_level()->cross_entropy_grad_row(F32(x, r), ((const float *)c->lse)[r], g, (float)u, dx, c->cols, c->rows * c->cols > 8 << 20);
            dx[label] -= g * (float)(1 - e);
        } else {
            double *dx = (double *)c->y + r * c->cols, g = ((const double *)c->g)[r], l = ((const double *)c->lse)[r];
            if (label == c->ignore) { memset(dx, 0, (size_t)(c->cols * 8)); continue; }
            for (int64_t i = 0; i < c->cols; i++) dx[i] = g * (exp(F64(x, r)[i] - l) - u);
            dx[label] -= g * (1 - e);
        }
    }
}

void tk_cross_entropy_grad(int dtype, const void *logits, const int64_t *labels, const void *lse, const void *g, void *dx,
                           int64_t rows, int64_t cols, int64_t ignore_index, double smoothing) {
    if (is_half(dtype)) {
        // The kept logSumExp is rounded; from the widened logits it is exact again.
        float *w = widen(dtype, logits, rows * cols), *wg = widen(dtype, g, rows);
        float *a = tk_alloc((size_t)(rows * 4)), *b = tk_alloc((size_t)(rows * 4));
        tk_cross_entropy(TK_F32, w, labels, a, b, rows, cols, ignore_index, smoothing);
        tk_cross_entropy_grad(TK_F32, w, labels, b, wg, w, rows, cols, ignore_index, smoothing);
        narrow(dtype, w, dx, rows * cols);
        narrow(dtype, wg, 0, rows);
        narrow(dtype, a, 0, rows);
        narrow(dtype, b, 0, rows);
        return;
    }
    rows_context c = {.dtype = dtype, .x = logits, .labels = labels, .lse = lse, .g = g, .y = dx, .rows = rows, .cols = cols,
                      .ignore = ignore_index, .smoothing = smoothing};
    tk_parallel_ranges(rows, row_grain(cols), cross_entropy_grad_range, &c);
}

// ---- layer and RMS normalisation (mean == NULL) ----

static void norm_range(void *p, int64_t low, int64_t high) {
    const rows_context *c = p;
    for (int64_t r = low; r < high; r++) {
        if (c->dtype == TK_F32) {
            float *y = (float *)c->y + r * c->cols, *rstd = (float *)c->out_rstd + r;
            if (c->out_mean) tk_current_level()->layer_norm_row(F32(x, r), c->w, c->b, y, (float *)c->out_mean + r, rstd, c->cols, (float)c->eps);
            else tk_current_level()->rms_norm_row(F32(x, r), c->w, y, rstd, c->cols, (float)c->eps);
            continue;
        }
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
    if (is_half(dtype)) {
        float *wx = widen(dtype, x, rows * cols), *ww = widen(dtype, w, cols), *wb = widen(dtype, b, cols);
        norm(TK_F32, wx, ww, wb, wx, mean, rstd, rows, cols, eps);
        narrow(dtype, wx, y, rows * cols);
        narrow(dtype, ww, 0, cols);
        narrow(dtype, wb, 0, cols);
        return;
    }
    rows_context c = {.dtype = dtype, .x = x, .w = w, .b = b, .y = y, .out_mean = mean, .out_rstd = rstd, .rows = rows, .cols = cols, .eps = eps};
    tk_parallel_ranges(rows, row_grain(cols), norm_range, &c);
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
    int64_t size = tk_element_size(c->dtype);
    char *dw = c->dw ? (char *)c->dw + t * c->cols * size : 0, *db = c->db ? (char *)c->db + t * c->cols * size : 0;
    if (dw) memset(dw, 0, (size_t)(c->cols * size));
    if (db) memset(db, 0, (size_t)(c->cols * size));
    for (int64_t r = low; r < high; r++) {
        if (c->dtype == TK_F32) {
            float *dx = c->y ? (float *)c->y + r * c->cols : 0, q = ((const float *)c->rstd)[r];
            if (c->mean) tk_current_level()->layer_norm_grad_row(F32(x, r), c->w, ((const float *)c->mean)[r], q, F32(g, r), dx, (float *)dw, (float *)db, c->cols);
            else tk_current_level()->rms_norm_grad_row(F32(x, r), c->w, q, F32(g, r), dx, (float *)dw, c->cols);
            continue;
        }
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

static void norm_grad(int dtype, const void *x, const void *w, const void *mean, const void *rstd, const void *g, void *dx, void *dw, void *db, int64_t rows, int64_t cols) {
    if (is_half(dtype)) {
        float *wx = widen(dtype, x, rows * cols), *wg = widen(dtype, g, rows * cols), *ww = widen(dtype, w, cols);
        float *odx = scratch(dx, rows * cols), *odw = scratch(dw, cols), *odb = scratch(db, cols);
        norm_grad(TK_F32, wx, ww, mean, rstd, wg, odx, odw, odb, rows, cols);
        narrow(dtype, wx, 0, rows * cols);
        narrow(dtype, wg, 0, rows * cols);
        narrow(dtype, ww, 0, cols);
        narrow(dtype, odx, dx, rows * cols);
        narrow(dtype, odw, dw, cols);
        narrow(dtype, odb, db, cols);
        return;
    }
    int64_t size = tk_element_size(dtype), group = (rows + 31) / 32;
    if (group < 16) group = 16;
    int64_t groups = (rows + group - 1) / group;
    if (groups == 0 || cols == 0) {
        if (dw) memset(dw, 0, (size_t)(cols * size));
        if (db) memset(db, 0, (size_t)(cols * size));
        return;
    }
    size_t bytes = (size_t)(groups * cols * size);
    void *pw = dw ? tk_alloc(bytes) : 0, *pb = db ? tk_alloc(bytes) : 0;
    rows_context c = {.dtype = dtype, .x = x, .w = w, .mean = mean, .rstd = rstd, .g = g, .y = dx, .dw = pw, .db = pb,
                      .rows = rows, .cols = cols, .group = group};
    tk_parallel(groups, norm_grad_task, &c);
    if (dw) { tk_reduce(TK_SUM, dtype, pw, dw, 1, groups, cols); tk_free(pw, bytes); }
    if (db) { tk_reduce(TK_SUM, dtype, pb, db, 1, groups, cols); tk_free(pb, bytes); }
}
void tk_layer_norm_grad(int dtype, const void *x, const void *weight, const void *mean, const void *rstd, const void *g, void *dx, void *dweight, void *dbias, int64_t rows, int64_t cols) {
    norm_grad(dtype, x, weight, mean, rstd, g, dx, dweight, dbias, rows, cols);
}
void tk_rms_norm_grad(int dtype, const void *x, const void *weight, const void *rstd, const void *g, void *dx, void *dweight, int64_t rows, int64_t cols) {
    norm_grad(dtype, x, weight, 0, rstd, g, dx, dweight, 0, rows, cols);
}
