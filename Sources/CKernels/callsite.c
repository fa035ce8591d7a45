// Thread-local recording state, call sites by frame pointers and the files their code is from, and the sequence counter.
#define _GNU_SOURCE
#include "CKernels.h"
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

_Thread_local int tk_grad_disabled_depth = 0;
_Thread_local int tk_autocast_type = -1;
_Thread_local void *tk_thread_object = NULL;

// The bounds of this thread's stack; high == 0: not looked up yet, low > high: unknown, never walk.
static _Thread_local uintptr_t stack_low, stack_high;

static __attribute__((noinline, cold)) void find_stack(void) {
    pthread_attr_t attributes;
    void *base = NULL;
    size_t size = 0;
    stack_low = UINTPTR_MAX;
    stack_high = 1;
    if (pthread_getattr_np(pthread_self(), &attributes)) return;
    if (!pthread_attr_getstack(&attributes, &base, &size) && base && size) {
        stack_low = (uintptr_t)base;
        stack_high = (uintptr_t)base + size;
    }
    pthread_attr_destroy(&attributes);
}

// A frame pointer points to { the caller's frame pointer, the return address } on x86-64 and on arm64. Everything from this
// function's own frame up to the end of the stack is mapped, so a frame pointer that grows and stays below the end can be read
// whatever it is; a caller without a standard frame ends the walk (or adds one wrong address), no more.
__attribute__((noinline, no_sanitize("address", "thread", "undefined")))
int tk_capture_call_site(uintptr_t *out, int max) {
    if (__builtin_expect(stack_high == 0, 0)) find_stack();
    uintptr_t high = stack_high, frame = (uintptr_t)__builtin_frame_address(0);
    if (frame < stack_low || high < 2 * sizeof(uintptr_t)) return 0;
    high -= 2 * sizeof(uintptr_t);
    int n = 0;
    while (n < max && frame <= high && (frame & (sizeof(uintptr_t) - 1)) == 0) {
        const uintptr_t *words = (const uintptr_t *)frame;
        uintptr_t address = words[1];
        if (address < 4096) break;
        out[n++] = address;
        uintptr_t next = words[0] & ~((uintptr_t)1 << 60);   // Swift marks the frames of async functions in bit 60
        if (next <= frame) break;
        frame = next;
    }
    return n;
}

// ---- which file's code is at an address

typedef struct { uintptr_t address, own; char *path; size_t size; int found; } code_search;

static int in_image(struct dl_phdr_info *image, size_t size, void *context) {
    (void)size;
    code_search *search = context;
    for (int i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = image->dlpi_phdr + i;
        uintptr_t low = image->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD || search->address < low || search->address - low >= part->p_memsz) continue;
        search->own = search->address - image->dlpi_addr;
        if (image->dlpi_name && *image->dlpi_name) {
            search->found = strlen(image->dlpi_name) < search->size;
            if (search->found) strcpy(search->path, image->dlpi_name);
        } else {   // the program itself
            ssize_t length = readlink("/proc/self/exe", search->path, search->size - 1);
            search->found = length > 0;
            if (length > 0) search->path[length] = 0;
        }
        return 1;
    }
    return 0;
}

int tk_find_code(uintptr_t address, char *path, size_t size, uintptr_t *own) {
    code_search search = { address, 0, path, size, 0 };
    dl_iterate_phdr(in_image, &search);
    *own = search.own;
    return search.found;
}

static _Atomic uint64_t sequence = 0;
uint64_t tk_next_sequence(void) { return atomic_fetch_add_explicit(&sequence, 1, memory_order_relaxed) + 1; }
