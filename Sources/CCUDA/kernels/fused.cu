// Elementwise programs (FusedProgram) in one pass over memory: a thread takes four neighbouring elements through all steps. What the steps hand to
// each other lies in shared memory, four values of a thread side by side, so that no thread waits for another.
#include "arguments.cuh"
#include "functions.cuh"
#include "special.cuh"
#include "vectors.cuh"

enum { FUSED_N = 4 };

// What takes a while anyway is called: one copy of each function for all steps.
template <class F> TK_CALLED F fused_function(int op, F v) {
    if (is_special(op)) return (F)special_unary(op, (double)v);
    if (!is_frequent(op)) return rare(op, v);
    F x[1] = {v};
    frequent(op, x);
    return x[0];
}
template <class F> TK_CALLED F fused_function(int op, F a, F b) {
    return op == OP_ZETA ? (F)special_zeta((double)a, (double)b) : rare_binary(op, a, b);
}
template <class F> TK_CALLED F fused_slope(int op, F saved, F g) { return slope(op, saved, g); }

/// y = the step's operation, in F; bools are 0 and 1.
template <class F> TK_DEVICE void fused_step(const tk_cuda_fused_step &s, const F (&a)[FUSED_N], const F (&b)[FUSED_N], const F (&c)[FUSED_N],
                                             F (&y)[FUSED_N]) {
#define FUSED_EACH(EXPRESSION) _Pragma("unroll") for (int e = 0; e < FUSED_N; e++) y[e] = (EXPRESSION)
    // In turns through the same registers, as the epilogue of products has it.
#define FUSED_CALL(EXPRESSION)                                                          \
    {                                                                                   \
        F u[FUSED_N], v[FUSED_N];                                                       \
        _Pragma("unroll") for (int e = 0; e < FUSED_N; e++) { u[e] = a[e]; v[e] = b[e]; y[e] = 0; } \
        _Pragma("unroll 1") for (int turn = 0; turn < FUSED_N; turn++) {                \
            F next = (EXPRESSION);                                                      \
            _Pragma("unroll") for (int e = 0; e + 1 < FUSED_N; e++) { u[e] = u[e + 1]; v[e] = v[e + 1]; y[e] = y[e + 1]; } \
            y[FUSED_N - 1] = next;                                                      \
        }                                                                               \
    }
    const F none = (F)0, one = (F)1;
    int op = s.op;
    switch (s.kind) {
    case FUSED_UNARY:
        switch (op) {
        case OP_NEG: FUSED_EACH(-a[e]); break;
        case OP_ABS: FUSED_EACH(fabs(a[e])); break;
        case OP_SQUARE: FUSED_EACH(a[e] * a[e]); break;
        case OP_RELU: FUSED_EACH(a[e] < 0 ? none : a[e]); break;
        case OP_NOT: FUSED_EACH(a[e] == 0 ? one : none); break;
        default: FUSED_CALL(fused_function(op, u[0]));
        }
        break;
    case FUSED_UNARY_GRAD: FUSED_CALL(fused_slope(op, u[0], v[0])); break;
    case FUSED_BINARY:
        switch (op) {
        case OP_ADD: FUSED_EACH(a[e] + b[e]); break;
        case OP_SUB: FUSED_EACH(a[e] - b[e]); break;
        case OP_MUL: FUSED_EACH(a[e] * b[e]); break;
        case OP_DIV: FUSED_EACH(a[e] / b[e]); break;
        case OP_MAX: FUSED_EACH(larger(a[e], b[e])); break;
        case OP_MIN: FUSED_EACH(smaller(a[e], b[e])); break;
        case OP_AND: FUSED_EACH(a[e] != 0 && b[e] != 0 ? one : none); break;
        case OP_OR: FUSED_EACH(a[e] != 0 || b[e] != 0 ? one : none); break;
        case OP_XOR: FUSED_EACH((a[e] != 0) != (b[e] != 0) ? one : none); break;
        default: FUSED_CALL(fused_function(op, u[0], v[0]));
        }
        break;
    case FUSED_COMPARE: FUSED_EACH(related(op, a[e], b[e]) ? one : none); break;
    case FUSED_SELECT: FUSED_EACH(a[e] != 0 ? b[e] : c[e]); break;
    case FUSED_CLAMP: FUSED_EACH(clamped(a[e], b[e], c[e])); break;
    case FUSED_CLASSIFY: FUSED_EACH(is_of_class(op, a[e]) ? one : none); break;
    case FUSED_CAST: FUSED_EACH(a[e]); break;
    case FUSED_ROUND:
        if (op == TK_CODE_F16) FUSED_EACH((F)tk_widen(tk_narrow<tk_half>((float)a[e])));
        else FUSED_EACH((F)tk_widen(tk_narrow<tk_bfloat>((float)a[e])));
        break;
    default: FUSED_EACH(fma(a[e], b[e], c[e])); break;
    }
#undef FUSED_CALL
#undef FUSED_EACH
}

template <class F> TK_DEVICE void fused_run(const tk_cuda_fused_step &s, const F (&a)[FUSED_N], const F (&b)[FUSED_N], const F (&c)[FUSED_N], F (&y)[FUSED_N]) {
    fused_step(s, a, b, c, y);
}
/// Beside double, steps in float32.
TK_DEVICE void fused_run(const tk_cuda_fused_step &s, const double (&a)[FUSED_N], const double (&b)[FUSED_N], const double (&c)[FUSED_N],
                         double (&y)[FUSED_N]) {
    if (s.type == TK_CODE_F64) return fused_step(s, a, b, c, y);
    float u[FUSED_N], v[FUSED_N], w[FUSED_N], z[FUSED_N];
#pragma unroll
    for (int e = 0; e < FUSED_N; e++) { u[e] = (float)a[e]; v[e] = (float)b[e]; w[e] = (float)c[e]; }
    fused_step(s, u, v, w, z);
#pragma unroll
    for (int e = 0; e < FUSED_N; e++) y[e] = (double)z[e];
}

template <class F> struct alignas(16) fused_values { F at[FUSED_N]; };

template <class T, class F> TK_DEVICE void fused_read(const void *x, const long long (&at)[FUSED_N], int count, F (&out)[FUSED_N]) {
    const T *from = (const T *)x + at[0];
    if (count == FUSED_N && at[3] - at[0] == 3 && at[1] - at[0] == 1 && at[2] - at[0] == 2 && tk_aligned<T, FUSED_N>(from)) {
        tk_wide<T> v[FUSED_N];
        tk_load<T, FUSED_N>(from, FUSED_N, true, v);
#pragma unroll
        for (int e = 0; e < FUSED_N; e++) out[e] = (F)v[e];
    } else {
#pragma unroll
        for (int e = 0; e < FUSED_N; e++) out[e] = e < count ? (F)tk_widen(((const T *)x)[at[e]]) : (F)0;
    }
}
template <class F> TK_DEVICE void fused_load(int type, const void *x, const long long (&at)[FUSED_N], int count, F (&out)[FUSED_N]) {
    switch (type) {
    case TK_CODE_F32: fused_read<float>(x, at, count, out); break;
    case TK_CODE_F16: fused_read<tk_half>(x, at, count, out); break;
    case TK_CODE_BF16: fused_read<tk_bfloat>(x, at, count, out); break;
    case TK_CODE_F64: fused_read<double>(x, at, count, out); break;
    default: fused_read<unsigned char>(x, at, count, out); break;
    }
}
template <class T, class F> TK_DEVICE void fused_write(void *x, long long i, int count, const F (&in)[FUSED_N]) {
    T *to = (T *)x + i;
    tk_wide<T> v[FUSED_N];
#pragma unroll
    for (int e = 0; e < FUSED_N; e++) v[e] = (tk_wide<T>)in[e];
    tk_store<T, FUSED_N>(to, count, count == FUSED_N && tk_aligned<T, FUSED_N>(to), v);
}
template <class F> TK_DEVICE void fused_store(int type, void *x, long long i, int count, const F (&in)[FUSED_N]) {
    switch (type) {
    case TK_CODE_F32: fused_write<float>(x, i, count, in); break;
    case TK_CODE_F16: fused_write<tk_half>(x, i, count, in); break;
    case TK_CODE_BF16: fused_write<tk_bfloat>(x, i, count, in); break;
    case TK_CODE_F64: fused_write<double>(x, i, count, in); break;
    default: fused_write<unsigned char>(x, i, count, in); break;
    }
}

/// The place of an element along each axis; axes are lined up from the last.
TK_DEVICE void fused_places(const tk_cuda_fused &p, long long i, unsigned (&place)[TK_CUDA_FUSED_RANK]) {
    unsigned rest = (unsigned)i;
#pragma unroll
    for (int axis = TK_CUDA_FUSED_RANK - 1; axis >= 0; axis--) {
        place[axis] = 0;
        if (axis < TK_CUDA_FUSED_RANK - p.rank) continue;
        unsigned size = (unsigned)p.dims[axis], next = rest / size;
        place[axis] = rest - next * size;
        rest = next;
    }
}

TK_DEVICE long long fused_offset(const tk_cuda_fused &p, const tk_cuda_fused_operand &x, const unsigned (&place)[TK_CUDA_FUSED_RANK]) {
    long long at = 0;
#pragma unroll
    for (int axis = 0; axis < TK_CUDA_FUSED_RANK; axis++) if (axis >= TK_CUDA_FUSED_RANK - p.rank) at += (long long)place[axis] * x.strides[axis];
    return at;
}

/// Inputs first, then registers; a number from TK_CUDA_FUSED_CONSTANT on is a constant's.
template <class F> TK_DEVICE void fused(const tk_cuda_fused &p) {
    TK_DYNAMIC_SHARED(memory);
    fused_values<F> *slots = (fused_values<F> *)memory + threadIdx.x;
    int wide = blockDim.x;
    bool by_fours = p.dims[TK_CUDA_FUSED_RANK - 1] % FUSED_N == 0;   // neighbours lie in one row
    for (long long i = tk_first() * FUSED_N; i < p.count; i += tk_step() * FUSED_N) {
        int count = p.count - i < FUSED_N ? (int)(p.count - i) : FUSED_N;
        unsigned place[FUSED_N][TK_CUDA_FUSED_RANK];
        if (p.walks) {
#pragma unroll
            for (int e = 0; e < FUSED_N; e++) if (e == 0 || !by_fours) fused_places(p, e < count ? i + e : i, place[e]);
        }
        for (int k = 0; k < p.inputs; k++) {
            long long at[FUSED_N];
            const tk_cuda_fused_operand &x = p.operands[k];
#pragma unroll
            for (int e = 0; e < FUSED_N; e++) {
                at[e] = x.moves == 0 ? 0 : i + e;
                if (x.moves < 2) continue;
                if (by_fours && e > 0) at[e] = at[0] + e * x.strides[TK_CUDA_FUSED_RANK - 1];
                else at[e] = fused_offset(p, x, place[e]);
            }
            F value[FUSED_N];
            fused_load(x.type, (const void *)x.address, at, count, value);
            fused_values<F> &to = slots[k * wide];
#pragma unroll
            for (int e = 0; e < FUSED_N; e++) to.at[e] = value[e];
        }
        for (int k = 0; k < p.steps; k++) {
            tk_cuda_fused_step s = p.code[k];
            F arguments[3][FUSED_N], y[FUSED_N];
#pragma unroll
            for (int a = 0; a < 3; a++) {
                int slot = s.args[a];
                if (slot >= TK_CUDA_FUSED_CONSTANT) {
                    F value = (F)p.constants[slot - TK_CUDA_FUSED_CONSTANT];
#pragma unroll
                    for (int e = 0; e < FUSED_N; e++) arguments[a][e] = value;
                } else {
                    const fused_values<F> &from = slots[slot * wide];
#pragma unroll
                    for (int e = 0; e < FUSED_N; e++) arguments[a][e] = from.at[e];
                }
            }
            fused_run(s, arguments[0], arguments[1], arguments[2], y);
            fused_values<F> &to = slots[s.out * wide];
#pragma unroll
            for (int e = 0; e < FUSED_N; e++) to.at[e] = y[e];
        }
        for (int k = 0; k < p.outputs; k++) {
            const tk_cuda_fused_operand &x = p.operands[p.inputs + k];
            F value[FUSED_N];
            int slot = (int)x.slot;
#pragma unroll
            for (int e = 0; e < FUSED_N; e++)
                value[e] = slot >= TK_CUDA_FUSED_CONSTANT ? (F)p.constants[slot - TK_CUDA_FUSED_CONSTANT] : slots[slot * wide].at[e];
            fused_store(x.type, (void *)x.address, i, count, value);
        }
    }
}

TK_KERNEL(128) tk_fused_f32(tk_cuda_fused p) { fused<float>(p); }
TK_EXPORT(tk_fused_f32)
TK_KERNEL(128) tk_fused_f64(tk_cuda_fused p) { fused<double>(p); }
TK_EXPORT(tk_fused_f64)
