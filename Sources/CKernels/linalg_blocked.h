// Factorizations of large real column-major matrices; results as LAPACK's of the same name, to rounding. Pivots count from 1.
#ifndef TAPESTRY_LINALG_BLOCKED_H
#define TAPESTRY_LINALG_BLOCKED_H
#include <stdbool.h>
#include <stdint.h>

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
#endif
