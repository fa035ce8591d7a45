// A library that looks like cuBLASLt: products of column-major matrices on the CPU, as slow or fast as a test wants them.
#include <string.h>

#include <chrono>

#include "CUDAEmulator.h"
#include "streams.h"

namespace {

struct Operation { int compute, scale; int32_t transposed[2] = {0, 0}, epilogue = 1, bias_type = 0; uint64_t bias = 0; };
struct Layout { int type; uint64_t rows, columns; int64_t leading; int32_t batch = 1; int64_t step = 0; };
int delay, calls;

double load(const void *x, int type, int64_t at) {
    switch (type) {
    case TK_BLAS_32F: return static_cast<const float *>(x)[at];
    case TK_BLAS_64F: return static_cast<const double *>(x)[at];
    case TK_BLAS_16F: return tk_half_to_float(static_cast<const unsigned short *>(x)[at]);
    default: return tk_bits_float((unsigned)static_cast<const unsigned short *>(x)[at] << 16);
    }
}
void store(void *x, int type, int64_t at, double value) {
    switch (type) {
    case TK_BLAS_32F: static_cast<float *>(x)[at] = (float)value; break;
    case TK_BLAS_64F: static_cast<double *>(x)[at] = value; break;
    case TK_BLAS_16F: static_cast<unsigned short *>(x)[at] = tk_float_to_half((float)value); break;
    default: static_cast<unsigned short *>(x)[at] = (unsigned short)tk_pack_bf16((float)value, 0);
    }
}

int set_operation(tk_blas_operation to, int attribute, const void *value, size_t) {
    Operation &o = *static_cast<Operation *>(to);
    switch (attribute) {
    case TK_BLAS_TRANSPOSE_A: memcpy(&o.transposed[0], value, 4); return 0;
    case TK_BLAS_TRANSPOSE_B: memcpy(&o.transposed[1], value, 4); return 0;
    case TK_BLAS_EPILOGUE: memcpy(&o.epilogue, value, 4); return 0;
    case TK_BLAS_BIAS: memcpy(&o.bias, value, 8); return 0;
    case TK_BLAS_BIAS_TYPE: memcpy(&o.bias_type, value, 4); return 0;
    default: return 7;
    }
}
int set_layout(tk_blas_layout to, int attribute, const void *value, size_t) {
    Layout &l = *static_cast<Layout *>(to);
    switch (attribute) {
    case TK_BLAS_BATCH: memcpy(&l.batch, value, 4); return 0;
    case TK_BLAS_BATCH_STEP: memcpy(&l.step, value, 8); return 0;
    default: return 7;
    }
}
/// As the real one, it has nothing for operands of two types.
int suggest(tk_blas_handle, tk_blas_operation, tk_blas_layout a, tk_blas_layout b, tk_blas_layout, tk_blas_layout, tk_blas_preference, int,
            tk_blas_heuristic *found, int *count) {
    memset(found, 0, sizeof *found);
    *count = static_cast<Layout *>(a)->type == static_cast<Layout *>(b)->type;
    found->workspace = 4096;
    return *count ? 0 : 15;
}
int multiply(tk_blas_handle, tk_blas_operation operation, const void *alpha, const void *a, tk_blas_layout la, const void *b, tk_blas_layout lb,
             const void *beta, const void *, tk_blas_layout, void *d, tk_blas_layout ld, const tk_blas_algorithm *, void *workspace, size_t bytes,
             tk_blas_stream) {
    const Operation &o = *static_cast<Operation *>(operation);
    const Layout &x = *static_cast<Layout *>(la), &y = *static_cast<Layout *>(lb), &z = *static_cast<Layout *>(ld);
    if (o.scale == TK_BLAS_64F ? *static_cast<const double *>(alpha) != 1 : *static_cast<const float *>(alpha) != 1) return 7;
    double old = o.scale == TK_BLAS_64F ? *static_cast<const double *>(beta) : *static_cast<const float *>(beta);
    uint64_t k = o.transposed[0] ? x.rows : x.columns;
    if ((o.transposed[1] ? y.columns : y.rows) != k) return 7;
    memset(workspace, 0x5a, bytes);   // it is there
    for (int64_t matrix = 0; matrix < z.batch; matrix++)
        for (uint64_t j = 0; j < z.columns; j++)
            for (uint64_t i = 0; i < z.rows; i++) {
                double sum = 0;
                for (uint64_t e = 0; e < k; e++) {
                    int64_t p = o.transposed[0] ? (int64_t)i * x.leading + (int64_t)e : (int64_t)e * x.leading + (int64_t)i;
                    int64_t q = o.transposed[1] ? (int64_t)e * y.leading + (int64_t)j : (int64_t)j * y.leading + (int64_t)e;
                    sum += load(a, x.type, matrix * x.step + p) * load(b, y.type, matrix * y.step + q);
                }
                int64_t at = matrix * z.step + (int64_t)j * z.leading + (int64_t)i;
                if (old != 0) sum += old * load(d, z.type, at);
                if (o.epilogue == TK_BLAS_EPILOGUE_BIAS) sum += load(reinterpret_cast<const void *>(o.bias), o.bias_type, (int64_t)i);
                store(d, z.type, at, sum);
            }
    calls++;
    emulated::clock_shift += std::chrono::milliseconds(delay);
    return 0;
}

}  // namespace

extern "C" int tk_emulator_load_blas(tk_cublaslt *blas, int milliseconds) {
    delay = milliseconds;
    int before = calls;
    calls = 0;
    blas->create = [](tk_blas_handle *handle) { *handle = &calls; return 0; };
    blas->destroy = [](tk_blas_handle) { return 0; };
    blas->create_operation = [](tk_blas_operation *out, int compute, int scale) { *out = new Operation{compute, scale}; return 0; };
    blas->destroy_operation = [](tk_blas_operation operation) { delete static_cast<Operation *>(operation); return 0; };
    blas->set_operation = set_operation;
    blas->create_layout = [](tk_blas_layout *out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
        *out = new Layout{type, rows, columns, leading};
        return (uint64_t)leading < rows ? 7 : 0;
    };
    blas->destroy_layout = [](tk_blas_layout layout) { delete static_cast<Layout *>(layout); return 0; };
    blas->set_layout = set_layout;
    blas->create_preference = [](tk_blas_preference *out) { *out = new int; return 0; };
    blas->destroy_preference = [](tk_blas_preference preference) { delete static_cast<int *>(preference); return 0; };
    blas->set_preference = [](tk_blas_preference, int, const void *, size_t) { return 0; };
    blas->suggest = suggest;
    blas->multiply = multiply;
    return before;
}
