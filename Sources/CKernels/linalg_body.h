// One element type's share of linalg.c: each function works through the matrices low ..< high of a batch.
// T: the element, R: its real type, N(name): a name of this type, LP(name): LAPACKE's function, COMPLEX: 0 or 1.

static void *N(at)(const void *base, int64_t index, int64_t size) { return (T *)base + index * size; }

static void N(lu_factor)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t k = c->m < c->n ? c->m : c->n, lda = at_least_1(c->m);
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, c->m * c->n);
        int32_t *pivots = c->pivots + i * k;
        if (c->flag) {
#if !COMPLEX
            if (k >= TK_BLOCKED_LEAST) {
                c->info[i] = N(tk_blocked_lu)(c->m, c->n, a, lda, pivots);
                continue;
            }
#endif
            c->info[i] = LP(getrf_work)(LAPACK_COL_MAJOR, (int)c->m, (int)c->n, a, (int)lda, pivots);
            continue;
        }
        // Without pivoting: column by column, each subtracted from those to its right.
        c->info[i] = 0;
        for (int64_t j = 0; j < k; j++) {
            pivots[j] = (int32_t)j + 1;
            if (a[j + j * lda] == 0 && c->info[i] == 0) c->info[i] = (int32_t)j + 1;
            for (int64_t r = j + 1; r < c->m; r++) a[r + j * lda] /= a[j + j * lda];
            for (int64_t q = j + 1; q < c->n; q++)
                for (int64_t r = j + 1; r < c->m; r++) a[r + q * lda] -= a[r + j * lda] * a[j + q * lda];
        }
    }
}

static void N(lu_solve)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    for (int64_t i = low; i < high; i++) {
        piece p = piece_of(c, i, c->n);
#if !COMPLEX
        if (c->pieces == 0 && !c->flag && c->m >= TK_BLOCKED_LEAST && c->n >= BLOCKED_SIDES) {
            N(tk_blocked_lu_solve)(c->m, c->n, N(at)(c->a, i, c->m * c->m), c->pivots + i * c->m, N(at)(c->b, i, c->m * c->n));
            continue;
        }
#endif
        LP(getrs_work)(LAPACK_COL_MAJOR, c->flag ? 'C' : 'N', (int)c->m, (int)p.count, N(at)(c->a, p.matrix, c->m * c->m),
                       (int)at_least_1(c->m), c->pivots + p.matrix * c->m, (T *)N(at)(c->b, p.matrix, c->m * c->n) + p.first * c->m,
                       (int)at_least_1(c->m));
    }
}

#if !COMPLEX
static void N(lu_inverse)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t n = c->n;
    for (int64_t i = low; i < high; i++) N(tk_blocked_lu_inverse)(n, N(at)(c->a, i, n * n), c->pivots + i * n, N(at)(c->b, i, n * n));
}
#endif

static void N(cholesky)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t n = c->n, lda = at_least_1(n);
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, n * n);
        c->info[i] = LP(potrf_work)(LAPACK_COL_MAJOR, c->flag ? 'U' : 'L', (int)n, a, (int)lda);
        for (int64_t q = 0; q < n; q++)
            for (int64_t r = c->flag ? q + 1 : 0; r < (c->flag ? n : q); r++) a[r + q * lda] = 0;
    }
}

static void N(cholesky_solve)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    for (int64_t i = low; i < high; i++) {
        piece p = piece_of(c, i, c->n);
        LP(potrs_work)(LAPACK_COL_MAJOR, c->flag ? 'U' : 'L', (int)c->m, (int)p.count, N(at)(c->a, p.matrix, c->m * c->m),
                       (int)at_least_1(c->m), (T *)N(at)(c->b, p.matrix, c->m * c->n) + p.first * c->m, (int)at_least_1(c->m));
    }
}

static void N(cholesky_inverse)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t n = c->n, lda = at_least_1(n);
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, n * n);
        c->info[i] = LP(potri_work)(LAPACK_COL_MAJOR, c->flag ? 'U' : 'L', (int)n, a, (int)lda);
        // The other triangle mirrors the one LAPACK wrote.
        for (int64_t q = 0; q < n; q++)
            for (int64_t r = 0; r < q; r++) {
#if COMPLEX
                if (c->flag) a[q + r * lda] = CONJ(a[r + q * lda]); else a[r + q * lda] = CONJ(a[q + r * lda]);
#else
                if (c->flag) a[q + r * lda] = a[r + q * lda]; else a[r + q * lda] = a[q + r * lda];
#endif
            }
    }
}

static void N(qr)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t k = c->m < c->n ? c->m : c->n;
    int lda = (int)at_least_1(c->m);
#if !COMPLEX
    if (k >= TK_BLOCKED_LEAST) {
        for (int64_t i = low; i < high; i++) N(tk_blocked_qr)(c->m, c->n, N(at)(c->a, i, c->m * c->n), lda, N(at)(c->b, i, k));
        return;
    }
#endif
    T size;
    LP(geqrf_work)(LAPACK_COL_MAJOR, (int)c->m, (int)c->n, c->a, lda, c->b, &size, -1);
    int work_size = (int)at_least_1((int64_t)REAL(size));
    T *work = workspace((size_t)work_size * sizeof(T));
    for (int64_t i = low; i < high; i++)
        LP(geqrf_work)(LAPACK_COL_MAJOR, (int)c->m, (int)c->n, N(at)(c->a, i, c->m * c->n), lda, N(at)(c->b, i, k), work, work_size);
    free(work);
}

static void N(householder)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int lda = (int)at_least_1(c->m);
#if !COMPLEX
    if (c->k >= TK_BLOCKED_LEAST) {
        for (int64_t i = low; i < high; i++)
            N(tk_blocked_householder)(c->m, c->n, c->k, N(at)(c->a, i, c->m * c->n), lda, N(at)(c->b, i, c->k));
        return;
    }
#endif
    T size;
    LP(FORM_Q)(LAPACK_COL_MAJOR, (int)c->m, (int)c->n, (int)c->k, c->a, lda, c->b, &size, -1);
    int work_size = (int)at_least_1((int64_t)REAL(size));
    T *work = workspace((size_t)work_size * sizeof(T));
    for (int64_t i = low; i < high; i++)
        LP(FORM_Q)(LAPACK_COL_MAJOR, (int)c->m, (int)c->n, (int)c->k, N(at)(c->a, i, c->m * c->n), lda, N(at)(c->b, i, c->k), work,
                   work_size);
    free(work);
}

static void N(svd)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t m = c->m, n = c->n, k = m < n ? m : n;
    char job = c->flag == 0 ? 'N' : c->flag == 1 ? 'S' : 'A';
    int64_t u_columns = c->flag == 2 ? m : k, vt_rows = c->flag == 2 ? n : k;
    int *iwork = workspace((size_t)at_least_1(8 * k) * sizeof(int));
    T *copy = workspace((size_t)at_least_1(m * n) * sizeof(T));
    T size = 0, size2 = 0;
#if COMPLEX
    int64_t largest = m > n ? m : n;
    int64_t r1 = 5 * k * k + 7 * k, r2 = 2 * largest * k + 2 * k * k + k;
    R *rwork = workspace((size_t)at_least_1((r1 > r2 ? r1 : r2) + 5 * k) * sizeof(R));
#define RWORK , rwork
#else
#define RWORK
#endif
    int lda = (int)at_least_1(m), ldu = (int)at_least_1(m), ldvt = (int)at_least_1(vt_rows);
    LP(gesdd_work)(LAPACK_COL_MAJOR, job, (int)m, (int)n, copy, lda, c->s, c->u, ldu, c->v, ldvt, &size, -1 RWORK, iwork);
    LP(gesvd_work)(LAPACK_COL_MAJOR, job, job, (int)m, (int)n, copy, lda, c->s, c->u, ldu, c->v, ldvt, &size2, -1 RWORK);
    int64_t work_size = at_least_1((int64_t)(REAL(size) > REAL(size2) ? REAL(size) : REAL(size2)));
    T *work = workspace((size_t)work_size * sizeof(T));
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, m * n);
        R *s = (R *)c->s + i * k;
        T *u = c->flag ? N(at)(c->u, i, m * u_columns) : NULL, *vt = c->flag ? N(at)(c->v, i, vt_rows * n) : NULL;
        memcpy(copy, a, (size_t)(m * n) * sizeof(T));
        c->info[i] = LP(gesdd_work)(LAPACK_COL_MAJOR, job, (int)m, (int)n, copy, lda, s, u, ldu, vt, ldvt, work, (int)work_size RWORK,
                                    iwork);
        // Divide and conquer fails on a few matrices that QR iteration solves.
        if (c->info[i] > 0)
            c->info[i] = LP(gesvd_work)(LAPACK_COL_MAJOR, job, job, (int)m, (int)n, a, lda, s, u, ldu, vt, ldvt, work,
                                        (int)work_size RWORK);
    }
    free(work);
    free(copy);
    free(iwork);
#if COMPLEX
    free(rwork);
#endif
#undef RWORK
}

static void N(eigh)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
#if !COMPLEX
    if (c->n >= TK_BLOCKED_LEAST) {
        for (int64_t i = low; i < high; i++)
            c->info[i] = N(tk_blocked_eigh)(c->n, N(at)(c->a, i, c->n * c->n), (R *)c->s + i * c->n, c->k, c->flag);
        return;
    }
#endif
    int n = (int)c->n, lda = (int)at_least_1(n), iwork_size;
    char job = c->k ? 'V' : 'N', triangle = c->flag ? 'U' : 'L';
    T size;
#if COMPLEX
    R rsize;
    LP(EIGH)(LAPACK_COL_MAJOR, job, triangle, n, c->a, lda, c->s, &size, -1, &rsize, -1, &iwork_size, -1);
    int rwork_size = (int)at_least_1((int64_t)rsize);
    R *rwork = workspace((size_t)rwork_size * sizeof(R));
#define RWORK , rwork, rwork_size
#else
    LP(EIGH)(LAPACK_COL_MAJOR, job, triangle, n, c->a, lda, c->s, &size, -1, &iwork_size, -1);
#define RWORK
#endif
    int work_size = (int)at_least_1((int64_t)REAL(size));
    iwork_size = (int)at_least_1(iwork_size);
    T *work = workspace((size_t)work_size * sizeof(T));
    int *iwork = workspace((size_t)iwork_size * sizeof(int));
    for (int64_t i = low; i < high; i++)
        c->info[i] = LP(EIGH)(LAPACK_COL_MAJOR, job, triangle, n, N(at)(c->a, i, c->n * c->n), lda, (R *)c->s + i * c->n, work,
                              work_size RWORK, iwork, iwork_size);
    free(work);
    free(iwork);
#if COMPLEX
    free(rwork);
#endif
#undef RWORK
}

// Eigenvalues (s) and right eigenvectors (v, if wanted) are complex: pairs of R.
static void N(eig)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int64_t n = c->n;
    int lda = (int)at_least_1(n);
    char job = c->k ? 'V' : 'N';
    T size;
    // Twice n: for the real parts, then the imaginary parts of real matrices' eigenvalues; LAPACK's scratch for complex ones.
    R *parts = workspace((size_t)at_least_1(2 * n) * sizeof(R));
#if COMPLEX
    LP(geev_work)(LAPACK_COL_MAJOR, 'N', job, (int)n, c->a, lda, c->s, NULL, lda, c->v, lda, &size, -1, parts);
#else
    T *vectors = workspace((size_t)at_least_1(n * n) * sizeof(T));
    LP(geev_work)(LAPACK_COL_MAJOR, 'N', job, (int)n, c->a, lda, parts, parts + n, NULL, lda, vectors, lda, &size, -1);
#endif
    int work_size = (int)at_least_1((int64_t)REAL(size));
    T *work = workspace((size_t)work_size * sizeof(T));
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, n * n);
#if COMPLEX
        c->info[i] = LP(geev_work)(LAPACK_COL_MAJOR, 'N', job, (int)n, a, lda, N(at)(c->s, i, n), NULL, lda,
                                   c->k ? N(at)(c->v, i, n * n) : NULL, lda, work, work_size, parts);
#else
        c->info[i] = LP(geev_work)(LAPACK_COL_MAJOR, 'N', job, (int)n, a, lda, parts, parts + n, NULL, lda, vectors, lda, work,
                                   work_size);
        R *w = (R *)c->s + 2 * i * n;
        for (int64_t j = 0; j < n; j++) {
            w[2 * j] = parts[j];
            w[2 * j + 1] = parts[n + j];
        }
        if (!c->k) continue;
        R *v = (R *)c->v + 2 * i * n * n;
        // A pair of conjugate eigenvalues shares two columns: the real and the imaginary part of the first's vector.
        for (int64_t j = 0; j < n; j++) {
            int pair = parts[n + j] > 0 && j + 1 < n;
            for (int64_t r = 0; r < n; r++) {
                R re = vectors[r + j * n], im = pair ? vectors[r + (j + 1) * n] : 0;
                v[2 * (r + j * n)] = re;
                v[2 * (r + j * n) + 1] = im;
                if (!pair) continue;
                v[2 * (r + (j + 1) * n)] = re;
                v[2 * (r + (j + 1) * n) + 1] = -im;
            }
            j += pair;
        }
#endif
    }
    free(work);
    free(parts);
#if !COMPLEX
    free(vectors);
#endif
}

static void N(triangular)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    bool left = c->flag & TK_SOLVE_LEFT;
    int64_t k = left ? c->m : c->n;
    CBLAS_TRANSPOSE form = c->flag & TK_SOLVE_CONJUGATED ? CblasConjTrans : c->flag & TK_SOLVE_TRANSPOSED ? CblasTrans : CblasNoTrans;
    for (int64_t i = low; i < high; i++) {
        piece p = piece_of(c, i, left ? c->n : c->m);
        T *b = (T *)N(at)(c->b, p.matrix, c->m * c->n) + p.first * (left ? c->m : 1);
        TRSM(CblasColMajor, left ? CblasLeft : CblasRight, c->flag & TK_SOLVE_UPPER ? CblasUpper : CblasLower, form,
             c->flag & TK_SOLVE_UNIT ? CblasUnit : CblasNonUnit, (int)(left ? c->m : p.count), (int)(left ? p.count : c->n), ONE,
             N(at)(c->a, p.matrix, k * k), (int)at_least_1(k), b, (int)at_least_1(c->m));
    }
}

static void N(least_squares)(void *context, int64_t low, int64_t high) {
    const batch_call *c = context;
    int m = (int)c->m, n = (int)c->n, rhs = (int)c->k, ldb = (int)at_least_1(m > n ? m : n), lda = (int)at_least_1(m);
    int64_t k = m < n ? m : n;
    int rank = 0, iwork_size = 1;
    T size = 0;
    R rsize = 1;
    (void)rsize;
    R *s = workspace((size_t)at_least_1(k) * sizeof(R));
    int *order = workspace((size_t)at_least_1(n) * sizeof(int));
    // The query.
    switch (c->flag) {
    case TK_GELS: LP(gels_work)(LAPACK_COL_MAJOR, 'N', m, n, rhs, c->a, lda, c->b, ldb, &size, -1); break;
#if COMPLEX
    case TK_GELSY: rsize = 2 * (R)n; LP(gelsy_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, order, (R)c->rcond, &rank, &size, -1, s); break;
    case TK_GELSD: LP(gelsd_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, s, (R)c->rcond, &rank, &size, -1, &rsize, &iwork_size); break;
    default: rsize = 5 * (R)k; LP(gelss_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, s, (R)c->rcond, &rank, &size, -1, s);
#else
    case TK_GELSY: LP(gelsy_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, order, (R)c->rcond, &rank, &size, -1); break;
    case TK_GELSD: LP(gelsd_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, s, (R)c->rcond, &rank, &size, -1, &iwork_size); break;
    default: LP(gelss_work)(LAPACK_COL_MAJOR, m, n, rhs, c->a, lda, c->b, ldb, s, (R)c->rcond, &rank, &size, -1);
#endif
    }
    int work_size = (int)at_least_1((int64_t)REAL(size));
    T *work = workspace((size_t)work_size * sizeof(T));
    int *iwork = workspace((size_t)at_least_1(iwork_size) * sizeof(int));
#if COMPLEX
    R *rwork = workspace((size_t)at_least_1((int64_t)rsize) * sizeof(R));
#define RWORK , rwork
#else
#define RWORK
#endif
    for (int64_t i = low; i < high; i++) {
        T *a = N(at)(c->a, i, c->m * c->n), *b = N(at)(c->b, i, (int64_t)ldb * rhs);
        R *si = c->s ? (R *)c->s + i * k : s;
        int info;
        switch (c->flag) {
        case TK_GELS: info = LP(gels_work)(LAPACK_COL_MAJOR, 'N', m, n, rhs, a, lda, b, ldb, work, work_size); break;
        case TK_GELSY:
            // A fresh permutation: all columns are free to move.
            memset(order, 0, (size_t)n * sizeof(int));
            info = LP(gelsy_work)(LAPACK_COL_MAJOR, m, n, rhs, a, lda, b, ldb, order, (R)c->rcond, &rank, work, work_size RWORK);
            break;
        case TK_GELSD:
            info = LP(gelsd_work)(LAPACK_COL_MAJOR, m, n, rhs, a, lda, b, ldb, si, (R)c->rcond, &rank, work, work_size RWORK, iwork);
            break;
        default: info = LP(gelss_work)(LAPACK_COL_MAJOR, m, n, rhs, a, lda, b, ldb, si, (R)c->rcond, &rank, work, work_size RWORK);
        }
        c->info[i] = info;
        if (c->rank) c->rank[i] = rank;
    }
#if COMPLEX
    free(rwork);
#endif
#undef RWORK
    free(work);
    free(iwork);
    free(order);
    free(s);
}
