// One pass over parameter, gradient and state, as torch.optim defines the steps.
#include "types.cuh"
#include "arguments.cuh"

/// A block to a chunk of one of several parameters.
template <class F> TK_DEVICE void adam(const tk_cuda_adam_group &t, const tk_cuda_adam &o) {
    int k = 0;
    while (k + 1 < t.tensors && (long long)blockIdx.x >= t.first[k + 1]) k++;
    F *p = (F *)t.p[k], *m = (F *)t.m[k], *v = (F *)t.v[k], *high = (F *)t.high[k];
    const F *g = (const F *)t.g[k];
    long long begin = ((long long)blockIdx.x - t.first[k]) * TK_CUDA_ADAM_CHUNK, end = begin + TK_CUDA_ADAM_CHUNK;
    if (end > t.count[k]) end = t.count[k];
#pragma unroll 4
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        F q = p[i] * (F)o.shrink, d = (F)o.sign * g[i] + (F)o.decay * q;
        F mean = m[i] + (F)o.one_minus_beta1 * (d - m[i]), square = (F)o.beta2 * v[i] + (F)o.one_minus_beta2 * d * d, top = square;
        m[i] = mean;
        v[i] = square;
        if (high) high[i] = top = high[i] > square ? high[i] : square;
        p[i] = q - (F)o.step * mean / (sqrt(top) / (F)o.root + (F)o.epsilon);
    }
}

template <class F> TK_DEVICE void sgd(F *p, const F *g, F *momentum, long long n, const tk_cuda_sgd &o) {
    for (long long i = tk_first(); i < n; i += tk_step()) {
        F d = (F)o.sign * g[i] + (F)o.decay * p[i];
        if (momentum) {
            F b = o.first ? d : (F)o.momentum * momentum[i] + (F)o.one_minus_dampening * d;
            momentum[i] = b;
            d = o.nesterov ? d + (F)o.momentum * b : b;
        }
        p[i] -= (F)o.rate * d;
    }
}

template <class F> TK_DEVICE void rmsprop(F *p, const F *g, F *square, F *average, F *momentum, long long n, const tk_cuda_rmsprop &o) {
    for (long long i = tk_first(); i < n; i += tk_step()) {
        F d = (F)o.sign * g[i] + (F)o.decay * p[i], v = (F)o.alpha * square[i] + (F)o.one_minus_alpha * d * d;
        square[i] = v;
        if (average) {
            F a = average[i] + (F)o.one_minus_alpha * (d - average[i]);
            average[i] = a;
            v -= a * a;
        }
        F step = d / (sqrt(v) + (F)o.epsilon);
        if (momentum) momentum[i] = step = (F)o.momentum * momentum[i] + step;
        p[i] -= (F)o.rate * step;
    }
}

enum { SWEEP_ADAGRAD = 0, SWEEP_ADADELTA, SWEEP_ADAMAX, SWEEP_NADAM, SWEEP_RADAM, SWEEP_ASGD, SWEEP_RPROP, SWEEP_LION };
/// The rarer rules, as SweepKernel describes them: d = ±g + decay p and q = p · shrink, both from the old p.
template <class F> TK_DEVICE void sweep(int rule, F *p, const F *g, F *a, F *b, long long n, const tk_cuda_sweep &o) {
    const F rate = (F)o.rate, eps = (F)o.epsilon, c0 = (F)o.c[0], c1 = (F)o.c[1], c2 = (F)o.c[2], c3 = (F)o.c[3];
    for (long long i = tk_first(); i < n; i += tk_step()) {
        const F d = (F)o.sign * g[i] + (F)o.decay * p[i], q = p[i] * (F)o.shrink;
        switch (rule) {
        case SWEEP_ADAGRAD:
            a[i] += d * d;
            p[i] = q - rate * d / (sqrt(a[i]) + eps);
            break;
        case SWEEP_ADADELTA: {
            a[i] = c0 * a[i] + c1 * d * d;
            F step = sqrt(b[i] + eps) / sqrt(a[i] + eps) * d;
            b[i] = c0 * b[i] + c1 * step * step;
            p[i] = q - rate * step;
            break;
        }
        case SWEEP_ADAMAX: {
            a[i] += c0 * (d - a[i]);
            F old = c1 * b[i], now = fabs(d) + eps;
            b[i] = now > old || now != now ? now : old;
            p[i] = q - rate * a[i] / b[i];
            break;
        }
        case SWEEP_NADAM:
        case SWEEP_RADAM:
            a[i] += c0 * (d - a[i]);
            b[i] = c1 * b[i] + c2 * d * d;
            p[i] = q - (rule == SWEEP_NADAM ? (rate * d + c3 * a[i]) / (sqrt(b[i]) * (F)o.c[4] + eps)
                                            : rate * a[i] / (o.c[3] != 0 ? sqrt(b[i]) + eps : (F)1));
            break;
        case SWEEP_ASGD:
            p[i] = q - rate * d;
            a[i] = o.c[0] == 1 ? p[i] : a[i] + c0 * (p[i] - a[i]);
            break;
        case SWEEP_RPROP: {
            F same = d * a[i], step = b[i] * (same > 0 ? c1 : same < 0 ? c0 : same == 0 ? (F)1 : same);
            step = step < c2 ? c2 : step > c3 ? c3 : step;
            F kept = same < 0 ? (F)0 : d;
            b[i] = step;
            a[i] = kept;
            p[i] = q - (kept > 0 ? step : kept < 0 ? -step : kept * step);
            break;
        }
        default: {
            F u = c0 * a[i] + c1 * d;
            a[i] = c2 * a[i] + c3 * d;
            p[i] = q - rate * (u > 0 ? (F)1 : u < 0 ? (F)-1 : u);
        }
        }
    }
}

#define SWEEPS(F, S)                                                                                                          \
    TK_KERNEL(256) tk_adam_##S(tk_cuda_adam_group t, tk_cuda_adam o) { adam<F>(t, o); }                                         \
    TK_EXPORT(tk_adam_##S)                                                                                                    \
    TK_KERNEL(256) tk_sgd_##S(F *p, const F *g, F *momentum, long long n, tk_cuda_sgd o) { sgd(p, g, momentum, n, o); }        \
    TK_EXPORT(tk_sgd_##S)                                                                                                     \
    TK_KERNEL(256) tk_rmsprop_##S(F *p, const F *g, F *square, F *average, F *momentum, long long n, tk_cuda_rmsprop o) {      \
        rmsprop(p, g, square, average, momentum, n, o);                                                                       \
    }                                                                                                                         \
    TK_EXPORT(tk_rmsprop_##S)                                                                                                 \
    TK_KERNEL(256) tk_sweep_##S(F *p, const F *g, F *a, F *b, long long n, long long rule, tk_cuda_sweep o) {                  \
        sweep((int)rule, p, g, a, b, n, o);                                                                                   \
    }                                                                                                                         \
    TK_EXPORT(tk_sweep_##S)
TK_WIDE_TYPES(SWEEPS)
#undef SWEEPS
