// Connectionist temporal classification (Graves et al., 2006): forward variables, loss and gradient, a block to a sequence, whose threads
// share the extended labels (blanks before, between and after those of the target) of a step.
#include "arguments.cuh"
#include "functions.cuh"

template <class F> TK_DEVICE F log_sum3(F a, F b, F c) {
    F top = a > b ? a : b;
    top = top > c ? top : c;
    if (top == -tk_infinity((F)0)) return top;
    return log(exp(a - top) + exp(b - top) + exp(c - top)) + top;
}

/// A sequence of the batch.
struct ctc_sequence {
    const long long *target;
    long long steps, states, blank;
    TK_DEVICE_MEMBER long long label(long long i) const { return i % 2 == 0 ? blank : target[i / 2]; }
    TK_DEVICE_MEMBER bool skips(long long i) const { return i > 1 && label(i) != label(i - 2); }
};
/// `sequences` holds for each where its labels begin, its steps and its labels.
TK_DEVICE ctc_sequence sequence_at(const tk_cuda_ctc &s, const long long *targets, const long long *sequences, long long n) {
    ctc_sequence q = {targets + sequences[3 * n], sequences[3 * n + 1], 2 * sequences[3 * n + 2] + 1, s.blank};
    return q;
}

template <class F> TK_DEVICE void ctc(const F *log_probs, const long long *targets, const long long *sequences, F *alpha, F *loss, const tk_cuda_ctc &s) {
    long long n = blockIdx.x, row = s.batch * s.classes;
    const F none = -tk_infinity((F)0);
    ctc_sequence q = sequence_at(s, targets, sequences, n);
    const F *x = log_probs + n * s.classes;
    alpha += n * s.time * s.max_states;
    for (long long t = 0; t < q.steps; t++) {
        const F *old = alpha + (t - 1) * s.max_states;
        for (long long i = threadIdx.x; i < q.states; i += blockDim.x) {
            F way = t == 0 ? (i < 2 ? (F)0 : none) : log_sum3(old[i], i > 0 ? old[i - 1] : none, q.skips(i) ? old[i - 2] : none);
            alpha[t * s.max_states + i] = way + x[t * row + q.label(i)];
        }
        __syncthreads();
    }
    if (threadIdx.x > 0) return;
    if (q.steps == 0) { loss[n] = q.states == 1 ? (F)0 : -none; return; }
    const F *last = alpha + (q.steps - 1) * s.max_states;
    loss[n] = -log_sum3(last[q.states - 1], q.states > 1 ? last[q.states - 2] : none, none);
}

/// `beta` and `next` have room for two numbers per state of each sequence; `next` gets the next state with the same label (or -1), and whether
/// none came before.
template <class F> TK_DEVICE void ctc_grad(const F *log_probs, const long long *targets, const long long *sequences, const F *alpha, const F *loss,
                                           const F *g, F *dx, F *beta, long long *next, const tk_cuda_ctc &s) {
    long long n = blockIdx.x, row = s.batch * s.classes;
    const F none = -tk_infinity((F)0);
    ctc_sequence q = sequence_at(s, targets, sequences, n);
    const F *x = log_probs + n * s.classes;
    alpha += n * s.time * s.max_states;
    dx += n * s.classes;
    beta += n * 2 * s.max_states;
    next += n * 2 * s.max_states;
    F all = loss[n], slope = g[n];
    if (s.zero_infinity && all == -none) return;   // the whole block
    for (long long i = threadIdx.x; i < q.states; i += blockDim.x) {
        long long label = q.label(i), after = i + 1, before = i - 1;
        while (after < q.states && q.label(after) != label) after++;
        while (before >= 0 && q.label(before) != label) before--;
        next[2 * i] = after < q.states ? after : -1;
        next[2 * i + 1] = before < 0;
    }
    for (long long t = q.steps - 1; t >= 0; t--) {
        F *now = beta + t % 2 * s.max_states, *later = beta + (t + 1) % 2 * s.max_states, *d = dx + t * row;
        for (long long k = threadIdx.x; k < s.classes; k += blockDim.x) d[k] = none;
        for (long long i = threadIdx.x; i < q.states; i += blockDim.x) {
            F way;
            if (t == q.steps - 1) way = i >= q.states - 2 ? (F)0 : none;
            else way = log_sum3(later[i], i + 1 < q.states ? later[i + 1] : none, i + 2 < q.states && q.skips(i + 2) ? later[i + 2] : none);
            now[i] = way + x[t * row + q.label(i)];
        }
        __syncthreads();
        for (long long i = threadIdx.x; i < q.states; i += blockDim.x) {
            if (!next[2 * i + 1]) continue;
            F sum = none;
            for (long long k = i; k >= 0; k = next[2 * k]) sum = log_sum3(sum, alpha[t * s.max_states + k] + now[k], none);
            d[q.label(i)] = sum;
        }
        __syncthreads();
        for (long long k = threadIdx.x; k < s.classes; k += blockDim.x) {
            F p = x[t * row + k], share = d[k] == none && all != -none ? (F)0 : exp(d[k] + all - p);
            d[k] = (exp(p) - share) * slope;
        }
        __syncthreads();
    }
}

#define CTC(F, S)                                                                                                                     \
    TK_KERNEL(256) tk_ctc_##S(const F *log_probs, const long long *targets, const long long *sequences, F *alpha, F *loss,            \
                              tk_cuda_ctc s) { ctc(log_probs, targets, sequences, alpha, loss, s); }                                  \
    TK_EXPORT(tk_ctc_##S)                                                                                                             \
    TK_KERNEL(256) tk_ctc_grad_##S(const F *log_probs, const long long *targets, const long long *sequences, const F *alpha,          \
                                   const F *loss, const F *g, F *dx, F *beta, long long *next, tk_cuda_ctc s) {                       \
        ctc_grad(log_probs, targets, sequences, alpha, loss, g, dx, beta, next, s);                                                   \
    }                                                                                                                                 \
    TK_EXPORT(tk_ctc_grad_##S)
TK_WIDE_TYPES(CTC)
#undef CTC
