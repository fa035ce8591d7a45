// Reading ahead: what a thread of the pool does while it waits for work. A product that is bound by reading its matrix notes which matrix
// it reads; the next time, the one that followed it is likely to follow again (the layers of a model, token after token), and waiting
// threads fetch the beginning of their parts of it. A wrong guess costs a little memory traffic and nothing else: addresses are only
// ever prefetched, which is harmless even if they are no longer mapped.
#ifndef TAPESTRY_READAHEAD_H
#define TAPESTRY_READAHEAD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TK_AHEAD_BYTES = 640 << 10, TK_AHEAD_LINES = 8 };   // per thread, within its second cache; lines between two looks for work

// The matrix that probably comes next. The parts need not fit together: at worst something else is prefetched.
typedef struct {
    _Alignas(64) _Atomic uint32_t number;
    _Atomic(const char *) start;
    _Atomic size_t bytes;
} tk_next_matrix;
extern tk_next_matrix tk_next;

// What one thread has fetched of it.
typedef struct { uint32_t number; const char *at, *end; } tk_ahead;

/// The caller is about to read the whole of a matrix once, each thread its own run of it.
void tk_note_matrix(const void *matrix, size_t bytes);

/// Fetches a few lines of part `part` of `parts` of the matrix that probably comes next; false if there is nothing left to fetch.
static inline bool tk_fetch_ahead(tk_ahead *a, int part, int parts) {
    uint32_t number = atomic_load_explicit(&tk_next.number, memory_order_acquire);
    if (number != a->number) {
        size_t bytes = atomic_load_explicit(&tk_next.bytes, memory_order_relaxed);
        size_t first = bytes / (size_t)parts * (size_t)part, last = bytes / (size_t)parts * (size_t)(part + 1);
        if (last - first > TK_AHEAD_BYTES) last = first + TK_AHEAD_BYTES;
        const char *start = atomic_load_explicit(&tk_next.start, memory_order_relaxed);
        *a = (tk_ahead){ number, start + first, start + last };
    }
    if (a->at >= a->end) return false;
    for (int i = 0; i < TK_AHEAD_LINES; i++) __builtin_prefetch(a->at + 64 * i);
    a->at += 64 * TK_AHEAD_LINES;
    return true;
}
#endif
