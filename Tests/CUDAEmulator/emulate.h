// CUDA C++ for the CPU: what kernels/device.cuh has as PTX, and the threads of a block as fibers.
#ifndef TAPESTRY_EMULATE_H
#define TAPESTRY_EMULATE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define TK_EMULATE 1
#define TK_DEVICE static inline
#define TK_DEVICE_MEMBER inline
#define TK_CALLED static
#define TK_CALLED_MEMBER
#define TK_SHARED static thread_local
#define TK_KERNEL(threads) static void
#define TK_DENSE_KERNEL(threads, blocks) static void

namespace emulated {

struct Size { unsigned x = 1, y = 1, z = 1; };

/// A copy to shared memory on its way; it arrives when its thread waits for it.
struct Copy { void *to; const void *from; int bytes, size; };

/// A GPU thread.
struct Fiber {
    void *stack_pointer;
    char *stack;
    Size place;
    unsigned number;          // within the block
    bool done;
    std::vector<Copy> open;                 // copies that no group has yet
    std::vector<std::vector<Copy>> groups;  // the oldest first
};
extern thread_local Fiber *current;
extern thread_local Size block_place, block_size, grid_size;
/// The memory that a launch gives each block; fresh ones hold NaNs.
extern thread_local unsigned char *dynamic_shared;
extern thread_local size_t dynamic_shared_bytes;

/// Ends the launch with an error.
[[noreturn]] void fail(const char *reason);
void barrier();
/// Waits until all 32 threads of the warp are here, then gives the value of a lane.
unsigned long long shuffle(unsigned long long value, int lane);
/// The same with the values of all 32.
void shuffle_all(unsigned long long value, unsigned long long (&out)[32]);
inline int lane() { return (int)(current->number % 32); }
/// What a warp (32 threads) or a group of four (128) does together: when all are here with their arguments, the last one runs `body`
/// on them, in the order of their numbers. Threads that meet in different instructions end the launch.
void collective(int threads, const char *instruction, void *argument, void (*body)(void **arguments));
/// Says that something happened, so that threads which wait go on waiting.
void progress();
/// Lets the other threads take their turns.
void yield();

/// Gives the blocks of the next launches so much memory of their own.
void set_dynamic_shared(size_t bytes);
/// Runs every block; false, and a reason, if a thread failed.
bool launch(Size grid, Size block, void (*body)(void *), void *context, const char **reason);
void set_order(int order, unsigned seed);

/// A kernel as a function of the addresses of its arguments.
typedef bool (*Runner)(Size grid, Size block, void **arguments, const char **reason);
template <class... A> struct Call {
    void (*kernel)(A...);
    void **arguments;
    template <size_t... I> void run(std::index_sequence<I...>) const { kernel(*static_cast<A *>(arguments[I])...); }
    static void body(void *context) { static_cast<Call *>(context)->run(std::index_sequence_for<A...>{}); }
};
template <class... A> bool run(void (*kernel)(A...), Size grid, Size block, void **arguments, const char **reason) {
    Call<A...> call{kernel, arguments};
    return launch(grid, block, Call<A...>::body, &call, reason);
}

/// A copy of a kernel's arguments, for work that runs later than it was given.
struct Kept {
    virtual ~Kept() = default;
    std::vector<void *> places;
};
template <class... A> struct KeptArguments : Kept {
    std::tuple<A...> values;
    template <size_t... I> KeptArguments(void **arguments, std::index_sequence<I...>) : values(*static_cast<A *>(arguments[I])...) {
        places = {(void *)&std::get<I>(values)...};
    }
};
typedef std::shared_ptr<Kept> (*Keeper)(void **arguments);
template <class... A> std::shared_ptr<Kept> keep(void (*)(A...), void **arguments) {
    return std::make_shared<KeptArguments<A...>>(arguments, std::index_sequence_for<A...>{});
}

struct Kernel { Runner run; Keeper keep; };
struct Registration { Registration(const char *fault, const char *name, Kernel kernel); };

template <class T> T shuffled(T value, int lane) {
    static_assert(sizeof(T) <= 8, "a shuffle moves 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = shuffle(bits, lane);
    memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace emulated

#define threadIdx (emulated::current->place)
#define blockIdx (emulated::block_place)
#define blockDim (emulated::block_size)
#define gridDim (emulated::grid_size)
static inline void __syncthreads() { emulated::barrier(); }

TK_DEVICE unsigned tk_float_bits(float value) { unsigned bits; memcpy(&bits, &value, 4); return bits; }
TK_DEVICE float tk_bits_float(unsigned bits) { float value; memcpy(&value, &bits, 4); return value; }
TK_DEVICE unsigned long long tk_double_bits(double value) { unsigned long long bits; memcpy(&bits, &value, 8); return bits; }
TK_DEVICE double tk_bits_double(unsigned long long bits) { double value; memcpy(&value, &bits, 8); return value; }
TK_DEVICE float tk_half_to_float(unsigned short bits) {
    unsigned sign = (unsigned)(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, mantissa = bits & 0x3ffu;
    if (exponent == 31) return tk_bits_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) { float value = (float)mantissa * 5.9604644775390625e-8f; return sign ? -value : value; }
    return tk_bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}
TK_DEVICE unsigned short tk_float_to_half(float value) {
    unsigned bits = tk_float_bits(value), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (unsigned short)(sign | 0x7e00u | (bits >> 13 & 0x3ffu));
    if (bits >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);   // from 65520 on
    if (bits < 0x38800000u) return (unsigned short)(sign | (unsigned)rintf(tk_bits_float(bits) * 16777216.0f));
    return (unsigned short)(sign | ((bits - 0x38000000u + 0xfffu + (bits >> 13 & 1u)) >> 13));
}
TK_DEVICE unsigned tk_high_product(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
TK_DEVICE unsigned long long tk_high_product(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
// The compiler is told not to contract where these are used (see kernels.cpp).
TK_DEVICE float tk_product(float a, float b) { return a * b; }
TK_DEVICE float tk_sum(float a, float b) { return a + b; }
TK_DEVICE double tk_product(double a, double b) { return a * b; }
TK_DEVICE double tk_sum(double a, double b) { return a + b; }
template <class T> TK_DEVICE T tk_shuffle_xor(T value, int mask) { return emulated::shuffled(value, emulated::lane() ^ mask); }
template <class T> TK_DEVICE T tk_shuffle(T value, int lane) { return emulated::shuffled(value, lane); }

TK_DEVICE void tk_atomic_min(unsigned long long *to, unsigned long long value) { if (value < *to) *to = value; }

struct alignas(16) tk_16bytes { unsigned long long low, high; };

#define TK_DYNAMIC_SHARED(name) unsigned char *name = emulated::dynamic_shared
TK_DEVICE void tk_warp_barrier() { emulated::collective(32, "a barrier of a warp", nullptr, [](void **) {}); }
TK_DEVICE float tk_exp2(float x) { return exp2f(x); }

#include "emulate_tensor.h"
#include "emulate_hopper.h"

#endif
