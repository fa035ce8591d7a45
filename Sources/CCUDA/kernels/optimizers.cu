// One pass over parameter, gradient and state, as torch.optim defines the steps.
#include "types.cuh"
#include "arguments.cuh"

template <class F> TK_DEVICE void adam(F *p, const F *g, F *m, F *v, F *high, long long n, const tk_cuda_adam &o) {
    for (long long i = tk_first(); i < n; i += tk_step()) {
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

#define SWEEPS(F, S)                                                                                                          \
    TK_KERNEL(256) tk_adam_##S(F *p, const F *g, F *m, F *v, F *high, long long n, tk_cuda_adam o) { adam(p, g, m, v, high, n, o); } \
    TK_EXPORT(tk_adam_##S)                                                                                                    \
    TK_KERNEL(256) tk_sgd_##S(F *p, const F *g, F *momentum, long long n, tk_cuda_sgd o) { sgd(p, g, momentum, n, o); }        \
    TK_EXPORT(tk_sgd_##S)                                                                                                     \
    TK_KERNEL(256) tk_rmsprop_##S(F *p, const F *g, F *square, F *average, F *momentum, long long n, tk_cuda_rmsprop o) {      \
        rmsprop(p, g, square, average, momentum, n, o);                                                                       \
    }                                                                                                                         \
    TK_EXPORT(tk_rmsprop_##S)
TK_WIDE_TYPES(SWEEPS)
#undef SWEEPS
