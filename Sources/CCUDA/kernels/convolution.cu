// Convolution and its two gradients as products whose operands are read through the windows (implicit GEMM): no columns are written.
// blockIdx.y is the group. Sizes are those of ConvolutionPlan, brought to three axes.
#include "arguments.cuh"
#include "products.cuh"

TK_DEVICE long long taps(const tk_cuda_convolution &p) { return p.kernel[0] * p.kernel[1] * p.kernel[2]; }
TK_DEVICE long long volume(const long long (&size)[3]) { return size[0] * size[1] * size[2]; }
TK_DEVICE void split(long long i, const long long (&size)[3], long long (&place)[3]) {
    place[2] = i % size[2];
    place[1] = i / size[2] % size[1];
    place[0] = i / (size[2] * size[1]);
}
/// Where in the input tap `tap` of output place `place` lies, or -1 outside.
TK_DEVICE long long input_place(const tk_cuda_convolution &p, long long tap, long long place) {
    long long t[3], o[3], at = 0;
    split(tap, p.kernel, t);
    split(place, p.output, o);
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        long long i = o[axis] * p.stride[axis] - p.padding[axis] + t[axis] * p.dilation[axis];
        if (i < 0 || i >= p.input[axis]) return -1;
        at = at * p.input[axis] + i;
    }
    return at;
}
/// The output place whose tap `tap` lies at the input's `place`, or -1 if there is none.
TK_DEVICE long long output_place(const tk_cuda_convolution &p, long long tap, long long place) {
    long long t[3], i[3], at = 0;
    split(tap, p.kernel, t);
    split(place, p.input, i);
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        long long o = i[axis] + p.padding[axis] - t[axis] * p.dilation[axis];
        if (o < 0 || o % p.stride[axis] != 0 || o / p.stride[axis] >= p.output[axis]) return -1;
        at = at * p.output[axis] + o / p.stride[axis];
    }
    return at;
}
TK_DEVICE long long input_channels(const tk_cuda_convolution &p) { return p.groups * p.inputs; }
TK_DEVICE long long output_channels(const tk_cuda_convolution &p) { return p.groups * p.outputs; }

/// Weights [outputs, inputs · taps] of the group.
template <class T> struct weights {
    const T *w;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER bool dense_in_k() const { return true; }
    TK_DEVICE_MEMBER T operator()(long long o, long long k) const { return w[(blockIdx.y * p.outputs + o) * p.inputs * taps(p) + k]; }
};
/// Weights [inputs, outputs · taps]: turned around for the gradient of the input.
template <class T> struct turned_weights {
    const T *w;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER bool dense_in_k() const { return true; }
    TK_DEVICE_MEMBER T operator()(long long c, long long k) const {
        return w[((blockIdx.y * p.outputs + k / taps(p)) * p.inputs + c) * taps(p) + k % taps(p)];
    }
};
/// [inputs · taps, batch · places] of the input.
template <class T> struct columns {
    const T *x;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER bool dense_in_k() const { return false; }
    TK_DEVICE_MEMBER T operator()(long long k, long long j) const {
        long long at = input_place(p, k % taps(p), j % volume(p.output));
        long long channel = j / volume(p.output) * input_channels(p) + blockIdx.y * p.inputs + k / taps(p);
        return at < 0 ? (T)0 : x[channel * volume(p.input) + at];
    }
};
/// [batch · places, inputs · taps]: the same turned around, for the gradient of the weight.
template <class T> struct turned_columns {
    columns<T> of;
    TK_DEVICE_MEMBER bool dense_in_k() const { return true; }
    TK_DEVICE_MEMBER T operator()(long long k, long long j) const { return of(j, k); }
};
/// [outputs · taps, batch · input places] of the output's gradient.
template <class T> struct spread_slopes {
    const T *g;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER bool dense_in_k() const { return false; }
    TK_DEVICE_MEMBER T operator()(long long k, long long j) const {
        long long at = output_place(p, k % taps(p), j % volume(p.input));
        long long channel = j / volume(p.input) * output_channels(p) + blockIdx.y * p.outputs + k / taps(p);
        return at < 0 ? (T)0 : g[channel * volume(p.output) + at];
    }
};
/// [outputs, batch · places] of the output's gradient.
template <class T> struct slopes {
    const T *g;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER bool dense_in_k() const { return true; }
    TK_DEVICE_MEMBER T operator()(long long o, long long k) const {
        return g[(k / volume(p.output) * output_channels(p) + blockIdx.y * p.outputs + o) * volume(p.output) + k % volume(p.output)];
    }
};
/// [channels, batch · size] of a tensor [batch, all channels, size], where the group's channels begin at `first`.
template <class T> struct images {
    T *out;
    const T *bias;
    long long first, channels, size;
    TK_DEVICE_MEMBER void operator()(long long c, long long j, const T (&value)[4], int count) const {
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (e < count) out[((j + e) / size * channels + first + c) * size + (j + e) % size] = bias ? value[e] + bias[first + c] : value[e];
    }
};
template <class T> struct weight_slopes {
    T *out;
    const tk_cuda_convolution &p;
    TK_DEVICE_MEMBER void operator()(long long o, long long k, const T (&value)[4], int count) const {
#pragma unroll
        for (int e = 0; e < 4; e++) if (e < count) out[(blockIdx.y * p.outputs + o) * p.inputs * taps(p) + k + e] = value[e];
    }
};

#define CONVOLUTION(T, S)                                                                                                         \
    TK_KERNEL(256) tk_convolution_##S(const T *x, const T *w, const T *bias, T *out, tk_cuda_convolution p) {                      \
        weights<T> left = {w, p};                                                                                                 \
        columns<T> right = {x, p};                                                                                                \
        images<T> result = {out, bias, (long long)blockIdx.y * p.outputs, output_channels(p), volume(p.output)};                  \
        tk_multiply<T>(p.outputs, p.batch * volume(p.output), 0, p.inputs * taps(p), left, right, result);                           \
    }                                                                                                                             \
    TK_EXPORT(tk_convolution_##S)                                                                                                 \
    TK_KERNEL(256) tk_convolution_grad_input_##S(const T *g, const T *w, T *out, tk_cuda_convolution p) {                          \
        turned_weights<T> left = {w, p};                                                                                          \
        spread_slopes<T> right = {g, p};                                                                                              \
        images<T> result = {out, 0, (long long)blockIdx.y * p.inputs, input_channels(p), volume(p.input)};                        \
        tk_multiply<T>(p.inputs, p.batch * volume(p.input), 0, p.outputs * taps(p), left, right, result);                            \
    }                                                                                                                             \
    TK_EXPORT(tk_convolution_grad_input_##S)                                                                                      \
    TK_KERNEL(256) tk_convolution_grad_weight_##S(const T *x, const T *g, T *out, tk_cuda_convolution p) {                         \
        slopes<T> left = {g, p};                                                                                                  \
        turned_columns<T> right = {{x, p}};                                                                                       \
        weight_slopes<T> result = {out, p};                                                                                       \
        tk_multiply<T>(p.outputs, p.inputs * taps(p), 0, p.batch * volume(p.output), left, right, result);                           \
    }                                                                                                                             \
    TK_EXPORT(tk_convolution_grad_weight_##S)                                                                                     \
    TK_KERNEL(256) tk_unfold_##S(const T *x, T *out, tk_cuda_convolution p) {                                                      \
        long long channels = input_channels(p), places = volume(p.output), rows = channels * taps(p);                             \
        for (long long e = tk_first(); e < p.batch * rows * places; e += tk_step()) {                                             \
            long long row = e / places % rows, at = input_place(p, row % taps(p), e % places);                                    \
            out[e] = at < 0 ? (T)0 : x[(e / (places * rows) * channels + row / taps(p)) * volume(p.input) + at];                  \
        }                                                                                                                         \
    }                                                                                                                             \
    TK_EXPORT(tk_unfold_##S)                                                                                                      \
    TK_KERNEL(256) tk_fold_##S(const T *x, T *out, tk_cuda_convolution p) {                                                        \
        long long size = volume(p.input), places = volume(p.output);                                                              \
        for (long long e = tk_first(); e < p.batch * input_channels(p) * size; e += tk_step()) {                                  \
            T sum = 0;                                                                                                            \
            for (long long tap = 0; tap < taps(p); tap++) {                                                                       \
                long long at = output_place(p, tap, e % size);                                                                    \
                if (at >= 0) sum += x[(e / size * taps(p) + tap) * places + at];                                                  \
            }                                                                                                                     \
            out[e] = sum;                                                                                                         \
        }                                                                                                                         \
    }                                                                                                                             \
    TK_EXPORT(tk_fold_##S)
CONVOLUTION(float, f32)
CONVOLUTION(double, f64)
CONVOLUTION(long long, i64)
#undef CONVOLUTION
