// x · Wᵀ + bias with a weight of int8 or int4. The rows of W lie in panels of 32 (see QuantizedLinearPlan), so that the lanes of a warp,
// one to an output, read neighbouring bytes: a warp to a panel and a part of the inputs, 8 warps to a block whose sums shared memory joins
// in order. Each weight that is read serves up to four rows of x.
#include "arguments.cuh"
#include "vectors.cuh"

enum { QUANTIZED_ROWS = 4, QUANTIZED_WARPS = 8 };
enum { QUANTIZED_INT8 = 0, QUANTIZED_INT4, QUANTIZED_INT4_OFFSETS };

TK_DEVICE float bfloat_at(const unsigned short *x, long long at) { return tk_bits_float((unsigned)x[at] << 16); }

/// The sums of the warps of a block for output `column` of `rows` rows, written by the first warp.
template <class Sum> TK_DEVICE void join_warps(const Sum (&sum)[QUANTIZED_ROWS],
                                               Sum (&shared)[QUANTIZED_WARPS][QUANTIZED_ROWS][32], Sum (&total)[QUANTIZED_ROWS]) {
    int lane = threadIdx.x, warp = threadIdx.y;
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++) shared[warp][r][lane] = sum[r];
    __syncthreads();
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++) {
        total[r] = (Sum)0;
        if (warp == 0) for (int w = 0; w < QUANTIZED_WARPS; w++) total[r] += shared[w][r][lane];
    }
}

/// The input stays float: int8 rows with a scale each, or int4 groups with scales (and offsets) in bfloat16.
template <class T> TK_DEVICE void linear_float(int format, const T *x, const unsigned char *panels, const void *scales, const unsigned short *offsets,
                                               const T *bias, T *out, const tk_cuda_quantized &q) {
    TK_SHARED float shared[QUANTIZED_WARPS][QUANTIZED_ROWS][32];
    int lane = threadIdx.x;
    long long panel = blockIdx.x, column = panel * 32 + lane, first = (long long)blockIdx.y * QUANTIZED_ROWS;
    int rows = q.rows - first < QUANTIZED_ROWS ? (int)(q.rows - first) : QUANTIZED_ROWS;
    float sum[QUANTIZED_ROWS], total[QUANTIZED_ROWS];
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++) sum[r] = 0;
    int step = format == QUANTIZED_INT8 ? 4 : 8;   // inputs in 4 bytes of a lane
    long long groups = format == QUANTIZED_INT8 ? 0 : (q.inputs + q.group - 1) / q.group;
    long long words = format == QUANTIZED_INT8 ? (q.inputs + 3) / 4 : groups * q.group / 8;
    for (long long word = threadIdx.y; word < words; word += QUANTIZED_WARPS) {
        const unsigned char *bytes = panels + ((panel * words + word) * 32 + lane) * 4;
        tk_vector<unsigned char, 4> four = *(const tk_vector<unsigned char, 4> *)bytes;
        long long at = (panel * groups + (format == QUANTIZED_INT8 ? 0 : word * 8 / q.group)) * 32 + lane;
        float scale = format == QUANTIZED_INT8 ? 1.0f : bfloat_at((const unsigned short *)scales, at);
        float offset = format == QUANTIZED_INT4 ? -8 * scale : format == QUANTIZED_INT4_OFFSETS ? bfloat_at(offsets, at) : 0.0f;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (k >= step) break;
            // Two bytes to the even inputs of a block and two to the odd ones, four bits each, the lowest first.
            int slot = k / 2;
            float w = format == QUANTIZED_INT8 ? (float)(signed char)four.at[k & 3]
                                               : (float)(four.at[k % 2 * 2 + slot / 2] >> (slot % 2 * 4) & 15) * scale + offset;
            long long i = word * step + k;
            if (i >= q.inputs) break;
#pragma unroll
            for (int r = 0; r < QUANTIZED_ROWS; r++) if (r < rows) sum[r] += tk_widen(x[(first + r) * q.inputs + i]) * w;
        }
    }
    join_warps(sum, shared, total);
    if (threadIdx.y > 0 || column >= q.outputs) return;
    float scale = format == QUANTIZED_INT8 ? ((const float *)scales)[column] : 1.0f;
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++)
        if (r < rows) out[(first + r) * q.outputs + column] = tk_narrow<T>(total[r] * scale + (bias ? tk_widen(bias[column]) : 0.0f));
}

/// Rows of x as bytes 0 … 255, 0 exact, with their scales and zero points: a block to a row.
template <class T> TK_DEVICE void quantize_rows(const T *x, unsigned char *bytes, float *scales, int *zeros, long long inputs) {
    TK_SHARED float lowest[256];
    TK_SHARED float highest[256];
    long long row = blockIdx.x;
    x += row * inputs;
    float low = 0, high = 0;
    for (long long i = threadIdx.x; i < inputs; i += blockDim.x) {
        float v = tk_widen(x[i]);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    lowest[threadIdx.x] = low;
    highest[threadIdx.x] = high;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) {
            float l = lowest[threadIdx.x + half], h = highest[threadIdx.x + half];
            if (l < lowest[threadIdx.x]) lowest[threadIdx.x] = l;
            if (h > highest[threadIdx.x]) highest[threadIdx.x] = h;
        }
    }
    __syncthreads();
    low = lowest[0];
    float scale = (highest[0] - low) / 255.0f;
    int zero = 0;
    if (scale > 0) {
        float z = rint(-low / scale);
        zero = z < 0 ? 0 : z > 255 ? 255 : (int)z;
    } else scale = 1;
    if (threadIdx.x == 0) { scales[row] = scale; zeros[row] = zero; }
    for (long long i = threadIdx.x; i < inputs; i += blockDim.x) {
        float v = rint(tk_widen(x[i]) * (1 / scale)) + (float)zero;
        bytes[row * inputs + i] = v < 0 ? 0 : v > 255 ? 255 : (unsigned char)v;
    }
}

/// Integer products of the quantised rows, and their scales; `sums` are those of the rows of the quantised weight.
template <class T> TK_DEVICE void linear_dynamic(const unsigned char *x, const float *row_scales, const int *zeros, const unsigned char *panels,
                                                 const float *scales, const int *sums, const T *bias, T *out, const tk_cuda_quantized &q) {
    TK_SHARED int shared[QUANTIZED_WARPS][QUANTIZED_ROWS][32];
    int lane = threadIdx.x;
    long long panel = blockIdx.x, column = panel * 32 + lane, first = (long long)blockIdx.y * QUANTIZED_ROWS, words = (q.inputs + 3) / 4;
    int rows = q.rows - first < QUANTIZED_ROWS ? (int)(q.rows - first) : QUANTIZED_ROWS, sum[QUANTIZED_ROWS], total[QUANTIZED_ROWS];
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++) sum[r] = 0;
    for (long long word = threadIdx.y; word < words; word += QUANTIZED_WARPS) {
        tk_vector<unsigned char, 4> four = *(const tk_vector<unsigned char, 4> *)(panels + ((panel * words + word) * 32 + lane) * 4);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            long long i = word * 4 + k;
            if (i >= q.inputs) break;
#pragma unroll
            for (int r = 0; r < QUANTIZED_ROWS; r++) if (r < rows) sum[r] += (int)x[(first + r) * q.inputs + i] * (int)(signed char)four.at[k];
        }
    }
    join_warps(sum, shared, total);
    if (threadIdx.y > 0 || column >= q.outputs) return;
#pragma unroll
    for (int r = 0; r < QUANTIZED_ROWS; r++)
        if (r < rows) {
            long long row = first + r;
            float y = (float)(total[r] - zeros[row] * sums[column]) * (scales[column] * row_scales[row]);
            out[row * q.outputs + column] = tk_narrow<T>(y + (bias ? tk_widen(bias[column]) : 0.0f));
        }
}

#define QUANTIZED(T, S)                                                                                                               \
    TK_KERNEL(256) tk_linear_float_##S(const T *x, const unsigned char *panels, const void *scales, const unsigned short *offsets,     \
                                       const T *bias, T *out, tk_cuda_quantized q, long long format) {                                \
        linear_float((int)format, x, panels, scales, offsets, bias, out, q);                                                          \
    }                                                                                                                                 \
    TK_EXPORT(tk_linear_float_##S)                                                                                                    \
    TK_KERNEL(256) tk_quantize_rows_##S(const T *x, unsigned char *bytes, float *scales, int *zeros, long long inputs) {               \
        quantize_rows(x, bytes, scales, zeros, inputs);                                                                               \
    }                                                                                                                                 \
    TK_EXPORT(tk_quantize_rows_##S)                                                                                                   \
    TK_KERNEL(256) tk_linear_dynamic_##S(const unsigned char *x, const float *row_scales, const int *zeros, const unsigned char *panels, \
                                         const float *scales, const int *sums, const T *bias, T *out, tk_cuda_quantized q) {          \
        linear_dynamic(x, row_scales, zeros, panels, scales, sums, bias, out, q);                                                     \
    }                                                                                                                                 \
    TK_EXPORT(tk_linear_dynamic_##S)
QUANTIZED(float, f32)
QUANTIZED(tk_half, f16)
QUANTIZED(tk_bfloat, bf16)
#undef QUANTIZED
