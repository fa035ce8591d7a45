// The kernels' PTX, part of the library itself.
#include "CCUDA.h"

#if defined(__has_embed)
#pragma clang diagnostic ignored "-Wc23-extensions"
#else
#error "the CUDA kernels are embedded by #embed, which the compilers of Swift 6.1 and later have"
#endif

// The most general first.
#include "kernels/ptx/images.inc"

int tk_cuda_image_count(void) { return sizeof images / sizeof *images; }
tk_cuda_image tk_cuda_image_at(int index) { return images[index]; }
