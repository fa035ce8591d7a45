// A caching allocator for tensor storage. All blocks are 64-byte aligned and belong to a size class: four classes between two powers
// of two up to 4 KiB, eight above, so that at most a quarter (an eighth) is lost.
//
//  * Up to 4 KiB: free lists of the calling thread, no lock. A list that grows past 256 blocks (or 64 KiB) gives half to the shared
//    bin; an empty one takes a batch from there, or from a 64 KiB slab.
//  * Above: shared bins under one short spinlock. Fresh blocks come from aligned_alloc; from 512 KiB on they are cut from chunks of 16
//    MiB, and from 2 MiB on mapped one by one, all on huge pages by MADV_HUGEPAGE (faulting in small pages costs more than the arithmetic
//    on them, and reading them 8 % more than huge ones). A chunk goes back when all its blocks have.
//  * What is kept: blocks above 4 KiB are cached as long as (in use + cached) <= 1.5 * (peak in use) + 256 MiB. Beyond that the size
//    classes that have gone unused longest go back to the system first. Slabs go back in tk_empty_cache when all their blocks
//    are free and not in another thread's lists.
//  * Statistics count whole blocks (the size class, not the request). The peak is exact in blocks above 4 KiB; the small ones
//    enter it as of the last time any thread refilled a list or asked for statistics.
// AddressSanitizer has a plain one instead: allocator_checked.c.
#define _GNU_SOURCE
#include "CKernels.h"

#if !__has_feature(address_sanitizer)
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    small_limit = 4096, small_classes = 20, class_count = small_classes + 8 * 35, slab_bytes = 65536, slab_header = 64,
    batch_blocks = 32
};
static const size_t chunk_limit = (size_t)1 << 19, huge_page = (size_t)2 << 20, chunk_bytes = (size_t)16 << 20, most_bytes = (size_t)1 << 46;

typedef struct block { struct block *next; } block;
typedef struct { _Alignas(64) int64_t live; } chunk;          // at the start of each chunk: blocks cut and not given back
typedef struct { int64_t seen, carved, dropped; } slab;   // at the start of each slab; seen and dropped are for tk_empty_cache

typedef struct thread_cache {
    struct { block *head; int64_t count; } list[small_classes];
    _Atomic int64_t bytes, allocations;          // written by this thread only; bytes may be negative (freed here, allocated elsewhere)
    struct thread_cache *next, *previous;
} thread_cache;

static _Thread_local thread_cache *own __attribute__((tls_model("initial-exec")));

static _Atomic int lock_word;
// All of this is under the lock.
static struct { block *head; int64_t count; uint64_t used; } bins[class_count];
static struct { char *next, *end; } carving[small_classes];
static struct { char *next, *end; } cutting[class_count]; // of chunks
static thread_cache *caches;
static int64_t retired_bytes, retired_allocations;        // of threads that have ended
static int64_t large_in_use, large_cached, large_allocations, slab_total, small_sampled, peak, system_calls;
static uint64_t clock_now;

static void lock(void) {
    for (int spins = 0; atomic_exchange_explicit(&lock_word, 1, memory_order_acquire); )
        while (atomic_load_explicit(&lock_word, memory_order_relaxed))
            if (++spins > 256) sched_yield();
}
static void unlock(void) { atomic_store_explicit(&lock_word, 0, memory_order_release); }

// bytes >= 1. Classes 0..3 are 64..256 by 64; then four to a power of two up to 4096; then eight.
static inline int small_class(size_t bytes) {
    if (bytes <= 256) return (int)((bytes - 1) >> 6);
    int log = 63 - __builtin_clzll(bytes - 1);   // 256 <= bytes - 1 < 4096: 8 ... 11
    return 4 + (log - 8) * 4 + (int)(((bytes - 1) >> (log - 2)) & 3);
}
static inline size_t small_size(int class) {
    if (class < 4) return (size_t)(class + 1) * 64;
    int log = 8 + (class - 4) / 4;
    return ((size_t)1 << log) + (size_t)((class - 4) % 4 + 1) * ((size_t)1 << (log - 2));
}
static inline int large_class(size_t bytes) {
    int log = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
    return small_classes + (log - 12) * 8 + (int)(((bytes - 1) >> (log - 3)) & 7);
}
static inline size_t large_size(int class) {
    int log = 12 + (class - small_classes) / 8;
    return ((size_t)1 << log) + (size_t)((class - small_classes) % 8 + 1) * ((size_t)1 << (log - 3));
}

// ---- the system ----
// Fresh memory on huge pages, `size` bytes, aligned.
static void *map_aligned(size_t size, size_t alignment) {
    char *p = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t skip = (alignment - ((uintptr_t)p & (alignment - 1))) & (alignment - 1);
    if (skip) munmap(p, skip);
    p += skip;
    if (alignment > skip) munmap(p + size, alignment - skip);
    madvise(p, size, MADV_HUGEPAGE);
    return p;
}

static chunk *chunk_of(const void *p) { return (chunk *)((uintptr_t)p & ~(uintptr_t)(chunk_bytes - 1)); }

// A block of a class, from its open chunk; NULL if that is used up. Under the lock.
static void *cut_block(int class, size_t size) {
    char *p = cutting[class].next;
    if (!p) return NULL;
    chunk_of(p)->live++;
    cutting[class].next = (size_t)(cutting[class].end - p) >= 2 * size ? p + size : NULL;
    return p;
}

static void *allocate_from_chunk(size_t size) {
    int class = large_class(size);
    lock();
    void *p = cut_block(class, size);
    unlock();
    if (p) return p;
    chunk *fresh = map_aligned(chunk_bytes, chunk_bytes);
    if (!fresh) return NULL;
    lock();
    if (cutting[class].next) p = cut_block(class, size);   // another thread was quicker
    else {
        cutting[class].next = (char *)fresh + sizeof(chunk);
        cutting[class].end = (char *)fresh + chunk_bytes;
        fresh->live = 0;
        p = cut_block(class, size);
        fresh = NULL;
    }
    unlock();
    if (fresh) munmap(fresh, chunk_bytes);
    return p;
}

static void return_to_chunk(char *p, size_t size) {
    int class = large_class(size);
    chunk *c = chunk_of(p);
    lock();
    bool dead = --c->live == 0;
    if (dead && cutting[class].next && chunk_of(cutting[class].next) == c) cutting[class].next = NULL;
    unlock();
    if (dead) {
        munmap(c, chunk_bytes);
        return;
    }
    // The pages that lie in the block alone.
    uintptr_t low = ((uintptr_t)p + 4095) & ~(uintptr_t)4095, high = ((uintptr_t)p + size) & ~(uintptr_t)4095;
    if (high > low) madvise((void *)low, high - low, MADV_DONTNEED);
}

static void *system_allocate(size_t size) {
    return size < chunk_limit ? aligned_alloc(64, size) : size < huge_page ? allocate_from_chunk(size) : map_aligned(size, huge_page);
}
static void system_free(void *p, size_t size) {
    if (size < chunk_limit) free(p);
    else if (size < huge_page) return_to_chunk(p, size);
    else munmap(p, size);
}

// ---- statistics: under the lock ----
static int64_t small_in_use(void) {
    int64_t sum = retired_bytes;
    for (thread_cache *c = caches; c; c = c->next) sum += atomic_load_explicit(&c->bytes, memory_order_relaxed);
    return small_sampled = sum;
}
static void note_peak(void) {
    if (large_in_use + small_sampled > peak) peak = large_in_use + small_sampled;
}

// ---- giving back ----
typedef struct { block *chains[class_count]; } release_list;

static bool over_limit(void) { return large_in_use + large_cached > peak + peak / 2 + ((int64_t)256 << 20); }

// Takes large classes out of the cache, longest unused first, until the rule holds (or all of them).
static void collect(release_list *r, bool all) {
    memset(r, 0, sizeof *r);
    while (all ? large_cached > 0 : over_limit()) {
        int oldest = -1;
        for (int c = small_classes; c < class_count; c++)
            if (bins[c].head && (oldest < 0 || bins[c].used < bins[oldest].used)) oldest = c;
        if (oldest < 0) break;
        r->chains[oldest] = bins[oldest].head;
        large_cached -= bins[oldest].count * (int64_t)large_size(oldest);
        bins[oldest].head = NULL;
        bins[oldest].count = 0;
    }
}
static void release(const release_list *r) {
    for (int c = small_classes; c < class_count; c++)
        for (block *b = r->chains[c], *next; b; b = next) {
            next = b->next;
            system_free(b, large_size(c));
        }
}
static __attribute__((noinline, cold)) void empty_large(bool all) {
    release_list r;
    lock();
    collect(&r, all);
    unlock();
    release(&r);
}

// ---- small blocks ----
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

// Moves `n` blocks of a list to the shared bin.
static void give_blocks(thread_cache *cache, int class, int64_t n) {
    if (n <= 0) return;
    block *first = cache->list[class].head, *last = first;
    for (int64_t i = 1; i < n; i++) last = last->next;
    cache->list[class].head = last->next;
    cache->list[class].count -= n;
    lock();
    last->next = bins[class].head;
    bins[class].head = first;
    bins[class].count += n;
    unlock();
}

static void thread_ends(void *argument) {
    thread_cache *cache = argument;
    for (int c = 0; c < small_classes; c++) give_blocks(cache, c, cache->list[c].count);
    lock();
    retired_bytes += atomic_load_explicit(&cache->bytes, memory_order_relaxed);
    retired_allocations += atomic_load_explicit(&cache->allocations, memory_order_relaxed);
    if (cache->previous) cache->previous->next = cache->next;
    else caches = cache->next;
    if (cache->next) cache->next->previous = cache->previous;
    unlock();
    own = NULL;
    free(cache);
}
static void make_key(void) { pthread_key_create(&exit_key, thread_ends); }

static __attribute__((noinline, cold)) thread_cache *own_cache(void) {
    if (own) return own;
    pthread_once(&exit_once, make_key);
    thread_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    pthread_setspecific(exit_key, cache);
    lock();
    cache->next = caches;
    if (caches) caches->previous = cache;
    caches = cache;
    unlock();
    return own = cache;
}

// Fills the thread's empty list. False when there is no memory.
static __attribute__((noinline)) bool refill(thread_cache *cache, int class) {
    size_t size = small_size(class);
    char *fresh = NULL;
    bool retried = false;
    for (;;) {
        lock();
        block *head = NULL;
        int64_t n = 0;
        while (n < batch_blocks && bins[class].head) {
            block *b = bins[class].head;
            bins[class].head = b->next;
            bins[class].count--;
            b->next = head;
            head = b;
            n++;
        }
        if (n == 0 && fresh && !carving[class].next) {
            carving[class].next = fresh + slab_header;
            carving[class].end = fresh + slab_bytes;
            slab_total += slab_bytes - slab_header;
            system_calls++;
            fresh = NULL;
        }
        while (n < batch_blocks && carving[class].next) {
            char *p = carving[class].next;
            ((slab *)((uintptr_t)p & ~(uintptr_t)(slab_bytes - 1)))->carved++;
            ((block *)p)->next = head;
            head = (block *)p;
            n++;
            carving[class].next = (size_t)(carving[class].end - p) >= 2 * size ? p + size : NULL;
        }
        small_in_use();
        note_peak();
        unlock();
        if (n) {
            cache->list[class].head = head;
            cache->list[class].count = n;
            free(fresh);
            return true;
        }
        free(fresh);   // only if another thread's slab came and was used up meanwhile
        fresh = aligned_alloc(slab_bytes, slab_bytes);
        if (!fresh) {
            if (retried) return false;
            retried = true;
            empty_large(true);
            continue;
        }
        memset(fresh, 0, slab_header);
    }
}

static inline void bump(_Atomic int64_t *counter, int64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

// ---- large blocks ----
static __attribute__((noinline)) void *allocate_large(size_t bytes) {
    if (bytes > most_bytes) return NULL;
    int class = large_class(bytes);
    int64_t size = (int64_t)large_size(class);
    lock();
    bins[class].used = ++clock_now;
    block *b = bins[class].head;
    large_allocations++;
    large_in_use += size;
    if (b) {
        bins[class].head = b->next;
        bins[class].count--;
        large_cached -= size;
        note_peak();
        unlock();
        return b;
    }
    system_calls++;
    unlock();
    void *p = system_allocate((size_t)size);
    if (!p) {
        empty_large(true);
        p = system_allocate((size_t)size);
    }
    lock();
    if (p) note_peak();
    else large_in_use -= size, large_allocations--;
    unlock();
    return p;
}

static __attribute__((noinline)) void free_large(void *p, size_t bytes) {
    int class = large_class(bytes);
    int64_t size = (int64_t)large_size(class);
    block *b = p;
    lock();
    b->next = bins[class].head;
    bins[class].head = b;
    bins[class].count++;
    bins[class].used = ++clock_now;
    large_in_use -= size;
    large_cached += size;
    bool over = over_limit();
    unlock();
    if (__builtin_expect(over, 0)) empty_large(false);
}

// ---- the interface ----
void *tk_alloc(size_t bytes) {
    if (__builtin_expect(bytes > small_limit, 0)) return allocate_large(bytes);
    int class = small_class(bytes + (bytes == 0));
    thread_cache *cache = own;
    if (__builtin_expect(!cache, 0) && !(cache = own_cache())) return NULL;
    block *b = cache->list[class].head;
    if (__builtin_expect(!b, 0)) {
        if (!refill(cache, class)) return NULL;
        b = cache->list[class].head;
    }
    cache->list[class].head = b->next;
    cache->list[class].count--;
    bump(&cache->bytes, (int64_t)small_size(class));
    bump(&cache->allocations, 1);
    return b;
}

void tk_free(void *pointer, size_t bytes) {
    if (!pointer) return;
    if (__builtin_expect(bytes > small_limit, 0)) {
        free_large(pointer, bytes);
        return;
    }
    int class = small_class(bytes + (bytes == 0));
    thread_cache *cache = own;
    if (__builtin_expect(!cache, 0) && !(cache = own_cache())) return;   // no memory even for the lists: the block is lost
    block *b = pointer;
    int64_t size = (int64_t)small_size(class), count = ++cache->list[class].count;
    b->next = cache->list[class].head;
    cache->list[class].head = b;
    bump(&cache->bytes, -size);
    if (__builtin_expect(count > 64 && (count > 256 || count * size > slab_bytes), 0)) give_blocks(cache, class, count / 2);
}

// Frees the slabs whose blocks are all in the shared bins. Under the lock.
static void release_slabs(void) {
    for (int c = 0; c < small_classes; c++) {
        const uintptr_t mask = ~(uintptr_t)(slab_bytes - 1);
        for (block *b = bins[c].head; b; b = b->next) {
            slab *s = (slab *)((uintptr_t)b & mask);
            s->seen = s->dropped = 0;
        }
        for (block *b = bins[c].head; b; b = b->next) ((slab *)((uintptr_t)b & mask))->seen++;
        block *kept = NULL;
        int64_t count = 0;
        for (block *b = bins[c].head, *next; b; b = next) {
            next = b->next;
            slab *s = (slab *)((uintptr_t)b & mask);
            if (s->seen == s->carved) {
                if (++s->dropped < s->carved) continue;
                if (carving[c].next && ((uintptr_t)carving[c].next & mask) == (uintptr_t)s) carving[c].next = NULL;
                slab_total -= slab_bytes - slab_header;
                free(s);
            } else {
                b->next = kept;
                kept = b;
                count++;
            }
        }
        bins[c].head = kept;
        bins[c].count = count;
    }
}

void tk_empty_cache(void) {
    thread_cache *cache = own;
    for (int c = 0; cache && c < small_classes; c++) give_blocks(cache, c, cache->list[c].count);
    empty_large(true);
    lock();
    release_slabs();
    unlock();
}

tk_memory_stats tk_get_memory_stats(void) {
    tk_memory_stats s;
    lock();
    int64_t small = small_in_use();
    note_peak();
    s.bytes_in_use = large_in_use + small;
    s.peak_bytes_in_use = peak;
    s.bytes_cached = large_cached + slab_total - small;
    s.allocations = large_allocations + retired_allocations;
    for (thread_cache *c = caches; c; c = c->next) s.allocations += atomic_load_explicit(&c->allocations, memory_order_relaxed);
    s.system_allocations = system_calls;
    unlock();
    return s;
}

void tk_reset_peak_memory(void) {
    lock();
    peak = 0;
    small_in_use();
    note_peak();
    unlock();
}
#endif
