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
/// The scalars of a step of gradient descent.
typedef struct { double rate, decay, momentum, one_minus_dampening, sign; long long first, nesterov; } tk_cuda_sgd;
/// The scalars of a step of RMSProp.
typedef struct { double rate, alpha, one_minus_alpha, epsilon, decay, momentum, sign; } tk_cuda_rmsprop;

#endif
