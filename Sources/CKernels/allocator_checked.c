// Under AddressSanitizer every block comes from malloc, in its exact size, so that an access outside of a tensor is found.
#include "CKernels.h"

#if __has_feature(address_sanitizer)
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic int64_t in_use, peak, allocations;

void *tk_alloc(size_t bytes) {
    void *p;
    if (bytes > ((size_t)1 << 46) || posix_memalign(&p, 64, bytes ? bytes : 1)) return NULL;
    int64_t now = atomic_fetch_add(&in_use, (int64_t)bytes) + (int64_t)bytes, most = atomic_load(&peak);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {}
    atomic_fetch_add(&allocations, 1);
    return p;
}

void tk_free(void *pointer, size_t bytes) {
    if (!pointer) return;
    atomic_fetch_sub(&in_use, (int64_t)bytes);
    free(pointer);
}

void tk_empty_cache(void) {}

tk_memory_stats tk_get_memory_stats(void) {
    return (tk_memory_stats){ in_use, peak, 0, allocations, allocations };
}

void tk_reset_peak_memory(void) { atomic_store(&peak, atomic_load(&in_use)); }
#endif
