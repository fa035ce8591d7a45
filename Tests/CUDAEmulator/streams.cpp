// Streams as queues: the driver does their work at once, or as late as it may.
#include "streams.h"

#include <mutex>
#include <set>

#include "state.h"

namespace emulated {

int64_t waits, graph_launches;
std::chrono::nanoseconds emulated::clock_shift{0};

namespace {

bool is_delayed;
std::set<Stream *> streams;

Stream *stream_of(tk_cu_stream handle) { return reinterpret_cast<Stream *>(handle); }
Event *event_of(tk_cu_event handle) { return reinterpret_cast<Event *>(handle); }

/// A call that would wait for captured work ends the capture.
bool spoils_capture(Stream *stream) {
    if (!stream || !stream->capture) return false;
    stream->capture->is_invalid = true;
    return true;
}

bool is_complete(const Event *event) { return !event->stream || !streams.count(event->stream) || event->stream->done >= event->place; }

tk_cu_result wait_for(const Event *event) {
    if (is_complete(event)) return TK_CU_SUCCESS;
    return finish(event->stream, event->place);
}

tk_cu_result taken_failure(Stream *stream) {
    tk_cu_result result = stream->failure;
    stream->failure = TK_CU_SUCCESS;
    return result;
}

tk_cu_result launch_graph(tk_cu_graph_exec handle, tk_cu_stream on) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    graph_launches++;
    for (const Node &node : reinterpret_cast<Executable *>(handle)->nodes) {
        tk_cu_result result = node.function ? give(stream_of(on), node) : give(stream_of(on), node.work);
        if (result) return result;
    }
    return TK_CU_SUCCESS;
}

tk_cu_result set_kernel_node(tk_cu_graph_exec handle, tk_cu_graph_node node, const tk_cu_kernel_node *launch) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    Executable *executable = reinterpret_cast<Executable *>(handle);
    auto found = executable->places.find(reinterpret_cast<const Node *>(node));
    if (in_context()) return TK_CU_INVALID_CONTEXT;
    if (found == executable->places.end() || !executable->nodes[found->second].function) return TK_CU_INVALID_VALUE;
    Node &own = executable->nodes[found->second];
    if (reinterpret_cast<Function *>(launch->function) != own.function) return TK_CU_INVALID_VALUE;
    own.grid = {launch->grid_x, launch->grid_y, launch->grid_z};
    own.block = {launch->block_x, launch->block_y, launch->block_z};
    own.shared = launch->shared_bytes;
    own.arguments = own.function->kernel.keep(launch->arguments);
    return TK_CU_SUCCESS;
}

}  // namespace

void set_delayed(bool delayed) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (!delayed) finish_all();
    is_delayed = delayed;
}

tk_cu_result give(Stream *stream, Work work) {
    if (stream->capture) {
        auto node = std::make_unique<Node>();
        node->work = std::move(work);
        stream->capture->nodes.push_back(std::move(node));
        return TK_CU_SUCCESS;
    }
    stream->issued++;
    if (is_delayed) {
        stream->queue.push_back(std::move(work));
        return TK_CU_SUCCESS;
    }
    stream->done++;
    return work();
}

tk_cu_result give(Stream *stream, Node launch) {
    if (!stream->capture) return give(stream, [launch] { return run(launch); });
    stream->capture->nodes.push_back(std::make_unique<Node>(std::move(launch)));
    return TK_CU_SUCCESS;
}

tk_cu_result finish(Stream *stream, uint64_t place) {
    while (stream->done < place && !stream->queue.empty()) {
        Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        tk_cu_result result = work();
        stream->done++;
        if (result && !stream->failure) stream->failure = result;
    }
    return stream->failure;
}

void finish_all() {
    for (Stream *stream : streams) finish(stream, stream->issued);
}

void add_streams(tk_cuda_driver *driver) {
    driver->create_stream = [](tk_cu_stream *stream, unsigned) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        Stream *made = new Stream;
        streams.insert(made);
        *stream = reinterpret_cast<tk_cu_stream>(made);
        return in_context();
    };
    driver->destroy_stream = [](tk_cu_stream stream) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        // The driver lets the work go on; nobody can see whether it is done now or later.
        finish(stream_of(stream), stream_of(stream)->issued);
        streams.erase(stream_of(stream));
        delete stream_of(stream);
        return in_context();
    };
    driver->synchronize_stream = [](tk_cu_stream stream) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (in_context()) return TK_CU_INVALID_CONTEXT;
        if (spoils_capture(stream_of(stream))) return TK_CU_CAPTURE_UNSUPPORTED;
        waits++;
        finish(stream_of(stream), stream_of(stream)->issued);
        return taken_failure(stream_of(stream));
    };
    driver->stream_waits = [](tk_cu_stream stream, tk_cu_event event, unsigned) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        // The event as it is now: it may be recorded again.
        Event seen = *event_of(event);
        return in_context() ? TK_CU_INVALID_CONTEXT : give(stream_of(stream), [seen] { return wait_for(&seen); });
    };
    driver->create_event = [](tk_cu_event *event, unsigned) -> tk_cu_result {
        *event = reinterpret_cast<tk_cu_event>(new Event{});
        return in_context();
    };
    driver->destroy_event = [](tk_cu_event event) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (!is_complete(event_of(event))) finish(event_of(event)->stream, event_of(event)->place);
        delete event_of(event);
        return in_context();
    };
    driver->record_event = [](tk_cu_event handle, tk_cu_stream on) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        Event *event = event_of(handle);
        Stream *stream = stream_of(on);
        if (in_context()) return TK_CU_INVALID_CONTEXT;
        if (spoils_capture(stream)) return TK_CU_CAPTURE_UNSUPPORTED;
        event->stream = stream;
        event->place = stream->issued + 1;
        return give(stream, [event] { event->time = std::chrono::steady_clock::now() + clock_shift; return TK_CU_SUCCESS; });
    };
    driver->query_event = [](tk_cu_event event) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (in_context()) return TK_CU_INVALID_CONTEXT;
        if (is_complete(event_of(event))) return TK_CU_SUCCESS;
        // Who asks again and again is to get an answer in the end.
        finish(event_of(event)->stream, event_of(event)->stream->done + 1);
        return TK_CU_NOT_READY;
    };
    driver->synchronize_event = [](tk_cu_event event) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        waits++;
        return in_context() ? TK_CU_INVALID_CONTEXT : wait_for(event_of(event));
    };
    driver->elapsed = [](float *milliseconds, tk_cu_event first, tk_cu_event last) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (!event_of(first)->stream || !event_of(last)->stream) return TK_CU_INVALID_VALUE;
        if (!is_complete(event_of(first)) || !is_complete(event_of(last))) return TK_CU_NOT_READY;
        float passed = std::chrono::duration<float, std::milli>(event_of(last)->time - event_of(first)->time).count();
        *milliseconds = passed > 0 ? passed : 0;
        return in_context();
    };

    driver->begin_capture = [](tk_cu_stream stream, int) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (stream_of(stream)->capture) return TK_CU_INVALID_VALUE;
        stream_of(stream)->capture = std::make_unique<Graph>();
        return in_context();
    };
    driver->end_capture = [](tk_cu_stream stream, tk_cu_graph *graph) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        std::unique_ptr<Graph> captured = std::move(stream_of(stream)->capture);
        *graph = nullptr;
        if (!captured) return TK_CU_INVALID_VALUE;
        if (captured->is_invalid) return TK_CU_CAPTURE_INVALIDATED;
        *graph = reinterpret_cast<tk_cu_graph>(captured.release());
        return in_context();
    };
    driver->capture_info = [](tk_cu_stream stream, int *status, uint64_t *, tk_cu_graph *, const tk_cu_graph_node **last,
                              size_t *count) -> tk_cu_result {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        static thread_local tk_cu_graph_node node;
        Graph *graph = stream_of(stream)->capture.get();
        *status = graph && !graph->is_invalid ? TK_CU_CAPTURE_ACTIVE : 0;
        *count = graph && !graph->nodes.empty();
        node = *count ? reinterpret_cast<tk_cu_graph_node>(graph->nodes.back().get()) : nullptr;
        *last = &node;
        return in_context();
    };
    driver->instantiate_graph = [](tk_cu_graph_exec *out, tk_cu_graph graph, unsigned long long) -> tk_cu_result {
        Executable *executable = new Executable;
        for (const auto &node : reinterpret_cast<Graph *>(graph)->nodes) {
            executable->places[node.get()] = executable->nodes.size();
            executable->nodes.push_back(*node);
        }
        *out = reinterpret_cast<tk_cu_graph_exec>(executable);
        return in_context();
    };
    driver->launch_graph = launch_graph;
    driver->set_kernel_node = set_kernel_node;
    driver->destroy_graph_exec = [](tk_cu_graph_exec handle) -> tk_cu_result {
        delete reinterpret_cast<Executable *>(handle);
        return in_context();
    };
    driver->destroy_graph = [](tk_cu_graph graph) -> tk_cu_result {
        delete reinterpret_cast<Graph *>(graph);
        return in_context();
    };
}

}  // namespace emulated
