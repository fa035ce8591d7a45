// The structures that kernels take by value.
#ifndef TK_ARGUMENTS_CUH
#define TK_ARGUMENTS_CUH
#include "kernel_arguments.h"
#endif
