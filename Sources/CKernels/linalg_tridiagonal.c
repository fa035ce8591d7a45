// Eigenvalues and vectors of symmetric tridiagonal matrices by divide and conquer (Cuppen, "A divide and conquer method for the symmetric
// tridiagonal eigenproblem", 1981; Gu and Eisenstat, "A divide-and-conquer algorithm for the symmetric tridiagonal eigenproblem", 1995): small parts
// are tasks, and of a large one the roots, the vectors and the product with the parts' vectors are shared out. What is split depends on the
// size alone, and so do the sums.
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "isa.h"
#include "linalg_blocked.h"

enum { LEAF = 24, PART = 128 /* rows of a part that is one task */, CHUNK = 64 /* columns of a task */ };

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

#define T float
#define N(name) name##_s
#define LP(name) LAPACKE_s##name
#define TYPE TK_F32
#define ROOT sqrtf
#define EPSILON (FLT_EPSILON / 2)
#include "linalg_tridiagonal_body.h"
#undef T
#undef N
#undef LP
#undef TYPE
#undef ROOT
#undef EPSILON

#define T double
#define N(name) name##_d
#define LP(name) LAPACKE_d##name
#define TYPE TK_F64
#define ROOT sqrt
#define EPSILON (DBL_EPSILON / 2)
#include "linalg_tridiagonal_body.h"
