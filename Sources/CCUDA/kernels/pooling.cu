// Pooling over windows that tables describe, maps of axes, and elements moved within planes.
#include "arguments.cuh"
#include "types.cuh"

/// The largest element of each window, and the first place where it is, or that of the last NaN. The tables of the three axes lie behind
/// each other: starts, then counts.
template <class T> TK_DEVICE void max_pool(const T *x, T *out, int *places, const long long *tables, const tk_cuda_pool &p) {
    long long outputs = p.output[0] * p.output[1] * p.output[2], plane = p.input[0] * p.input[1] * p.input[2];
    const long long *starts[3], *counts[3];
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        starts[axis] = tables;
        counts[axis] = tables + p.output[axis];
        tables += 2 * p.output[axis];
    }
    for (long long e = tk_first(); e < p.planes * outputs; e += tk_step()) {
        long long o = e % outputs, ow = o % p.output[2], oh = o / p.output[2] % p.output[1], od = o / (p.output[2] * p.output[1]);
        const T *from = x + e / outputs * plane;
        T best = 0;
        long long place = -1;
        for (long long a = 0; a < counts[0][od]; a++)
            for (long long b = 0; b < counts[1][oh]; b++)
                for (long long c = 0; c < counts[2][ow]; c++) {
                    long long at = ((starts[0][od] + a * p.step[0]) * p.input[1] + starts[1][oh] + b * p.step[1]) * p.input[2] + starts[2][ow] + c * p.step[2];
                    T v = from[at];
                    if (place < 0 || v != v || v > best) { best = v; place = at; }
                }
        out[e] = best;
        if (places) places[e] = (int)place;
    }
}

/// A warp to a plane (8 to a block), 32 elements at a time: the first lane of those that go to one place takes their elements in order.
template <class T> TK_DEVICE void scatter_planes(const T *x, const int *places, T *out, long long planes, long long n, long long size, bool adds) {
    int lane = threadIdx.x;
    for (long long p = (long long)blockIdx.x * blockDim.y + threadIdx.y; p < planes; p += (long long)gridDim.x * blockDim.y) {
        for (long long begin = 0; begin < n; begin += 32) {
            bool is_there = begin + lane < n;
            T value = is_there ? x[p * n + begin + lane] : (T)0;
            int place = is_there ? places[p * n + begin + lane] : -1;
            T *to = out + p * size + place;
            T sum = is_there && adds ? *to : (T)0;
            bool is_first = true;
            for (int k = 0; k < 32; k++) {
                int other = tk_shuffle(place, k);
                T term = tk_shuffle(value, k);
                if (other != place) continue;
                if (k < lane) is_first = false;
                sum = adds ? sum + term : term;
            }
            if (is_there && is_first) *to = sum;
            tk_warp_barrier();   // the next 32 read what these wrote
        }
    }
}

#define POOLING(T, S)                                                                                                             \
    TK_KERNEL(256) tk_max_pool_##S(const T *x, T *out, int *places, const long long *tables, tk_cuda_pool p) {                     \
        max_pool(x, out, places, tables, p);                                                                                      \
    }                                                                                                                             \
    TK_EXPORT(tk_max_pool_##S)                                                                                                    \
    TK_KERNEL(256) tk_scatter_planes_##S(const T *x, const int *places, T *out, long long planes, long long n, long long size,     \
                                         long long adds) {                                                                        \
        scatter_planes(x, places, out, planes, n, size, adds != 0);                                                               \
    }                                                                                                                             \
    TK_EXPORT(tk_scatter_planes_##S)                                                                                              \
    TK_KERNEL(256) tk_scatter_apart_##S(const T *x, const int *places, T *out, long long planes, long long n, long long size) {    \
        for (long long e = tk_first(); e < planes * n; e += tk_step()) out[e / n * size + places[e]] = x[e];                      \
    }                                                                                                                             \
    TK_EXPORT(tk_scatter_apart_##S)                                                                                               \
    TK_KERNEL(256) tk_gather_planes_##S(const T *x, const int *places, T *out, long long planes, long long size, long long n) {    \
        for (long long e = tk_first(); e < planes * n; e += tk_step()) out[e] = x[e / n * size + places[e]];                      \
    }                                                                                                                             \
    TK_EXPORT(tk_gather_planes_##S)
POOLING(float, f32)
POOLING(double, f64)
POOLING(long long, i64)
#undef POOLING

/// out[o, j, i] = Σ weights[e] x[o, sources[e], i] over the entries first[j] ..< first[j + 1].
#define MAPS(T, S)                                                                                                                \
    TK_KERNEL(256) tk_map_axis_##S(const T *x, T *out, const long long *first, const long long *sources, const double *weights,    \
                                   long long outer, long long inputs, long long outputs, long long inner) {                       \
        for (long long e = tk_first(); e < outer * outputs * inner; e += tk_step()) {                                             \
            long long j = e / inner % outputs, o = e / (inner * outputs);                                                         \
            T sum = 0;                                                                                                            \
            for (long long k = first[j]; k < first[j + 1]; k++)                                                                   \
                sum += (T)weights[k] * x[(o * inputs + sources[k]) * inner + e % inner];                                          \
            out[e] = sum;                                                                                                         \
        }                                                                                                                         \
    }                                                                                                                             \
    TK_EXPORT(tk_map_axis_##S)
TK_WIDE_TYPES(MAPS)
#undef MAPS
