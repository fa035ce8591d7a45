// Normalisation per channel (batch norm) or per sample and group of channels, over [batch, channels, inner], forward and backward.
#include "groups.cuh"

/// Where element `e` of a set lies, and its channel. A set is a channel over the batch (groups = 0), or the channels of a group of a sample,
/// which lie behind each other.
TK_DEVICE long long place_in_set(long long set, long long e, long long channels, long long inner, long long groups) {
    if (groups > 0) return set * (channels / groups) * inner + e;
    return (e / inner * channels + set) * inner + e % inner;
}

/// Mean and variance of every set, a block of 256 threads to a set: two passes, in double.
#define STATISTICS(F, S)                                                                                                               \
    TK_KERNEL(256) tk_channel_statistics_##S(const F *x, F *mean, F *variance, long long batch, long long channels, long long inner,    \
                                             long long groups) {                                                                       \
        TK_SHARED double scratch[32];                                                                                                  \
        long long n = groups > 0 ? channels / groups * inner : batch * inner;                                                          \
        double center = 0;                                                                                                             \
        for (int pass = 0; pass < 2; pass++) {                                                                                         \
            double sum = 0;                                                                                                            \
            for (long long e = threadIdx.x; e < n; e += blockDim.x) {                                                                  \
                double v = (double)x[place_in_set(blockIdx.x, e, channels, inner, groups)];                                            \
                sum += pass ? (v - center) * (v - center) : v;                                                                         \
            }                                                                                                                          \
            sum = tk_across_row(sum, tk_add(), scratch) / (double)n;                                                                   \
            if (pass == 0) center = sum;                                                                                               \
            if (threadIdx.x == 0) (pass ? variance : mean)[blockIdx.x] = (F)sum;                                                       \
        }                                                                                                                              \
    }                                                                                                                                  \
    TK_EXPORT(tk_channel_statistics_##S)                                                                                               \
    TK_KERNEL(256) tk_channel_apply_##S(const F *x, const F *weight, const F *bias, F *out, const F *mean, const F *variance,           \
                                        long long batch, long long channels, long long inner, long long groups, double epsilon,        \
                                        long long rectified) {                                                                         \
        for (long long e = tk_first(); e < batch * channels * inner; e += tk_step()) {                                                 \
            long long c = e / inner % channels, set = groups > 0 ? e / inner / (channels / groups) : c;                                \
            F y = (x[e] - mean[set]) * (F)(1 / sqrt((double)variance[set] + epsilon)) * (weight ? weight[c] : (F)1);                   \
            if (bias) y += bias[c];                                                                                                    \
            out[e] = rectified && y < 0 ? (F)0 : y;                                                                                    \
        }                                                                                                                              \
    }                                                                                                                                  \
    TK_EXPORT(tk_channel_apply_##S)
TK_WIDE_TYPES(STATISTICS)
#undef STATISTICS

/// g where the output was above 0.
template <class F> TK_DEVICE F passed(F g, F normal, const F *weight, const F *bias, long long c, bool rectified) {
    F y = normal * (weight ? weight[c] : (F)1);
    if (bias) y += bias[c];
    return rectified && y <= 0 ? (F)0 : g;
}

/// Σ g and Σ g x̂ of every sample and channel, as pairs of doubles: a block to each.
template <class F> TK_DEVICE void channel_sums(const F *x, const F *g, const F *weight, const F *bias, const F *mean, const F *variance, double *sums,
                                               long long channels, long long inner, long long groups, double epsilon, bool rectified) {
    TK_SHARED double scratch[32];
    long long row = blockIdx.x, c = row % channels, set = groups > 0 ? row / (channels / groups) : c;
    F scale = (F)(1 / sqrt((double)variance[set] + epsilon));
    double first = 0, second = 0;
    for (long long i = threadIdx.x; i < inner; i += blockDim.x) {
        F normal = (x[row * inner + i] - mean[set]) * scale, d = passed(g[row * inner + i], normal, weight, bias, c, rectified);
        first += (double)d;
        second += (double)d * (double)normal;
    }
    first = tk_across_row(first, tk_add(), scratch);
    second = tk_across_row(second, tk_add(), scratch);
    if (threadIdx.x == 0) { sums[2 * row] = first; sums[2 * row + 1] = second; }
}

/// The sums of every set with the weight, divided by its size (0 if the statistics are fixed), and the gradients of weight and bias.
template <class F> TK_DEVICE void channel_totals(const double *sums, const F *weight, double *totals, F *dweight, F *dbias, long long batch,
                                                 long long channels, long long inner, long long groups, bool fixed) {
    long long sets = groups > 0 ? batch * groups : channels, each = channels / (groups > 0 ? groups : 1);
    for (long long k = tk_first(); k < sets; k += tk_step()) {
        double first = 0, second = 0;
        for (long long r = 0; r < (groups > 0 ? each : batch); r++) {
            long long row = groups > 0 ? k * each + r : r * channels + k;
            double w = weight ? (double)weight[row % channels] : 1;
            first += w * sums[2 * row];
            second += w * sums[2 * row + 1];
        }
        double n = (double)(groups > 0 ? each * inner : batch * inner);
        totals[2 * k] = fixed ? 0 : first / n;
        totals[2 * k + 1] = fixed ? 0 : second / n;
    }
    for (long long c = tk_first(); c < channels; c += tk_step()) {
        double first = 0, second = 0;
        for (long long b = 0; b < batch; b++) { first += sums[2 * (b * channels + c)]; second += sums[2 * (b * channels + c) + 1]; }
        if (dbias) dbias[c] = (F)first;
        if (dweight) dweight[c] = (F)second;
    }
}

#define GRADIENTS(F, S)                                                                                                                \
    TK_KERNEL(256) tk_channel_sums_##S(const F *x, const F *g, const F *weight, const F *bias, const F *mean, const F *variance,        \
                                       double *sums, long long channels, long long inner, long long groups, double epsilon,            \
                                       long long rectified) {                                                                          \
        channel_sums(x, g, weight, bias, mean, variance, sums, channels, inner, groups, epsilon, rectified != 0);                      \
    }                                                                                                                                  \
    TK_EXPORT(tk_channel_sums_##S)                                                                                                     \
    TK_KERNEL(256) tk_channel_totals_##S(const double *sums, const F *weight, double *totals, F *dweight, F *dbias, long long batch,    \
                                         long long channels, long long inner, long long groups, long long fixed) {                     \
        channel_totals(sums, weight, totals, dweight, dbias, batch, channels, inner, groups, fixed != 0);                              \
    }                                                                                                                                  \
    TK_EXPORT(tk_channel_totals_##S)                                                                                                   \
    TK_KERNEL(256) tk_channel_grad_##S(const F *x, const F *g, const F *weight, const F *bias, const F *mean, const F *variance,        \
                                       const double *totals, F *out, long long batch, long long channels, long long inner,             \
                                       long long groups, double epsilon, long long rectified) {                                        \
        for (long long e = tk_first(); e < batch * channels * inner; e += tk_step()) {                                                 \
            long long c = e / inner % channels, set = groups > 0 ? e / inner / (channels / groups) : c;                                \
            F scale = (F)(1 / sqrt((double)variance[set] + epsilon)), normal = (x[e] - mean[set]) * scale;                             \
            F d = passed(g[e], normal, weight, bias, c, rectified != 0) * (weight ? weight[c] : (F)1);                                 \
            out[e] = scale * (d - (F)totals[2 * set] - normal * (F)totals[2 * set + 1]);                                               \
        }                                                                                                                              \
    }                                                                                                                                  \
    TK_EXPORT(tk_channel_grad_##S)
TK_WIDE_TYPES(GRADIENTS)
#undef GRADIENTS
