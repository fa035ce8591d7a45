// The kernels' PTX, part of the library itself.
#include "CCUDA.h"

#if defined(__has_embed)
#pragma clang diagnostic ignored "-Wc23-extensions"
#else
#error "the CUDA kernels are embedded by #embed, which the compilers of Swift 6.1 and later have"
#endif

static const char base_sm75[] = {
#embed "kernels/ptx/base_sm75.ptx" suffix(, 0)
};

static const char tensor_sm80[] = {
#embed "kernels/ptx/tensor_sm80.ptx" suffix(, 0)
};

static const char hopper_sm90a[] = {
#embed "kernels/ptx/hopper_sm90a.ptx" suffix(, 0)
};

// The most general first.
static const tk_cuda_image images[] = {
    {"base_sm75", 75, 0, base_sm75, sizeof base_sm75 - 1},
    {"tensor_sm80", 80, 0, tensor_sm80, sizeof tensor_sm80 - 1},
    {"hopper_sm90a", 90, 90, hopper_sm90a, sizeof hopper_sm90a - 1},
};

int tk_cuda_image_count(void) { return sizeof images / sizeof *images; }
tk_cuda_image tk_cuda_image_at(int index) { return images[index]; }
