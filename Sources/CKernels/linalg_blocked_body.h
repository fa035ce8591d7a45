// One real element type's share of linalg_blocked.c. Matrices are column-major; T, N(name), LP(name), TRSM and TYPE as in linalg_body.h.

// scratch [k, n] = -b, for c -= a · b as a product that adds.
typedef struct {
    const T *b;
    T *to;
    int64_t k, ldb;
} N(negation);
static void N(negate)(void *context, int64_t low, int64_t high) {
    const N(negation) *c = context;
    for (int64_t j = low; j < high; j++)
        for (int64_t p = 0; p < c->k; p++) c->to[p + j * c->k] = -c->b[p + j * c->ldb];
}

// c [m, n] = op(a) · b (+ c): as rows, the transposed product.
static void N(multiply)(bool transposed, int64_t m, int64_t n, int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb, T *c, int64_t ldc,
                        bool add) {
    tk_gemm(TYPE, false, transposed, n, m, k, b, ldb, 0, a, lda, 0, c, ldc, 0, 1, add, NULL);
}

static void N(subtract_product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb, T *c, int64_t ldc) {
    if (m == 0 || n == 0 || k == 0) return;
    size_t bytes = (size_t)(k * n) * sizeof(T);
    N(negation) negation = { b, scratch(bytes), k, ldb };
    tk_parallel_ranges(n, CHUNK, N(negate), &negation);
    N(multiply)(false, m, n, k, a, lda, negation.to, k, c, ldc, true);
    tk_free(negation.to, bytes);
}

// ---- triangular systems: half of the rows, brought into the other half by a product

typedef struct {
    const T *a;
    T *b;
    int64_t n, lda, ldb;
    bool upper;   // else with ones on the diagonal
} N(triangle_solve);
static void N(solve_columns)(void *context, int64_t low, int64_t high) {
    const N(triangle_solve) *s = context;
    TRSM(CblasColMajor, CblasLeft, s->upper ? CblasUpper : CblasLower, CblasNoTrans, s->upper ? CblasNonUnit : CblasUnit, (int)s->n,
         (int)(high - low), 1, s->a, (int)s->lda, s->b + low * s->ldb, (int)s->ldb);
}

// b [n, columns] becomes A⁻¹ b for an upper triangle, or a lower one with ones on its diagonal.
static void N(solve_triangle)(bool upper, int64_t n, int64_t columns, const T *a, int64_t lda, T *b, int64_t ldb) {
    if (n <= 2 * PANEL) {
        N(triangle_solve) s = { a, b, n, lda, ldb, upper };
        tk_parallel_ranges(columns, CHUNK, N(solve_columns), &s);
        return;
    }
    int64_t half = (n / 2 + PANEL - 1) / PANEL * PANEL;
    const T *last = a + half + half * lda;
    if (upper) {
        N(solve_triangle)(true, n - half, columns, last, lda, b + half, ldb);
        N(subtract_product)(half, columns, n - half, a + half * lda, lda, b + half, ldb, b, ldb);
        N(solve_triangle)(true, half, columns, a, lda, b, ldb);
    } else {
        N(solve_triangle)(false, half, columns, a, lda, b, ldb);
        N(subtract_product)(n - half, columns, half, a + half, lda, b, ldb, b + half, ldb);
        N(solve_triangle)(false, n - half, columns, last, lda, b + half, ldb);
    }
}

// ---- LU with partial pivoting: the left half of the columns, then the right one, brought up to date by a product (Toledo, "Locality of
// reference in LU decomposition with partial pivoting", 1997).

typedef struct {
    T *columns;
    const int32_t *pivots;
    int64_t ld, count;  // of pivots
} N(exchange);

static void N(exchange_columns)(void *context, int64_t low, int64_t high) {
    const N(exchange) *x = context;
    LP(laswp_work)(LAPACK_COL_MAJOR, (int)(high - low), x->columns + low * x->ld, (int)x->ld, 1, (int)x->count, x->pivots, 1);
}

static void N(exchange_rows)(int64_t columns, T *a, int64_t lda, const int32_t *pivots, int64_t count) {
    N(exchange) x = { a, pivots, lda, count };
    tk_parallel_ranges(columns, CHUNK, N(exchange_columns), &x);
}

int32_t N(tk_blocked_lu)(int64_t m, int64_t n, T *a, int64_t lda, int32_t *pivots) {
    if (n <= PANEL || m <= PANEL) return LP(getrf_work)(LAPACK_COL_MAJOR, (int)m, (int)n, a, (int)lda, pivots);
    int64_t left = m < n ? m : (n / 2 + PANEL / 2) / PANEL * PANEL, least = m < n ? m : n;
    T *right = a + left * lda;
    int32_t info = N(tk_blocked_lu)(m, left, a, lda, pivots);
    N(exchange_rows)(n - left, right, lda, pivots, left);
    N(solve_triangle)(false, left, n - left, a, lda, right, lda);
    if (left == least) return info;
    N(subtract_product)(m - left, n - left, left, a + left, lda, right, lda, right + left, lda);
    int32_t below_info = N(tk_blocked_lu)(m - left, n - left, right + left, lda, pivots + left);
    N(exchange_rows)(left, a + left, lda, pivots + left, least - left);
    for (int64_t i = left; i < least; i++) pivots[i] += (int32_t)left;
    return info ? info : below_info ? below_info + (int32_t)left : 0;
}

void N(tk_blocked_lu_solve)(int64_t n, int64_t columns, const T *lu, const int32_t *pivots, T *b) {
    N(exchange_rows)(columns, b, n, pivots, n);
    N(solve_triangle)(false, n, columns, lu, n, b, n);
    N(solve_triangle)(true, n, columns, lu, n, b, n);
}

// b [n, n], the identity, becomes the inverse of a lower triangle with ones on its diagonal: half the work of solving for any b, as what is above the
// diagonal stays 0.
static void N(invert_lower)(int64_t n, const T *a, int64_t lda, T *b, int64_t ldb) {
    if (n <= 2 * PANEL) {
        N(solve_triangle)(false, n, n, a, lda, b, ldb);
        return;
    }
    int64_t half = (n / 2 + PANEL - 1) / PANEL * PANEL;
    const T *last = a + half + half * lda;
    N(invert_lower)(half, a, lda, b, ldb);
    N(subtract_product)(n - half, half, half, a + half, lda, b, ldb, b + half, ldb);
    N(solve_triangle)(false, n - half, half, last, lda, b + half, ldb);
    N(invert_lower)(n - half, last, lda, b + half + half * ldb, ldb);
}

void N(tk_blocked_lu_inverse)(int64_t n, const T *lu, const int32_t *pivots, T *b) {
    N(invert_lower)(n, lu, n, b, n);
    N(solve_triangle)(true, n, n, lu, n, b, n);
    // (P L U)⁻¹ = (U⁻¹ L⁻¹) Pᵀ: rows were exchanged from the first on, columns are from the last.
    for (int64_t j = n - 1; j >= 0; j--) {
        T *x = b + j * n, *y = b + (int64_t)(pivots[j] - 1) * n;
        if (x == y) continue;
        for (int64_t i = 0; i < n; i++) {
            T kept = x[i];
            x[i] = y[i];
            y[i] = kept;
        }
    }
}

// ---- QR by panels of Householder reflectors in the form I - V S Vᵀ (Schreiber and Van Loan 1989).

typedef struct {
    const T *s;
    T *w;
    int64_t k;
    bool transposed;
} N(triangle);
static void N(times_triangle)(void *context, int64_t low, int64_t high) {
    const N(triangle) *t = context;
    TRMM(CblasColMajor, CblasLeft, CblasUpper, t->transposed ? CblasTrans : CblasNoTrans, CblasNonUnit, (int)t->k, (int)(high - low), -1, t->s,
         PANEL, t->w + low * t->k, (int)t->k);
}

// c [m, n] = (I - V S Vᵀ) c, or with Sᵀ, for k reflectors below the diagonal of `panel`; v [m, k] and w [k, n] are scratch.
static void N(reflect)(int64_t m, int64_t n, int64_t k, const T *panel, int64_t lda, const T *s, bool transposed, T *c, int64_t ldc, T *v, T *w) {
    if (n == 0) return;
    for (int64_t j = 0; j < k; j++) {
        memset(v + j * m, 0, (size_t)j * sizeof(T));
        v[j + j * m] = 1;
        memcpy(v + j * m + j + 1, panel + j * lda + j + 1, (size_t)(m - j - 1) * sizeof(T));
    }
    N(multiply)(true, k, n, m, v, m, c, ldc, w, k, false);
    N(triangle) t = { s, w, k, transposed };
    tk_parallel_ranges(n, CHUNK, N(times_triangle), &t);
    N(multiply)(false, m, n, k, v, m, w, k, c, ldc, true);
}

void N(tk_blocked_qr)(int64_t m, int64_t n, T *a, int64_t lda, T *tau) {
    int64_t least = m < n ? m : n;
    size_t bytes = (size_t)(PANEL * (m + n + PANEL)) * sizeof(T);
    T *s = scratch(bytes), *v = s + PANEL * PANEL, *w = v + PANEL * m;
    for (int64_t j = 0; j < least; j += PANEL) {
        int64_t k = least - j < PANEL ? least - j : PANEL;
        T *panel = a + j + j * lda;
        LP(geqrt3_work)(LAPACK_COL_MAJOR, (int)(m - j), (int)k, panel, (int)lda, s, PANEL);
        for (int64_t i = 0; i < k; i++) tau[j + i] = s[i + i * PANEL];
        N(reflect)(m - j, n - j - k, k, panel, lda, s, true, panel + k * lda, lda, v, w);
    }
    tk_free(s, bytes);
}

void N(tk_blocked_householder)(int64_t m, int64_t n, int64_t count, T *a, int64_t lda, const T *tau) {
    size_t bytes = (size_t)(PANEL * (2 * m + n + PANEL)) * sizeof(T);
    T *s = scratch(bytes), *v = s + PANEL * PANEL, *kept = v + PANEL * m, *w = kept + PANEL * m;
    for (int64_t j = count; j < n; j++) {
        memset(a + j * lda, 0, (size_t)m * sizeof(T));
        a[j + j * lda] = 1;
    }
    // The last panel first: its rows above the diagonal are still 0.
    for (int64_t j = (count - 1) / PANEL * PANEL; j >= 0; j -= PANEL) {
        int64_t k = count - j < PANEL ? count - j : PANEL, rows = m - j;
        T *panel = a + j + j * lda;
        LP(larft_work)(LAPACK_COL_MAJOR, 'F', 'C', (int)rows, (int)k, panel, (int)lda, tau + j, s, PANEL);
        for (int64_t i = 0; i < k; i++) {
            memcpy(kept + i * rows, panel + i * lda, (size_t)rows * sizeof(T));
            memset(a + (j + i) * lda, 0, (size_t)m * sizeof(T));
            panel[i + i * lda] = 1;
        }
        N(reflect)(rows, n - j, k, kept, rows, s, false, panel, lda, v, w);
    }
    tk_free(s, bytes);
}
