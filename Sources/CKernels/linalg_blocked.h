// Factorizations of large real column-major matrices; results as LAPACK's of the same name, to rounding. Pivots count from 1.
#ifndef TAPESTRY_LINALG_BLOCKED_H
#define TAPESTRY_LINALG_BLOCKED_H
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "CKernels.h"

/// The smaller side from which they are faster than LAPACK's.
enum { TK_BLOCKED_LEAST = 256 };

/// A [m, n] = P L U in place. Returns getrf's info.
int32_t tk_blocked_lu_s(int64_t m, int64_t n, float *a, int64_t lda, int32_t *pivots);
int32_t tk_blocked_lu_d(int64_t m, int64_t n, double *a, int64_t lda, int32_t *pivots);

/// b [n, columns] becomes A⁻¹ b, given A's factors.
void tk_blocked_lu_solve_s(int64_t n, int64_t columns, const float *lu, const int32_t *pivots, float *b);
void tk_blocked_lu_solve_d(int64_t n, int64_t columns, const double *lu, const int32_t *pivots, double *b);

/// b [n, n], the identity, becomes A⁻¹.
void tk_blocked_lu_inverse_s(int64_t n, const float *lu, const int32_t *pivots, float *b);
void tk_blocked_lu_inverse_d(int64_t n, const double *lu, const int32_t *pivots, double *b);

/// R above the Householder vectors, in place; tau [min(m, n)].
void tk_blocked_qr_s(int64_t m, int64_t n, float *a, int64_t lda, float *tau);
void tk_blocked_qr_d(int64_t m, int64_t n, double *a, int64_t lda, double *tau);

/// The first n <= m columns of the product of `count` <= n reflectors, in place of their vectors.
void tk_blocked_householder_s(int64_t m, int64_t n, int64_t count, float *a, int64_t lda, const float *tau);
void tk_blocked_householder_d(int64_t m, int64_t n, int64_t count, double *a, int64_t lda, const double *tau);

/// The eigenvalues w [n], ascending, and vectors (if wanted, in place of A) of the symmetric A [n, n], of which one triangle is read. Returns 0, or
/// a positive number if they were not found.
int32_t tk_blocked_eigh_s(int64_t n, float *a, float *w, bool vectors, bool upper);
int32_t tk_blocked_eigh_d(int64_t n, double *a, double *w, bool vectors, bool upper);

/// Those of a tridiagonal matrix with diagonal d [n] and e [n - 1] beside it: values in d, vectors in q [n, n]. All
/// numbers are finite. Destroys e. linalg_tridiagonal.c.
int32_t tk_tridiagonal_eigh_s(int64_t n, float *d, float *e, float *q);
int32_t tk_tridiagonal_eigh_d(int64_t n, double *d, double *e, double *q);

/// c [m, n] = op(a) · b (+ c), column-major.
static inline void tk_column_product(int dtype, bool transposed, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                                     int64_t ldb, void *c, int64_t ldc, bool add) {
    tk_gemm(dtype, false, transposed, n, m, k, b, ldb, 0, a, lda, 0, c, ldc, 0, 1, add, NULL);   // as rows, the transposed product
}

static inline void *tk_scratch(size_t bytes) {
    void *p = tk_alloc(bytes);
    if (!p) abort();
    return p;
}
#endif
