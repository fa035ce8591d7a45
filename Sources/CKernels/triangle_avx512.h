#ifndef TAPESTRY_TRIANGLE_AVX512_H
#define TAPESTRY_TRIANGLE_AVX512_H
#include <stdbool.h>
#include <stdint.h>

/// The most rows of a triangle.
enum { TK_TRIANGLE_ROWS_S = 64, TK_TRIANGLE_ROWS_D = 32 };

/// b [n, columns] becomes A⁻¹ b for a triangle A [n, n] of few rows, upper, or lower with ones on its diagonal; column-major. Needs AVX-512.
void tk_solve_triangle_avx512_s(bool upper, int64_t n, int64_t columns, const float *a, int64_t lda, float *b, int64_t ldb);
void tk_solve_triangle_avx512_d(bool upper, int64_t n, int64_t columns, const double *a, int64_t lda, double *b, int64_t ldb);
#endif
