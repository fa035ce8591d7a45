// One element type's share of triangle_avx512.c. V: a vector of LANES elements T, MASK: its mask.

// The lanes that are rows below `n`, of the vector `v`.
INLINE MASK N(below)(int64_t n, int v) {
    int64_t lanes = n - v * (LANES);
    return lanes >= LANES ? (MASK)~0 : lanes <= 0 ? 0 : (MASK)((1u << lanes) - 1);
}

// Rows p of the vector `v`: known in `column`, subtracted from the rows after it (or before, if `upper`).
INLINE void N(eliminate)(const bool upper, const int v, int64_t n, const int columns, const T *a, int64_t lda, V x[COLUMNS][VECTORS]) {
    int64_t first = v * (LANES), end = first + LANES < n ? first + LANES : n;
    V diagonal = ALL(1);
    for (int64_t step = first; step < end; step++) {
        int64_t p = upper ? end - 1 - (step - first) : step;
        int lane = (int)(p - first);
        const T *column = a + p * lda;
        MASK mask = upper ? (MASK)((1u << lane) - 1) : (MASK)(N(below)(n, v) & ~((2u << lane) - 1));
        // A known element divided by the diagonal times a column: the column is divided, for all right-hand sides.
        V scale = ALL(upper ? 1 / column[p] : 1), within = LOAD(mask, column + first), others[VECTORS];
        if (upper) {
            diagonal = BLEND((MASK)(1u << lane), diagonal, scale);
            within = MULTIPLY(within, scale);
        }
#pragma clang loop unroll(full)
        for (int u = 0; u < VECTORS; u++)
            if (upper ? u < v : u > v) {
                others[u] = LOAD(N(below)(n, u), column + u * (LANES));
                if (upper) others[u] = MULTIPLY(others[u], scale);
            }
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            V known = LANE(x[j][v], lane);
            x[j][v] = SUBTRACT(within, known, x[j][v]);
#pragma clang loop unroll(full)
            for (int u = 0; u < VECTORS; u++)
                if (upper ? u < v : u > v) x[j][u] = SUBTRACT(others[u], known, x[j][u]);
        }
    }
    if (upper)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) x[j][v] = MULTIPLY(x[j][v], diagonal);
}

INLINE void N(solve_columns)(const bool upper, const int columns, int64_t n, const T *a, int64_t lda, T *b, int64_t ldb) {
    V x[COLUMNS][VECTORS];
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++)
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) x[j][v] = LOAD(N(below)(n, v), b + j * ldb + v * (LANES));
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++) N(eliminate)(upper, upper ? VECTORS - 1 - v : v, n, columns, a, lda, x);
#pragma clang loop unroll(full)
    for (int j = 0; j < columns; j++)
#pragma clang loop unroll(full)
        for (int v = 0; v < VECTORS; v++) STORE(b + j * ldb + v * (LANES), N(below)(n, v), x[j][v]);
}

#define SOLVE(count)                                                                                                              \
    AVX512 static void N(solve_##count)(bool upper, int64_t n, const T *a, int64_t lda, T *b, int64_t ldb) {                     \
        if (upper) N(solve_columns)(true, count, n, a, lda, b, ldb);                                                              \
        else N(solve_columns)(false, count, n, a, lda, b, ldb);                                                                   \
    }
SOLVE(1) SOLVE(2) SOLVE(3) SOLVE(4) SOLVE(5) SOLVE(6)
#undef SOLVE

void N(tk_solve_triangle_avx512)(bool upper, int64_t n, int64_t columns, const T *a, int64_t lda, T *b, int64_t ldb) {
    static void (*const solve[])(bool, int64_t, const T *, int64_t, T *, int64_t) = { N(solve_1), N(solve_2), N(solve_3), N(solve_4),
                                                                                       N(solve_5), N(solve_6) };
    for (int64_t j = 0; j < columns; j += COLUMNS) {
        int64_t count = columns - j < COLUMNS ? columns - j : COLUMNS;
        solve[count - 1](upper, n, a, lda, b + j * ldb, ldb);
    }
}
