// Factorizations of one large real matrix, recursively or by panels, so that most of the work is products (gemm.c), which the pool shares
// out. What is split depends on the sizes alone, so the result does not depend on the number of threads.
#include "linalg_blocked.h"

#include <cblas.h>
#include <lapacke.h>
#include <string.h>

#include "gemm_avx512.h"
#include "isa.h"
#include "triangle_avx512.h"

enum { PANEL = 64, CHUNK = 64 /* columns of a task */ };

// c -= a · b by a product that can; false if there is none for the type or the size.
static bool subtract_avx512(int dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc) {
#if defined(__x86_64__)
    if (dtype == TK_F32 && tk_isa_level() == 2 && m >= 8 && n >= 4 && k >= 8) {
        // As rows, the transposed product.
        tk_sgemm g = { .a = b, .b = a, .c = c, .m = n, .n = m, .k = k, .lda = ldb, .ldb = lda, .ldc = ldc, .subtract = true };
        tk_sgemm_avx512(&g, (double)m * (double)n * (double)k > 64.0 * 64 * 64);
        return true;
    }
#endif
    return false;
}

#define T float
#define N(name) name##_s
#define LP(name) LAPACKE_s##name
#define TRSM cblas_strsm
#define TRMM cblas_strmm
#define GEMV cblas_sgemv
#define DOT cblas_sdot
#define TYPE TK_F32
#define TRIANGLE TK_TRIANGLE_ROWS_S
#include "linalg_blocked_body.h"
#undef T
#undef N
#undef LP
#undef TRSM
#undef TRMM
#undef GEMV
#undef DOT
#undef TYPE
#undef TRIANGLE

#define T double
#define N(name) name##_d
#define LP(name) LAPACKE_d##name
#define TRSM cblas_dtrsm
#define TRMM cblas_dtrmm
#define GEMV cblas_dgemv
#define DOT cblas_ddot
#define TYPE TK_F64
#define TRIANGLE TK_TRIANGLE_ROWS_D
#include "linalg_blocked_body.h"
