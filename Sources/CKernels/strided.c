#include "strided.h"

#include <stdio.h>

bool tk_walk_make(tk_walk *w, int rank, const int64_t *dims, int operands, const int64_t *const *strides) {
    w->rank = 0;
    w->operands = operands;
    for (int d = 0; d < rank; d++) {
        if (dims[d] == 0) return false;
        if (dims[d] == 1) continue;
        int last = w->rank - 1;
        bool merges = last >= 0;
        for (int k = 0; k < operands && merges; k++) merges = w->strides[k][last] == strides[k][d] * dims[d];
        if (merges) {
            w->dims[last] *= dims[d];
            for (int k = 0; k < operands; k++) w->strides[k][last] = strides[k][d];
            continue;
        }
        if (w->rank == TK_INLINE_RANK) {
            fprintf(stderr, "Fatal error: more than %d axes that do not merge\n", TK_INLINE_RANK);
            abort();
        }
        w->dims[w->rank] = dims[d];
        for (int k = 0; k < operands; k++) w->strides[k][w->rank] = strides[k][d];
        w->rank++;
    }
    w->width = w->rank ? w->dims[w->rank - 1] : 1;
    w->rows = 1;
    for (int d = 0; d + 1 < w->rank; d++) w->rows *= w->dims[d];
    return true;
}

typedef struct {
    const tk_walk *w;
    tk_row_fn fn;
    void *context;
    int64_t pieces, piece;  // of a row
} run_context;

static void run_range(void *p, int64_t low, int64_t high) {
    const run_context *r = p;
    const tk_walk *w = r->w;
    // The place of the first row; from there the axes count up like an odometer, without divisions.
    int64_t index[TK_INLINE_RANK] = {0}, base[TK_MAX_OPERANDS] = {0};
    int64_t rest = low / r->pieces, piece = low % r->pieces;
    for (int d = w->rank - 2; d >= 0; d--) {
        index[d] = rest % w->dims[d];
        rest /= w->dims[d];
        for (int k = 0; k < w->operands; k++) base[k] += index[d] * w->strides[k][d];
    }
    for (int64_t task = low; task < high; task++) {
        int64_t start = piece * r->piece, offsets[TK_MAX_OPERANDS] = {0};
        for (int k = 0; k < w->operands; k++) offsets[k] = base[k] + start * tk_inner_stride(w, k);
        int64_t width = w->width - start < r->piece ? w->width - start : r->piece;
        r->fn(r->context, w, offsets, width);
        if (++piece < r->pieces) continue;
        piece = 0;
        for (int d = w->rank - 2; d >= 0; d--) {
            bool carries = ++index[d] == w->dims[d];
            int64_t steps = carries ? 1 - w->dims[d] : 1;
            for (int k = 0; k < w->operands; k++) base[k] += steps * w->strides[k][d];
            if (!carries) break;
            index[d] = 0;
        }
    }
}

void tk_walk_run(const tk_walk *w, tk_row_fn fn, void *context) {
    int64_t piece = w->width < TK_GRAIN ? w->width : TK_GRAIN;
    run_context r = {w, fn, context, (w->width + piece - 1) / piece, piece};
    int64_t tasks = w->rows * r.pieces, grain = TK_GRAIN / (piece > 0 ? piece : 1);
    tk_parallel_ranges(tasks, grain > 0 ? grain : 1, run_range, &r);
}
