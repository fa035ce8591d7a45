// One real element type's share of linalg_blocked.c. Matrices are column-major; T, N(name), LP(name) and TRSM as in
// linalg_body.h; TYPE: its tk_dtype, TRMM, GEMV, DOT: BLAS.

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

static void N(subtract_product)(int64_t m, int64_t n, int64_t k, const T *a, int64_t lda, const T *b, int64_t ldb, T *c, int64_t ldc) {
    if (m == 0 || n == 0 || k == 0 || subtract_avx512(TYPE, m, n, k, a, lda, b, ldb, c, ldc)) return;
    size_t bytes = (size_t)(k * n) * sizeof(T);
    N(negation) negation = { b, tk_scratch(bytes), k, ldb };
    tk_parallel_ranges(n, CHUNK, N(negate), &negation);
    tk_column_product(TYPE, false, m, n, k, a, lda, negation.to, k, c, ldc, true);
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
#if defined(__x86_64__)
    if (tk_isa_level() == 2) {
        N(tk_solve_triangle_avx512)(s->upper, s->n, high - low, s->a, s->lda, s->b + low * s->ldb, s->ldb);
        return;
    }
#endif
    TRSM(CblasColMajor, CblasLeft, s->upper ? CblasUpper : CblasLower, CblasNoTrans, s->upper ? CblasNonUnit : CblasUnit, (int)s->n,
         (int)(high - low), 1, s->a, (int)s->lda, s->b + low * s->ldb, (int)s->ldb);
}

// b [n, columns] becomes A⁻¹ b for an upper triangle, or a lower one with ones on its diagonal.
static void N(solve_triangle)(bool upper, int64_t n, int64_t columns, const T *a, int64_t lda, T *b, int64_t ldb) {
    if (n <= TRIANGLE) {
        N(triangle_solve) s = { a, b, n, lda, ldb, upper };
        tk_parallel_ranges(columns, CHUNK, N(solve_columns), &s);
        return;
    }
    int64_t half = (n / 2 + TRIANGLE - 1) / TRIANGLE * TRIANGLE;
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
    int64_t ld, count;            // of rows that move
    const int32_t *to, *from;
} N(exchange);

static void N(exchange_columns)(void *context, int64_t low, int64_t high) {
    const N(exchange) *x = context;
    T *moved = tk_scratch((size_t)x->count * sizeof(T));
    for (int64_t j = low; j < high; j++) {
        T *column = x->columns + j * x->ld;
        for (int64_t i = 0; i < x->count; i++) moved[i] = column[x->from[i]];
        for (int64_t i = 0; i < x->count; i++) column[x->to[i]] = moved[i];
    }
    tk_free(moved, (size_t)x->count * sizeof(T));
}

// All exchanges at once: LAPACK's laswp makes them one after the other in each column, which takes twice as long.
static void N(exchange_rows)(int64_t columns, T *a, int64_t lda, const int32_t *pivots, int64_t count) {
    if (columns == 0) return;
    int64_t rows = 0, moves = 0;
    for (int64_t i = 0; i < count; i++) rows = pivots[i] > rows ? pivots[i] : rows;
    size_t bytes = (size_t)(3 * rows) * sizeof(int32_t);
    int32_t *row = tk_scratch(bytes), *to = row + rows, *from = to + rows;
    for (int64_t i = 0; i < rows; i++) row[i] = (int32_t)i;
    for (int64_t i = 0; i < count; i++) {
        int32_t other = pivots[i] - 1, kept = row[i];
        row[i] = row[other];
        row[other] = kept;
    }
    for (int64_t i = 0; i < rows; i++)
        if (row[i] != i) {
            to[moves] = (int32_t)i;
            from[moves++] = row[i];
        }
    N(exchange) x = { a, lda, moves, to, from };
    if (moves) tk_parallel_ranges(columns, CHUNK, N(exchange_columns), &x);
    tk_free(row, bytes);
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
    tk_column_product(TYPE, true, k, n, m, v, m, c, ldc, w, k, false);
    N(triangle) t = { s, w, k, transposed };
    tk_parallel_ranges(n, CHUNK, N(times_triangle), &t);
    tk_column_product(TYPE, false, m, n, k, v, m, w, k, c, ldc, true);
}

void N(tk_blocked_qr)(int64_t m, int64_t n, T *a, int64_t lda, T *tau) {
    int64_t least = m < n ? m : n;
    size_t bytes = (size_t)(PANEL * (m + n + PANEL)) * sizeof(T);
    T *s = tk_scratch(bytes), *v = s + PANEL * PANEL, *w = v + PANEL * m;
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
    T *s = tk_scratch(bytes), *v = s + PANEL * PANEL, *kept = v + PANEL * m, *w = kept + PANEL * m;
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

// ---- symmetric matrices: to tridiagonal form by panels of reflectors, as LAPACK's sytrd (Dongarra, Sorensen and Hammarling 1989), but on both
// triangles, so that a column's product with the rest is dot products with whole columns and the update one product.

typedef struct {
    const T *a, *x;
    T *y;
    int64_t n, lda;
} N(symmetric_product);
static void N(times_columns)(void *context, int64_t low, int64_t high) {
    const N(symmetric_product) *p = context;
    GEMV(CblasColMajor, CblasTrans, (int)p->n, (int)(high - low), 1, p->a + low * p->lda, (int)p->lda, p->x, 1, 0, p->y + low, 1);
}

// y [n] = A x
static void N(multiply_symmetric)(int64_t n, const T *a, int64_t lda, const T *x, T *y) {
    N(symmetric_product) p = { a, x, y, n, lda };
    int64_t grain = 32768 / n / 16 * 16;
    tk_parallel_ranges(n, grain > 16 ? grain : 16, N(times_columns), &p);
}

// A [n, n] becomes the reflectors below its first subdiagonal; d, e and tau [n]. The panel's columns v and w lie in turns in pairs [n, 2 k].
static void N(tridiagonalize)(int64_t n, T *a, T *d, T *e, T *tau) {
    enum { BLOCK = 32 };
    size_t bytes = (size_t)(4 * BLOCK * n + 4 * BLOCK) * sizeof(T);
    T *pairs = tk_scratch(bytes), *swapped = pairs + 2 * BLOCK * n, *sums = swapped + 2 * BLOCK * n;
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t k = n - start < BLOCK ? n - start : BLOCK;
        for (int64_t i = 0; i < k; i++) {
            int64_t c = start + i, below = n - c - 1;
            T *column = a + c + c * n, *v = pairs + 2 * i * n, *w = v + n;
            // What the panel's reflectors so far have changed: - v wᵀ - w vᵀ.
            for (int64_t p = 0; p < i; p++) {
                sums[2 * p] = -pairs[(2 * p + 1) * n + c];
                sums[2 * p + 1] = -pairs[2 * p * n + c];
            }
            if (i) GEMV(CblasColMajor, CblasNoTrans, (int)below + 1, (int)(2 * i), 1, pairs + c, (int)n, sums, 1, 1, column, 1);
            d[c] = column[0];
            if (below == 0) break;
            LP(larfg_work)((int)below, column + 1, column + 2, 1, tau + c);
            e[c] = column[1];
            column[1] = 1;
            memcpy(v + c + 1, column + 1, (size_t)below * sizeof(T));
            N(multiply_symmetric)(below, a + (c + 1) * (n + 1), n, v + c + 1, w + c + 1);
            if (i) {
                T *parts = sums + 2 * BLOCK;
                GEMV(CblasColMajor, CblasTrans, (int)below, (int)(2 * i), -1, pairs + c + 1, (int)n, v + c + 1, 1, 0, parts, 1);
                for (int64_t p = 0; p < i; p++) {
                    sums[2 * p] = parts[2 * p + 1];
                    sums[2 * p + 1] = parts[2 * p];
                }
                GEMV(CblasColMajor, CblasNoTrans, (int)below, (int)(2 * i), 1, pairs + c + 1, (int)n, sums, 1, 1, w + c + 1, 1);
            }
            T length = DOT((int)below, w + c + 1, 1, v + c + 1, 1), shift = -tau[c] * tau[c] * length / 2;
            for (int64_t r = c + 1; r < n; r++) w[r] = tau[c] * w[r] + shift * v[r];
        }
        int64_t rest = start + k;
        if (rest >= n) break;
        for (int64_t p = 0; p < k; p++)
            for (int64_t r = rest; r < n; r++) {
                swapped[2 * p * n + r] = -pairs[(2 * p + 1) * n + r];
                swapped[(2 * p + 1) * n + r] = -pairs[2 * p * n + r];
            }
        // A -= [v w] [w v]ᵀ, by rows: the transposed right operand lies as columns.
        tk_gemm(TYPE, true, false, n - rest, n - rest, 2 * k, swapped + rest, n, 0, pairs + rest, n, 0, a + rest * (n + 1), n, 0, 1, true, NULL);
    }
    tk_free(pairs, bytes);
}

int32_t N(tk_blocked_eigh)(int64_t n, T *a, T *w, bool vectors, bool upper) {
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < j; i++) {
            if (upper) a[j + i * n] = a[i + j * n]; else a[i + j * n] = a[j + i * n];
        }
    size_t bytes = (size_t)(2 * n) * sizeof(T);
    T *e = tk_scratch(bytes), *tau = e + n;
    N(tridiagonalize)(n, a, w, e, tau);
    int32_t info = 0;
    for (int64_t i = 0; i < n && !info; i++)
        if (!(w[i] - w[i] == 0) || (i + 1 < n && !(e[i] - e[i] == 0))) info = (int32_t)i + 1;   // not a number, or infinite
    if (info || !vectors) {
        if (!info) info = LP(sterf_work)((int)n, w, e);
        tk_free(e, bytes);
        return info;
    }
    size_t q_bytes = (size_t)(n * n) * sizeof(T), panel_bytes = (size_t)(PANEL * (2 * n + PANEL)) * sizeof(T);
    T *q = tk_scratch(q_bytes), *s = tk_scratch(panel_bytes), *v = s + PANEL * PANEL, *product = v + PANEL * n;
    info = N(tk_tridiagonal_eigh)(n, w, e, q);
    // The reflectors' product with the vectors, the last panel first.
    for (int64_t j = (n - 2) / PANEL * PANEL; j >= 0 && !info; j -= PANEL) {
        int64_t k = n - 1 - j < PANEL ? n - 1 - j : PANEL, rows = n - 1 - j;
        T *panel = a + j + 1 + j * n;
        LP(larft_work)(LAPACK_COL_MAJOR, 'F', 'C', (int)rows, (int)k, panel, (int)n, tau + j, s, PANEL);
        N(reflect)(rows, n, k, panel, n, s, false, q + j + 1, n, v, product);
    }
    memcpy(a, q, q_bytes);
    tk_free(s, panel_bytes);
    tk_free(q, q_bytes);
    tk_free(e, bytes);
    return info;
}
