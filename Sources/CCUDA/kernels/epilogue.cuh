// What becomes of the sums of a matrix product: a bias, an activation, what the result held before, rounding; four elements of a row at a time.
#ifndef TK_EPILOGUE_CUH
#define TK_EPILOGUE_CUH
#include "arguments.cuh"
#include "functions.cuh"
#include "vectors.cuh"

/// Four elements of a type that is known at run time, as what sums are kept in.
TK_DEVICE void load_four(const void *x, long long code, long long at, int count, bool vector, float (&out)[4]) {
    if (code == TK_CODE_F32) tk_load((const float *)x + at, count, vector, out);
    else if (code == TK_CODE_F16) tk_load((const tk_half *)x + at, count, vector, out);
    else tk_load((const tk_bfloat *)x + at, count, vector, out);
}
TK_DEVICE void store_four(void *x, long long code, long long at, int count, bool vector, const float (&in)[4]) {
    if (code == TK_CODE_F32) tk_store((float *)x + at, count, vector, in);
    else if (code == TK_CODE_F16) tk_store((tk_half *)x + at, count, vector, in);
    else tk_store((tk_bfloat *)x + at, count, vector, in);
}
template <class F> TK_DEVICE void load_four(const void *x, long long, long long at, int count, bool, F (&out)[4]) {
    tk_load((const F *)x + at, count, false, out);
}
template <class F> TK_DEVICE void store_four(void *x, long long, long long at, int count, bool, const F (&in)[4]) {
    tk_store((F *)x + at, count, false, in);
}

TK_DEVICE long long activated(long long, long long x) { return x; }
template <class F> TK_DEVICE F activated(long long activation, F x) {
    switch (activation) {
    case OP_RELU: return x > 0 || x != x ? x : (F)0;
    case OP_GELU_ERF: return gelu_erf(x);
    case OP_GELU_TANH: return gelu_tanh(x);
    default: return silu(x);
    }
}

/// The matrix of a product: out = f(sum + bias), and the sum + bias itself in `product` if that is wanted. A part of the sums instead goes to
/// `partial` [splits, batch, m, n] as it is.
template <class F> struct gemm_result {
    void *out;
    const void *bias;
    void *product;
    long long row_length, type, bias_type, activation, first;   // the first element of the matrix
    bool adds, vector;                                          // whether rows begin at multiples of four elements

    TK_DEVICE_MEMBER gemm_result(void *out, const void *bias, void *product, const tk_cuda_gemm &p, long long batch)
        : out(out), bias(bias), product(product), row_length(p.ldc), type(p.type), bias_type(p.bias_type), activation(p.activation),
          first(batch * p.stride_c), adds(p.accumulate != 0),
          vector(p.ldc % 4 == 0 && p.stride_c % 4 == 0 && ((unsigned long long)out | (unsigned long long)bias | (unsigned long long)product) % 16 == 0) {}

    TK_DEVICE_MEMBER gemm_result(F *partial, const tk_cuda_gemm &p, long long part)
        : out(partial), bias(0), product(0), row_length(p.n), type(TK_CODE_F32), bias_type(0), activation(-1), first(part * p.m * p.n), adds(false),
          vector(p.n % 4 == 0) {}

    /// Elements j ... j + 3 of row i, of which `count` are inside.
    TK_DEVICE_MEMBER void operator()(long long i, long long j, F (&value)[4], int count) const {
        long long at = first + i * row_length + j;
        bool whole = vector && count == 4;
        F other[4];
        if (bias) {
            load_four(bias, bias_type, j, count, whole, other);
#pragma unroll
            for (int e = 0; e < 4; e++) value[e] += other[e];
        }
        if (product) store_four(product, type, at, count, whole, value);
        if (activation >= 0) {
#pragma unroll 1   // in turns through the same registers: four times three functions would be the larger part of every product's text
            for (int e = 0; e < 4; e++) {
                F next = activated(activation, value[0]);
                value[0] = value[1];
                value[1] = value[2];
                value[2] = value[3];
                value[3] = next;
            }
        }
        if (adds) {
            load_four(out, type, at, count, whole, other);
#pragma unroll
            for (int e = 0; e < 4; e++) value[e] += other[e];
        }
        store_four(out, type, at, count, whole, value);
    }
};

/// Gives the ROWS × COLUMNS sums that a warp has in shared memory (rows of COLUMNS + 8) to `store`, which gets those inside.
template <int ROWS, int COLUMNS, class Store>
TK_DEVICE void tk_store_slab(const float *slab, int i0, int j0, int m, int n, const Store &store) {
    tk_warp_barrier();
#pragma unroll 1
    for (int e = threadIdx.x % 32; e < ROWS * COLUMNS / 4; e += 32) {
        int row = e / (COLUMNS / 4), column = e % (COLUMNS / 4) * 4;
        int left = n - j0 - column;
        if (i0 + row >= m || left <= 0) continue;
        float value[4];
        tk_load(slab + row * (COLUMNS + 8) + column, 4, true, value);
        store(i0 + row, j0 + column, value, left < 4 ? left : 4);
    }
    tk_warp_barrier();
}

#endif
