// What the work of a thread goes to: its stream on each device, and what records the work in place of running it; see CUDA.withStream
// and CUDA.Graph in Swift, whose objects these are.
#ifndef TAPESTRY_CUDA_CURRENT_STREAM_H
#define TAPESTRY_CUDA_CURRENT_STREAM_H

#include <stddef.h>

enum { TK_CUDA_MAX_DEVICES = 64 };

extern _Thread_local void *tk_cuda_current_streams[TK_CUDA_MAX_DEVICES];
extern _Thread_local void *tk_cuda_current_recorder;
static inline void *tk_cuda_get_stream(int device) { return tk_cuda_current_streams[device]; }
static inline void tk_cuda_set_stream(int device, void *stream) { tk_cuda_current_streams[device] = stream; }
static inline void *tk_cuda_get_recorder(void) { return tk_cuda_current_recorder; }
static inline void tk_cuda_set_recorder(void *recorder) { tk_cuda_current_recorder = recorder; }

#endif
