// Running sums, products, extrema and log-sums along the middle of [outer, n, inner]. A block has blockDim.x neighbours of `inner` and
// blockDim.y threads along n (powers of two, 256 together), each of which takes SCAN_EACH places in a row; it goes along its part of n and
// carries its total on. With several parts the first launch writes their totals, and the second starts each part from those before it:
// the order of the additions depends on the sizes alone.
#include "complex.cuh"
#include "functions.cuh"

enum { SCAN_EACH = 4, SCAN_SUM = 0, SCAN_PROD, SCAN_MAX, SCAN_MIN, SCAN_LOG_SUM };
enum { SCAN_WHOLE = 0, SCAN_TOTALS, SCAN_FROM_TOTALS };

// float32, and the widest types, through which the others go.

/// What sums and products are carried in: double for floats, as on the CPU; integers wrap.
template <class T> struct scan_carrier { typedef T type; };
template <> struct scan_carrier<float> { typedef double type; };
template <> struct scan_carrier<long long> { typedef unsigned long long type; };
TK_DEVICE double scan_one(double) { return 1; }
TK_DEVICE unsigned long long scan_one(unsigned long long) { return 1; }
TK_DEVICE tk_pair scan_one(tk_pair) { return pair(1, 0); }

/// Sums and products.
template <class T> struct scan_number {
    typedef typename scan_carrier<T>::type state;
    static TK_DEVICE_MEMBER state identity(int op) { return op == SCAN_SUM ? state() : scan_one(state()); }
    static TK_DEVICE_MEMBER state lifted(T x, long long, int) { return (state)x; }
    static TK_DEVICE_MEMBER state merged(int op, state a, state b) { return op == SCAN_SUM ? a + b : a * b; }
    static TK_DEVICE_MEMBER void store(state s, T *out, long long *, long long at) { out[at] = (T)s; }
};

template <class T> struct scan_place { T value; long long place; };
/// Extrema and where they are, the last of equals; a NaN stays.
template <class T> struct scan_extremum {
    typedef scan_place<T> state;
    static TK_DEVICE_MEMBER state identity(int) { state s = {T(), -1}; return s; }
    static TK_DEVICE_MEMBER state lifted(T x, long long j, int) { state s = {x, j}; return s; }
    static TK_DEVICE_MEMBER state merged(int op, state a, state b) {
        if (a.place < 0) return b;
        if (b.place < 0) return a;
        bool later = b.value != b.value || (a.value == a.value && (op == SCAN_MAX ? b.value >= a.value : b.value <= a.value));
        return later ? b : a;
    }
    static TK_DEVICE_MEMBER void store(state s, T *out, long long *places, long long at) {
        out[at] = s.value;
        if (places) places[at] = s.place;
    }
};

struct scan_peak { double peak, sum; };
/// ln Σ eˣ as the largest x and the sum of the others relative to it; a NaN is in the sum.
template <class T> struct scan_log_sum {
    typedef scan_peak state;
    static TK_DEVICE_MEMBER state identity(int) { state s = {-tk_infinity(0.0), 0}; return s; }
    static TK_DEVICE_MEMBER state lifted(T x, long long, int) {
        state s = {x != x ? -tk_infinity(0.0) : (double)x, x != x ? (double)x : x == -tk_infinity((T)0) ? 0.0 : 1.0};
        return s;
    }
    static TK_CALLED_MEMBER state merged(int, state a, state b) {
        double peak = a.peak > b.peak ? a.peak : b.peak;
        // The smaller side's factor alone: the other's is 1, and -∞ minus itself would be NaN.
        double sum = a.peak == b.peak ? a.sum + b.sum : a.peak > b.peak ? a.sum + b.sum * exp(b.peak - peak) : b.sum + a.sum * exp(a.peak - peak);
        state s = {peak, sum};
        return s;
    }
    static TK_DEVICE_MEMBER void store(state s, T *out, long long *, long long at) {
        double limit = tk_infinity(0.0);
        out[at] = (T)(s.sum != s.sum ? s.sum : fabs(s.peak) == limit ? s.peak : s.peak + log(s.sum));
    }
};

template <class T, class Scan>
TK_DEVICE void scan(int op, const T *x, T *out, long long *places, typename Scan::state *totals, long long outer, long long n,
                    long long inner, int mode) {
    typedef typename Scan::state state;
    TK_SHARED state shared[256];
    int across = blockDim.x, along = blockDim.y, lane = threadIdx.x, place = threadIdx.y * across + lane;
    long long groups = (inner + across - 1) / across, o = blockIdx.x / groups, i = blockIdx.x % groups * across + lane;
    long long part = (n + gridDim.y - 1) / gridDim.y, first = blockIdx.y * part, last = first + part < n ? first + part : n;
    const T *from = x + o * n * inner + i;
    state carry = Scan::identity(op);
    if (mode == SCAN_FROM_TOTALS && i < inner)
        for (long long p = 0; p < blockIdx.y; p++) carry = Scan::merged(op, carry, totals[(p * outer + o) * inner + i]);
    for (long long tile = first; tile < last; tile += (long long)along * SCAN_EACH) {
        long long begin = tile + (long long)threadIdx.y * SCAN_EACH;
        state own[SCAN_EACH], sum = Scan::identity(op);
#pragma unroll
        for (int k = 0; k < SCAN_EACH; k++) {
            if (i < inner && begin + k < last) sum = Scan::merged(op, sum, Scan::lifted(from[(begin + k) * inner], begin + k, op));
            own[k] = sum;
        }
        shared[place] = sum;
        __syncthreads();
        for (int step = 1; step < along; step *= 2) {   // Hillis and Steele (1986)
            state before = Scan::identity(op);
            if ((int)threadIdx.y >= step) before = shared[place - step * across];
            __syncthreads();
            if ((int)threadIdx.y >= step) shared[place] = sum = Scan::merged(op, before, sum);
            __syncthreads();
        }
        state start = carry;
        if (threadIdx.y > 0) start = Scan::merged(op, carry, shared[place - across]);
        if (mode != SCAN_TOTALS) {
#pragma unroll
            for (int k = 0; k < SCAN_EACH; k++)
                if (i < inner && begin + k < last) Scan::store(Scan::merged(op, start, own[k]), out, places, (o * n + begin + k) * inner + i);
        }
        carry = Scan::merged(op, carry, shared[(along - 1) * across + lane]);
        __syncthreads();   // before the next tile writes
    }
    if (mode == SCAN_TOTALS && threadIdx.y == 0 && i < inner) totals[(blockIdx.y * outer + o) * inner + i] = carry;
}

#define SCAN_KERNEL(NAME, T, SCAN)                                                                                                  \
    TK_KERNEL(256) NAME(const T *x, T *out, long long *places, void *totals, long long outer, long long n, long long inner,         \
                        long long op, long long mode) {                                                                             \
        scan<T, SCAN<T>>((int)op, x, out, places, (SCAN<T>::state *)totals, outer, n, inner, (int)mode);                   \
    }                                                                                                                               \
    TK_EXPORT(NAME)
SCAN_KERNEL(tk_scan_f32, float, scan_number)
SCAN_KERNEL(tk_scan_f64, double, scan_number)
SCAN_KERNEL(tk_scan_i64, long long, scan_number)
SCAN_KERNEL(tk_scan_c128, tk_pair, scan_number)
SCAN_KERNEL(tk_scan_extremum_f32, float, scan_extremum)
SCAN_KERNEL(tk_scan_extremum_f64, double, scan_extremum)
SCAN_KERNEL(tk_scan_extremum_i64, long long, scan_extremum)
SCAN_KERNEL(tk_scan_log_sum_f64, double, scan_log_sum)
#undef SCAN_KERNEL
