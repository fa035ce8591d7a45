// A driver that runs the library's own kernels on the CPU, for tests: every GPU thread is a fiber. A launch ends before it returns, unless
// work is delayed.
#ifndef TAPESTRY_CUDA_EMULATOR_H
#define TAPESTRY_CUDA_EMULATOR_H

#include "CCUDA.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What the machine shall look like.
typedef struct {
    int cuda_version;        // 12000
    int device_count;        // 2
    int capability;          // 90
    int start_result;        // what cuInit gives
    int module_result;       // what loading the kernels gives
    size_t memory_bytes;     // of each device
} tk_emulator_options;
tk_emulator_options tk_emulator_defaults(void);

/// Fills a table with the emulator, which is one for the whole process.
void tk_emulator_load(tk_cuda_driver *driver, tk_emulator_options options);

/// In which order the threads of a block take turns.
enum { TK_EMULATOR_FORWARD = 0, TK_EMULATOR_BACKWARD, TK_EMULATOR_SHUFFLED };
void tk_emulator_set_order(int order, unsigned seed);

/// Kernels with a planted fault in place of the sound ones: "missing barrier", "missing wait", "missing product wait", "wrong stride", "off by one", "one too many"; NULL: none.
void tk_emulator_set_fault(const char *fault);

/// Fills a table with a library that looks like cuBLASLt and by the clock of events takes so many milliseconds more for a product than it needs, or, if
/// that is below 0, fewer. Returns how many products the one before computed.
int tk_emulator_load_blas(tk_cublaslt *blas, int milliseconds);

/// Fills a table with a library that looks like NCCL.
void tk_emulator_load_nccl(tk_nccl *nccl);

/// Delays work of streams until somebody waits for it, and runs no more of it than that needs: work that goes ahead without waiting for
/// another stream meets memory as it was before. (By default all work is done at once.)
void tk_emulator_set_delayed(int delayed);

/// What went wrong in the last launch that failed.
const char *tk_emulator_failure(void);

typedef struct {
    int64_t launches, allocations, live_blocks, live_bytes, damaged_blocks, copies;
    int64_t host_allocations, graph_launches, waits, modules;   // pinned blocks ever got; graphs started; times that the host waited; texts loaded
} tk_emulator_statistics;
tk_emulator_statistics tk_emulator_get_statistics(void);

/// The names of the kernels, each ending in a newline.
const char *tk_emulator_kernel_names(void);

#ifdef __cplusplus
}
#endif

#endif
