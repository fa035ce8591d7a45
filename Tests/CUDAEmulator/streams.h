// Streams, events and graphs of the emulated driver.
#ifndef TAPESTRY_EMULATED_STREAMS_H
#define TAPESTRY_EMULATED_STREAMS_H

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CCUDA.h"
#include "emulate.h"

namespace emulated {

struct Function { std::string name; Kernel kernel; int shared_bytes = 48 << 10; };

/// What a stream does next: it gives the driver's result.
typedef std::function<tk_cu_result()> Work;

/// A launch or copy of a graph.
struct Node {
    Function *function = nullptr;   // of a launch
    Size grid, block;
    unsigned shared = 0;            // bytes that it asks for
    std::shared_ptr<Kept> arguments;
    Work work;                      // of anything else
};
struct Graph { std::vector<std::unique_ptr<Node>> nodes; bool is_invalid = false; };
struct Executable {
    std::vector<Node> nodes;
    std::map<const Node *, size_t> places;   // of the graph's nodes
};

struct Stream {
    std::deque<Work> queue;
    uint64_t issued = 0, done = 0;
    tk_cu_result failure = TK_CU_SUCCESS;   // of work that was delayed, until somebody waits for it
    std::unique_ptr<Graph> capture;
};
struct Event {
    std::chrono::steady_clock::time_point time;
    Stream *stream = nullptr;   // nullptr: never recorded
    uint64_t place = 0;         // how much of the stream's work lies before it
};

/// Delays the work that streams are given from now on.
void set_delayed(bool delayed);
/// Gives work to a stream: it is done now, or later, or recorded in a graph.
tk_cu_result give(Stream *stream, Work work);
/// The same for a launch, of which a graph keeps the arguments.
tk_cu_result give(Stream *stream, Node launch);
/// Does a launch.
tk_cu_result run(const Node &launch);
/// Does the stream's work up to a place, and what that waits for.
tk_cu_result finish(Stream *stream, uint64_t place);
/// Does all work of all streams.
void finish_all();
/// Fills in the driver's functions of streams, events and graphs.
void add_streams(tk_cuda_driver *driver);
/// How often the host waited, and graphs were started.
extern int64_t waits, graph_launches;
/// What events add to the time they see: work can be made to look slower or faster than it is.
extern std::chrono::nanoseconds clock_shift;

}  // namespace emulated

#endif
