// Layer and RMS normalisation along rows, forward and backward.
#include "groups.cuh"

/// Statistics are kept in the type that is calculated in; `weight`, `bias` may be missing; without `mean` the norm is the root of the
/// mean square.
template <class T> TK_DEVICE void norm(const T *x, const T *weight, const T *bias, T *out, tk_wide<T> *mean, tk_wide<T> *rstd, long long rows,
                                       long long n, double epsilon) {
    typedef tk_wide<T> F;
    TK_SHARED F scratch[32];
    long long row = tk_row();
    if (row >= rows) return;
    x += row * n;
    out += row * n;
    F center = (F)0, sum = (F)0;
    if (mean) {
        for (long long j = threadIdx.x; j < n; j += blockDim.x) sum += tk_widen(x[j]);
        center = tk_across_row(sum, tk_add(), scratch) / (F)n;
        sum = (F)0;
    }
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F v = tk_widen(x[j]) - center;
        sum += v * v;
    }
    F scale = (F)1 / sqrt(tk_across_row(sum, tk_add(), scratch) / (F)n + (F)epsilon);
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F v = (tk_widen(x[j]) - center) * scale;
        if (weight) v *= tk_widen(weight[j]);
        if (bias) v += tk_widen(bias[j]);
        out[j] = tk_narrow<T>(v);
    }
    if (threadIdx.x > 0) return;
    rstd[row] = scale;
    if (mean) mean[row] = center;
}

/// rstd (g w - mean(g w) - x̂ mean(g w x̂)), without the first mean for the root of the mean square.
template <class T> TK_DEVICE void norm_grad(const T *x, const T *weight, const tk_wide<T> *mean, const tk_wide<T> *rstd, const T *g, T *out,
                                            long long rows, long long n) {
    typedef tk_wide<T> F;
    TK_SHARED F scratch[32];
    long long row = tk_row();
    if (row >= rows) return;
    x += row * n;
    g += row * n;
    out += row * n;
    F center = mean ? mean[row] : (F)0, scale = rstd[row], first = (F)0, second = (F)0;
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F d = tk_widen(g[j]) * (weight ? tk_widen(weight[j]) : (F)1);
        first += d;
        second += d * (tk_widen(x[j]) - center) * scale;
    }
    first = mean ? tk_across_row(first, tk_add(), scratch) / (F)n : (F)0;
    second = tk_across_row(second, tk_add(), scratch) / (F)n;
    for (long long j = threadIdx.x; j < n; j += blockDim.x) {
        F d = tk_widen(g[j]) * (weight ? tk_widen(weight[j]) : (F)1);
        out[j] = tk_narrow<T>(scale * (d - first - (tk_widen(x[j]) - center) * scale * second));
    }
}

/// Gradients of weight and bias over a part of the rows, [parts, n] in the type that is calculated in: 32 columns and 8 rows at a time.
/// The parts are blockIdx.y; tk_reduce sums them.
template <class T> TK_DEVICE void norm_grad_weight(const T *x, const tk_wide<T> *mean, const tk_wide<T> *rstd, const T *g, tk_wide<T> *dweight,
                                                   tk_wide<T> *dbias, long long rows, long long n) {
    typedef tk_wide<T> F;
    TK_SHARED F weights[256];
    TK_SHARED F biases[256];
    long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    long long part = (rows + gridDim.y - 1) / gridDim.y, first = blockIdx.y * part, last = first + part < rows ? first + part : rows;
    F w = (F)0, b = (F)0;
    if (j < n)
        for (long long r = first + threadIdx.y; r < last; r += blockDim.y) {
            F d = tk_widen(g[r * n + j]);
            w += d * (tk_widen(x[r * n + j]) - (mean ? mean[r] : (F)0)) * rstd[r];
            b += d;
        }
    int place = threadIdx.y * blockDim.x + threadIdx.x;
    weights[place] = w;
    biases[place] = b;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half) {
            weights[place] += weights[place + half * blockDim.x];
            biases[place] += biases[place + half * blockDim.x];
        }
    }
    if (threadIdx.y > 0 || j >= n) return;
    if (dweight) dweight[blockIdx.y * n + j] = weights[place];
    if (dbias) dbias[blockIdx.y * n + j] = biases[place];
}

#define NORMS(T, S)                                                                                                                  \
    TK_KERNEL(512) tk_norm_##S(const T *x, const T *weight, const T *bias, T *out, tk_wide<T> *mean, tk_wide<T> *rstd, long long rows, \
                                long long n, double epsilon) { norm(x, weight, bias, out, mean, rstd, rows, n, epsilon); }           \
    TK_EXPORT(tk_norm_##S)                                                                                                           \
    TK_KERNEL(512) tk_norm_grad_##S(const T *x, const T *weight, const tk_wide<T> *mean, const tk_wide<T> *rstd, const T *g, T *out,  \
                                     long long rows, long long n) { norm_grad(x, weight, mean, rstd, g, out, rows, n); }             \
    TK_EXPORT(tk_norm_grad_##S)                                                                                                      \
    TK_KERNEL(256) tk_norm_grad_weight_##S(const T *x, const tk_wide<T> *mean, const tk_wide<T> *rstd, const T *g, tk_wide<T> *dweight, \
                                           tk_wide<T> *dbias, long long rows, long long n) {                                         \
        norm_grad_weight(x, mean, rstd, g, dweight, dbias, rows, n);                                                                 \
    }                                                                                                                                \
    TK_EXPORT(tk_norm_grad_weight_##S)
TK_FLOAT_TYPES(NORMS)
#undef NORMS
