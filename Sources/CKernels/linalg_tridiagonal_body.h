// One real element type's share of linalg_tridiagonal.c. T: the element, N(name): a name of this type, LP(name): LAPACKE's function, TYPE: its
// tk_dtype, ROOT: its square root, EPSILON: its unit roundoff.

typedef struct {
    void (*sums)(const T *delta, const T *z2, int64_t n, T tau, T *sum, T *slope);
    void (*distances)(const T *d, int64_t n, T origin, T tau, T *out);
    void (*factors)(const T *distance, const T *d, int64_t n, T pole, T *product);
    T (*vector)(const T *z, int64_t n, T *v);
} N(secular_level);

#define TK_SECULAR(name) N(secular_##name##_baseline)
#include "templates/secular.inc"
#undef TK_SECULAR
static const N(secular_level) N(secular_baseline) = { N(secular_sums_baseline), N(secular_distances_baseline), N(secular_factors_baseline),
                                                      N(secular_vector_baseline) };
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define TK_SECULAR(name) N(secular_##name##_avx2)
#include "templates/secular.inc"
#undef TK_SECULAR
#pragma clang attribute pop
static const N(secular_level) N(secular_avx2) = { N(secular_sums_avx2), N(secular_distances_avx2), N(secular_factors_avx2),
                                                  N(secular_vector_avx2) };
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx2,fma,prefer-256-bit"))), apply_to = function)
#define TK_SECULAR(name) N(secular_##name##_avx512)
#include "templates/secular.inc"
#undef TK_SECULAR
#pragma clang attribute pop
static const N(secular_level) N(secular_avx512) = { N(secular_sums_avx512), N(secular_distances_avx512), N(secular_factors_avx512),
                                                    N(secular_vector_avx512) };
#endif

static const N(secular_level) *N(secular_current)(void) {
#if defined(__x86_64__)
    int level = tk_isa_level();
    return level == 2 ? &N(secular_avx512) : level == 1 ? &N(secular_avx2) : &N(secular_baseline);
#else
    return &N(secular_baseline);
#endif
}

// D + rho z zᵀ with different d, ascending, and no z of 0: the roots of 1 / rho + Σ z² / (d - x), and from them the eigenvectors.
typedef struct {
    const N(secular_level) *level;
    int64_t k;
    T inverse;                    // 1 / rho
    const T *d, *z, *z2;          // [k], z2 the squares of z
    T *roots, *exact;             // [k], the roots and the z of which they are exactly those
    T *vectors;                   // [k, k], a column per root: d - root, then the vector
    const int64_t *place;         // [k], where a component goes in its column
} N(secular);

static T N(absolute)(T x) { return x < 0 ? -x : x; }

// Of c x² + a x - b = 0, the root that the fit means, with x > 0 if `right`, else x < 0, for b > 0.
static T N(first_guess)(T c, T a, T b, bool right) {
    T root = ROOT(N(absolute)(a * a + 4 * b * c));
    if (right) return a < 0 ? (root - a) / (2 * c) : 2 * b / (a + root);
    return a < 0 ? 2 * b / (a - root) : -(a + root) / (2 * c);
}

// The i-th root, between d[i] and d[i + 1], the last one above all; column i of the vectors gets d - root. Steps by Li's middle way ("Solving
// secular equations stably and efficiently", LAPACK working note 89, 1993), by halves where they would leave the interval.
static void N(find_root)(const N(secular) *s, int64_t i) {
    enum { MOST_STEPS = 100 };
    int64_t k = s->k;
    const T *d = s->d, *z2 = s->z2;
    T *delta = s->vectors + i * k;
    if (k == 1) {
        T tau = z2[0] / s->inverse;
        s->roots[0] = d[0] + tau;
        delta[0] = -tau;
        return;
    }
    bool last = i == k - 1;
    // The two poles next to the root; those up to `left` and those from `right` on are summed apart. The root is `origin` + tau.
    int64_t left = last ? k - 2 : i, right = left + 1, origin = i;
    T gap = d[right] - d[left], low = 0, high = gap / 2, tau, psi, phi, psi_slope, phi_slope;
    if (last) {
        T sum = 0;
        for (int64_t j = 0; j < k; j++) sum += z2[j];
        high = sum / s->inverse * (1 + 4 * EPSILON);
    }
    // The equation halfway, without those two, then with them.
    T middle = last ? high / 2 : high;
    s->level->distances(d, k, d[origin], 0, delta);
    s->level->sums(delta, z2, left, middle, &psi, &psi_slope);
    s->level->sums(delta + right + 1, z2 + right + 1, k - right - 1, middle, &phi, &phi_slope);
    T others = s->inverse + psi + phi, value = others + z2[left] / (delta[left] - middle) + z2[right] / (delta[right] - middle);
    if (last) {
        if (value > 0) high = middle; else low = middle;
        tau = N(first_guess)(others, others * gap - z2[left] - z2[right], z2[right] * gap, true);
    } else if (value > 0) {
        tau = N(first_guess)(-others, others * gap + z2[left] + z2[right], z2[left] * gap, true);
    } else {
        origin = right;
        low = -high;
        high = 0;
        s->level->distances(d, k, d[origin], 0, delta);
        tau = N(first_guess)(others, others * gap - z2[left] - z2[right], z2[right] * gap, false);
    }
    if (!(tau > low && tau < high)) tau = (low + high) / 2;
    for (int step = 0; step < MOST_STEPS; step++) {
        s->level->sums(delta, z2, right, tau, &psi, &psi_slope);
        s->level->sums(delta + right, z2 + right, k - right, tau, &phi, &phi_slope);
        T w = s->inverse + psi + phi, slope = psi_slope + phi_slope;
        T noise = 8 * (N(absolute)(psi) + N(absolute)(phi) + s->inverse) + N(absolute)(tau) * slope;
        if (!(N(absolute)(w) > EPSILON * noise)) break;
        if (w < 0) low = tau > low ? tau : low; else high = tau < high ? tau : high;
        T dl = delta[left] - tau, dr = delta[right] - tau;
        T c = w - dl * psi_slope - dr * phi_slope, a = (dl + dr) * w - dl * dr * slope, b = dl * dr * w;
        T root = ROOT(N(absolute)(a * a - 4 * b * c)), move;
        if (last) move = a >= 0 ? (a + root) / (2 * c) : 2 * b / (a - root);
        else move = a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root);
        if (!(w * move < 0)) move = -w / slope;
        T next = tau + move;
        // Halves also now and then where the fit gets on slowly.
        if (!(next > low && next < high) || step % 8 == 7) next = low + (high - low) / 2;
        if (next == tau) break;
        tau = next;
    }
    s->roots[i] = d[origin] + tau;
    s->level->distances(d, k, d[origin], tau, delta);
}

static void N(find_roots)(void *context, int64_t low, int64_t high) {
    const N(secular) *s = context;
    for (int64_t i = low; i < high; i++) N(find_root)(s, i);
}

// z so that the roots are those of D + rho z zᵀ to the last bit: what makes the vectors orthogonal (Gu and Eisenstat, "A stable and efficient
// algorithm for the rank-one modification of the symmetric eigenproblem", 1994).
static void N(find_z)(void *context, int64_t low, int64_t high) {
    const N(secular) *s = context;
    int64_t k = s->k;
    T *square = s->exact;
    for (int64_t i = low; i < high; i++) square[i] = s->vectors[i + i * k];
    for (int64_t j = 0; j < k; j++) {
        const T *distance = s->vectors + j * k;
        int64_t below = j < high ? j : high, above = j + 1 > low ? j + 1 : low;
        if (below > low) s->level->factors(distance + low, s->d + low, below - low, s->d[j], square + low);
        if (above < high) s->level->factors(distance + above, s->d + above, high - above, s->d[j], square + above);
    }
    for (int64_t i = low; i < high; i++) {
        T root = ROOT(N(absolute)(square[i]));
        s->exact[i] = s->z[i] < 0 ? -root : root;
    }
}

static void N(find_vectors)(void *context, int64_t low, int64_t high) {
    const N(secular) *s = context;
    int64_t k = s->k;
    T *column = tk_scratch((size_t)k * sizeof(T));
    for (int64_t j = low; j < high; j++) {
        T *v = s->vectors + j * k, scale = s->level->vector(s->exact, k, v);
        memcpy(column, v, (size_t)k * sizeof(T));
        for (int64_t i = 0; i < k; i++) v[s->place[i]] = column[i] * scale;
    }
    tk_free(column, (size_t)k * sizeof(T));
}

// ---- two halves and what joins them

// One matrix's share: d [n], its vectors q [n, n], `ld` apart, and scratch as large.
typedef struct {
    T *d, *q, *spare, *vectors;
    int64_t ld;
} N(part);

static void N(rotate)(int64_t n, T *x, T *y, T c, T s) {
    for (int64_t i = 0; i < n; i++) {
        T kept = c * x[i] + s * y[i];
        y[i] = c * y[i] - s * x[i];
        x[i] = kept;
    }
}

typedef struct { const T *from; T *to; const int64_t *column; int64_t rows, ld_from, ld_to; } N(gathering);
static void N(gather_columns)(void *context, int64_t low, int64_t high) {
    const N(gathering) *g = context;
    for (int64_t j = low; j < high; j++) memcpy(g->to + j * g->ld_to, g->from + g->column[j] * g->ld_from, (size_t)g->rows * sizeof(T));
}
static void N(gather)(const T *from, int64_t ld_from, const int64_t *column, int64_t columns, int64_t rows, T *to, int64_t ld_to) {
    N(gathering) g = { from, to, column, rows, ld_from, ld_to };
    tk_parallel_ranges(columns, CHUNK, N(gather_columns), &g);
}

// d and q, which hold the eigenvalues (ascending) and vectors of diag(A, B), A of size m, become those of diag(A, B) + |e| v vᵀ with v = 1 at
// A's last place and the sign of e at B's first (Cuppen 1981). Roots that rounding cannot tell from what is there are left out, as in LAPACK's laed2.
static void N(merge)(N(part) p, int64_t n, int64_t m, T e) {
    size_t floats = (size_t)n * 7 * sizeof(T), indices = (size_t)n * 6 * sizeof(int64_t);
    T *values = tk_scratch(floats), *z = values, *poles = z + n, *weights = poles + n, *squares = weights + n, *roots = squares + n,
      *exact = roots + n, *sorted = exact + n, *d = p.d;
    int64_t *order = tk_scratch(indices), *kept = order + n, *out = kept + n, *kind = out + n, *place = kind + n, *column = place + n;
    T sign = e < 0 ? -1 : 1, rho = 2 * N(absolute)(e), half = ROOT((T)0.5), largest_d = 0, largest_z = 0;
    for (int64_t i = 0; i < n; i++) {
        z[i] = half * (i < m ? p.q[m - 1 + i * p.ld] : sign * p.q[m + i * p.ld]);
        kind[i] = i < m ? 0 : 2;   // which rows are not 0: 0 the upper ones, 2 the lower ones, 1 all
        if (N(absolute)(d[i]) > largest_d) largest_d = N(absolute)(d[i]);
        if (N(absolute)(z[i]) > largest_z) largest_z = N(absolute)(z[i]);
    }
    T tolerance = 8 * EPSILON * (largest_d > largest_z ? largest_d : largest_z);
    for (int64_t i = 0, a = 0, b = m; i < n; i++) order[i] = b == n || (a < m && d[a] <= d[b]) ? a++ : b++;

    // Columns of a small z stay; of two with nearly the same d one gets all of z by a rotation, and the other stays.
    int64_t k = 0, left_out = 0, previous = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = order[i];
        if (rho * N(absolute)(z[j]) <= tolerance) {
            out[left_out++] = j;
            continue;
        }
        if (previous >= 0) {
            T s = z[previous], c = z[j], length = ROOT(c * c + s * s), apart = d[j] - d[previous];
            c /= length;
            s /= -length;
            if (N(absolute)(apart * c * s) <= tolerance) {
                T low = d[previous], high = d[j];
                z[j] = length;
                if (kind[previous] != kind[j]) kind[previous] = kind[j] = 1;
                N(rotate)(n, p.q + previous * p.ld, p.q + j * p.ld, c, s);
                d[previous] = low * c * c + high * s * s;
                d[j] = low * s * s + high * c * c;
                out[left_out++] = previous;
            } else kept[k++] = previous;
        }
        previous = j;
    }
    if (previous >= 0) kept[k++] = previous;

    // The columns that take part, by which rows they have.
    int64_t first[4] = {0};
    for (int64_t i = 0; i < k; i++) first[kind[kept[i]] + 1]++;
    for (int64_t t = 0; t < 3; t++) first[t + 1] += first[t];
    int64_t at[3] = { first[0], first[1], first[2] };
    for (int64_t i = 0; i < k; i++) {
        int64_t j = kept[i];
        place[i] = at[kind[j]]++;
        column[place[i]] = j;
        poles[i] = d[j];
        weights[i] = z[j];
        squares[i] = z[j] * z[j];
    }
    T *next = p.spare;   // the new vectors: k of them, then those left out
    if (k > 0) {
        N(secular) s = { N(secular_current)(), k, 1 / rho, poles, weights, squares, roots, exact, p.vectors, place };
        int64_t grain = ceil_div(4096, k);
        tk_parallel_ranges(k, grain, N(find_roots), &s);
        tk_parallel_ranges(k, grain < 16 ? 16 : grain, N(find_z), &s);
        tk_parallel_ranges(k, grain, N(find_vectors), &s);
        int64_t upper = first[2], lower = k - first[1];
        T *left = tk_scratch((size_t)(n * k) * sizeof(T));
        N(gather)(p.q, p.ld, column, upper, m, left, m);
        N(gather)(p.q + m, p.ld, column + first[1], lower, n - m, left + m * upper, n - m);
        if (upper) tk_column_product(TYPE, false, m, k, upper, left, m, p.vectors, k, next, n, false);
        else for (int64_t j = 0; j < k; j++) memset(next + j * n, 0, (size_t)m * sizeof(T));
        if (lower) tk_column_product(TYPE, false, n - m, k, lower, left + m * upper, n - m, p.vectors + first[1], k, next + m, n, false);
        else for (int64_t j = 0; j < k; j++) memset(next + m + j * n, 0, (size_t)(n - m) * sizeof(T));
        tk_free(left, (size_t)(n * k) * sizeof(T));
    }
    // All in ascending order: the roots are, those left out nearly.
    for (int64_t i = 1; i < left_out; i++) {
        int64_t j = out[i], before = i;
        for (; before > 0 && d[out[before - 1]] > d[j]; before--) out[before] = out[before - 1];
        out[before] = j;
    }
    N(gather)(p.q, p.ld, out, left_out, n, next + n * k, n);
    for (int64_t i = 0, a = 0, b = 0; i < n; i++) {
        bool root = b == left_out || (a < k && roots[a] <= d[out[b]]);
        sorted[i] = root ? roots[a] : d[out[b]];
        order[i] = root ? a++ : k + b++;
    }
    memcpy(d, sorted, (size_t)n * sizeof(T));
    N(gather)(next, n, order, n, n, p.q, p.ld);
    tk_free(values, floats);
    tk_free(order, indices);
}

// Where the matrix will be cut, the two diagonal elements lose what the rank-one term adds.
static void N(cut)(int64_t n, T *d, const T *e) {
    if (n <= LEAF) return;
    int64_t m = n / 2;
    d[m - 1] -= N(absolute)(e[m - 1]);
    d[m] -= N(absolute)(e[m - 1]);
    N(cut)(m, d, e);
    N(cut)(n - m, d + m, e + m);
}

// The eigenvalues of the cut tridiagonal matrix of d and e, ascending in d, and its vectors in q, 0 so far. Returns steqr's info.
static int32_t N(solve_part)(N(part) p, int64_t n, T *e) {
    if (n <= LEAF) {
        T work[2 * LEAF];
        return LP(steqr_work)(LAPACK_COL_MAJOR, 'I', (int)n, p.d, e, p.q, (int)p.ld, work);
    }
    int64_t m = n / 2;
    N(part) second = p;
    second.d += m;
    second.q += m + m * p.ld;
    int32_t info = N(solve_part)(p, m, e);
    if (!info) info = N(solve_part)(second, n - m, e + m);
    if (!info) N(merge)(p, n, m, e[m - 1]);
    return info;
}

typedef struct {
    T *d, *e, *q, *spare, *vectors;
    int64_t n;
    int32_t *info;
    int levels;     // the parts that are tasks: 2 to this power
} N(tree);

// The part `index` of 2^level, where halves are rounded down.
static void N(part_range)(int64_t n, int level, int64_t index, int64_t *start, int64_t *size) {
    *start = 0;
    *size = n;
    for (int bit = level - 1; bit >= 0; bit--) {
        int64_t m = *size / 2;
        if (index >> bit & 1) {
            *start += m;
            *size -= m;
        } else *size = m;
    }
}

static N(part) N(part_at)(const N(tree) *t, int64_t start) {
    // Scratch of its own: a part of `size` columns needs its square at most.
    return (N(part)){ t->d + start, t->q + start + start * t->n, t->spare + start * t->n, t->vectors + start * t->n, t->n };
}

static void N(solve_parts)(void *context, int64_t index) {
    const N(tree) *t = context;
    int64_t start, size;
    N(part_range)(t->n, t->levels, index, &start, &size);
    t->info[index] = N(solve_part)(N(part_at)(t, start), size, t->e + start);
}

int32_t N(tk_tridiagonal_eigh)(int64_t n, T *d, T *e, T *q) {
    T norm = 0;
    for (int64_t i = 0; i < n; i++) {
        T x = N(absolute)(d[i]), y = i + 1 < n ? N(absolute)(e[i]) : 0;
        norm = x > norm ? x : norm;
        norm = y > norm ? y : norm;
    }
    memset(q, 0, (size_t)(n * n) * sizeof(T));
    if (norm == 0) {
        for (int64_t i = 0; i < n; i++) q[i + i * n] = 1;
        return 0;
    }
    for (int64_t i = 0; i < n; i++) {
        d[i] /= norm;
        if (i + 1 < n) e[i] /= norm;
    }
    N(cut)(n, d, e);
    N(tree) t = { .d = d, .e = e, .q = q, .n = n };
    while (n >> t.levels > PART) t.levels++;
    size_t bytes = (size_t)(n * n) * sizeof(T), info_bytes = sizeof(int32_t) << t.levels;
    t.spare = tk_scratch(bytes);
    t.vectors = tk_scratch(bytes);
    t.info = tk_scratch(info_bytes);
    tk_parallel((int64_t)1 << t.levels, N(solve_parts), &t);
    int32_t info = 0;
    for (int64_t i = 0; i < (int64_t)1 << t.levels; i++)
        if (!info) info = t.info[i];
    for (int level = t.levels - 1; level >= 0 && !info; level--)
        for (int64_t i = 0; i < (int64_t)1 << level; i++) {
            int64_t start, size;
            N(part_range)(n, level, i, &start, &size);
            int64_t m = size / 2;
            N(merge)(N(part_at)(&t, start), size, m, e[start + m - 1]);
        }
    tk_free(t.info, info_bytes);
    tk_free(t.vectors, bytes);
    tk_free(t.spare, bytes);
    for (int64_t i = 0; i < n; i++) d[i] *= norm;
    return info;
}
