// Factorizations of one large real matrix, recursively or by panels, so that most of the work is products (gemm.c), which the pool shares
// out. What is split depends on the sizes alone, so the result does not depend on the number of threads.
#include "linalg_blocked.h"

#include <cblas.h>
#include <lapacke.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

enum { PANEL = 64, CHUNK = 64 /* columns of a task */ };

static void *scratch(size_t bytes) {
    void *p = tk_alloc(bytes);
    if (!p) abort();
    return p;
}

#define T float
#define N(name) name##_s
#define LP(name) LAPACKE_s##name
#define TRSM cblas_strsm
#define TRMM cblas_strmm
#define TYPE TK_F32
#include "linalg_blocked_body.h"
#undef T
#undef N
#undef LP
#undef TRSM
#undef TRMM
#undef TYPE

#define T double
#define N(name) name##_d
#define LP(name) LAPACKE_d##name
#define TRSM cblas_dtrsm
#define TRMM cblas_dtrmm
#define TYPE TK_F64
#include "linalg_blocked_body.h"
