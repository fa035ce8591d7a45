// Errors of the device that a scope of this thread collects; see CUDA.catchingErrors in Swift.
#ifndef TAPESTRY_CUDA_ERROR_SCOPE_H
#define TAPESTRY_CUDA_ERROR_SCOPE_H

#include <stdbool.h>

extern _Thread_local int tk_cuda_scope_depth;
extern _Thread_local bool tk_cuda_scope_failed;
static inline int tk_cuda_get_scope_depth(void) { return tk_cuda_scope_depth; }
static inline void tk_cuda_set_scope_depth(int depth) { tk_cuda_scope_depth = depth; }
static inline bool tk_cuda_get_scope_failed(void) { return __builtin_expect(tk_cuda_scope_failed, 0); }
static inline void tk_cuda_set_scope_failed(bool failed) { tk_cuda_scope_failed = failed; }

#endif
