// What the machine can do: multiply-adds and memory traffic of all the pool's threads, measured.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "CKernels.h"
#include "isa.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- multiply-adds: twelve independent chains of vectors, so that no result is waited for ----

enum { CHAINS = 12, LOOPS = 20000 };

#define CHAIN_LOOP(NAME, WIDTH, TARGET)                                                             \
    typedef float NAME##_vector __attribute__((ext_vector_type(WIDTH)));                            \
    TARGET static float NAME(void) {                                                                \
        NAME##_vector v[CHAINS], factor = 0.999f, term = 0.001f;                                    \
        for (int c = 0; c < CHAINS; c++) v[c] = (float)c;                                           \
        for (int i = 0; i < LOOPS; i++)                                                             \
            _Pragma("unroll") for (int c = 0; c < CHAINS; c++) v[c] = __builtin_elementwise_fma(v[c], factor, term); \
        float sum = 0;                                                                              \
        for (int c = 0; c < CHAINS; c++) sum += v[c][0];                                            \
        return sum;                                                                                 \
    }
#if defined(__x86_64__)
CHAIN_LOOP(chains_avx512, 16, __attribute__((target("avx512f"))))
CHAIN_LOOP(chains_avx2, 8, __attribute__((target("avx2,fma"))))
// Without fused multiply-adds the baseline multiplies and adds.
typedef float four __attribute__((ext_vector_type(4)));
static float chains_plain(void) {
    four v[CHAINS], factor = 0.999f, term = 0.001f;
    for (int c = 0; c < CHAINS; c++) v[c] = (float)c;
    for (int i = 0; i < LOOPS; i++)
        _Pragma("unroll") for (int c = 0; c < CHAINS; c++) v[c] = v[c] * factor + term;
    float sum = 0;
    for (int c = 0; c < CHAINS; c++) sum += v[c][0];
    return sum;
}
#else
CHAIN_LOOP(chains_plain, 4, )
#endif

typedef struct { float sink[1024]; } flop_context;

static void flop_task(void *p, int64_t task) {
    flop_context *c = p;
    float sum;
#if defined(__x86_64__)
    int level = tk_isa_level();
    sum = level == 2 ? chains_avx512() : level == 1 ? chains_avx2() : chains_plain();
#else
    sum = chains_plain();
#endif
    c->sink[task % 1024] = sum;
}

static double peak_flops(void) {
    int width = 4;
#if defined(__x86_64__)
    width = tk_isa_level() == 2 ? 16 : tk_isa_level() == 1 ? 8 : 4;
#endif
    flop_context context;
    int64_t tasks = 8 * tk_thread_count();
    double best = 0;
    for (int k = 0; k < 8; k++) {
        double start = seconds();
        tk_parallel(tasks, flop_task, &context);
        double rate = 2.0 * width * CHAINS * LOOPS * (double)tasks / (seconds() - start);
        if (rate > best) best = rate;
    }
    return best;
}

// ---- traffic: the triad of STREAM (McCalpin, 1995), a = b + 3 c, with stores past the caches, 3 x 64 MB ----

enum { ELEMENTS = 16 << 20 };
typedef struct { float *a; const float *b, *c; } triad_context;
typedef float loose __attribute__((ext_vector_type(16), aligned(64)));

#define TRIAD(NAME, TARGET)                                                                                                   \
    TARGET static void NAME(const triad_context *t, int64_t low, int64_t high) {                                              \
        for (int64_t i = low; i < high; i += 16)                                                                              \
            __builtin_nontemporal_store(*(const loose *)(t->b + i) + 3.0f * *(const loose *)(t->c + i), (loose *)(t->a + i)); \
    }
#if defined(__x86_64__)
TRIAD(triad_avx512, __attribute__((target("avx512f"))))
TRIAD(triad_avx2, __attribute__((target("avx2,fma"))))
#endif
TRIAD(triad_plain, )

static void triad_range(void *p, int64_t low, int64_t high) {
#if defined(__x86_64__)
    if (tk_isa_level() == 2) { triad_avx512(p, low, high); return; }
    if (tk_isa_level() == 1) { triad_avx2(p, low, high); return; }
#endif
    triad_plain(p, low, high);
}

static double peak_traffic(void) {
    // Not from the allocator, which would keep as much for the rest of the process.
    float *all = aligned_alloc(2 << 20, 3 * (size_t)ELEMENTS * 4);
    if (!all) return 0;
#if defined(MADV_HUGEPAGE)
    madvise(all, 3 * (size_t)ELEMENTS * 4, MADV_HUGEPAGE);
#endif
    memset(all, 0, 3 * (size_t)ELEMENTS * 4);
    triad_context t = {all, all + ELEMENTS, all + 2 * ELEMENTS};
    double best = 0;
    for (int k = 0; k < 12; k++) {
        double start = seconds();
        tk_parallel_ranges(ELEMENTS, 1 << 16, triad_range, &t);
        double rate = 12.0 * ELEMENTS / (seconds() - start);
        if (rate > best) best = rate;
    }
    free(all);
    return best;
}

void tk_measure_peaks(double *flops, double *bytes) {
    *flops = peak_flops();
    *bytes = peak_traffic();
}
