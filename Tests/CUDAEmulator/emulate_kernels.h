// What the files of kernels share: the headers, once, and how a kernel is made known. The kernels themselves are in namespaces, as there are
// several of each.
#ifndef TAPESTRY_EMULATE_KERNELS_H
#define TAPESTRY_EMULATE_KERNELS_H
#include "emulate.h"

#pragma clang fp contract(off)
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wunknown-pragmas"
#pragma clang diagnostic ignored "-Wc++20-extensions"

#include "../../Sources/CCUDA/kernels/arguments.cuh"
#include "../../Sources/CCUDA/kernels/complex.cuh"
#include "../../Sources/CCUDA/kernels/epilogue.cuh"
#include "../../Sources/CCUDA/kernels/groups.cuh"
#include "../../Sources/CCUDA/kernels/matrices.cuh"
#include "../../Sources/CCUDA/kernels/philox.cuh"
#include "../../Sources/CCUDA/kernels/special.cuh"
#include "../../Sources/CCUDA/kernels/vectors.cuh"
#include "../../Sources/CCUDA/kernels/walk.cuh"

#define RUNNER(name) emulated::Kernel{[](emulated::Size g, emulated::Size b, void **a, const char **r) { return emulated::run(name, g, b, a, r); }, \
                                      [](void **a) { return emulated::keep(name, a); }}

#endif
