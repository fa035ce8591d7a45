// The kernels for baseline.
#include <math.h>
#include <string.h>
#include "levels.h"
#include "windows.h"

#define TK_NAME(name) name##_baseline
#define TK_LEVEL tk_level_baseline
#define TK_WIDTH 4
#include "templates/math.inc"
#include "templates/elementwise.inc"
#include "templates/rows.inc"
#include "templates/optimizers.inc"
#include "templates/rounding.inc"
#include "templates/tiles.inc"
#include "templates/skip_gram.inc"
#include "templates/table.inc"
#include "templates/windows.inc"
