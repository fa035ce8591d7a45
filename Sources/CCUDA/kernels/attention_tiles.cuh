// What the kernels of attention by tensor cores share: which keys a query sees, and how sums go to memory.
#ifndef TK_ATTENTION_TILES_CUH
#define TK_ATTENTION_TILES_CUH
#include "arguments.cuh"
#include "types.cuh"

TK_DEVICE unsigned packed(float low, float high, tk_bfloat) { return tk_pack_bf16(low, high); }
TK_DEVICE unsigned packed(float low, float high, tk_half) { return tk_pack_f16(low, high); }

/// Which keys a query sees.
struct sight {
    int queries, keys, position, window;
    bool causal;
    TK_DEVICE_MEMBER sight(const tk_cuda_attention &p)
        : queries((int)p.queries), keys((int)p.keys), position((int)p.position), window((int)p.window), causal(p.causal != 0) {}
    TK_DEVICE_MEMBER bool operator()(int i, int j) const {
        int distance = i + position - j;
        if (i >= queries || j >= keys || (causal && distance < 0)) return false;
        return window <= 0 || (distance < window && -distance < window);
    }
};
/// The keys that some query of first ... last sees lie in `from` ..< `to`; and the other way round.
TK_DEVICE void keys_seen(const tk_cuda_attention &p, int first, int last, int &from, int &to) {
    long long low = 0, high = p.keys;
    if (p.causal && last + p.position + 1 < high) high = last + p.position + 1;
    if (p.window > 0 && last + p.position + p.window < high) high = last + p.position + p.window;
    if (p.window > 0 && first + p.position - p.window + 1 > low) low = first + p.position - p.window + 1;
    from = (int)low;
    to = (int)(high < 0 ? 0 : high);
}
TK_DEVICE void queries_seen(const tk_cuda_attention &p, int first, int last, int &from, int &to) {
    long long low = 0, high = p.queries;
    if (p.causal && first - p.position > low) low = first - p.position;
    if (p.window > 0 && first - p.position - p.window + 1 > low) low = first - p.position - p.window + 1;
    if (p.window > 0 && last - p.position + p.window < high) high = last - p.position + p.window;
    from = (int)low;
    to = (int)(high < 0 ? 0 : high);
}

/// The sums [16, HEAD] of a warp, times a factor for each of a thread's two rows, to memory. `sum(d, e)`: a thread's number e of columns 8 d on.
template <class T, int HEAD, class Sum> TK_DEVICE void store_rows(T *out, long long step, int row, int rows, int dim, const Sum &sum, float first,
                                                                  float second) {
    int lane = threadIdx.x % 32, r = row + lane / 4;
#pragma unroll
    for (int d = 0; d < HEAD / 8; d++) {
        int column = d * 8 + lane % 4 * 2;
        if (column >= dim) continue;
        if (r < rows) *(unsigned *)(out + r * step + column) = packed(sum(d, 0) * first, sum(d, 1) * first, T());
        if (r + 8 < rows) *(unsigned *)(out + (r + 8) * step + column) = packed(sum(d, 2) * second, sum(d, 3) * second, T());
    }
}

#endif
