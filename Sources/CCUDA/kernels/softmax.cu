// Softmax and its gradient along rows, a row to a warp or to a block.
#include "groups.cuh"

/// Maximum and Σ e^(x - maximum) of a row in one pass, the sum rescaled as the maximum grows.
template <class T> TK_DEVICE void row_sum_of_exponentials(const T *x, long long n, tk_wide<T> *scratch, tk_wide<T> &high, tk_wide<T> &sum) {
    typedef tk_wide<T> F;
    F m = tk_lowest((F)0), s = (F)0;   // a finite start: -∞ minus itself would be NaN
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F v = tk_widen(x[j]), next = larger(m, v);
        s = s * exp(m - next) + exp(v - next);
        m = next;
    }
    high = tk_across_row(m, tk_larger(), scratch);
    sum = tk_across_row(s * exp(m - high), tk_add(), scratch);
}

template <class T> TK_DEVICE void softmax(const T *x, T *out, long long rows, long long n, bool logarithm) {
    typedef tk_wide<T> F;
    TK_SHARED F scratch[32];
    long long row = tk_row();
    if (row >= rows) return;   // whole warps
    x += row * n;
    out += row * n;
    F high, sum;
    row_sum_of_exponentials(x, n, scratch, high, sum);
    F shift = logarithm ? log(sum) : (F)1 / sum;
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F v = tk_widen(x[j]) - high;
        out[j] = tk_narrow<T>(logarithm ? v - shift : exp(v) * shift);
    }
}

/// y (g - Σ g y), or g - e^y Σ g.
template <class T> TK_DEVICE void softmax_grad(const T *y, const T *g, T *out, long long rows, long long n, bool logarithm) {
    typedef tk_wide<T> F;
    TK_SHARED F scratch[32];
    long long row = tk_row();
    if (row >= rows) return;
    y += row * n;
    g += row * n;
    out += row * n;
    F sum = (F)0;
    for (long long j = threadIdx.x; j < n; j += blockDim.x) sum += logarithm ? tk_widen(g[j]) : tk_widen(g[j]) * tk_widen(y[j]);
    sum = tk_across_row(sum, tk_add(), scratch);
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F v = tk_widen(y[j]), d = tk_widen(g[j]);
        out[j] = tk_narrow<T>(logarithm ? d - exp(v) * sum : v * (d - sum));
    }
}

/// `loss` and `lse` in the type that is calculated in.
template <class T> TK_DEVICE void cross_entropy(const T *x, const long long *labels, tk_wide<T> *loss, tk_wide<T> *lse, long long rows,
                                                long long n, long long ignored, double smoothing) {
    typedef tk_wide<T> F;
    TK_SHARED F scratch[32];
    long long row = tk_row();
    if (row >= rows) return;
    x += row * n;
    F high, sum, total = (F)0;
    row_sum_of_exponentials(x, n, scratch, high, sum);
    F all = fabs(high) == tk_infinity((F)0) ? high : high + log(sum);
    if (smoothing != 0) {
        for (long long j = threadIdx.x; j < n; j += blockDim.x) total += tk_widen(x[j]);
        total = tk_across_row(total, tk_add(), scratch);
    }
    if (threadIdx.x > 0) return;
    lse[row] = all;
    F e = (F)smoothing;
    loss[row] = labels[row] == ignored ? (F)0 : ((F)1 - e) * (all - tk_widen(x[labels[row]])) + (smoothing != 0 ? e * (all - total / (F)n) : (F)0);
}

template <class T> TK_DEVICE void cross_entropy_grad(const T *x, const long long *labels, const tk_wide<T> *lse, const tk_wide<T> *g, T *out,
                                                     long long rows, long long n, long long ignored, double smoothing) {
    typedef tk_wide<T> F;
    long long row = tk_row();
    if (row >= rows) return;
    F all = lse[row], d = g[row], uniform = (F)(smoothing / (double)n), hit = (F)(1 - smoothing);
    long long label = labels[row];
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F p = exp(tk_widen(x[row * n + j]) - all) - uniform - (j == label ? hit : (F)0);
        out[row * n + j] = tk_narrow<T>(label == ignored ? (F)0 : d * p);
    }
}

#define ROWS(T, S)                                                                                                                    \
    TK_KERNEL(512) tk_softmax_##S(const T *x, T *out, long long rows, long long n, long long logarithm) {                             \
        softmax(x, out, rows, n, logarithm != 0);                                                                                     \
    }                                                                                                                                 \
    TK_EXPORT(tk_softmax_##S)                                                                                                         \
    TK_KERNEL(512) tk_softmax_grad_##S(const T *y, const T *g, T *out, long long rows, long long n, long long logarithm) {            \
        softmax_grad(y, g, out, rows, n, logarithm != 0);                                                                             \
    }                                                                                                                                 \
    TK_EXPORT(tk_softmax_grad_##S)                                                                                                    \
    TK_KERNEL(512) tk_cross_entropy_##S(const T *x, const long long *labels, tk_wide<T> *loss, tk_wide<T> *lse, long long rows,       \
                                         long long n, long long ignored, double smoothing) {                                          \
        cross_entropy(x, labels, loss, lse, rows, n, ignored, smoothing);                                                             \
    }                                                                                                                                 \
    TK_EXPORT(tk_cross_entropy_##S)                                                                                                   \
    TK_KERNEL(512) tk_cross_entropy_grad_##S(const T *x, const long long *labels, const tk_wide<T> *lse, const tk_wide<T> *g, T *out, \
                                              long long rows, long long n, long long ignored, double smoothing) {                     \
        cross_entropy_grad(x, labels, lse, g, out, rows, n, ignored, smoothing);                                                      \
    }                                                                                                                                 \
    TK_EXPORT(tk_cross_entropy_grad_##S)
TK_FLOAT_TYPES(ROWS)
#undef ROWS
