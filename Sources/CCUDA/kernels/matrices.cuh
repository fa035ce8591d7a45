// Matrices column after column, of doubles or of complex doubles, one to a block of warps (blockDim.x = 32 lanes, blockDim.y warps).
#ifndef TK_MATRICES_CUH
#define TK_MATRICES_CUH
#include "arguments.cuh"
#include "complex.cuh"

#define TK_MATRIX_TYPES(X) X(double, f64) X(tk_pair, c128)

TK_DEVICE double conjugate(double x) { return x; }
TK_DEVICE tk_pair conjugate(tk_pair z) { return pair(z.re, -z.im); }
TK_DEVICE double real_part_of(double x) { return x; }
TK_DEVICE double real_part_of(tk_pair z) { return z.re; }
TK_DEVICE double imaginary_part_of(double) { return 0; }
TK_DEVICE double imaginary_part_of(tk_pair z) { return z.im; }
TK_DEVICE double square_of(double x) { return x * x; }
TK_DEVICE double square_of(tk_pair z) { return z.re * z.re + z.im * z.im; }
TK_DEVICE double size_of(double x) { return fabs(x); }
TK_DEVICE double size_of(tk_pair z) { return hypot(z.re, z.im); }
/// |re| + |im|, by which LAPACK chooses pivots.
TK_DEVICE double rough_size_of(double x) { return fabs(x); }
TK_DEVICE double rough_size_of(tk_pair z) { return fabs(z.re) + fabs(z.im); }
TK_DEVICE double scaled(double x, double by) { return x * by; }
TK_DEVICE tk_pair scaled(tk_pair z, double by) { return pair(z.re * by, z.im * by); }
template <class S> struct tk_number;
template <> struct tk_number<double> { static TK_DEVICE_MEMBER double of(double re, double = 0) { return re; } };
template <> struct tk_number<tk_pair> { static TK_DEVICE_MEMBER tk_pair of(double re, double im = 0) { return pair(re, im); } };

TK_DEVICE int tk_thread() { return threadIdx.y * blockDim.x + threadIdx.x; }
TK_DEVICE int tk_threads() { return blockDim.x * blockDim.y; }

/// The sum over the lanes of a warp, all of which take part.
TK_CALLED double across_warp(double x) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) x += tk_shuffle_xor(x, mask);
    return x;
}
TK_DEVICE tk_pair across_warp(tk_pair z) { return pair(across_warp(z.re), across_warp(z.im)); }

/// The place of the largest of the threads' values, the first of equals; known to all threads.
TK_CALLED long long place_of_largest(double value, long long place, double (&values)[256], long long (&places)[256]) {
    int t = tk_thread();
    __syncthreads();   // what the call before left was read
    values[t] = value;
    places[t] = place;
    for (int half = tk_threads() / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half && (values[t + half] > values[t] || (values[t + half] == values[t] && places[t + half] < places[t]))) {
            values[t] = values[t + half];
            places[t] = places[t + half];
        }
    }
    __syncthreads();
    return places[0];
}

/// A triangle of a square matrix, or of its transpose, conjugated or not.
template <class S> struct tk_triangle {
    const S *a;
    long long n;
    bool upper, unit, transposed, conjugated;   // `upper`: in memory
    TK_DEVICE_MEMBER S at(long long i, long long j) const {
        S x = transposed ? a[j + i * n] : a[i + j * n];
        return conjugated ? conjugate(x) : x;
    }
};

/// b [n, columns] becomes A⁻¹ b, row by row, the threads sharing what remains. Elements lie `row_step` and `column_step` apart.
template <class S> TK_CALLED void solve_triangle(const tk_triangle<S> &a, S *b, long long columns, long long row_step, long long column_step) {
    bool backwards = a.upper != a.transposed;
    for (long long step = 0; step < a.n; step++) {
        long long i = backwards ? a.n - 1 - step : step, rest = a.n - 1 - step, first = backwards ? 0 : i + 1;
        if (!a.unit) {
            S d = a.at(i, i);
            for (long long c = tk_thread(); c < columns; c += tk_threads()) b[i * row_step + c * column_step] = b[i * row_step + c * column_step] / d;
            __syncthreads();
        }
        for (long long e = tk_thread(); e < rest * columns; e += tk_threads()) {
            long long r = first + e % rest, c = e / rest;
            b[r * row_step + c * column_step] = b[r * row_step + c * column_step] - a.at(r, i) * b[i * row_step + c * column_step];
        }
        __syncthreads();
    }
}

/// The turn that makes a Hermitian [[p, r], [r̄, q]] diagonal: columns p and q become c p - s ω q and s p + c ω q.
template <class S> struct tk_turn { double c, s; S omega; };
template <class S> TK_CALLED tk_turn<S> turn_of(double p, double q, S r) {
    double size = size_of(r), theta = (q - p) / (2 * size);
    double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    tk_turn<S> turn;
    turn.c = 1 / sqrt(t * t + 1);
    turn.s = t * turn.c;
    turn.omega = scaled(conjugate(r), 1 / size);
    return turn;
}
/// Pair k of round r of a tournament of an even number of players, in which everybody meets everybody once; p < q.
TK_DEVICE void players(long long count, long long round, long long k, long long &p, long long &q) {
    long long circle = count - 1, a = k == 0 ? circle : (round + k) % circle, b = (round - k + circle) % circle;
    p = a < b ? a : b;
    q = a < b ? b : a;
}

#endif
