// Whether calls of the backend are timed.
#include <time.h>

#include "CKernels.h"

_Atomic int tk_profiling_flag = 0;

void tk_set_profiling(bool on) { tk_profiling_flag = on; }

uint64_t tk_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
