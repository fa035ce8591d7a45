// Which instruction set the kernels use: what the CPU has, limited by TAPESTRY_ISA=baseline|avx2|avx512.
#include "CKernels.h"
#include "isa.h"
#include "stream.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int current_level = -1;   // -1: not decided yet

static int cpu_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))) return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        return 2;
    return 1;
#else
    return 0;
#endif
}

// The highest level allowed: the CPU's, or less where the environment says so.
static int allowed_level(void) {
    int level = cpu_level();
    const char *text = getenv("TAPESTRY_ISA");
    if (text) {
        int limit = level;
        if (!strcmp(text, "baseline") || !strcmp(text, "portable")) limit = 0;
        else if (!strcmp(text, "avx2")) limit = 1;
        else if (!strcmp(text, "avx512")) limit = 2;
        if (limit < level) level = limit;
    }
    return level;
}

int tk_isa_level(void) {
    int level = atomic_load_explicit(&current_level, memory_order_relaxed);
    if (__builtin_expect(level < 0, 0)) {
        int undecided = -1;
        level = allowed_level();
        if (!atomic_compare_exchange_strong(&current_level, &undecided, level)) level = undecided;
    }
    return level;
}

#if defined(__x86_64__)
bool tk_has_bf16_dot(void) { return tk_isa_level() == 2 && __builtin_cpu_supports("avx512bf16"); }
bool tk_has_byte_dot(void) { return tk_isa_level() == 2 && __builtin_cpu_supports("avx512vnni"); }
#else
bool tk_has_bf16_dot(void) { return false; }
bool tk_has_byte_dot(void) { return false; }
#endif

int tk_set_isa_level(int level) {
    int best = allowed_level();
    if (level < 0 || level > best) level = best;
    atomic_store(&current_level, level);
    return level;
}

static const char *name_of(int level) {
#if defined(__x86_64__)
    return level == 2 ? "AVX-512" : level == 1 ? "AVX2" : "baseline";
#else
    (void)level;
    return "portable";
#endif
}

const char *tk_isa_name(void) { return name_of(tk_isa_level()); }
const char *tk_cpu_isa_name(void) { return name_of(cpu_level()); }

static _Atomic int64_t stream_bytes = 32 << 20;   // past the last cache of most machines

bool tk_streams(int64_t bytes) { return bytes >= atomic_load_explicit(&stream_bytes, memory_order_relaxed); }

int64_t tk_set_stream_bytes(int64_t bytes) { return atomic_exchange(&stream_bytes, bytes); }

static _Atomic bool winograd = true;

bool tk_allows_winograd(void) { return atomic_load_explicit(&winograd, memory_order_relaxed); }
void tk_set_winograd(bool allowed) { atomic_store_explicit(&winograd, allowed, memory_order_relaxed); }
