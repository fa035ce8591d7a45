// Stores that go past the caches: an output larger than they are is not read back soon, and reading its lines in before they are
// overwritten is a third of a copy's traffic.
#ifndef TAPESTRY_STREAM_H
#define TAPESTRY_STREAM_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/// Whether an output of so many bytes is streamed.
bool tk_streams(int64_t bytes);

typedef float tk_stream_vector __attribute__((ext_vector_type(4)));
typedef float tk_loose_vector __attribute__((ext_vector_type(4), aligned(1)));

/// memcpy of parts that do not overlap. The pool's threads end their tasks with a locked instruction, which orders such stores; the
/// caller of the kernel ends with `tk_stream_fence`.
static inline void tk_stream_copy(void *out, const void *in, int64_t bytes) {
    char *d = out;
    const char *s = in;
    int64_t head = (int64_t)(-(uintptr_t)d & 63);
    if (head > bytes) head = bytes;
    if (head) memcpy(d, s, (size_t)head);
    int64_t i = head;
    for (; i + 64 <= bytes; i += 64) {
        tk_stream_vector v[4];
        for (int k = 0; k < 4; k++) v[k] = *(const tk_loose_vector *)(s + i + 16 * k);
        for (int k = 0; k < 4; k++) __builtin_nontemporal_store(v[k], (tk_stream_vector *)(d + i + 16 * k));
    }
    if (i < bytes) memcpy(d + i, s + i, (size_t)(bytes - i));
}

static inline void tk_stream_zeros(void *out, int64_t bytes) {
    char *d = out;
    int64_t head = (int64_t)(-(uintptr_t)d & 63);
    if (head > bytes) head = bytes;
    memset(d, 0, (size_t)head);
    int64_t i = head;
    const tk_stream_vector zero = {0, 0, 0, 0};
    for (; i + 64 <= bytes; i += 64)
        for (int k = 0; k < 4; k++) __builtin_nontemporal_store(zero, (tk_stream_vector *)(d + i + 16 * k));
    memset(d + i, 0, (size_t)(bytes - i));
}

/// How many of the elements `low ..< high` of `out` come before its first whole line.
static inline int64_t tk_stream_head(const char *out, int64_t low, int64_t high, int64_t size) {
    int64_t head = (int64_t)(-(uintptr_t)(out + low * size) & 63) / size;
    return head < high - low ? head : high - low;
}

enum { TK_STREAM_BLOCK = 1024 };  // bytes

/// Elements `low ..< high` of `out`, made by `piece`: in place, or where the output is streamed by way of a block that stays in the
/// first cache. `piece` gets the place of its first element and where to put its elements.
static inline void tk_pieces(bool stream, char *out, int64_t low, int64_t high, int64_t size,
                             void (*piece)(const void *context, int64_t at, char *out, int64_t n), const void *context) {
    if (!stream) { piece(context, low, out + low * size, high - low); return; }
    _Alignas(64) char block[TK_STREAM_BLOCK];
    for (int64_t i = low, most = TK_STREAM_BLOCK / size; i < high; i += most) {
        int64_t n = high - i < most ? high - i : most;
        piece(context, i, block, n);
        tk_stream_copy(out + i * size, block, n * size);
    }
}

static inline void tk_stream_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#endif
