// The threads of a block: fibers that take turns where they wait for each other.
#include "emulate.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
extern "C" void __sanitizer_start_switch_fiber(void **, const void *, size_t);
extern "C" void __sanitizer_finish_switch_fiber(void *, const void **, size_t *);
#endif
#endif

// Saves the registers that a function must keep, and the stack, and takes up another stack.
extern "C" void tk_emulator_switch(void **save, void *to);
#if defined(__x86_64__)
asm(R"(
.text
.globl tk_emulator_switch
.type tk_emulator_switch,@function
tk_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
enum { SAVED_WORDS = 7 };   // and where to go on, the last
#elif defined(__aarch64__)
asm(R"(
.text
.globl tk_emulator_switch
.type tk_emulator_switch,@function
tk_emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp d8, d9, [sp, #80]
    stp d10, d11, [sp, #96]
    stp d12, d13, [sp, #112]
    stp d14, d15, [sp, #128]
    stp x29, x30, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp d8, d9, [sp, #80]
    ldp d10, d11, [sp, #96]
    ldp d12, d13, [sp, #112]
    ldp d14, d15, [sp, #128]
    ldp x29, x30, [sp, #144]
    add sp, sp, #160
    ret
)");
enum { SAVED_WORDS = 20 };   // x30 is the last
#else
#error "the CUDA emulator needs a switch of stacks for this processor"
#endif

namespace emulated {

thread_local Fiber *current;
thread_local Size block_place, block_size, grid_size;
thread_local unsigned char *dynamic_shared;
thread_local size_t dynamic_shared_bytes;
thread_local std::vector<Box> boxes;
thread_local std::vector<Products> products;

namespace {

constexpr size_t stack_bytes = 128 << 10;
int order = 0;
unsigned order_seed = 1;

struct Warp { unsigned arrived = 0, round = 0, left = 0; unsigned long long values[32]; };
struct Meeting { unsigned arrived = 0, round = 0; const char *instruction = nullptr; void *arguments[128]; };

struct Block {
    std::vector<Fiber> fibers;
    std::vector<unsigned> turns;      // the order in which they run
    std::vector<Warp> warps;
    std::vector<Meeting> meetings, large_meetings;   // of warps, and of groups of four warps
    std::vector<unsigned char> shared;
    std::vector<char *> stacks;
    unsigned turn = 0, alive = 0, waiting = 0, round = 0;
    unsigned long long idle = 0;      // turns in which nothing happened
    void (*body)(void *);
    void *context;
    void *own_stack = nullptr;        // of the thread that launched
    const void *own_bottom = nullptr;
    size_t own_bytes = 0;
    const char *failure = nullptr;
};
thread_local Block *block;

void switch_to(Fiber *from, Fiber *to) {   // nullptr: the launching thread
#ifdef SANITIZED
    void *fake = nullptr;
    bool ends = from && (from->done || block->failure);
    if (to) __sanitizer_start_switch_fiber(ends ? nullptr : &fake, to->stack, stack_bytes);
    else __sanitizer_start_switch_fiber(ends ? nullptr : &fake, block->own_bottom, block->own_bytes);
#endif
    current = to;
    tk_emulator_switch(from ? &from->stack_pointer : &block->own_stack, to ? to->stack_pointer : block->own_stack);
#ifdef SANITIZED
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

Fiber *next() {
    unsigned n = (unsigned)block->fibers.size();
    for (unsigned i = 0; i < n; i++) {
        block->turn = block->turn + 1 == n ? 0 : block->turn + 1;
        Fiber *fiber = &block->fibers[block->turns[block->turn]];
        if (!fiber->done) return fiber;
    }
    return nullptr;
}

void entry() {
#ifdef SANITIZED
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!block->own_bottom) { block->own_bottom = bottom; block->own_bytes = bytes; }
#endif
    block->body(block->context);
    Fiber *me = current;
    if (!me->open.empty()) fail("a copy to shared memory that no group ends");
    me->done = true;
    block->alive--;
    block->idle = 0;
    if (block->alive > 0 && block->waiting == block->alive) { block->waiting = 0; block->round++; }   // the rest is all at the barrier
    switch_to(me, block->alive > 0 ? next() : nullptr);
    abort();
}

void prepare(Fiber &fiber, unsigned number) {
    fiber.stack = block->stacks[number];
    fiber.number = number;
    fiber.done = false;
    fiber.open.clear();
    fiber.groups.clear();
    fiber.place = {number % block_size.x, number / block_size.x % block_size.y, number / (block_size.x * block_size.y)};
    void **top = reinterpret_cast<void **>(fiber.stack + stack_bytes) - 2;
#if defined(__x86_64__)
    top -= 1;   // as after a call: the stack is 8 bytes off a multiple of 16
#endif
    top -= SAVED_WORDS;
    memset(top, 0, SAVED_WORDS * sizeof(void *));
    top[SAVED_WORDS - 1] = reinterpret_cast<void *>(entry);
    fiber.stack_pointer = top;
}

}  // namespace

void fail(const char *reason) {
    block->failure = reason;
    switch_to(current, nullptr);
    abort();
}

void yield() {
    if (++block->idle > 16 * block->fibers.size() + 256) fail("a barrier or a shuffle that not every thread reaches");
    Fiber *me = current, *other = next();
    if (other != me) switch_to(me, other);
}

void progress() { block->idle = 0; }

void collective(int threads, const char *instruction, void *argument, void (*body)(void **)) {
    unsigned group = current->number / (unsigned)threads, place = current->number % (unsigned)threads;
    if (block->fibers.size() < (group + 1) * (size_t)threads) fail("an instruction of a warp that has too few threads");
    Meeting &meeting = (threads == 32 ? block->meetings : block->large_meetings)[group];
    if (meeting.arrived == 0) meeting.instruction = instruction;
    else if (strcmp(meeting.instruction, instruction) != 0) fail("threads of a warp that meet in different instructions");
    meeting.arguments[place] = argument;
    unsigned round = meeting.round;
    if (++meeting.arrived == (unsigned)threads) {
        meeting.arrived = 0;
        body(meeting.arguments);
        meeting.round++;
        block->idle = 0;
    } else while (meeting.round == round) yield();
    block->idle = 0;
}

void barrier() {
    unsigned round = block->round;
    if (++block->waiting == block->alive) { block->waiting = 0; block->round++; block->idle = 0; return; }
    while (block->round == round) yield();
    block->idle = 0;
}

void shuffle_all(unsigned long long value, unsigned long long (&out)[32]) {
    Fiber *me = current;
    Warp &warp = block->warps[me->number / 32];
    if (block->fibers.size() - me->number / 32 * 32 < 32) fail("a shuffle in a warp of fewer than 32 threads");
    while (warp.left > 0) yield();   // the shuffle before is still being read
    warp.values[me->number % 32] = value;
    unsigned round = warp.round;
    if (++warp.arrived == 32) { warp.arrived = 0; warp.left = 32; warp.round++; block->idle = 0; }
    else while (warp.round == round) yield();
    warp.left--;
    block->idle = 0;
    memcpy(out, warp.values, sizeof out);
}

unsigned long long shuffle(unsigned long long value, int from) {
    unsigned long long values[32];
    shuffle_all(value, values);
    return values[(unsigned)from % 32];
}

void set_dynamic_shared(size_t bytes) { dynamic_shared_bytes = bytes; }

void set_order(int new_order, unsigned seed) { order = new_order; order_seed = seed; }

bool launch(Size grid, Size size, void (*body)(void *), void *context, const char **reason) {
    static thread_local Block pool;
    block = &pool;
    block->body = body;
    block->context = context;
    block->failure = nullptr;
    grid_size = grid;
    block_size = size;
    unsigned n = size.x * size.y * size.z;
    while (block->stacks.size() < n) {
        void *memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) { *reason = "no memory for the stacks of the emulated threads"; return false; }
        block->stacks.push_back(static_cast<char *>(memory));
    }
    block->fibers.resize(n);
    block->turns.resize(n);
    block->shared.resize(dynamic_shared_bytes + 1024);
    dynamic_shared = block->shared.data() + (1024 - (uintptr_t)block->shared.data() % 1024) % 1024;
    for (block_place.z = 0; block_place.z < grid.z; block_place.z++)
        for (block_place.y = 0; block_place.y < grid.y; block_place.y++)
            for (block_place.x = 0; block_place.x < grid.x; block_place.x++) {
                block->warps.assign((n + 31) / 32, Warp{});
                block->meetings.assign((n + 31) / 32, Meeting{});
                block->large_meetings.assign((n + 127) / 128, Meeting{});
                memset(dynamic_shared, 0xff, dynamic_shared_bytes);
                block->alive = n;
                block->waiting = block->turn = 0;
                block->idle = 0;
                for (unsigned i = 0; i < n; i++) {
                    block->turns[i] = order == 1 ? n - 1 - i : i;
                    prepare(block->fibers[i], i);
                }
                if (order == 2) {
                    unsigned state = order_seed + block_place.x;
                    for (unsigned i = n - 1; i > 0; i--) {
                        state = state * 1664525u + 1013904223u;
                        std::swap(block->turns[i], block->turns[(state >> 8) % (i + 1)]);
                    }
                }
                switch_to(nullptr, &block->fibers[block->turns[0]]);
                if (!block->failure && !boxes.empty()) block->failure = "a box that nobody waited for";
                for (const Products &group : products)
                    if (!block->failure && (!group.open.empty() || !group.groups.empty())) block->failure = "a product that nobody waited for";
                boxes.clear();
                products.clear();
                if (block->failure) { current = nullptr; *reason = block->failure; return false; }
            }
    current = nullptr;
    return true;
}

}  // namespace emulated
