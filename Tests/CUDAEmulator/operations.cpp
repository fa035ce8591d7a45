// The numbers of operations and types are the CPU kernels'.
#include "CKernels.h"
#include "emulate.h"
#include "../../Sources/CCUDA/kernels/functions.cuh"

#define SAME(ours, theirs) static_assert((int)ours == (int)theirs, #theirs)
SAME(OP_SINC, TK_SINC); SAME(OP_SILU, TK_SILU); SAME(OP_NOT, TK_NOT); SAME(OP_ERFC, TK_ERFC); SAME(OP_GELU_TANH, TK_GELU_TANH);
SAME(OP_HEAVISIDE, TK_HEAVISIDE); SAME(OP_HYPOT, TK_HYPOT); SAME(OP_XOR, TK_XOR); SAME(OP_FLOOR_DIV, TK_FLOOR_DIV);
SAME(OP_GRAD_SOFTPLUS, TK_GRAD_SOFTPLUS_X); SAME(OP_GRAD_GELU_ERF, TK_GRAD_GELU_ERF_X); SAME(OP_GREATER_EQUAL, TK_GE);
SAME(OP_REDUCE_ALL, TK_ALL); SAME(OP_REDUCE_MIN, TK_RMIN);
SAME(TK_CODE_BOOL, TK_BOOL); SAME(TK_CODE_C128, TK_C128); SAME(TK_CODE_E5M2, TK_E5M2);
