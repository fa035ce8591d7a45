// cuBLASLt, where a machine has it: what is used of it, declared here. Products of row-major matrices as its column-major ones: cᵀ = op(b)ᵀ op(a)ᵀ.
// Scripts/check-cuda-abi compares the declarations with NVIDIA's header.
#ifndef TAPESTRY_CUBLASLT_H
#define TAPESTRY_CUBLASLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel_arguments.h"

typedef struct CUstream_st *tk_blas_stream;
typedef void *tk_blas_handle, *tk_blas_operation, *tk_blas_layout, *tk_blas_preference;
/// cublasLtMatmulAlgo_t and cublasLtMatmulHeuristicResult_t.
typedef struct { uint64_t data[8]; } tk_blas_algorithm;
typedef struct { tk_blas_algorithm algorithm; size_t workspace; int state; float waves; int reserved[4]; } tk_blas_heuristic;

// cublasComputeType_t, cudaDataType, the attributes of descriptions, epilogues: X(name here, name in cublasLt.h, value)
#define TK_BLAS_CONSTANTS(X)                                                        \
    X(TK_BLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F, 68)                                  \
    X(TK_BLAS_COMPUTE_64F, CUBLAS_COMPUTE_64F, 70)                                  \
    X(TK_BLAS_COMPUTE_TF32, CUBLAS_COMPUTE_32F_FAST_TF32, 77)                       \
    X(TK_BLAS_32F, CUDA_R_32F, 0)                                                   \
    X(TK_BLAS_64F, CUDA_R_64F, 1)                                                   \
    X(TK_BLAS_16F, CUDA_R_16F, 2)                                                   \
    X(TK_BLAS_16BF, CUDA_R_16BF, 14)                                                \
    X(TK_BLAS_TRANSPOSE_A, CUBLASLT_MATMUL_DESC_TRANSA, 3)                          \
    X(TK_BLAS_TRANSPOSE_B, CUBLASLT_MATMUL_DESC_TRANSB, 4)                          \
    X(TK_BLAS_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE, 7)                           \
    X(TK_BLAS_BIAS, CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8)                           \
    X(TK_BLAS_BIAS_TYPE, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, 26)                   \
    X(TK_BLAS_BATCH, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 5)                         \
    X(TK_BLAS_BATCH_STEP, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 6)           \
    X(TK_BLAS_WORKSPACE, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)               \
    X(TK_BLAS_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS, 4)
#define X(name, theirs, value) name = value,
enum { TK_BLAS_CONSTANTS(X) };
#undef X

// X(field, exported symbol, parameters)
#define TK_BLAS_FUNCTIONS(X)                                                                                              \
    X(create, cublasLtCreate, (tk_blas_handle *))                                                                         \
    X(destroy, cublasLtDestroy, (tk_blas_handle))                                                                         \
    X(create_operation, cublasLtMatmulDescCreate, (tk_blas_operation *, int, int))                                        \
    X(destroy_operation, cublasLtMatmulDescDestroy, (tk_blas_operation))                                                  \
    X(set_operation, cublasLtMatmulDescSetAttribute, (tk_blas_operation, int, const void *, size_t))                      \
    X(create_layout, cublasLtMatrixLayoutCreate, (tk_blas_layout *, int, uint64_t, uint64_t, int64_t))                    \
    X(destroy_layout, cublasLtMatrixLayoutDestroy, (tk_blas_layout))                                                      \
    X(set_layout, cublasLtMatrixLayoutSetAttribute, (tk_blas_layout, int, const void *, size_t))                          \
    X(create_preference, cublasLtMatmulPreferenceCreate, (tk_blas_preference *))                                          \
    X(destroy_preference, cublasLtMatmulPreferenceDestroy, (tk_blas_preference))                                          \
    X(set_preference, cublasLtMatmulPreferenceSetAttribute, (tk_blas_preference, int, const void *, size_t))              \
    X(suggest, cublasLtMatmulAlgoGetHeuristic, (tk_blas_handle, tk_blas_operation, tk_blas_layout, tk_blas_layout,        \
                                                tk_blas_layout, tk_blas_layout, tk_blas_preference, int,                  \
                                                tk_blas_heuristic *, int *))                                              \
    X(multiply, cublasLtMatmul, (tk_blas_handle, tk_blas_operation, const void *, const void *, tk_blas_layout,           \
                                 const void *, tk_blas_layout, const void *, const void *, tk_blas_layout, void *,        \
                                 tk_blas_layout, const tk_blas_algorithm *, void *, size_t, tk_blas_stream))

#define X(field, symbol, parameters) int (*field) parameters;
typedef struct {
    TK_BLAS_FUNCTIONS(X)
} tk_cublaslt;
#undef X

/// Fills the table from an opened library; false if it lacks a function.
bool tk_blas_load(tk_cublaslt *blas, void *library);

enum { TK_BLAS_WORKSPACE_BYTES = 32 << 20 };

/// How the library computes a product.
typedef struct {
    tk_blas_operation operation;
    tk_blas_layout a, b, c;
    tk_blas_algorithm algorithm;
    size_t workspace;
    bool is_double, accumulates;
} tk_blas_plan;
/// Asks for the library's best algorithm for p: operands of one type (a code of DType), without an activation. False, and nothing to dispose of, if
/// it has none.
bool tk_blas_prepare(const tk_cublaslt *blas, tk_blas_handle handle, const tk_cuda_gemm *p, int type, bool tf32, bool has_bias, tk_blas_plan *plan);
/// Starts the product; 0 is success.
int tk_blas_run(const tk_cublaslt *blas, tk_blas_handle handle, const tk_blas_plan *plan, uint64_t a, uint64_t b, uint64_t c, uint64_t bias,
                uint64_t workspace, tk_blas_stream stream);
void tk_blas_dispose(const tk_cublaslt *blas, tk_blas_plan *plan);

#endif
