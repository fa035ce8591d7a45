// What the user allows.
#include <stdatomic.h>

#include "CCUDA.h"

static atomic_bool tf32, cublaslt = true;

bool tk_cuda_allows_tf32(void) { return atomic_load_explicit(&tf32, memory_order_relaxed); }
void tk_cuda_set_tf32(bool allowed) { atomic_store_explicit(&tf32, allowed, memory_order_relaxed); }
bool tk_cuda_allows_cublaslt(void) { return atomic_load_explicit(&cublaslt, memory_order_relaxed); }
void tk_cuda_set_cublaslt(bool allowed) { atomic_store_explicit(&cublaslt, allowed, memory_order_relaxed); }
