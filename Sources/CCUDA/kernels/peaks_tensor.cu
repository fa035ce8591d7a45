// module: tensor_sm80
// How fast the tensor cores multiply and add by mma.sync, from registers alone.
#include "device.cuh"

/// Each warp has 8 chains of `rounds` products of 16 × 16 and 16 × 8 matrices, of which all elements are `value` (two bfloat16).
TK_KERNEL(256) tk_peak_bf16(float *out, long long rounds, unsigned value) {
    float sum[8][4];
    unsigned a[4] = {value, value, value, value};
    for (int k = 0; k < 8; k++) for (int e = 0; e < 4; e++) sum[k][e] = 0;
    for (long long i = 0; i < rounds; i++) {
#pragma unroll
        for (int k = 0; k < 8; k++) tk_multiply_add_bf16(sum[k], a, value, value);
    }
    float total = 0;
    for (int k = 0; k < 8; k++) for (int e = 0; e < 4; e++) total += sum[k][e];
    out[tk_first()] = total;
}
TK_EXPORT(tk_peak_bf16)
