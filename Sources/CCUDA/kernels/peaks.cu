// How fast the device multiplies and adds, from registers alone: the ceiling of all products.
#include "device.cuh"

/// Each thread has 16 chains of `rounds` multiply-adds: as many as hide the latency of one.
TK_KERNEL(256) tk_peak_f32(float *out, long long rounds, float factor) {
    float x[16];
    for (int k = 0; k < 16; k++) x[k] = (float)(threadIdx.x + k);
    for (long long i = 0; i < rounds; i++) {
#pragma unroll
        for (int k = 0; k < 16; k++) x[k] = x[k] * factor + factor;
    }
    float sum = 0;
    for (int k = 0; k < 16; k++) sum += x[k];
    out[tk_first()] = sum;
}
TK_EXPORT(tk_peak_f32)
