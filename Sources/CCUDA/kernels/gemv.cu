// Products of a matrix with few vectors, up to 8: what decoding does. The matrix ("the weight", whichever side it stands on) is read once, in
// pieces of 16 bytes, at the speed of the memory; the vectors come from the caches. Every sum is made in an order that the shape alone fixes.
#include "epilogue.cuh"

enum { GEMV_WARPS = 8, GEMV_LINES = 4 };

/// 16 bytes of neighbouring elements.
template <class T> struct alignas(16) gemv_piece {
    enum { count = 16 / sizeof(T) };
    unsigned word[4];

    TK_DEVICE_MEMBER void load(const T *x) { *this = *(const gemv_piece *)x; }
    /// Of which only `left` are there; the others are zero. At the edges alone, so one by one, the last first.
    TK_DEVICE_MEMBER void load(const T *x, long long left) {
        word[0] = word[1] = word[2] = word[3] = 0;
#pragma unroll 1
        for (int e = left < count ? (int)left - 1 : count - 1; e >= 0; e--) push(x[e]);
    }
    TK_DEVICE_MEMBER float at(int e) const { return element(e, (T *)0); }

private:
    TK_DEVICE_MEMBER void push(float x) { word[3] = word[2]; word[2] = word[1]; word[1] = word[0]; word[0] = tk_float_bits(x); }
    TK_DEVICE_MEMBER void push(tk_half x) { push_bits(x.bits); }
    TK_DEVICE_MEMBER void push(tk_bfloat x) { push_bits(x.bits); }
    TK_DEVICE_MEMBER void push_bits(unsigned bits) {
#pragma unroll
        for (int w = 3; w > 0; w--) word[w] = word[w] << 16 | word[w - 1] >> 16;
        word[0] = word[0] << 16 | bits;
    }
    TK_DEVICE_MEMBER float element(int e, float *) const { return tk_bits_float(word[e]); }
    TK_DEVICE_MEMBER float element(int e, tk_bfloat *) const { return tk_bits_float(e % 2 ? word[e / 2] & 0xffff0000u : word[e / 2] << 16); }
    TK_DEVICE_MEMBER float element(int e, tk_half *) const {
        return tk_half_to_float((unsigned short)(e % 2 ? word[e / 2] >> 16 : word[e / 2]));
    }
};

/// The operands of one product of a batch: the matrix has `lines` of them, the vectors are few. `turned`: the few are the right operand's columns.
template <class T> struct gemv_operands {
    const T *weight, *few;
    long long row_length, lines, few_step, few_along;
    int k, count;   // of the vectors
    bool turned;

    TK_DEVICE_MEMBER gemv_operands(const T *a, const T *b, const tk_cuda_gemm &p, bool turned, long long batch) : k((int)p.k), turned(turned) {
        const T *left = a + batch * p.stride_a, *right = b + batch * p.stride_b;
        weight = turned ? left : right;
        few = turned ? right : left;
        row_length = turned ? p.lda : p.ldb;
        lines = turned ? p.m : p.n;
        count = (int)(turned ? p.n : p.m);
        few_step = turned ? (p.transpose_b ? p.ldb : 1) : p.transpose_a ? 1 : p.lda;
        few_along = turned ? (p.transpose_b ? 1 : p.ldb) : p.transpose_a ? p.lda : 1;
    }
    /// Whether pieces of the vectors can be read as they are, as those of the weight can.
    TK_DEVICE_MEMBER bool few_in_pieces() const {
        return few_along == 1 && (few_step % gemv_piece<T>::count == 0 || count == 1) && (unsigned long long)few % 16 == 0;
    }
    /// Stores four lines from `line` on of one vector or, turned, one of these lines of four vectors: the `number`-th of such groups, of vectors
    /// from `base` on. sum(r, e) belongs to vector base + r and line + e.
    template <class Sum> TK_DEVICE_MEMBER void store(const gemm_result<float> &to, long long line, int base, int number, const Sum &sum) const {
        float value[4];
        int e = turned ? number % 4 : 0, r = turned ? number / 4 * 4 : number, vectors = count - base - r;
        long long left = lines - line - e;
        if (left <= 0 || vectors <= 0) return;
#pragma unroll
        for (int j = 0; j < 4; j++) value[j] = !turned ? sum(r, j) : j < vectors ? sum(r + j, e) : 0.0f;
        long long here = turned ? vectors : left;
        to(turned ? line + e : base + r, turned ? base + r : line, value, here < 4 ? (int)here : 4);
    }
};

/// The weight's lines lie along k: four of them to a warp, whose lanes take pieces in turn. `parts` of the 8 warps of a block share the same lines.
template <class T, int FEW>
TK_DEVICE void gemv_along(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, const tk_cuda_gemm &p, int parts, bool turned) {
    enum { N = gemv_piece<T>::count };
    TK_SHARED float sums[GEMV_WARPS][FEW][GEMV_LINES];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = warp % parts;
    for (long long item = blockIdx.y; item < p.batch * p.splits; item += gridDim.y) {
        long long batch = item / p.splits, split = item % p.splits;
        gemv_operands<T> x(a, b, p, turned, batch);
        long long line = ((long long)blockIdx.x * (GEMV_WARPS / parts) + warp / parts) * GEMV_LINES;
        long long pieces = (x.k + N - 1) / N, share = split * parts + part, shares = p.splits * parts;
        int first = (int)(pieces * share / shares), last = (int)(pieces * (share + 1) / shares);
        bool few_whole = x.few_in_pieces();
        float sum[FEW][GEMV_LINES];
#pragma unroll
        for (int r = 0; r < FEW; r++)
#pragma unroll
            for (int e = 0; e < GEMV_LINES; e++) sum[r][e] = 0;
        for (int at = first + lane; at < last; at += 32) {
            int k = at * N, left = x.k - k;
            gemv_piece<T> w[GEMV_LINES];
            const T *from = x.weight + line * x.row_length + k;
            if (left >= N && line + GEMV_LINES <= x.lines) {   // all on their way before the first is used
#pragma unroll
                for (int e = 0; e < GEMV_LINES; e++) w[e].load(from + e * x.row_length);
            } else {
#pragma unroll
                for (int e = 0; e < GEMV_LINES; e++) w[e].load(from + e * x.row_length, line + e < x.lines ? left : 0);
            }
#pragma unroll
            for (int r = 0; r < FEW; r++) {
                const T *few = x.few + r * x.few_step + k * x.few_along;
                float value[N];
                if (few_whole && left >= N && r < x.count) {
                    gemv_piece<T> v;
                    v.load(few);
#pragma unroll
                    for (int i = 0; i < N; i++) value[i] = v.at(i);
                } else {
#pragma unroll
                    for (int i = 0; i < N; i++) value[i] = r < x.count && i < left ? tk_widen(few[i * x.few_along]) : 0.0f;
                }
#pragma unroll
                for (int i = 0; i < N; i++)
#pragma unroll
                    for (int e = 0; e < GEMV_LINES; e++) sum[r][e] += value[i] * w[e].at(i);
            }
        }
#pragma unroll
        for (int r = 0; r < FEW; r++)
#pragma unroll
            for (int e = 0; e < GEMV_LINES; e++) {
#pragma unroll
                for (int mask = 16; mask > 0; mask >>= 1) sum[r][e] += tk_shuffle_xor(sum[r][e], mask);
                if (lane == 0) sums[warp][r][e] = sum[r][e];
            }
        __syncthreads();
        if (part == 0) {   // this warp's lines, the parts in their order
            gemm_result<float> to = partial ? gemm_result<float>(partial, p, split * p.batch + batch) : gemm_result<float>(c, bias, product, p, batch);
            if (lane < (FEW < 4 ? 4 : FEW)) x.store(to, line, 0, lane, [&](int r, int e) {
                float total = sums[warp][r][e];
                for (int other = 1; other < parts; other++) total += sums[warp + other][r][e];
                return total;
            });
        }
        __syncthreads();
    }
}

/// The weight's lines lie across k: 8 lanes have pieces of one k, 128 bytes, and the 4 groups of lanes of 8 warps take the k in turn.
template <class T, int FEW>
TK_DEVICE void gemv_across(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, const tk_cuda_gemm &p, bool turned) {
    enum { N = gemv_piece<T>::count, WIDTH = 8 * N, STEP = 4 * GEMV_WARPS, AHEAD = FEW == 1 ? 4 : FEW == 4 ? 3 : 2, STORED = FEW < 4 ? FEW : 4 };
    TK_SHARED float sums[GEMV_WARPS][STORED][WIDTH];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    long long line0 = (long long)blockIdx.x * WIDTH, line = line0 + lane % 8 * N;
    for (long long item = blockIdx.y; item < p.batch * p.splits; item += gridDim.y) {
        long long batch = item / p.splits, split = item % p.splits;
        gemv_operands<T> x(a, b, p, turned, batch);
        int last = (int)(p.k * (split + 1) / p.splits);
        long long left = x.lines - line;
        float sum[FEW][N];
#pragma unroll
        for (int r = 0; r < FEW; r++)
#pragma unroll
            for (int e = 0; e < N; e++) sum[r][e] = 0;
        for (int k0 = (int)(p.k * split / p.splits) + warp * 4 + lane / 8; k0 < last; k0 += STEP * AHEAD) {
            gemv_piece<T> w[AHEAD];
            const T *from = x.weight + k0 * x.row_length + line;
            if (left >= N && k0 + STEP * (AHEAD - 1) < last) {
#pragma unroll
                for (int u = 0; u < AHEAD; u++) w[u].load(from + u * STEP * x.row_length);
            } else {
#pragma unroll
                for (int u = 0; u < AHEAD; u++) w[u].load(from + u * STEP * x.row_length, k0 + u * STEP < last ? left : 0);
            }
#pragma unroll
            for (int u = 0; u < AHEAD; u++) {
                int k = k0 + u * STEP;
#pragma unroll
                for (int r = 0; r < FEW; r++) {
                    float value = r < x.count && k < last ? tk_widen(x.few[r * x.few_step + k * x.few_along]) : 0.0f;
#pragma unroll
                    for (int e = 0; e < N; e++) sum[r][e] += value * w[u].at(e);
                }
            }
        }
        gemm_result<float> to = partial ? gemm_result<float>(partial, p, split * p.batch + batch) : gemm_result<float>(c, bias, product, p, batch);
#pragma unroll
        for (int r0 = 0; r0 < FEW; r0 += STORED) {
#pragma unroll
            for (int r = 0; r < STORED; r++)
#pragma unroll
                for (int e = 0; e < N; e++) {
                    float value = sum[r0 + r][e];
                    value += tk_shuffle_xor(value, 8);
                    value += tk_shuffle_xor(value, 16);
                    if (lane < 8) sums[warp][r][lane * N + e] = value;
                }
            __syncthreads();
            int group = threadIdx.x % (WIDTH / 4) * 4, number = threadIdx.x / (WIDTH / 4);
            if (number < 4 && (turned || number < STORED)) x.store(to, line0 + group, r0, number, [&](int r, int e) {
                float total = sums[0][r][group + e];
#pragma unroll
                for (int other = 1; other < GEMV_WARPS; other++) total += sums[other][r][group + e];
                return total;
            });
            __syncthreads();
        }
    }
}

// By how the weight lies, how many vectors there may be, and the type of the operands.
#define GEMV(T, S, FEW)                                                                                                                        \
    TK_DENSE_KERNEL(256, 2) tk_gemv_along_##FEW##_##S(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, tk_cuda_gemm p,  \
                                             long long parts, long long turned) {                                                            \
        gemv_along<T, FEW>(a, b, c, bias, product, partial, p, (int)parts, turned != 0);                                                     \
    }                                                                                                                                        \
    TK_EXPORT(tk_gemv_along_##FEW##_##S)                                                                                                     \
    TK_DENSE_KERNEL(256, FEW < 8 ? 2 : 1) tk_gemv_across_##FEW##_##S(const T *a, const T *b, void *c, const void *bias, void *product, float *partial, tk_cuda_gemm p, \
                                              long long, long long turned) {                                                                 \
        gemv_across<T, FEW>(a, b, c, bias, product, partial, p, turned != 0);                                                                \
    }                                                                                                                                        \
    TK_EXPORT(tk_gemv_across_##FEW##_##S)
#define GEMV_TYPE(T, S) GEMV(T, S, 1) GEMV(T, S, 4) GEMV(T, S, 8)
GEMV_TYPE(float, f32)
GEMV_TYPE(tk_half, f16)
GEMV_TYPE(tk_bfloat, bf16)
#undef GEMV_TYPE
#undef GEMV
