// The system's OpenBLAS and LAPACKE, as Swift and the C kernels see them.
#ifndef TAPESTRY_COPENBLAS_SHIM_H
#define TAPESTRY_COPENBLAS_SHIM_H

#if !__has_include(<cblas.h>) || !__has_include(<lapacke.h>)
#error "Tapestry needs OpenBLAS and LAPACKE: apt-get install libopenblas-dev liblapacke-dev"
#else
#include <cblas.h>
#include <lapacke.h>
#endif

#endif
