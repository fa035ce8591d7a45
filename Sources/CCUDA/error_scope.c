#include "error_scope.h"

_Thread_local int tk_cuda_scope_depth;
_Thread_local bool tk_cuda_scope_failed;
