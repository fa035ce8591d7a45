// Which matrix followed which: a table by address, of the last time each was read.
#include "readahead.h"

enum { ENTRIES = 1024, LEAST = 64 << 10 };   // what is smaller stays in the caches by itself

tk_next_matrix tk_next;

static struct {
    _Atomic(const char *) matrix, follower;
    _Atomic size_t bytes;   // of the follower
} followers[ENTRIES];
static _Thread_local const char *previous;

static size_t place(const char *matrix) { return (size_t)(((uintptr_t)matrix >> 6) * 0x9e3779b97f4a7c15u >> 54); }

void tk_note_matrix(const void *matrix, size_t bytes) {
    const char *m = matrix;
    if (bytes < LEAST) return;
    if (previous) {
        size_t i = place(previous);
        atomic_store_explicit(&followers[i].matrix, previous, memory_order_relaxed);
        atomic_store_explicit(&followers[i].follower, m, memory_order_relaxed);
        atomic_store_explicit(&followers[i].bytes, bytes, memory_order_relaxed);
    }
    previous = m;
    size_t i = place(m);
    bool known = atomic_load_explicit(&followers[i].matrix, memory_order_relaxed) == m;
    atomic_store_explicit(&tk_next.start, known ? atomic_load_explicit(&followers[i].follower, memory_order_relaxed) : NULL, memory_order_relaxed);
    atomic_store_explicit(&tk_next.bytes, known ? atomic_load_explicit(&followers[i].bytes, memory_order_relaxed) : 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&tk_next.number, 1, memory_order_release);
}
