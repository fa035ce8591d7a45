// One step of a recurrent layer, after the product of its state and weight: a thread to a hidden unit of a sequence. Gates lie `hidden`
// apart, in the order of their weights: LSTM input, forget, candidate, output; GRU reset, update, candidate.
#include "arguments.cuh"
#include "functions.cuh"

enum { CELL_TANH = 0, CELL_RELU, CELL_LSTM, CELL_GRU };

/// `x` and `product`: the parts of the gates that come from the input and from the state; `gates`, room for four per unit, keeps what the
/// gradient needs.
template <class F> TK_DEVICE void cell_forward(const F *x, const F *product, const F *bias, const F *state, const F *cell, F *new_state,
                                               F *new_cell, F *gates, const long long *lengths, const tk_cuda_recurrence &r) {
    long long H = r.hidden, G = r.kind == CELL_LSTM ? 4 * H : r.kind == CELL_GRU ? 3 * H : H;
    for (long long e = tk_first(); e < r.batch * H; e += tk_step()) {
        long long b = e / H, j = e % H;
        if (lengths && r.step >= lengths[b]) {
            new_state[e] = state[e];
            if (cell) new_cell[e] = cell[e];
            continue;
        }
        F h[4], sum[4];
#pragma unroll
        for (int q = 0; q < 4; q++) {
            bool there = q * H < G;
            h[q] = there ? product[b * G + q * H + j] + (bias ? bias[q * H + j] : (F)0) : (F)0;
            sum[q] = there ? x[b * G + q * H + j] + h[q] : (F)0;
        }
        F *kept = gates ? gates + b * 4 * H + j : gates;
        if (r.kind == CELL_TANH) new_state[e] = tanh(sum[0]);
        else if (r.kind == CELL_RELU) new_state[e] = sum[0] < 0 ? (F)0 : sum[0];
        else {
            F first = sigmoid(sum[0]), second = sigmoid(sum[1]);
            if (r.kind == CELL_LSTM) {
                F m = tanh(sum[2]), o = sigmoid(sum[3]), c = second * cell[e] + first * m;
                new_cell[e] = c;
                new_state[e] = o * tanh(c);
                kept[2 * H] = m;
                kept[3 * H] = o;
            } else {
                F m = tanh(x[b * G + 2 * H + j] + first * h[2]);
                new_state[e] = m + second * (state[e] - m);
                kept[2 * H] = m;
                kept[3 * H] = h[2];
            }
            kept[0] = first;
            kept[H] = second;
        }
    }
}

/// The state's gradient is g + product + carried. `dx` and `dh`: gradients of the two parts of the gates (one buffer but in GRU);
/// `carried` is what goes to the state before past the gates, and `dcell` is turned into the gradient of the cell before.
template <class F> TK_DEVICE void cell_backward(const F *g, const F *product, const F *state, const F *cell, const F *new_state, const F *new_cell,
                                                const F *gates, F *carried, F *dcell, F *dx, F *dh, const long long *lengths,
                                                const tk_cuda_recurrence &r) {
    long long H = r.hidden, G = r.kind == CELL_LSTM ? 4 * H : r.kind == CELL_GRU ? 3 * H : H;
    for (long long e = tk_first(); e < r.batch * H; e += tk_step()) {
        long long b = e / H, j = e % H, at = b * G + j;
        F d = g[e] + (product ? product[e] : (F)0) + carried[e];
        if (lengths && r.step >= lengths[b]) {
            carried[e] = d;
            for (long long q = 0; q < G; q += H) dx[at + q] = dh[at + q] = (F)0;
            continue;
        }
        if (r.kind == CELL_TANH || r.kind == CELL_RELU) {
            F y = new_state[e];
            dx[at] = r.kind == CELL_RELU ? (y > 0 ? d : (F)0) : d * ((F)1 - y * y);
            carried[e] = (F)0;
            continue;
        }
        const F *kept = gates + b * 4 * H + j;
        F first = kept[0], second = kept[H], m = kept[2 * H], last = kept[3 * H];
        if (r.kind == CELL_LSTM) {
            F y = tanh(new_cell[e]), dk = dcell[e] + d * last * ((F)1 - y * y);
            dx[at] = dk * m * first * ((F)1 - first);
            dx[at + H] = dk * cell[e] * second * ((F)1 - second);
            dx[at + 2 * H] = dk * first * ((F)1 - m * m);
            dx[at + 3 * H] = d * y * last * ((F)1 - last);
            dcell[e] = dk * second;
            carried[e] = (F)0;
        } else {
            F dm = d * ((F)1 - second) * ((F)1 - m * m), dr = dm * last * first * ((F)1 - first);
            F dz = d * (state[e] - m) * second * ((F)1 - second);
            dx[at] = dh[at] = dr;
            dx[at + H] = dh[at + H] = dz;
            dx[at + 2 * H] = dm;
            dh[at + 2 * H] = dm * first;
            carried[e] = d * second;
        }
    }
}

#define CELLS(F, S)                                                                                                                  \
    TK_KERNEL(256) tk_cell_##S(const F *x, const F *product, const F *bias, const F *state, const F *cell, F *new_state, F *new_cell,  \
                               F *gates, const long long *lengths, tk_cuda_recurrence r) {                                           \
        cell_forward(x, product, bias, state, cell, new_state, new_cell, gates, lengths, r);                                         \
    }                                                                                                                                \
    TK_EXPORT(tk_cell_##S)                                                                                                           \
    TK_KERNEL(256) tk_cell_grad_##S(const F *g, const F *product, const F *state, const F *cell, const F *new_state, const F *new_cell, \
                                    const F *gates, F *carried, F *dcell, F *dx, F *dh, const long long *lengths,                    \
                                    tk_cuda_recurrence r) {                                                                          \
        cell_backward(g, product, state, cell, new_state, new_cell, gates, carried, dcell, dx, dh, lengths, r);                      \
    }                                                                                                                                \
    TK_EXPORT(tk_cell_grad_##S)
TK_WIDE_TYPES(CELLS)
#undef CELLS
