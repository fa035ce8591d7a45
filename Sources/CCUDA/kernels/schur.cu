// Eigenvalues and vectors of any square matrix, in complex numbers: Householder's reflections to Hessenberg's form, QR steps with
// Wilkinson's shift to Schur's (Golub and Van Loan, chapter 7), and solutions of the triangle that is left.
#include "matrices.cuh"

enum { SCHUR_VECTORS = 1, SCHUR_STEPS = 30 };

/// Rows (or columns) x and y become c x + s y and c y - s̄ x.
TK_DEVICE void turn_pair(tk_pair &x, tk_pair &y, double c, tk_pair s) {
    tk_pair one = x;
    x = scaled(x, c) + s * y;
    y = scaled(y, c) - conjugate(s) * one;
}

/// `h` [n, n] is the matrix and is destroyed; `z` and `x` have room for as much; `w` gets the eigenvalues and `v` the vectors, of length 1
/// with a real largest element, if they are wanted.
TK_KERNEL(256) tk_schur(tk_pair *h, tk_pair *z, tk_pair *x, tk_pair *w, tk_pair *v, int *info, tk_cuda_matrices s) {
    TK_SHARED tk_pair turn_s;
    TK_SHARED double turn_c;
    long long n = s.n;
    bool vectors = s.flags & SCHUR_VECTORS;
    h += blockIdx.x * n * n;
    z += blockIdx.x * n * n;
    x += blockIdx.x * n * n;
    w += blockIdx.x * n;
    for (long long e = tk_thread(); e < n * n; e += tk_threads()) z[e] = pair(e % n == e / n, 0);
    __syncthreads();
    double size = 0;
    for (long long e = threadIdx.x; e < n * n; e += 32) size += square_of(h[e]);
    size = sqrt(across_warp(size));

    // H = Zᴴ A Z: the reflector of column k, its vector kept in the first column of x.
    for (long long k = 0; k + 2 < n; k++) {
        double below = 0;
        for (long long i = k + 2 + threadIdx.x; i < n; i += 32) below += square_of(h[i + k * n]);
        below = across_warp(below);
        tk_pair alpha = h[k + 1 + k * n];
        __syncthreads();
        if (below == 0) continue;   // for all threads
        double length = sqrt(below + square_of(alpha)), head = size_of(alpha);
        tk_pair phase = head == 0 ? pair(1, 0) : scaled(alpha, 1 / head);
        // v = a + phase |a| e, and 2 / |v|².
        double factor = 1 / (length * (length + head));
        for (long long i = k + 1 + tk_thread(); i < n; i += tk_threads()) x[i] = i == k + 1 ? alpha + scaled(phase, length) : h[i + k * n];
        __syncthreads();
        for (long long c = k + threadIdx.y; c < n; c += blockDim.y) {   // from the left
            tk_pair sum = pair(0, 0);
            for (long long i = k + 1 + threadIdx.x; i < n; i += 32) sum = sum + conjugate(x[i]) * h[i + c * n];
            sum = scaled(across_warp(sum), factor);
            for (long long i = k + 1 + threadIdx.x; i < n; i += 32) h[i + c * n] = h[i + c * n] - x[i] * sum;
        }
        __syncthreads();
        for (long long r = tk_thread(); r < (vectors ? 2 * n : n); r += tk_threads()) {   // from the right, a thread to a row of H or of Z
            tk_pair *row = r < n ? h + r : z + (r - n), sum = pair(0, 0);
            for (long long c = k + 1; c < n; c++) sum = sum + row[c * n] * x[c];
            sum = scaled(sum, factor);
            for (long long c = k + 1; c < n; c++) row[c * n] = row[c * n] - sum * conjugate(x[c]);
        }
        __syncthreads();
        for (long long i = k + 2 + tk_thread(); i < n; i += tk_threads()) h[i + k * n] = pair(0, 0);
        __syncthreads();
    }

    long long high = n - 1, steps = 0;
    bool failed = false;
    while (high > 0) {
        // The last block that does not fall apart: low … high. Every thread looks for itself.
        long long low = high;
        for (; low > 0; low--) {
            double scale = rough_size_of(h[low + low * n]) + rough_size_of(h[low - 1 + (low - 1) * n]);
            if (rough_size_of(h[low + (low - 1) * n]) <= 2.2e-16 * (scale > 0 ? scale : size)) break;
        }
        __syncthreads();
        if (low > 0 && tk_thread() == 0) h[low + (low - 1) * n] = pair(0, 0);
        __syncthreads();
        if (low == high) { high--; steps = 0; continue; }
        if (steps++ == SCHUR_STEPS * 10) { failed = true; break; }
        // The eigenvalue of the last 2 × 2 block that is nearer to its corner; now and then another, against cycles.
        tk_pair a = h[high - 1 + (high - 1) * n], b = h[high - 1 + high * n], c = h[high + (high - 1) * n], d = h[high + high * n];
        tk_pair half = scaled(a - d, 0.5), root = complex_sqrt(half * half + b * c);
        if (half.re * root.re + half.im * root.im < 0) root = -root;
        tk_pair sum = half + root, shift = size_of(sum) == 0 ? d : d - b * c / sum;
        if (steps % 10 == 0) shift = d + pair(size_of(c), 0);
        __syncthreads();
        for (long long i = low + tk_thread(); i <= high; i += tk_threads()) h[i + i * n] = h[i + i * n] - shift;
        __syncthreads();
        // H - σ = Q R by turns of neighbouring rows, then R Q + σ by the same of columns, one behind.
        double last_c = 1;
        tk_pair last_s = pair(0, 0);
        for (long long k = low; k <= high; k++) {
            if (tk_thread() == 0 && k < high) {
                tk_pair p = h[k + k * n], q = h[k + 1 + k * n];
                double first = size_of(p), second = size_of(q), all = hypot(first, second);
                turn_c = all == 0 ? 1 : first / all;
                tk_pair phase = first == 0 ? pair(1, 0) : scaled(p, 1 / first);
                turn_s = all == 0 ? pair(0, 0) : scaled(phase * conjugate(q), 1 / all);
            }
            __syncthreads();
            double now_c = turn_c;
            tk_pair now_s = turn_s;
            __syncthreads();
            if (k < high)
                for (long long j = k + tk_thread(); j < n; j += tk_threads()) turn_pair(h[k + j * n], h[k + 1 + j * n], now_c, now_s);
            __syncthreads();
            if (k > low) {
                for (long long i = tk_thread(); i <= k; i += tk_threads()) turn_pair(h[i + (k - 1) * n], h[i + k * n], last_c, conjugate(last_s));
                if (vectors)
                    for (long long i = tk_thread(); i < n; i += tk_threads()) turn_pair(z[i + (k - 1) * n], z[i + k * n], last_c, conjugate(last_s));
            }
            __syncthreads();
            last_c = now_c;
            last_s = now_s;
        }
        for (long long i = low + tk_thread(); i <= high; i += tk_threads()) h[i + i * n] = h[i + i * n] + shift;
        __syncthreads();
    }
    if (tk_thread() == 0) info[blockIdx.x] = failed;
    for (long long i = tk_thread(); i < n; i += tk_threads()) w[i] = h[i + i * n];
    if (!vectors) return;
    __syncthreads();
    v += blockIdx.x * n * n;
    // A thread to a vector of the triangle; a difference of 0 is as small as rounding makes it.
    double least = 2.2e-16 * (size > 0 ? size : 1);
    for (long long j = tk_thread(); j < n; j += tk_threads()) {
        for (long long i = n - 1; i >= 0; i--) {
            tk_pair sum = pair(i == j, 0);
            if (i < j) {
                sum = pair(0, 0);
                for (long long k = i + 1; k <= j; k++) sum = sum - h[i + k * n] * x[k + j * n];
                tk_pair gap = h[i + i * n] - h[j + j * n];
                sum = sum / (rough_size_of(gap) < least ? pair(least, 0) : gap);
            }
            x[i + j * n] = sum;
        }
    }
    __syncthreads();
    for (long long j = threadIdx.y; j < n; j += blockDim.y) {
        double all = 0, most = -1;
        for (long long i = threadIdx.x; i < n; i += 32) {
            tk_pair sum = pair(0, 0);
            for (long long k = 0; k <= j; k++) sum = sum + z[i + k * n] * x[k + j * n];
            v[i + j * n] = sum;
            all += square_of(sum);
        }
        all = sqrt(across_warp(all));
        tk_warp_barrier();   // every lane looks for the largest among what all wrote
        long long place = 0;
        for (long long i = 0; i < n; i++) if (square_of(v[i + j * n]) > most) { most = square_of(v[i + j * n]); place = i; }
        tk_pair phase = scaled(conjugate(v[place + j * n]), 1 / (sqrt(most) * all));
        tk_warp_barrier();
        for (long long i = threadIdx.x; i < n; i += 32) v[i + j * n] = i == place ? pair(sqrt(most) / all, 0) : v[i + j * n] * phase;
    }
}
TK_EXPORT(tk_schur)
