// What the parts of the emulated driver share.
#ifndef TAPESTRY_EMULATED_STATE_H
#define TAPESTRY_EMULATED_STATE_H

#include <mutex>

#include "CCUDA.h"

namespace emulated {

extern std::recursive_mutex mutex;
/// Success, if the calling thread has a context.
tk_cu_result in_context();

}  // namespace emulated

#endif
