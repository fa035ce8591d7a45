#include "current_stream.h"

_Thread_local void *tk_cuda_current_streams[TK_CUDA_MAX_DEVICES];
_Thread_local void *tk_cuda_current_recorder;
