// The driver's functions over the host's memory. It is stricter than the real one: a thread without a context gets an error, fresh memory
// holds NaNs, and every block lies between two that must not change.
#include "CUDAEmulator.h"

#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulate.h"
#include "state.h"
#include "streams.h"

std::recursive_mutex emulated::mutex;
static thread_local tk_cu_context thread_context;
tk_cu_result emulated::in_context() { return thread_context ? TK_CU_SUCCESS : TK_CU_INVALID_CONTEXT; }

namespace {

using emulated::Function;
using emulated::Kernel;
using emulated::Node;
using emulated::Stream;
using emulated::in_context;
using emulated::mutex;

struct Memory { size_t bytes; char *from; };

constexpr size_t guard = 256;
constexpr unsigned char fresh = 0xff, untouched = 0xa5;

std::map<std::string, std::map<std::string, Kernel>> &registered() {
    static std::map<std::string, std::map<std::string, Kernel>> kernels;
    return kernels;
}
std::map<std::string, Function> functions;
std::map<tk_cu_address, Memory> blocks;
std::map<void *, size_t> host_blocks;
tk_emulator_options options;
tk_emulator_statistics statistics;
std::string fault, failure, names;
char contexts[16];

Stream *stream_of(tk_cu_stream handle) { return reinterpret_cast<Stream *>(handle); }

bool intact(tk_cu_address address, const Memory &memory) {
    const char *data = reinterpret_cast<const char *>(address);
    for (size_t i = 1; i <= guard; i++) if ((unsigned char)data[-(ptrdiff_t)i] != untouched) return false;
    for (size_t i = 0; i < guard; i++) if ((unsigned char)data[memory.bytes + i] != untouched) return false;
    return true;
}

tk_cu_result allocate(tk_cu_address *out, size_t bytes) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    if (bytes == 0) return TK_CU_INVALID_VALUE;
    if ((size_t)statistics.live_bytes + bytes > options.memory_bytes) return TK_CU_OUT_OF_MEMORY;
    void *memory = nullptr;
    if (posix_memalign(&memory, 512, bytes + 1024)) return TK_CU_OUT_OF_MEMORY;
    char *data = static_cast<char *>(memory) + 512;
    memset(data - guard, untouched, guard);
    memset(data + bytes, untouched, guard);
    memset(data, fresh, bytes);
    *out = reinterpret_cast<tk_cu_address>(data);
    blocks[*out] = {bytes, static_cast<char *>(memory)};
    statistics.allocations++;
    statistics.live_blocks++;
    statistics.live_bytes += (int64_t)bytes;
    return TK_CU_SUCCESS;
}

tk_cu_result deallocate(tk_cu_address address) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    auto found = blocks.find(address);
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    if (found == blocks.end()) return TK_CU_INVALID_VALUE;
    emulated::finish_all();
    if (!intact(address, found->second)) statistics.damaged_blocks++;
    statistics.live_blocks--;
    statistics.live_bytes -= (int64_t)found->second.bytes;
    free(found->second.from);
    blocks.erase(found);
    return TK_CU_SUCCESS;
}

/// Whether a range lies in one block of device memory.
bool on_device(tk_cu_address address, size_t bytes) {
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin()) return false;
    auto found = std::prev(after);
    return address + bytes <= found->first + found->second.bytes;
}

/// Whether a range lies in one block of pinned memory.
bool is_pinned(const void *address, size_t bytes) {
    auto after = host_blocks.upper_bound(const_cast<void *>(address));
    if (after == host_blocks.begin()) return false;
    auto found = std::prev(after);
    return (const char *)address + bytes <= (const char *)found->first + found->second;
}

tk_cu_result copy(void *to, const void *from, size_t bytes, bool to_device, bool from_device, tk_cu_stream on) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    if (to_device && !on_device(reinterpret_cast<tk_cu_address>(to), bytes)) return TK_CU_INVALID_VALUE;
    if (from_device && !on_device(reinterpret_cast<tk_cu_address>(from), bytes)) return TK_CU_INVALID_VALUE;
    Stream *stream = stream_of(on);
    statistics.copies++;
    if (from_device || is_pinned(from, bytes)) {
        tk_cu_result result = emulated::give(stream, [=] { memmove(to, from, bytes); return TK_CU_SUCCESS; });
        // The host's ordinary memory has the bytes when the call returns.
        if (!to_device && !is_pinned(to, bytes) && !stream->capture) result = emulated::finish(stream, stream->issued);
        return result;
    }
    // The host's ordinary memory is read before the call returns.
    std::vector<char> staged((const char *)from, (const char *)from + bytes);
    return emulated::give(stream, [=] { memcpy(to, staged.data(), bytes); return TK_CU_SUCCESS; });
}

tk_cu_result launch(tk_cu_function handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                    tk_cu_stream stream, void **arguments, void **) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    Function *function = reinterpret_cast<Function *>(handle);
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    if (!gx || !gy || !gz || !bx || !by || !bz || gx > 0x7fffffffu || gy > 65535 || gz > 65535) return TK_CU_INVALID_VALUE;
    if (bx * by * bz > 1024 || (int)shared > function->shared_bytes) return TK_CU_INVALID_VALUE;
    Node node;
    node.function = function;
    node.grid = {gx, gy, gz};
    node.block = {bx, by, bz};
    node.shared = shared;
    node.arguments = function->kernel.keep(arguments);
    return emulated::give(stream_of(stream), std::move(node));
}

/// Takes what the real one takes, of 16-bit elements, three or four axes and boxes whose rows have 128 bytes.
tk_cu_result encode_tensor_map(tk_cu_tensor_map to, int type, unsigned rank, void *base, const uint64_t *sizes, const uint64_t *steps,
                               const unsigned *box, const unsigned *each, int interleave, int swizzle, int, int fill) {
    bool good = type == TK_CU_TENSOR_MAP_16_BITS && (rank == 3 || rank == 4) && swizzle == TK_CU_TENSOR_MAP_SWIZZLE_128 && !interleave && !fill;
    if (!good) return TK_CU_INVALID_VALUE;
    good = reinterpret_cast<uintptr_t>(base) % 16 == 0 && reinterpret_cast<uintptr_t>(to) % 64 == 0 && box[0] * 2 == 128;
    tk_tensor_map map = {static_cast<const unsigned char *>(base), {1, 1, 1, 1}, {0, 0, 0}, {box[0], box[1]}, rank, {}};
    for (unsigned axis = 0; axis < rank; axis++) {
        good = good && sizes[axis] > 0 && sizes[axis] <= 1ull << 32 && box[axis] > 0 && box[axis] <= 256 && each[axis] == 1;
        good = good && (axis < 2 || box[axis] == 1);
        map.sizes[axis] = sizes[axis];
        if (axis == 0) continue;
        uint64_t step = steps[axis - 1];
        good = good && step > 0 && step % 16 == 0 && step < 1ull << 40;
        map.steps[axis - 1] = step;
    }
    if (!good) return TK_CU_INVALID_VALUE;
    memcpy(static_cast<void *>(to), &map, sizeof map);
    return in_context();
}

tk_cu_result device_attribute(int *value, int attribute, tk_cu_device) {
    switch (attribute) {
    case TK_CU_CAPABILITY_MAJOR: *value = options.capability / 10; break;
    case TK_CU_CAPABILITY_MINOR: *value = options.capability % 10; break;
    case TK_CU_MULTIPROCESSORS: *value = 2; break;
    case TK_CU_MAX_BLOCK_THREADS: *value = 1024; break;
    case TK_CU_MAX_SHARED_BYTES: *value = 227 << 10; break;
    case TK_CU_L2_BYTES: *value = 1 << 20; break;
    case TK_CU_CLOCK_KILOHERTZ: *value = 1000000; break;
    default: return TK_CU_INVALID_VALUE;
    }
    return TK_CU_SUCCESS;
}

tk_cu_result describe(tk_cu_result result, const char **out) {
    switch (result) {
    case TK_CU_OUT_OF_MEMORY: *out = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case TK_CU_INVALID_VALUE: *out = "CUDA_ERROR_INVALID_VALUE"; break;
    case TK_CU_INVALID_CONTEXT: *out = "CUDA_ERROR_INVALID_CONTEXT"; break;
    case TK_CU_LAUNCH_FAILED: *out = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case TK_CU_CAPTURE_UNSUPPORTED: *out = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case TK_CU_CAPTURE_INVALIDATED: *out = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    case TK_CU_NO_DEVICE: *out = "CUDA_ERROR_NO_DEVICE"; break;
    case TK_CU_UNSUPPORTED_PTX: *out = "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"; break;
    default: *out = "an emulated error";
    }
    return TK_CU_SUCCESS;
}

}  // namespace

tk_cu_result emulated::run(const Node &node) {
    Runner runner = node.function->kernel.run;
    auto faulty = registered().find(fault);
    if (!fault.empty() && faulty != registered().end() && faulty->second.count(node.function->name))
        runner = faulty->second[node.function->name].run;
    const char *reason = nullptr;
    statistics.launches++;
    emulated::set_dynamic_shared(node.shared);
    if (runner(node.grid, node.block, node.arguments->places.data(), &reason)) return TK_CU_SUCCESS;
    failure = node.function->name + ": " + reason;
    return TK_CU_LAUNCH_FAILED;
}

emulated::Registration::Registration(const char *of_fault, const char *name, Kernel kernel) { registered()[of_fault][name] = kernel; }

extern "C" {

tk_emulator_options tk_emulator_defaults(void) { return {12000, 2, 90, TK_CU_SUCCESS, TK_CU_SUCCESS, (size_t)1 << 30}; }
void tk_emulator_set_order(int order, unsigned seed) { emulated::set_order(order, seed); }
void tk_emulator_set_delayed(int delayed) { emulated::set_delayed(delayed != 0); }
void tk_emulator_set_fault(const char *name) { fault = name ? name : ""; }
const char *tk_emulator_failure(void) { return failure.c_str(); }

tk_emulator_statistics tk_emulator_get_statistics(void) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    tk_emulator_statistics result = statistics;
    result.graph_launches = emulated::graph_launches;
    result.waits = emulated::waits;
    for (const auto &[address, memory] : blocks) result.damaged_blocks += !intact(address, memory);
    return result;
}

const char *tk_emulator_kernel_names(void) {
    if (names.empty()) for (const auto &[name, runner] : registered()[""]) names += name + "\n";
    return names.c_str();
}

void tk_emulator_load(tk_cuda_driver *driver, tk_emulator_options wanted) {
    options = wanted;
    memset(driver, 0, sizeof *driver);
    driver->init = [](unsigned) -> tk_cu_result { return options.start_result; };
    driver->driver_version = [](int *version) -> tk_cu_result { *version = options.cuda_version; return TK_CU_SUCCESS; };
    driver->error_name = describe;
    driver->error_string = [](tk_cu_result, const char **out) -> tk_cu_result { *out = failure.c_str(); return TK_CU_SUCCESS; };
    driver->device_count = [](int *count) -> tk_cu_result { *count = options.device_count; return TK_CU_SUCCESS; };
    driver->device = [](tk_cu_device *device, int index) -> tk_cu_result {
        *device = index;
        return index >= 0 && index < options.device_count ? TK_CU_SUCCESS : TK_CU_INVALID_DEVICE;
    };
    driver->device_name = [](char *name, int size, tk_cu_device) -> tk_cu_result {
        snprintf(name, (size_t)size, "emulated sm_%d", options.capability);
        return TK_CU_SUCCESS;
    };
    driver->device_attribute = device_attribute;
    driver->device_memory = [](size_t *bytes, tk_cu_device) -> tk_cu_result { *bytes = options.memory_bytes; return TK_CU_SUCCESS; };
    driver->retain_context = [](tk_cu_context *context, tk_cu_device device) -> tk_cu_result {
        *context = reinterpret_cast<tk_cu_context>(&contexts[device]);
        return TK_CU_SUCCESS;
    };
    driver->release_context = [](tk_cu_device) -> tk_cu_result { return TK_CU_SUCCESS; };
    driver->set_context = [](tk_cu_context context) -> tk_cu_result { thread_context = context; return TK_CU_SUCCESS; };
    driver->memory_info = [](size_t *free_bytes, size_t *total) -> tk_cu_result {
        *total = options.memory_bytes;
        *free_bytes = options.memory_bytes - (size_t)statistics.live_bytes;
        return in_context();
    };
    driver->allocate = allocate;
    driver->deallocate = deallocate;
    driver->allocate_host = [](void **out, size_t bytes, unsigned) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        *out = malloc(bytes);
        if (!*out) return TK_CU_OUT_OF_MEMORY;
        memset(*out, fresh, bytes);
        host_blocks[*out] = bytes;
        statistics.host_allocations++;
        return in_context();
    };
    driver->deallocate_host = [](void *memory) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        emulated::finish_all();
        if (!host_blocks.erase(memory)) return TK_CU_INVALID_VALUE;
        free(memory);
        return in_context();
    };
    driver->copy_to_device = [](tk_cu_address to, const void *from, size_t bytes, tk_cu_stream on) -> tk_cu_result {
        return copy(reinterpret_cast<void *>(to), from, bytes, true, false, on);
    };
    driver->copy_to_host = [](void *to, tk_cu_address from, size_t bytes, tk_cu_stream on) -> tk_cu_result {
        return copy(to, reinterpret_cast<const void *>(from), bytes, false, true, on);
    };
    driver->copy_on_device = [](tk_cu_address to, tk_cu_address from, size_t bytes, tk_cu_stream on) -> tk_cu_result {
        return copy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes, true, true, on);
    };
    driver->set_bytes = [](tk_cu_address to, unsigned char value, size_t bytes, tk_cu_stream on) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (in_context() || !on_device(to, bytes)) return in_context() ? TK_CU_INVALID_CONTEXT : TK_CU_INVALID_VALUE;
        return emulated::give(stream_of(on), [=] { memset(reinterpret_cast<void *>(to), value, bytes); return TK_CU_SUCCESS; });
    };
    driver->load_module = [](tk_cu_module *module, const void *image, unsigned, int *, void **) -> tk_cu_result {
        *module = reinterpret_cast<tk_cu_module>(const_cast<void *>(image));
        statistics.modules++;
        return options.module_result ? options.module_result : in_context();
    };
    driver->unload_module = [](tk_cu_module) -> tk_cu_result { return in_context(); };
    driver->function = [](tk_cu_function *out, tk_cu_module module, const char *name) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        auto found = registered()[""].find(name);
        // A module is its text, which has to hold the kernel.
        std::string entry = std::string(".entry ") + name + "(";
        if (found == registered()[""].end() || !strstr(reinterpret_cast<const char *>(module), entry.c_str())) return TK_CU_NOT_FOUND;
        Function &function = functions[name];
        function.name = name;
        function.kernel = found->second;
        *out = reinterpret_cast<tk_cu_function>(&function);
        return in_context();
    };
    driver->set_function_attribute = [](tk_cu_function function, int attribute, int value) -> tk_cu_result {
        if (attribute == TK_CU_FUNCTION_SHARED_BYTES) {
            if (value > 227 << 10) return TK_CU_INVALID_VALUE;
            reinterpret_cast<Function *>(function)->shared_bytes = value;
        }
        return in_context();
    };
    driver->function_attribute = [](int *value, int, tk_cu_function) -> tk_cu_result { *value = 0; return in_context(); };
    driver->launch = launch;
    driver->encode_tensor_map = encode_tensor_map;
    emulated::add_streams(driver);
}

}
