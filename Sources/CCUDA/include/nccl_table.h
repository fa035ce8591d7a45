// NCCL, where a machine has it: what is used of it, declared here. Scripts/check-cuda-abi compares this with NVIDIA's header.
#ifndef TAPESTRY_NCCL_TABLE_H
#define TAPESTRY_NCCL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ncclComm *tk_nccl_comm;
typedef struct CUstream_st *tk_nccl_stream;

// X(name here, name in nccl.h, value)
#define TK_NCCL_CONSTANTS(X)                                                                                             \
    X(TK_NCCL_SUCCESS, ncclSuccess, 0)                                                                                  \
    X(TK_NCCL_INVALID_ARGUMENT, ncclInvalidArgument, 4)                                                                 \
    X(TK_NCCL_INVALID_USAGE, ncclInvalidUsage, 5)                                                                       \
    X(TK_NCCL_I8, ncclInt8, 0)                                                                                          \
    X(TK_NCCL_U8, ncclUint8, 1)                                                                                         \
    X(TK_NCCL_I32, ncclInt32, 2)                                                                                        \
    X(TK_NCCL_I64, ncclInt64, 4)                                                                                        \
    X(TK_NCCL_F16, ncclFloat16, 6)                                                                                      \
    X(TK_NCCL_F32, ncclFloat32, 7)                                                                                      \
    X(TK_NCCL_F64, ncclFloat64, 8)                                                                                      \
    X(TK_NCCL_BF16, ncclBfloat16, 9)                                                                                    \
    X(TK_NCCL_SUM, ncclSum, 0)                                                                                          \
    X(TK_NCCL_PRODUCT, ncclProd, 1)                                                                                     \
    X(TK_NCCL_MAXIMUM, ncclMax, 2)                                                                                      \
    X(TK_NCCL_MINIMUM, ncclMin, 3)                                                                                      \
    X(TK_NCCL_MEAN, ncclAvg, 4)
#define X(name, theirs, value) name = value,
enum { TK_NCCL_CONSTANTS(X) };
#undef X

// X(field, exported symbol, result, parameters)
#define TK_NCCL_FUNCTIONS(X)                                                                                             \
    X(error_string, ncclGetErrorString, const char *, (int))                                                            \
    X(init_all, ncclCommInitAll, int, (tk_nccl_comm *, int, const int *))                                               \
    X(destroy, ncclCommDestroy, int, (tk_nccl_comm))                                                                    \
    X(async_error, ncclCommGetAsyncError, int, (tk_nccl_comm, int *))                                                   \
    X(group_start, ncclGroupStart, int, (void))                                                                         \
    X(group_end, ncclGroupEnd, int, (void))                                                                             \
    X(all_reduce, ncclAllReduce, int, (const void *, void *, size_t, int, int, tk_nccl_comm, tk_nccl_stream))           \
    X(broadcast, ncclBroadcast, int, (const void *, void *, size_t, int, int, tk_nccl_comm, tk_nccl_stream))            \
    X(all_gather, ncclAllGather, int, (const void *, void *, size_t, int, tk_nccl_comm, tk_nccl_stream))                \
    X(reduce_scatter, ncclReduceScatter, int, (const void *, void *, size_t, int, int, tk_nccl_comm, tk_nccl_stream))

#define X(field, symbol, result, parameters) result (*field) parameters;
typedef struct {
    TK_NCCL_FUNCTIONS(X)
} tk_nccl;
#undef X

/// Fills the table from an opened library; false if it lacks a function.
bool tk_nccl_load(tk_nccl *nccl, void *library);

#endif
