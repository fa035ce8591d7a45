// What kernels take by value; read by the C compiler, by NVRTC (which has no system headers) and by Swift.
#ifndef TAPESTRY_KERNEL_ARGUMENTS_H
#define TAPESTRY_KERNEL_ARGUMENTS_H

enum { TK_CUDA_MAX_RANK = 12, TK_CUDA_MAX_OPERANDS = 4 };

/// The elements of a shape, visited in row-major order, and where each operand has them. Strides count elements.
typedef struct {
    long long dims[TK_CUDA_MAX_RANK];
    long long strides[TK_CUDA_MAX_OPERANDS][TK_CUDA_MAX_RANK];
    long long count;   // the product of dims
    long long rank;
} tk_cuda_walk;

/// f(op(a) · op(b) + bias) for every matrix of a batch; lda … are row lengths in memory. k is cut into `splits` parts, which several blocks sum. The
/// types of the result and the bias are codes of DType, the activation is a UnaryKernel or -1.
typedef struct {
    long long m, n, k, lda, ldb, ldc, stride_a, stride_b, stride_c, batch;
    long long transpose_a, transpose_b, accumulate, splits, type, bias_type, activation;
} tk_cuda_gemm;

/// As ConvolutionPlan.
typedef struct { long long batch, groups, inputs, outputs, input[3], output[3], kernel[3], stride[3], padding[3], dilation[3]; } tk_cuda_convolution;
/// Sizes of pooled planes and the distances between the places of a window, along three axes.
typedef struct { long long planes, input[3], output[3], step[3]; } tk_cuda_pool;

/// Sizes, strides in elements and what changes scores of an attention; see AttentionPlan. A window of 0 sees all.
typedef struct {
    long long batch, heads, kv_heads, queries, keys, dim, value_dim;
    long long q[3], k[3], v[3], out[3], g[3], dq[3], dk[3], dv[3];   // batch, head, position
    long long mask_strides[4], mask_adds, causal, position, window;
    double scale, soft_cap, dropout;
    unsigned long long seed, offset;
} tk_cuda_attention;

/// The scalars of an Adam step, made in double by the caller.
typedef struct { double shrink, decay, sign, one_minus_beta1, beta2, one_minus_beta2, step, root, epsilon; } tk_cuda_adam;
enum { TK_CUDA_ADAM_TENSORS = 24, TK_CUDA_ADAM_CHUNK = 4096 };
/// Parameters that one launch of Adam steps, their states, how many numbers they have, and the first of the blocks that each has, one for
/// every chunk.
typedef struct {
    unsigned long long p[TK_CUDA_ADAM_TENSORS], g[TK_CUDA_ADAM_TENSORS], m[TK_CUDA_ADAM_TENSORS], v[TK_CUDA_ADAM_TENSORS];
    unsigned long long high[TK_CUDA_ADAM_TENSORS];
    long long count[TK_CUDA_ADAM_TENSORS], first[TK_CUDA_ADAM_TENSORS], tensors;
} tk_cuda_adam_group;
/// The scalars of a step of gradient descent.
typedef struct { double rate, decay, momentum, one_minus_dampening, sign; long long first, nesterov; } tk_cuda_sgd;
/// The scalars of a step of RMSProp.
typedef struct { double rate, alpha, one_minus_alpha, epsilon, decay, momentum, sign; } tk_cuda_rmsprop;
/// The numbers of a step of a rarer rule; see SweepKernel.
typedef struct { double decay, shrink, rate, epsilon, c[5], sign; } tk_cuda_sweep;

/// One step of a recurrent layer; kinds as RecurrentKernel.
typedef struct { long long kind, batch, hidden, step; } tk_cuda_recurrence;
/// Sizes of a connectionist temporal classification.
typedef struct { long long time, batch, classes, blank, max_states, zero_infinity; } tk_cuda_ctc;
/// A product with a weight [outputs, inputs] in few bits; see QuantizedLinearPlan. `group`: int4's inputs per scale.
typedef struct { long long rows, outputs, inputs, group; } tk_cuda_quantized;
/// A batch of matrices [m, n], column after column, and what a routine wants to know beside them.
typedef struct { long long m, n, k, flags; double tolerance; } tk_cuda_matrices;

/// A step of an elementwise program: see FusedProgram. Arguments and result are slots: the inputs, then registers; from TK_CUDA_FUSED_CONSTANT on, constants.
typedef struct { unsigned char kind, op, type, out, args[3], unused; } tk_cuda_fused_step;
enum { TK_CUDA_FUSED_STEPS = 128, TK_CUDA_FUSED_OPERANDS = 16, TK_CUDA_FUSED_CONSTANT = 192, TK_CUDA_FUSED_CONSTANTS = 64, TK_CUDA_FUSED_RANK = 6 };
/// An input, or a dense output of the value in `slot`. It does not move (0), is dense (1), or walks by its strides (2), whose axes are lined up
/// from the last.
typedef struct { unsigned long long address; long long strides[TK_CUDA_FUSED_RANK]; int type, moves, slot, unused; } tk_cuda_fused_operand;
/// An elementwise program on `count` elements; with the steps the largest that a kernel takes, of the 4096 bytes that it may.
typedef struct {
    long long count, dims[TK_CUDA_FUSED_RANK];
    int rank, inputs, outputs, steps, walks, unused;
    tk_cuda_fused_operand operands[TK_CUDA_FUSED_OPERANDS];
    double constants[TK_CUDA_FUSED_CONSTANTS];
    tk_cuda_fused_step code[TK_CUDA_FUSED_STEPS];
} tk_cuda_fused;

#endif
