// Matrix decompositions and solvers: LAPACK per matrix, the matrices of a batch and the right-hand sides of large systems shared out over
// our own pool; linalg_blocked.c for large matrices. OpenBLAS keeps to one thread (see gemm.c), so a matrix's result does not depend on
// the number of threads.
#include "CKernels.h"
#include <cblas.h>
#include <complex.h>
#include <lapacke.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "linalg_blocked.h"

void tk_prepare_blas(void);

typedef struct {
    void *a, *b, *s, *u, *v;
    int32_t *pivots, *info, *rank;
    int64_t m, n, k;
    double rcond;
    int flag;
    int64_t pieces, per_piece;   // of the right-hand sides of one matrix; 0: not cut up
} batch_call;

typedef struct { int64_t matrix, first, count; } piece;

// What one index of a batch stands for, of so many right-hand sides.
static piece piece_of(const batch_call *c, int64_t index, int64_t sides) {
    if (c->pieces == 0) return (piece){ index, 0, sides };
    int64_t first = index % c->pieces * c->per_piece;
    return (piece){ index / c->pieces, first, sides - first < c->per_piece ? sides - first : c->per_piece };
}

enum { BLOCKED_SIDES = 32 };   // right-hand sides from which solving is mostly products

static int64_t at_least_1(int64_t n) { return n > 1 ? n : 1; }

static void *workspace(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) abort();
    return p;
}

#define REAL(x) (x)
#define COMPLEX 0
#define FORM_Q orgqr_work
#define EIGH syevd_work
#define ONE 1

#define T float
#define R float
#define N(name) name##_s
#define LP(name) LP_(s, name)
#define LP_(prefix, name) LP__(prefix, name)
#define LP__(prefix, name) LAPACKE_##prefix##name
#define TRSM cblas_strsm
#include "linalg_body.h"
#undef T
#undef R
#undef N
#undef LP
#undef TRSM

#define T double
#define R double
#define N(name) name##_d
#define LP(name) LP_(d, name)
#define TRSM cblas_dtrsm
#include "linalg_body.h"
#undef T
#undef R
#undef N
#undef LP
#undef TRSM
#undef REAL
#undef COMPLEX
#undef FORM_Q
#undef EIGH
#undef ONE

#define REAL(x) creal(x)
#define COMPLEX 1
#define FORM_Q ungqr_work
#define EIGH heevd_work
#define ONE &one

#define T float _Complex
#define R float
#define N(name) name##_c
#define LP(name) LP_(c, name)
#define TRSM cblas_ctrsm
#define CONJ conjf
#define one one_c
static const float _Complex one_c = 1;
#include "linalg_body.h"
#undef T
#undef R
#undef N
#undef LP
#undef TRSM
#undef CONJ
#undef one

#define T double _Complex
#define R double
#define N(name) name##_z
#define LP(name) LP_(z, name)
#define TRSM cblas_ztrsm
#define CONJ conj
#define one one_z
static const double _Complex one_z = 1;
#include "linalg_body.h"

// Matrices per task: enough work for a task to be worth claiming.
static int64_t grain(int64_t m, int64_t n) {
    double work = (double)at_least_1(m) * (double)at_least_1(n) * (double)at_least_1(m < n ? m : n);
    return work >= 16384 ? 1 : (int64_t)(16384 / work);
}

#define RUN(name)                                                                                                                 \
    static void run_##name(int kind, int64_t batch, batch_call *c) {                                                             \
        static const tk_range_fn by_kind[] = {name##_s, name##_d, name##_c, name##_z};                                            \
        if (batch == 0) return;                                                                                                   \
        tk_prepare_blas();                                                                                                        \
        tk_parallel_ranges(batch, grain(c->m, c->n), by_kind[kind], c);                                                           \
    }

// Large systems' right-hand sides, each solved for by itself, in pieces that are worth a task; returns the number of all pieces.
static int64_t cut_up(batch_call *c, int64_t batch, int64_t n, int64_t sides) {
    enum { LEAST = 32, MOST = 16 };
    if (n < 128 || sides < 2 * LEAST) return batch;
    int64_t wide = ((sides + MOST - 1) / MOST + LEAST - 1) / LEAST * LEAST;
    c->per_piece = wide;
    c->pieces = (sides + wide - 1) / wide;
    return batch * c->pieces;
}

RUN(lu_factor)
RUN(lu_solve)
RUN(cholesky)
RUN(cholesky_solve)
RUN(cholesky_inverse)
RUN(qr)
RUN(householder)
RUN(svd)
RUN(eigh)
RUN(eig)
RUN(triangular)
RUN(least_squares)

void tk_lu_factor(int kind, int64_t batch, int64_t m, int64_t n, void *a, int32_t *pivots, int32_t *info, bool pivot) {
    batch_call c = {.a = a, .m = m, .n = n, .pivots = pivots, .info = info, .flag = pivot};
    run_lu_factor(kind, batch, &c);
}

void tk_lu_solve(int kind, int64_t batch, int64_t n, int64_t columns, const void *lu, const int32_t *pivots, void *b, bool adjoint) {
    batch_call c = {.a = (void *)lu, .b = b, .m = n, .n = columns, .pivots = (int32_t *)pivots, .flag = adjoint};
    if (n == 0 || columns == 0) return;
    bool blocked = kind < 2 && !adjoint && n >= TK_BLOCKED_LEAST && columns >= BLOCKED_SIDES;
    run_lu_solve(kind, blocked ? batch : cut_up(&c, batch, n, columns), &c);
}

void tk_lu_inverse(int kind, int64_t batch, int64_t n, const void *lu, const int32_t *pivots, void *b) {
    if (kind >= 2 || n < TK_BLOCKED_LEAST) {
        tk_lu_solve(kind, batch, n, n, lu, pivots, b, false);
        return;
    }
    batch_call c = {.a = (void *)lu, .b = b, .m = n, .n = n, .pivots = (int32_t *)pivots};
    tk_prepare_blas();
    if (kind == 0) lu_inverse_s(&c, 0, batch);
    else lu_inverse_d(&c, 0, batch);
}

void tk_cholesky(int kind, int64_t batch, int64_t n, void *a, bool upper, int32_t *info) {
    batch_call c = {.a = a, .m = n, .n = n, .flag = upper, .info = info};
    run_cholesky(kind, batch, &c);
}

void tk_cholesky_solve(int kind, int64_t batch, int64_t n, int64_t columns, const void *factor, bool upper, void *b) {
    batch_call c = {.a = (void *)factor, .b = b, .m = n, .n = columns, .flag = upper};
    if (n > 0 && columns > 0) run_cholesky_solve(kind, cut_up(&c, batch, n, columns), &c);
}

void tk_cholesky_inverse(int kind, int64_t batch, int64_t n, void *a, bool upper, int32_t *info) {
    batch_call c = {.a = a, .m = n, .n = n, .flag = upper, .info = info};
    run_cholesky_inverse(kind, batch, &c);
}

void tk_qr(int kind, int64_t batch, int64_t m, int64_t n, void *a, void *tau) {
    batch_call c = {.a = a, .b = tau, .m = m, .n = n};
    if (m > 0 && n > 0) run_qr(kind, batch, &c);
}

void tk_householder_product(int kind, int64_t batch, int64_t m, int64_t n, int64_t k, void *a, const void *tau) {
    batch_call c = {.a = a, .b = (void *)tau, .m = m, .n = n, .k = k};
    if (m > 0 && n > 0) run_householder(kind, batch, &c);
}

void tk_svd(int kind, int64_t batch, int64_t m, int64_t n, int vectors, void *a, void *s, void *u, void *vt, int32_t *info) {
    batch_call c = {.a = a, .s = s, .u = u, .v = vt, .m = m, .n = n, .flag = vectors, .info = info};
    if (m > 0 && n > 0) run_svd(kind, batch, &c);
}

void tk_eigh(int kind, int64_t batch, int64_t n, void *a, void *w, bool vectors, bool upper, int32_t *info) {
    batch_call c = {.a = a, .s = w, .m = n, .n = n, .k = vectors, .flag = upper, .info = info};
    if (n > 0) run_eigh(kind, batch, &c);
}

void tk_eig(int kind, int64_t batch, int64_t n, void *a, void *w, void *v, int32_t *info) {
    batch_call c = {.a = a, .s = w, .v = v, .m = n, .n = n, .k = v != NULL, .info = info};
    if (n > 0) run_eig(kind, batch, &c);
}

void tk_triangular_solve(int kind, int64_t batch, int64_t m, int64_t n, const void *a, void *b, int form) {
    batch_call c = {.a = (void *)a, .b = b, .m = m, .n = n, .flag = form};
    bool left = form & TK_SOLVE_LEFT;
    if (m > 0 && n > 0) run_triangular(kind, cut_up(&c, batch, left ? m : n, left ? n : m), &c);
}

void tk_least_squares(int kind, int64_t batch, int64_t m, int64_t n, int64_t columns, int driver, void *a, void *b, double rcond,
                      void *s, int32_t *rank, int32_t *info) {
    batch_call c = {.a = a, .b = b, .s = s, .m = m, .n = n, .k = columns, .rcond = rcond, .flag = driver, .rank = rank, .info = info};
    if (m > 0 && n > 0) run_least_squares(kind, batch, &c);
}
