// Products by cuBLASLt.
#include <dlfcn.h>
#include <string.h>

#include "CCUDA.h"

bool tk_blas_load(tk_cublaslt *blas, void *library) {
    bool complete = true;
#define X(field, symbol, parameters)                          \
    {                                                         \
        void *address = dlsym(library, #symbol);              \
        complete = complete && address;                       \
        memcpy(&blas->field, &address, sizeof address);       \
    }
    TK_BLAS_FUNCTIONS(X)
#undef X
    return complete;
}

/// cudaDataType of a code of DType; -1 for what has no products here.
static int data_type(int64_t code) {
    static const int types[] = {TK_BLAS_32F, TK_BLAS_64F, TK_BLAS_16F, TK_BLAS_16BF};
    return code >= 0 && code < 4 ? types[code] : -1;
}

static bool make_layout(const tk_cublaslt *blas, tk_blas_layout *layout, int type, int64_t rows, int64_t columns, int64_t leading, int64_t batch,
                        int64_t step) {
    if (blas->create_layout(layout, type, (uint64_t)rows, (uint64_t)columns, leading)) return false;
    int32_t count = (int32_t)batch;
    return !blas->set_layout(*layout, TK_BLAS_BATCH, &count, sizeof count) && !blas->set_layout(*layout, TK_BLAS_BATCH_STEP, &step, sizeof step);
}

bool tk_blas_prepare(const tk_cublaslt *blas, tk_blas_handle handle, const tk_cuda_gemm *p, int type, bool tf32, bool has_bias, tk_blas_plan *plan) {
    memset(plan, 0, sizeof *plan);
    int in = data_type(type), out = data_type(p->type);
    if (in < 0 || out < 0 || p->activation >= 0 || p->m == 0 || p->n == 0 || p->k == 0 || p->batch == 0 || p->batch > INT32_MAX) return false;
    plan->is_double = in == TK_BLAS_64F;
    plan->accumulates = p->accumulate != 0;
    int compute = plan->is_double ? TK_BLAS_COMPUTE_64F : in == TK_BLAS_32F && tf32 ? TK_BLAS_COMPUTE_TF32 : TK_BLAS_COMPUTE_32F;
    // Our rows are its columns, so the right operand comes first, as it lies: [k, n] rows are an [n, k] matrix.
    int32_t first = p->transpose_b != 0, second = p->transpose_a != 0;
    tk_blas_preference preference = NULL;
    size_t most = TK_BLAS_WORKSPACE_BYTES;
    tk_blas_heuristic found;
    int count = 0;
    bool made = !blas->create_operation(&plan->operation, compute, plan->is_double ? TK_BLAS_64F : TK_BLAS_32F) &&
                !blas->set_operation(plan->operation, TK_BLAS_TRANSPOSE_A, &first, sizeof first) &&
                !blas->set_operation(plan->operation, TK_BLAS_TRANSPOSE_B, &second, sizeof second) &&
                make_layout(blas, &plan->a, in, first ? p->k : p->n, first ? p->n : p->k, p->ldb, p->batch, p->stride_b) &&
                make_layout(blas, &plan->b, in, second ? p->m : p->k, second ? p->k : p->m, p->lda, p->batch, p->stride_a) &&
                make_layout(blas, &plan->c, out, p->n, p->m, p->ldc, p->batch, p->stride_c);
    if (made && has_bias) {
        int32_t epilogue = TK_BLAS_EPILOGUE_BIAS, bias_type = data_type(p->bias_type);
        made = !blas->set_operation(plan->operation, TK_BLAS_EPILOGUE, &epilogue, sizeof epilogue) &&
               !blas->set_operation(plan->operation, TK_BLAS_BIAS_TYPE, &bias_type, sizeof bias_type);
    }
    made = made && !blas->create_preference(&preference) && !blas->set_preference(preference, TK_BLAS_WORKSPACE, &most, sizeof most) &&
           !blas->suggest(handle, plan->operation, plan->a, plan->b, plan->c, plan->c, preference, 1, &found, &count) && count > 0 && found.state == 0;
    if (preference) blas->destroy_preference(preference);
    if (!made) { tk_blas_dispose(blas, plan); return false; }
    plan->algorithm = found.algorithm;
    plan->workspace = found.workspace;
    return true;
}

int tk_blas_run(const tk_cublaslt *blas, tk_blas_handle handle, const tk_blas_plan *plan, uint64_t a, uint64_t b, uint64_t c, uint64_t bias,
                uint64_t workspace, tk_blas_stream stream) {
    const float one = 1, zero = 0;
    const double wide_one = 1, wide_zero = 0;
    const void *alpha = plan->is_double ? (const void *)&wide_one : &one;
    const void *beta = plan->is_double ? (const void *)(plan->accumulates ? &wide_one : &wide_zero) : plan->accumulates ? &one : &zero;
    if (bias) {
        int failed = blas->set_operation(plan->operation, TK_BLAS_BIAS, &bias, sizeof bias);
        if (failed) return failed;
    }
    return blas->multiply(handle, plan->operation, alpha, (const void *)b, plan->a, (const void *)a, plan->b, beta, (const void *)c, plan->c, (void *)c,
                          plan->c, &plan->algorithm, (void *)workspace, plan->workspace, stream);
}

void tk_blas_dispose(const tk_cublaslt *blas, tk_blas_plan *plan) {
    if (plan->operation) blas->destroy_operation(plan->operation);
    if (plan->a) blas->destroy_layout(plan->a);
    if (plan->b) blas->destroy_layout(plan->b);
    if (plan->c) blas->destroy_layout(plan->c);
    memset(plan, 0, sizeof *plan);
}
