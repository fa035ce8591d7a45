// module: tensor_sm80
// Convolutions of float16, bfloat16 and (as TF32) float32 by tensor cores: products whose operands are read through the windows (implicit GEMM), as
// in convolution.cu. Lanes beside each other read places beside each other; what is no window of several taps comes in pieces of 16 bytes.
// blockIdx.y is the group, and for the gradient of weights the part of the sum.
#include "tensor_product.cuh"

/// The sizes of a convolution, in 32 bits, and its group.
struct window_sizes {
    int batch, groups, inputs, outputs, group, taps, places_in, places_out, input[3], output[3], kernel[3], stride[3], padding[3], dilation[3];
    TK_DEVICE_MEMBER window_sizes(const tk_cuda_convolution &p, int group)
        : batch((int)p.batch), groups((int)p.groups), inputs((int)p.inputs), outputs((int)p.outputs), group(group) {
#pragma unroll
        for (int axis = 0; axis < 3; axis++) {
            input[axis] = (int)p.input[axis];
            output[axis] = (int)p.output[axis];
            kernel[axis] = (int)p.kernel[axis];
            stride[axis] = (int)p.stride[axis];
            padding[axis] = (int)p.padding[axis];
            dilation[axis] = (int)p.dilation[axis];
        }
        taps = kernel[0] * kernel[1] * kernel[2];
        places_in = input[0] * input[1] * input[2];
        places_out = output[0] * output[1] * output[2];
    }
    /// Whether every place of the output meets the same place of the input, and no other.
    TK_DEVICE_MEMBER bool is_pointwise() const {
        return taps == 1 && places_in == places_out && stride[0] * stride[1] * stride[2] == 1 && padding[0] == 0 && padding[1] == 0 && padding[2] == 0;
    }
    TK_DEVICE_MEMBER static void split(int i, const int (&size)[3], int (&at)[3]) {
        unsigned row = (unsigned)i / (unsigned)size[2], plane = row / (unsigned)size[1];
        at[2] = i - (int)row * size[2];
        at[1] = (int)row - (int)plane * size[1];
        at[0] = (int)plane;
    }
    /// Where in the input tap `tap` of output place `place` lies, or -1 outside.
    TK_DEVICE_MEMBER int input_place(int tap, int place) const {
        int t[3], o[3], at = 0;
        split(tap, kernel, t);
        split(place, output, o);
        bool inside = true;
#pragma unroll
        for (int axis = 0; axis < 3; axis++) {
            int i = o[axis] * stride[axis] - padding[axis] + t[axis] * dilation[axis];
            inside = inside && i >= 0 && i < input[axis];
            at = at * input[axis] + i;
        }
        return inside ? at : -1;
    }
    /// The output place whose tap `tap` lies at the input's `place`, or -1 if there is none.
    TK_DEVICE_MEMBER int output_place(int tap, int place) const {
        int t[3], i[3], at = 0;
        split(tap, kernel, t);
        split(place, input, i);
        bool inside = true;
#pragma unroll
        for (int axis = 0; axis < 3; axis++) {
            int o = i[axis] + padding[axis] - t[axis] * dilation[axis], q = o / stride[axis];
            inside = inside && o >= 0 && q * stride[axis] == o && q < output[axis];
            at = at * output[axis] + q;
        }
        return inside ? at : -1;
    }
    /// Element `place` of a channel of the group in a tensor [batch, all channels, places].
    TK_DEVICE_MEMBER long long input_at(int sample, int channel, int place) const {
        return ((long long)sample * groups * inputs + group * inputs + channel) * places_in + place;
    }
    TK_DEVICE_MEMBER long long output_at(int sample, int channel, int place) const {
        return ((long long)sample * groups * outputs + group * outputs + channel) * places_out + place;
    }
};

/// What the operands share that read windows.
template <class T> struct window_operand {
    const T *x;
    const window_sizes &s;
    bool pieces;
    TK_DEVICE_MEMBER bool in_pieces() const { return pieces; }
    TK_DEVICE_MEMBER const T *base() const { return x; }
};

/// [inputs · taps, batch · places of the output] of the input: ALONG_K, its rows are summed over (the gradient of weights).
template <class T, bool ALONG_K> struct window_columns : window_operand<T> {
    enum { along_k = ALONG_K };
    using window_operand<T>::x;
    using window_operand<T>::s;
    TK_DEVICE_MEMBER window_columns(const T *x, const window_sizes &s)
        : window_operand<T>{x, s, s.is_pointwise() && s.places_in % (16 / sizeof(T)) == 0 && (unsigned long long)x % 16 == 0} {}
    TK_DEVICE_MEMBER const T *element(int row, int column) const {
        if (row >= s.inputs * s.taps || column >= s.batch * s.places_out) return 0;
        int channel = (int)((unsigned)row / (unsigned)s.taps), sample = (int)((unsigned)column / (unsigned)s.places_out);
        int at = s.input_place(row - channel * s.taps, column - sample * s.places_out);
        return at < 0 ? 0 : x + s.input_at(sample, channel, at);
    }
    TK_DEVICE_MEMBER const T *at(int line, int k) const { return ALONG_K ? element(line, k) : element(k, line); }
    TK_DEVICE_MEMBER int piece(int row, int column, const T *&from) const {
        const T *found = element(row, column);
        from = found ? found : x;
        return found ? 16 : 0;
    }
};
/// [outputs · taps, batch · places of the input] of the output's gradient.
template <class T> struct window_slopes : window_operand<T> {
    enum { along_k = false };
    using window_operand<T>::x;
    using window_operand<T>::s;
    TK_DEVICE_MEMBER window_slopes(const T *x, const window_sizes &s)
        : window_operand<T>{x, s, s.is_pointwise() && s.places_in % (16 / sizeof(T)) == 0 && (unsigned long long)x % 16 == 0} {}
    TK_DEVICE_MEMBER const T *at(int line, int k) const {
        if (k >= s.outputs * s.taps || line >= s.batch * s.places_in) return 0;
        int channel = (int)((unsigned)k / (unsigned)s.taps), sample = (int)((unsigned)line / (unsigned)s.places_in);
        int place = s.output_place(k - channel * s.taps, line - sample * s.places_in);
        return place < 0 ? 0 : x + s.output_at(sample, channel, place);
    }
    TK_DEVICE_MEMBER int piece(int row, int column, const T *&from) const {
        const T *found = at(column, row);
        from = found ? found : x;
        return found ? 16 : 0;
    }
};
/// [outputs, batch · places] of the output's gradient.
template <class T> struct window_gradient : window_operand<T> {
    enum { along_k = true };
    using window_operand<T>::x;
    using window_operand<T>::s;
    TK_DEVICE_MEMBER window_gradient(const T *x, const window_sizes &s)
        : window_operand<T>{x, s, s.places_out % (16 / sizeof(T)) == 0 && (unsigned long long)x % 16 == 0} {}
    TK_DEVICE_MEMBER const T *at(int line, int k) const {
        if (line >= s.outputs || k >= s.batch * s.places_out) return 0;
        int sample = (int)((unsigned)k / (unsigned)s.places_out);
        return x + s.output_at(sample, line, k - sample * s.places_out);
    }
    TK_DEVICE_MEMBER int piece(int row, int column, const T *&from) const {
        const T *found = at(row, column);
        from = found ? found : x;
        return found ? 16 : 0;
    }
};
/// Weights [inputs, outputs · taps], turned around for the gradient of the input.
template <class T> struct turned_window_weights : window_operand<T> {
    enum { along_k = true };
    using window_operand<T>::x;
    using window_operand<T>::s;
    TK_DEVICE_MEMBER turned_window_weights(const T *x, const window_sizes &s) : window_operand<T>{x, s, false} {}
    TK_DEVICE_MEMBER const T *at(int line, int k) const {
        if (line >= s.inputs || k >= s.outputs * s.taps) return 0;
        int channel = (int)((unsigned)k / (unsigned)s.taps);
        return x + ((long long)(s.group * s.outputs + channel) * s.inputs + line) * s.taps + k - channel * s.taps;
    }
    TK_DEVICE_MEMBER int piece(int, int, const T *&from) const { from = x; return 0; }
};

/// [channels, batch · places] of a tensor [batch, all channels, places], where the group's channels begin at `first`.
template <class T> struct window_result {
    T *out;
    const T *bias;
    int first, channels, places;
    TK_DEVICE_MEMBER void operator()(int channel, int j, const float (&value)[4], int count) const {
        int sample = (int)((unsigned)j / (unsigned)places), place = j - sample * places;
        float added = bias ? (float)tk_widen(bias[first + channel]) : 0.0f;
        T *to = out + ((long long)sample * channels + first + channel) * places;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            if (e >= count) break;
            to[place] = tk_narrow<T>(value[e] + added);
            if (++place == places) {   // the next sample
                place = 0;
                to += (long long)channels * places;
            }
        }
    }
};

template <class T, int TILE> TK_DEVICE void convolution_tensor(const T *x, const T *w, const T *bias, T *out, const tk_cuda_convolution &p) {
    alignas(16) TK_SHARED unsigned char memory[tensor_memory<TILE>::bytes];
    const window_sizes s(p, blockIdx.y);
    int m = s.outputs, n = s.batch * s.places_out, k = s.inputs * s.taps, i0, j0;
    place_of_tile<TILE>(blockIdx.x, m, n, i0, j0);
    const T *weights = w + (long long)s.group * m * k;
    tensor_matrix<T, true> left = {weights, k, m, k, in_pieces(weights, k, 0)};
    window_columns<T, false> right(x, s);
    window_result<T> store = {out, bias, s.group * m, s.groups * m, s.places_out};
    tensor_product<T, TILE>(left, right, i0, j0, m, n, 0, (k + tensor_depth<T>::value - 1) / tensor_depth<T>::value, store, memory);
}

template <class T, int TILE> TK_DEVICE void convolution_input_tensor(const T *g, const T *w, T *out, const tk_cuda_convolution &p) {
    alignas(16) TK_SHARED unsigned char memory[tensor_memory<TILE>::bytes];
    const window_sizes s(p, blockIdx.y);
    int m = s.inputs, n = s.batch * s.places_in, k = s.outputs * s.taps, i0, j0;
    place_of_tile<TILE>(blockIdx.x, m, n, i0, j0);
    turned_window_weights<T> left(w, s);
    window_slopes<T> right(g, s);
    window_result<T> store = {out, 0, s.group * m, s.groups * m, s.places_in};
    tensor_product<T, TILE>(left, right, i0, j0, m, n, 0, (k + tensor_depth<T>::value - 1) / tensor_depth<T>::value, store, memory);
}

/// `q` describes the result as a batch of matrices [outputs, inputs · taps], one to a group.
template <class T, int TILE>
TK_DEVICE void convolution_weight_tensor(const T *x, const T *g, void *out, float *partial, const tk_cuda_convolution &p, const tk_cuda_gemm &q) {
    alignas(16) TK_SHARED unsigned char memory[tensor_memory<TILE>::bytes];
    int group = blockIdx.y / (int)q.splits, split = blockIdx.y % (int)q.splits, i0, j0;
    const window_sizes s(p, group);
    int m = s.outputs, n = s.inputs * s.taps;
    long long steps = (s.batch * s.places_out + tensor_depth<T>::value - 1) / tensor_depth<T>::value;
    place_of_tile<TILE>(blockIdx.x, m, n, i0, j0);
    window_gradient<T> left(g, s);
    window_columns<T, true> right(x, s);
    gemm_result<float> store = partial ? gemm_result<float>(partial, q, split * q.batch + group) : gemm_result<float>(out, 0, 0, q, group);
    tensor_product<T, TILE>(left, right, i0, j0, m, n, (int)(steps * split / q.splits), (int)(steps * (split + 1) / q.splits), store, memory);
}

#define CONVOLUTION_TENSOR(T, S, TILE)                                                                                                       \
    TK_KERNEL(2 * TILE) tk_convolution_tensor_##TILE##_##S(const T *x, const T *w, const T *bias, T *out, tk_cuda_convolution p) {            \
        convolution_tensor<T, TILE>(x, w, bias, out, p);                                                                                     \
    }                                                                                                                                        \
    TK_EXPORT(tk_convolution_tensor_##TILE##_##S)                                                                                            \
    TK_KERNEL(2 * TILE) tk_convolution_input_tensor_##TILE##_##S(const T *g, const T *w, T *out, tk_cuda_convolution p) {                     \
        convolution_input_tensor<T, TILE>(g, w, out, p);                                                                                     \
    }                                                                                                                                        \
    TK_EXPORT(tk_convolution_input_tensor_##TILE##_##S)                                                                                      \
    TK_KERNEL(2 * TILE) tk_convolution_weight_tensor_##TILE##_##S(const T *x, const T *g, void *out, float *partial, tk_cuda_convolution p,   \
                                                                  tk_cuda_gemm q) {                                                          \
        convolution_weight_tensor<T, TILE>(x, g, out, partial, p, q);                                                                        \
    }                                                                                                                                        \
    TK_EXPORT(tk_convolution_weight_tensor_##TILE##_##S)
#define CONVOLUTION_TENSOR_TYPE(T, S) CONVOLUTION_TENSOR(T, S, 64) CONVOLUTION_TENSOR(T, S, 128)
CONVOLUTION_TENSOR_TYPE(tk_bfloat, bf16)
CONVOLUTION_TENSOR_TYPE(tk_half, f16)
CONVOLUTION_TENSOR_TYPE(float, tf32)
#undef CONVOLUTION_TENSOR_TYPE
#undef CONVOLUTION_TENSOR
