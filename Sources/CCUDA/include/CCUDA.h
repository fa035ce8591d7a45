// The CUDA driver through dlopen: one table of functions, declared here, so that the package builds where CUDA never was.
// Scripts/check-cuda-abi compares these declarations with NVIDIA's headers.
#ifndef TAPESTRY_CCUDA_H
#define TAPESTRY_CCUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cublaslt.h"
#include "kernel_arguments.h"
#include "nccl_table.h"

#ifndef __cplusplus
#include "current_stream.h"
#include "error_scope.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

// ---- the driver's types ----
typedef int tk_cu_result;                   // CUresult: 0 is success
typedef int tk_cu_device;
typedef unsigned long long tk_cu_address;   // CUdeviceptr
typedef struct CUctx_st *tk_cu_context;
typedef struct CUmod_st *tk_cu_module;
typedef struct CUfunc_st *tk_cu_function;
typedef struct CUstream_st *tk_cu_stream;
typedef struct CUevent_st *tk_cu_event;
typedef struct CUgraph_st *tk_cu_graph;
typedef struct CUgraphExec_st *tk_cu_graph_exec;
typedef struct CUtensorMap_st *tk_cu_tensor_map;   // 128 bytes at a multiple of 64
typedef struct CUgraphNode_st *tk_cu_graph_node;
/// CUDA_KERNEL_NODE_PARAMS_v2: a launch in a graph.
typedef struct {
    tk_cu_function function;
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void **arguments, **extra, *kernel;
    tk_cu_context context;
} tk_cu_kernel_node;

// ---- the driver's numbers that are used: X(name here, name in cuda.h, value) ----
#define TK_CUDA_CONSTANTS(X)                                                     \
    X(TK_CU_SUCCESS, CUDA_SUCCESS, 0)                                            \
    X(TK_CU_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE, 1)                          \
    X(TK_CU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY, 2)                          \
    X(TK_CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE, 100)                                \
    X(TK_CU_INVALID_DEVICE, CUDA_ERROR_INVALID_DEVICE, 101)                      \
    X(TK_CU_INVALID_CONTEXT, CUDA_ERROR_INVALID_CONTEXT, 201)                    \
    X(TK_CU_UNSUPPORTED_PTX, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222)            \
    X(TK_CU_NOT_FOUND, CUDA_ERROR_NOT_FOUND, 500)                                \
    X(TK_CU_NOT_READY, CUDA_ERROR_NOT_READY, 600)                                \
    X(TK_CU_ILLEGAL_ADDRESS, CUDA_ERROR_ILLEGAL_ADDRESS, 700)                    \
    X(TK_CU_LAUNCH_FAILED, CUDA_ERROR_LAUNCH_FAILED, 719)                        \
    X(TK_CU_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)     \
    X(TK_CU_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901)     \
    X(TK_CU_CLOCK_KILOHERTZ, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 13)                 \
    X(TK_CU_MAX_BLOCK_THREADS, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1)     \
    X(TK_CU_MULTIPROCESSORS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)       \
    X(TK_CU_L2_BYTES, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 38)                     \
    X(TK_CU_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)  \
    X(TK_CU_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)  \
    X(TK_CU_MAX_SHARED_BYTES, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 97) \
    X(TK_CU_FUNCTION_REGISTERS, CU_FUNC_ATTRIBUTE_NUM_REGS, 4)                   \
    X(TK_CU_FUNCTION_SHARED_BYTES, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8) \
    X(TK_CU_JIT_ERROR_LOG, CU_JIT_ERROR_LOG_BUFFER, 5)                           \
    X(TK_CU_JIT_ERROR_LOG_BYTES, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6)          \
    X(TK_CU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING, 1)                      \
    X(TK_CU_EVENT_NO_TIMING, CU_EVENT_DISABLE_TIMING, 2)                         \
    X(TK_CU_CAPTURE_RELAXED, CU_STREAM_CAPTURE_MODE_RELAXED, 2)                  \
    X(TK_CU_CAPTURE_ACTIVE, CU_STREAM_CAPTURE_STATUS_ACTIVE, 1)                  \
    X(TK_CU_TENSOR_MAP_16_BITS, CU_TENSOR_MAP_DATA_TYPE_UINT16, 1)               \
    X(TK_CU_TENSOR_MAP_SWIZZLE_128, CU_TENSOR_MAP_SWIZZLE_128B, 3)               \
    X(TK_CU_TENSOR_MAP_L2_256, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, 3)
#define X(name, theirs, value) name = value,
enum { TK_CUDA_CONSTANTS(X) };
#undef X

// ---- the driver's functions: X(field, exported symbol, whether every driver from 525 on must have it, parameters) ----
#define TK_CUDA_FUNCTIONS(X)                                                                                          \
    X(init, cuInit, 1, (unsigned))                                                                                    \
    X(driver_version, cuDriverGetVersion, 1, (int *))                                                                 \
    X(error_name, cuGetErrorName, 1, (tk_cu_result, const char **))                                                   \
    X(error_string, cuGetErrorString, 1, (tk_cu_result, const char **))                                               \
    X(device_count, cuDeviceGetCount, 1, (int *))                                                                     \
    X(device, cuDeviceGet, 1, (tk_cu_device *, int))                                                                  \
    X(device_name, cuDeviceGetName, 1, (char *, int, tk_cu_device))                                                   \
    X(device_attribute, cuDeviceGetAttribute, 1, (int *, int, tk_cu_device))                                          \
    X(device_memory, cuDeviceTotalMem_v2, 1, (size_t *, tk_cu_device))                                                \
    X(retain_context, cuDevicePrimaryCtxRetain, 1, (tk_cu_context *, tk_cu_device))                                   \
    X(release_context, cuDevicePrimaryCtxRelease_v2, 1, (tk_cu_device))                                               \
    X(set_context, cuCtxSetCurrent, 1, (tk_cu_context))                                                               \
    X(memory_info, cuMemGetInfo_v2, 1, (size_t *, size_t *))                                                          \
    X(allocate, cuMemAlloc_v2, 1, (tk_cu_address *, size_t))                                                          \
    X(deallocate, cuMemFree_v2, 1, (tk_cu_address))                                                                   \
    X(allocate_host, cuMemHostAlloc, 1, (void **, size_t, unsigned))                                                  \
    X(deallocate_host, cuMemFreeHost, 1, (void *))                                                                    \
    X(copy_to_device, cuMemcpyHtoDAsync_v2, 1, (tk_cu_address, const void *, size_t, tk_cu_stream))                   \
    X(copy_to_host, cuMemcpyDtoHAsync_v2, 1, (void *, tk_cu_address, size_t, tk_cu_stream))                           \
    X(copy_on_device, cuMemcpyDtoDAsync_v2, 1, (tk_cu_address, tk_cu_address, size_t, tk_cu_stream))                  \
    X(set_bytes, cuMemsetD8Async, 1, (tk_cu_address, unsigned char, size_t, tk_cu_stream))                            \
    X(load_module, cuModuleLoadDataEx, 1, (tk_cu_module *, const void *, unsigned, int *, void **))                   \
    X(unload_module, cuModuleUnload, 1, (tk_cu_module))                                                               \
    X(function, cuModuleGetFunction, 1, (tk_cu_function *, tk_cu_module, const char *))                               \
    X(set_function_attribute, cuFuncSetAttribute, 1, (tk_cu_function, int, int))                                      \
    X(function_attribute, cuFuncGetAttribute, 1, (int *, int, tk_cu_function))                                        \
    X(launch, cuLaunchKernel, 1, (tk_cu_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,         \
                                  unsigned, tk_cu_stream, void **, void **))                                          \
    X(create_stream, cuStreamCreate, 1, (tk_cu_stream *, unsigned))                                                   \
    X(destroy_stream, cuStreamDestroy_v2, 1, (tk_cu_stream))                                                          \
    X(synchronize_stream, cuStreamSynchronize, 1, (tk_cu_stream))                                                     \
    X(stream_waits, cuStreamWaitEvent, 1, (tk_cu_stream, tk_cu_event, unsigned))                                      \
    X(create_event, cuEventCreate, 1, (tk_cu_event *, unsigned))                                                      \
    X(destroy_event, cuEventDestroy_v2, 1, (tk_cu_event))                                                             \
    X(record_event, cuEventRecord, 1, (tk_cu_event, tk_cu_stream))                                                    \
    X(query_event, cuEventQuery, 1, (tk_cu_event))                                                                    \
    X(synchronize_event, cuEventSynchronize, 1, (tk_cu_event))                                                        \
    X(elapsed, cuEventElapsedTime, 1, (float *, tk_cu_event, tk_cu_event))                                            \
    X(encode_tensor_map, cuTensorMapEncodeTiled, 0, (tk_cu_tensor_map, int, unsigned, void *, const uint64_t *,       \
                                                     const uint64_t *, const unsigned *, const unsigned *, int, int,  \
                                                     int, int))                                                       \
    X(begin_capture, cuStreamBeginCapture_v2, 0, (tk_cu_stream, int))                                                 \
    X(end_capture, cuStreamEndCapture, 0, (tk_cu_stream, tk_cu_graph *))                                              \
    X(capture_info, cuStreamGetCaptureInfo_v2, 0, (tk_cu_stream, int *, uint64_t *, tk_cu_graph *,                    \
                                                   const tk_cu_graph_node **, size_t *))                              \
    X(set_kernel_node, cuGraphExecKernelNodeSetParams_v2, 0, (tk_cu_graph_exec, tk_cu_graph_node,                     \
                                                              const tk_cu_kernel_node *))                             \
    X(instantiate_graph, cuGraphInstantiateWithFlags, 0, (tk_cu_graph_exec *, tk_cu_graph, unsigned long long))       \
    X(launch_graph, cuGraphLaunch, 0, (tk_cu_graph_exec, tk_cu_stream))                                               \
    X(destroy_graph_exec, cuGraphExecDestroy, 0, (tk_cu_graph_exec))                                                  \
    X(destroy_graph, cuGraphDestroy, 0, (tk_cu_graph))

/// The driver: what libcuda.so.1 exports, or what stands in for it in a test.
#define X(field, symbol, needed, parameters) tk_cu_result (*field) parameters;
typedef struct {
    TK_CUDA_FUNCTIONS(X)
} tk_cuda_driver;
#undef X

// ---- why CUDA is on or off ----
typedef enum {
    TK_CUDA_READY = 0,
    TK_CUDA_NO_DRIVER,          // no libcuda.so.1
    TK_CUDA_DRIVER_INCOMPLETE,  // it lacks a function
    TK_CUDA_DRIVER_TOO_OLD,     // older than CUDA 12.0 (driver 525), whose PTX the kernels are
    TK_CUDA_NO_DEVICE,          // it finds no GPU, or only such as are older than sm_75
    TK_CUDA_FAILED              // it does not start
} tk_cuda_reason;

typedef struct {
    tk_cuda_reason reason;
    int cuda_version;     // 1000 major + 10 minor that the driver speaks; 0 where unknown
    int device_count;
    char message[256];    // one sentence; empty if ready
} tk_cuda_status;

/// Opens `library` (NULL: libcuda.so.1) and fills the table. The library stays open.
tk_cuda_status tk_cuda_load(tk_cuda_driver *driver, const char *library);
/// Starts a driver and looks whether it is new enough and has a device.
tk_cuda_status tk_cuda_start(const tk_cuda_driver *driver);

// ---- NVIDIA's libraries, used where they are ----
typedef enum { TK_CUDA_CUBLASLT = 0, TK_CUDA_NCCL } tk_cuda_library;
typedef struct {
    void *handle;         // of dlopen; NULL if the library was not found
    int64_t version;      // as the library counts
    char path[512];       // where it was found
    char message[256];    // otherwise: why not
} tk_cuda_library_status;
/// Looks where the variable TAPESTRY_CUBLASLT or TAPESTRY_NCCL says (and then nowhere else), for the usual names, in the usual
/// folders, and in the packages of a Python environment (VIRTUAL_ENV, CONDA_PREFIX).
tk_cuda_library_status tk_cuda_find_library(tk_cuda_library library);

// ---- what the user allows ----
/// Whether products of float32 may round their factors to TF32.
bool tk_cuda_allows_tf32(void);
void tk_cuda_set_tf32(bool allowed);
/// Whether products may be cuBLASLt's.
bool tk_cuda_allows_cublaslt(void);
void tk_cuda_set_cublaslt(bool allowed);

// ---- kernels: PTX, made by Scripts/build-kernels, a text for each source ----
typedef struct {
    const char *name;     // of the folder: "base_sm75"
    const char *source;   // "gemv"
    int minimum;          // compute capability times 10
    int exact;            // 0, or the only capability that can load it
    const char *text;     // ends in a zero byte
    size_t size;          // without that
    const char *kernels;  // their names, with spaces between
} tk_cuda_image;
int tk_cuda_image_count(void);
tk_cuda_image tk_cuda_image_at(int index);

#ifdef __cplusplus
}
#endif

#endif
