// Eigenvalues of Hermitian matrices and singular values by Jacobi's turns, as many at a time as are apart from each other (Brent and Luk,
// 1985): a round of a tournament meets every column once, a sweep of rounds every pair of columns.
#include "matrices.cuh"

enum { JACOBI_SWEEPS = 60, EIGEN_VECTORS = 1, EIGEN_UPPER = 2 };

/// How many of `count` numbers come before number i: smaller ones (or larger), then those with a smaller place.
TK_CALLED long long rank_of(const double *x, long long count, long long i, bool descending) {
    long long rank = 0;
    for (long long k = 0; k < count; k++) rank += x[k] == x[i] ? k < i : (descending ? x[k] > x[i] : x[k] < x[i]);
    return rank;
}

/// `w` gets the eigenvalues, ascending, and `a` [n, n] the vectors if they are wanted. `v` has room for as many numbers as `a`, `turns` for n,
/// `sizes` for n.
template <class S> TK_DEVICE void eigen_hermitian(S *a, double *w, S *v, tk_turn<S> *turns, double *sizes, int *info, const tk_cuda_matrices &s) {
    TK_SHARED double total[32];
    TK_SHARED int active;
    long long n = s.n, players_count = n + n % 2, half = players_count / 2;
    bool vectors = s.flags & EIGEN_VECTORS, upper = s.flags & EIGEN_UPPER;
    a += blockIdx.x * n * n;
    v += blockIdx.x * n * n;
    w += blockIdx.x * n;
    turns += blockIdx.x * n;
    sizes += blockIdx.x * n;
    double sum = 0;
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) {
        long long i = e % n, j = e / n;
        if (i == j) a[e] = tk_number<S>::of(real_part_of(a[e]));
        else if (upper ? i < j : i > j) a[j + i * n] = conjugate(a[e]);
        v[e] = tk_number<S>::of(i == j ? 1 : 0);
    }
    __syncthreads();
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) sum += square_of(a[e]);
    sum = across_warp(sum);
    if (threadIdx.x == 0) total[threadIdx.y] = sum;
    __syncthreads();
    sum = 0;
    for (int k = 0; k < (int)blockDim.y; k++) sum += total[k];
    double small = 1e-17 * sqrt(sum);
    int sweep = 0;
    for (; sweep < JACOBI_SWEEPS; sweep++) {
        __syncthreads();
        if (tk_thread() == 0) active = 0;
        __syncthreads();
        for (long long round = 0; round < players_count - 1; round++) {
            for (long long k = tk_thread(); k < half; k += tk_threads()) {
                long long p, q;
                players(players_count, round, k, p, q);
                tk_turn<S> turn = {1, 0, tk_number<S>::of(1)};
                if (q < n && size_of(a[p + q * n]) > small) {
                    turn = turn_of(real_part_of(a[p + p * n]), real_part_of(a[q + q * n]), a[p + q * n]);
                    active = 1;
                }
                turns[k] = turn;
            }
            __syncthreads();
            for (long long e = tk_thread(); e < half * n; e += tk_threads()) {   // columns
                long long k = e / n, i = e % n, p, q;
                tk_turn<S> turn = turns[k];
                players(players_count, round, k, p, q);
                if (turn.s == 0 || q >= n) continue;
                S x = a[i + p * n], y = turn.omega * a[i + q * n];
                a[i + p * n] = scaled(x, turn.c) - scaled(y, turn.s);
                a[i + q * n] = scaled(x, turn.s) + scaled(y, turn.c);
                if (!vectors) continue;
                x = v[i + p * n];
                y = turn.omega * v[i + q * n];
                v[i + p * n] = scaled(x, turn.c) - scaled(y, turn.s);
                v[i + q * n] = scaled(x, turn.s) + scaled(y, turn.c);
            }
            __syncthreads();
            for (long long e = tk_thread(); e < half * n; e += tk_threads()) {   // rows
                long long k = e / n, j = e % n, p, q;
                tk_turn<S> turn = turns[k];
                players(players_count, round, k, p, q);
                if (turn.s == 0 || q >= n) continue;
                S x = a[p + j * n], y = conjugate(turn.omega) * a[q + j * n];
                // What the turn makes 0 is 0, and the diagonal real.
                S first = scaled(x, turn.c) - scaled(y, turn.s), second = scaled(x, turn.s) + scaled(y, turn.c);
                a[p + j * n] = j == q ? tk_number<S>::of(0) : j == p ? tk_number<S>::of(real_part_of(first)) : first;
                a[q + j * n] = j == p ? tk_number<S>::of(0) : j == q ? tk_number<S>::of(real_part_of(second)) : second;
            }
            __syncthreads();
        }
        if (!active) break;
    }
    if (tk_thread() == 0) info[blockIdx.x] = sweep == JACOBI_SWEEPS;
    for (long long i = tk_thread(); i < n; i += tk_threads()) sizes[i] = real_part_of(a[i + i * n]);
    __syncthreads();
    for (long long i = threadIdx.y; i < n; i += blockDim.y) {
        long long rank = rank_of(sizes, n, i, false);
        if (threadIdx.x == 0) w[rank] = sizes[i];
        if (vectors) for (long long r = threadIdx.x; r < n; r += 32) a[r + rank * n] = v[r + i * n];
    }
}

/// Vector `c` of `basis` [m, …], whose first c columns are orthonormal, becomes another one: what is left of the unit vector that they
/// cover least.
template <class S> TK_DEVICE void extend_basis(S *basis, long long m, long long c, S *room, double (&values)[256], long long (&places)[256]) {
    double most = -1;
    long long place = 0;
    for (long long i = tk_thread(); i < m; i += tk_threads()) {
        double rest = 1;
        for (long long k = 0; k < c; k++) rest -= square_of(basis[i + k * m]);
        if (rest > most) { most = rest; place = i; }
    }
    place = place_of_largest(most, place, values, places);
    S *v = basis + c * m;
    for (long long i = tk_thread(); i < m; i += tk_threads()) v[i] = tk_number<S>::of(i == place ? 1 : 0);
    __syncthreads();
    for (int pass = 0; pass < 2; pass++) {   // twice is enough (Kahan and Parlett)
        for (long long k = threadIdx.y; k < c; k += blockDim.y) {
            S sum = tk_number<S>::of(0);
            for (long long i = threadIdx.x; i < m; i += 32) sum = sum + conjugate(basis[i + k * m]) * v[i];
            sum = across_warp(sum);
            if (threadIdx.x == 0) room[k] = sum;
        }
        __syncthreads();
        for (long long i = tk_thread(); i < m; i += tk_threads()) {
            S x = v[i];
            for (long long k = 0; k < c; k++) x = x - room[k] * basis[i + k * m];
            v[i] = x;
        }
        __syncthreads();
        double size = 0;
        for (long long i = threadIdx.x; i < m; i += 32) size += square_of(v[i]);
        size = sqrt(across_warp(size));
        __syncthreads();
        for (long long i = tk_thread(); i < m; i += tk_threads()) v[i] = scaled(v[i], 1 / size);
        __syncthreads();
    }
}

enum { SVD_TURNED = 1, SVD_VECTORS = 2 };
/// One-sided (Hestenes, 1958): the columns of `w` [m, n], m ≥ n, are turned until they are orthogonal. A [n, m] is taken as its adjoint if
/// it is turned. `sizes` gets the singular values, descending; `left` [m, k] their orthonormal left vectors, `v` [n, n] and `order` the
/// right ones and which place each has. `room` holds m numbers.
template <class S> TK_DEVICE void singular_values(const S *a, double *sizes, S *w, S *v, S *left, S *room, double *norms, long long *order, int *info,
                                                  const tk_cuda_matrices &s) {
    TK_SHARED double values[256];
    TK_SHARED long long places[256];
    TK_SHARED int active;
    long long m = s.m, n = s.n, columns = s.k, count = n + n % 2;
    a += blockIdx.x * m * n;
    w += blockIdx.x * m * n;
    v += blockIdx.x * n * n;
    left += blockIdx.x * m * columns;
    room += blockIdx.x * m;
    sizes += blockIdx.x * n;
    norms += blockIdx.x * n;
    order += blockIdx.x * n;
    for (long long e = tk_thread(); e < m * n; e += tk_threads()) w[e] = s.flags & SVD_TURNED ? conjugate(a[e / m + e % m * n]) : a[e];
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) v[e] = tk_number<S>::of(e % n == e / n ? 1 : 0);
    __syncthreads();
    double all = 0;
    for (long long e = threadIdx.x; e < m * n; e += 32) all += square_of(w[e]);
    all = across_warp(all);
    // Columns below the rounding of the whole are noise, and a pair's cosine below that of its own products is 0.
    double noise = all * 4.93e-32, cosine = 2.2e-16 * sqrt((double)m) + 1e-15;
    int sweep = 0;
    for (; sweep < JACOBI_SWEEPS; sweep++) {
        __syncthreads();
        if (tk_thread() == 0) active = 0;
        __syncthreads();
        for (long long round = 0; round < count - 1; round++) {
            for (long long k = threadIdx.y; k < count / 2; k += blockDim.y) {   // a warp to a pair: a lane reads what it wrote
                long long p, q;
                players(count, round, k, p, q);
                if (q >= n) continue;
                S *x = w + p * m, *y = w + q * m, product = tk_number<S>::of(0);
                double first = 0, second = 0;
                for (long long i = threadIdx.x; i < m; i += 32) {
                    first += square_of(x[i]);
                    second += square_of(y[i]);
                    product = product + conjugate(x[i]) * y[i];
                }
                first = across_warp(first);
                second = across_warp(second);
                product = across_warp(product);
                if (first <= noise || second <= noise || size_of(product) <= cosine * sqrt(first) * sqrt(second)) continue;
                tk_turn<S> turn = turn_of(first, second, product);
                if (threadIdx.x == 0) active = 1;
                for (long long i = threadIdx.x; i < m; i += 32) {
                    S one = x[i], other = turn.omega * y[i];
                    x[i] = scaled(one, turn.c) - scaled(other, turn.s);
                    y[i] = scaled(one, turn.s) + scaled(other, turn.c);
                }
                for (long long i = threadIdx.x; i < n; i += 32) {
                    S one = v[i + p * n], other = turn.omega * v[i + q * n];
                    v[i + p * n] = scaled(one, turn.c) - scaled(other, turn.s);
                    v[i + q * n] = scaled(one, turn.s) + scaled(other, turn.c);
                }
            }
            __syncthreads();
        }
        if (!active) break;
    }
    if (tk_thread() == 0) info[blockIdx.x] = sweep == JACOBI_SWEEPS;
    for (long long j = threadIdx.y; j < n; j += blockDim.y) {
        double size = 0;
        for (long long i = threadIdx.x; i < m; i += 32) size += square_of(w[i + j * m]);
        size = across_warp(size);
        if (threadIdx.x == 0) norms[j] = sqrt(size);
    }
    __syncthreads();
    long long good = 0;   // columns that have a direction
    for (long long j = 0; j < n; j++) good += norms[j] * norms[j] > noise;
    for (long long j = threadIdx.y; j < n; j += blockDim.y) {
        long long rank = rank_of(norms, n, j, true);
        if (threadIdx.x == 0) {
            sizes[rank] = norms[j];
            order[rank] = j;
        }
        if ((s.flags & SVD_VECTORS) && rank < good)
            for (long long i = threadIdx.x; i < m; i += 32) left[i + rank * m] = scaled(w[i + j * m], 1 / norms[j]);
    }
    __syncthreads();
    if (s.flags & SVD_VECTORS) for (long long c = good; c < columns; c++) extend_basis(left, m, c, room, values, places);
}

/// U and Vᴴ from the vectors of one-sided turns. `m` and `n` are those of the turned matrix; `k` is the number of left vectors.
template <class S> TK_DEVICE void singular_vectors(const S *v, const S *left, const long long *order, S *u, S *vh, const tk_cuda_matrices &s) {
    long long m = s.m, n = s.n, columns = s.k;
    v += blockIdx.x * n * n;
    left += blockIdx.x * m * columns;
    order += blockIdx.x * n;
    if (!(s.flags & SVD_TURNED)) {
        u += blockIdx.x * m * columns;
        vh += blockIdx.x * n * n;
        for (long long e = tk_thread(); e < m * columns; e += tk_threads()) u[e] = left[e];
        for (long long e = tk_thread(); e < n * n; e += tk_threads()) vh[e] = conjugate(v[e / n + order[e % n] * n]);
    } else {
        u += blockIdx.x * n * n;
        vh += blockIdx.x * m * columns;
        for (long long e = tk_thread(); e < n * n; e += tk_threads()) u[e] = v[e % n + order[e / n] * n];
        for (long long e = tk_thread(); e < m * columns; e += tk_threads()) vh[e] = conjugate(left[e / columns + e % columns * m]);
    }
}

/// The least-squares solution of least size from the thin decomposition of A [m, n] with k singular values: `b` [max(m, n), columns] becomes
/// X, and `rank` the number of values above `tolerance` of the largest; `info`, if given, says that they are not all. `room` holds k numbers
/// per column; flags: the number of columns.
template <class S> TK_DEVICE void least_squares(const S *u, const double *sizes, const S *vh, S *b, S *room, int *rank, int *info,
                                            const tk_cuda_matrices &s) {
    long long m = s.m, n = s.n, k = s.k, columns = s.flags, high = m > n ? m : n;
    u += blockIdx.x * m * k;
    sizes += blockIdx.x * k;
    vh += blockIdx.x * k * n;
    b += blockIdx.x * high * columns;
    room += blockIdx.x * k * columns;
    double least = s.tolerance * sizes[0];
    for (long long e = threadIdx.y; e < k * columns; e += blockDim.y) {
        long long j = e % k, c = e / k;
        S sum = tk_number<S>::of(0);
        for (long long i = threadIdx.x; i < m; i += 32) sum = sum + conjugate(u[i + j * m]) * b[i + c * high];
        sum = across_warp(sum);
        if (threadIdx.x == 0) room[e] = sizes[j] > least ? scaled(sum, 1 / sizes[j]) : tk_number<S>::of(0);
    }
    __syncthreads();
    for (long long e = tk_thread(); e < n * columns; e += tk_threads()) {
        long long i = e % n, c = e / n;
        S sum = tk_number<S>::of(0);
        for (long long j = 0; j < k; j++) sum = sum + conjugate(vh[j + i * k]) * room[j + c * k];
        b[i + c * high] = sum;
    }
    if (tk_thread() > 0) return;
    int found = 0;
    for (long long j = 0; j < k; j++) found += sizes[j] > least;
    rank[blockIdx.x] = found;
    if (info && found < k) info[blockIdx.x] = found + 1;
}

#define EIGEN(S, N)                                                                                                                  \
    TK_KERNEL(256) tk_eigen_hermitian_##N(S *a, double *w, S *v, void *turns, double *sizes, int *info, tk_cuda_matrices s) {         \
        eigen_hermitian(a, w, v, (tk_turn<S> *)turns, sizes, info, s);                                                               \
    }                                                                                                                                \
    TK_EXPORT(tk_eigen_hermitian_##N)                                                                                                \
    TK_KERNEL(256) tk_singular_values_##N(const S *a, double *sizes, S *w, S *v, S *left, S *room, double *norms, long long *order,   \
                                          int *info, tk_cuda_matrices s) {                                                           \
        singular_values(a, sizes, w, v, left, room, norms, order, info, s);                                                          \
    }                                                                                                                                \
    TK_EXPORT(tk_singular_values_##N)                                                                                                \
    TK_KERNEL(256) tk_singular_vectors_##N(const S *v, const S *left, const long long *order, S *u, S *vh, tk_cuda_matrices s) {      \
        singular_vectors(v, left, order, u, vh, s);                                                                                  \
    }                                                                                                                                \
    TK_EXPORT(tk_singular_vectors_##N)                                                                                               \
    TK_KERNEL(256) tk_least_squares_##N(const S *u, const double *sizes, const S *vh, S *b, S *room, int *rank,    \
                                      int *info, tk_cuda_matrices s) {                                                                \
        least_squares(u, sizes, vh, b, room, rank, info, s);                                                                               \
    }                                                                                                                                \
    TK_EXPORT(tk_least_squares_##N)
TK_MATRIX_TYPES(EIGEN)
#undef EIGEN
