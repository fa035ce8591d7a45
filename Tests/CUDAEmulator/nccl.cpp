// A library that looks like NCCL, for several emulated devices in one process: what one group call holds is computed when the streams of all have
// come so far.
#include <math.h>
#include <string.h>

#include <memory>
#include <vector>

#include "CUDAEmulator.h"
#include "emulate.h"
#include "state.h"
#include "streams.h"

namespace {

struct World { int size; };
struct Comm { std::shared_ptr<World> world; int rank; };
enum Kind { ALL_REDUCE, BROADCAST, ALL_GATHER, REDUCE_SCATTER };
struct Call {
    Kind kind;
    const void *from;
    void *to;
    size_t count;
    int type, op, root;
    Comm *comm;
    emulated::Stream *stream;
    uint64_t place;   // of the stream, when the group ended
};
int depth;
std::vector<Call> calls;

size_t size_of(int type) {
    switch (type) {
    case TK_NCCL_I8: case TK_NCCL_U8: return 1;
    case TK_NCCL_F16: case TK_NCCL_BF16: return 2;
    case TK_NCCL_I32: case TK_NCCL_F32: return 4;
    default: return 8;
    }
}
double load(const void *x, int type, size_t at) {
    switch (type) {
    case TK_NCCL_I8: return static_cast<const signed char *>(x)[at];
    case TK_NCCL_U8: return static_cast<const unsigned char *>(x)[at];
    case TK_NCCL_I32: return static_cast<const int *>(x)[at];
    case TK_NCCL_I64: return (double)static_cast<const long long *>(x)[at];
    case TK_NCCL_F16: return tk_half_to_float(static_cast<const unsigned short *>(x)[at]);
    case TK_NCCL_BF16: return tk_bits_float((unsigned)static_cast<const unsigned short *>(x)[at] << 16);
    case TK_NCCL_F32: return static_cast<const float *>(x)[at];
    default: return static_cast<const double *>(x)[at];
    }
}
void store(void *x, int type, size_t at, double value) {
    switch (type) {
    case TK_NCCL_I8: static_cast<signed char *>(x)[at] = (signed char)value; break;
    case TK_NCCL_U8: static_cast<unsigned char *>(x)[at] = (unsigned char)value; break;
    case TK_NCCL_I32: static_cast<int *>(x)[at] = (int)value; break;
    case TK_NCCL_I64: static_cast<long long *>(x)[at] = (long long)value; break;
    case TK_NCCL_F16: static_cast<unsigned short *>(x)[at] = tk_float_to_half((float)value); break;
    case TK_NCCL_BF16: static_cast<unsigned short *>(x)[at] = (unsigned short)tk_pack_bf16((float)value, 0); break;
    case TK_NCCL_F32: static_cast<float *>(x)[at] = (float)value; break;
    default: static_cast<double *>(x)[at] = value;
    }
}

/// Element `at` of the reduction of what all have sent.
double reduced(const std::vector<Call> &all, size_t at) {
    double result = load(all[0].from, all[0].type, at);
    for (size_t rank = 1; rank < all.size(); rank++) {
        double x = load(all[rank].from, all[0].type, at);
        switch (all[0].op) {
        case TK_NCCL_PRODUCT: result *= x; break;
        case TK_NCCL_MAXIMUM: result = fmax(result, x); break;
        case TK_NCCL_MINIMUM: result = fmin(result, x); break;
        default: result += x;
        }
    }
    return all[0].op == TK_NCCL_MEAN ? result / (double)all.size() : result;
}

/// One operation of all ranks, in their order. Everything is read before anything is written, as results may take the place of what was sent.
void compute(const std::vector<Call> &all) {
    const Call &first = all[0];
    size_t size = size_of(first.type), ranks = all.size();
    std::vector<char> result;
    if (first.kind == BROADCAST) {
        const char *from = static_cast<const char *>(all[(size_t)first.root].from);
        result.assign(from, from + first.count * size);
    } else if (first.kind == ALL_GATHER) {
        for (const Call &call : all) {
            const char *from = static_cast<const char *>(call.from);
            result.insert(result.end(), from, from + first.count * size);
        }
    } else {
        size_t count = first.kind == REDUCE_SCATTER ? first.count * ranks : first.count;
        result.resize(count * size);
        for (size_t i = 0; i < count; i++) store(result.data(), first.type, i, reduced(all, i));
    }
    for (size_t rank = 0; rank < ranks; rank++) {
        size_t part = first.kind == REDUCE_SCATTER ? first.count * size : 0;
        memcpy(all[rank].to, result.data() + rank * part, part ? part : result.size());
    }
}

/// The calls of a group, k-th of each rank together; ranks that do not agree would wait for each other for ever.
int run_group() {
    std::vector<Call> waiting;
    waiting.swap(calls);
    while (!waiting.empty()) {
        std::shared_ptr<World> world = waiting[0].comm->world;
        auto all = std::make_shared<std::vector<Call>>();
        for (int rank = 0; rank < world->size; rank++) {
            size_t found = 0;
            while (found < waiting.size() && (waiting[found].comm->world != world || waiting[found].comm->rank != rank)) found++;
            if (found == waiting.size()) return TK_NCCL_INVALID_USAGE;
            all->push_back(waiting[found]);
            waiting.erase(waiting.begin() + (ptrdiff_t)found);
        }
        for (Call &call : *all) {
            const Call &first = (*all)[0];
            if (call.kind != first.kind || call.count != first.count || call.type != first.type || call.op != first.op || call.root != first.root)
                return TK_NCCL_INVALID_USAGE;
            call.place = call.stream->issued;
        }
        auto done = std::make_shared<bool>(false);
        for (const Call &call : *all) {
            emulated::Stream *mine = call.stream;
            int result = emulated::give(mine, [all, done, mine]() -> tk_cu_result {
                if (*done) return TK_CU_SUCCESS;
                *done = true;
                for (const Call &other : *all) if (other.stream != mine) emulated::finish(other.stream, other.place);
                compute(*all);
                return TK_CU_SUCCESS;
            });
            if (result) return TK_NCCL_INVALID_USAGE;
        }
    }
    return TK_NCCL_SUCCESS;
}

int add(Call call) {
    std::lock_guard<std::recursive_mutex> lock(emulated::mutex);
    if (emulated::in_context()) return TK_NCCL_INVALID_USAGE;
    calls.push_back(call);
    return depth > 0 ? (int)TK_NCCL_SUCCESS : run_group();
}

emulated::Stream *stream_of(tk_nccl_stream stream) { return reinterpret_cast<emulated::Stream *>(stream); }
Comm *comm_of(tk_nccl_comm comm) { return reinterpret_cast<Comm *>(comm); }

}  // namespace

extern "C" void tk_emulator_load_nccl(tk_nccl *nccl) {
    nccl->error_string = [](int result) -> const char * { return result == TK_NCCL_INVALID_USAGE ? "invalid usage" : "an emulated error"; };
    nccl->init_all = [](tk_nccl_comm *comms, int count, const int *devices) -> int {
        auto world = std::make_shared<World>(World{count});
        for (int i = 0; i < count; i++)
            for (int j = 0; j < i; j++) if (devices[i] == devices[j]) return TK_NCCL_INVALID_USAGE;
        for (int i = 0; i < count; i++) comms[i] = reinterpret_cast<tk_nccl_comm>(new Comm{world, i});
        return TK_NCCL_SUCCESS;
    };
    nccl->destroy = [](tk_nccl_comm comm) -> int { delete comm_of(comm); return TK_NCCL_SUCCESS; };
    nccl->async_error = [](tk_nccl_comm, int *result) -> int { *result = TK_NCCL_SUCCESS; return TK_NCCL_SUCCESS; };
    nccl->group_start = []() -> int { depth++; return TK_NCCL_SUCCESS; };
    nccl->group_end = []() -> int {
        std::lock_guard<std::recursive_mutex> lock(emulated::mutex);
        return --depth > 0 ? (int)TK_NCCL_SUCCESS : run_group();
    };
    nccl->all_reduce = [](const void *from, void *to, size_t count, int type, int op, tk_nccl_comm comm, tk_nccl_stream stream) -> int {
        return add({ALL_REDUCE, from, to, count, type, op, 0, comm_of(comm), stream_of(stream), 0});
    };
    nccl->broadcast = [](const void *from, void *to, size_t count, int type, int root, tk_nccl_comm comm, tk_nccl_stream stream) -> int {
        return add({BROADCAST, from, to, count, type, 0, root, comm_of(comm), stream_of(stream), 0});
    };
    nccl->all_gather = [](const void *from, void *to, size_t count, int type, tk_nccl_comm comm, tk_nccl_stream stream) -> int {
        return add({ALL_GATHER, from, to, count, type, 0, 0, comm_of(comm), stream_of(stream), 0});
    };
    nccl->reduce_scatter = [](const void *from, void *to, size_t count, int type, int op, tk_nccl_comm comm, tk_nccl_stream stream) -> int {
        return add({REDUCE_SCATTER, from, to, count, type, op, 0, comm_of(comm), stream_of(stream), 0});
    };
}
