// The kernels for avx512.
#include <math.h>
#include <string.h>
#include "levels.h"
#include "windows.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,fma,bmi,bmi2,f16c"))), apply_to = function)
#define TK_NAME(name) name##_avx512
#define TK_LEVEL tk_level_avx512
#define TK_WIDTH 16
#define TK_HAS_F16C 1
#include "templates/math.inc"
#include "templates/elementwise.inc"
#include "templates/rows.inc"
#include "templates/optimizers.inc"
#include "templates/rounding.inc"
#include "templates/tiles.inc"
#include "templates/skip_gram.inc"
#include "templates/table.inc"
#include "templates/windows.inc"
#pragma clang attribute pop
#endif
