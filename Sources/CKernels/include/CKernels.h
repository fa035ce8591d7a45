// The CPU kernels: every loop over tensor data that is not BLAS.
//
// Conventions
//  * All buffers are dense and row-major unless strides are given. Strides count elements, may be 0 (broadcast)
//    or negative. `rank` may be 0 (one element). Sizes may be 0: such a call does nothing (a reduction writes its identity).
//  * Buffers need only the element type's own alignment.
//  * A kernel splits its work by shape alone, never by the number of threads: results are the same bit for bit
//    for any thread count.
//  * f16 and bf16 are computed in float and rounded once (to nearest even).
#ifndef TAPESTRY_CKERNELS_H
#define TAPESTRY_CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- element types (CoreTensor.DType has the same raw values) ----
enum {
    TK_F32 = 0, TK_F64, TK_F16, TK_BF16, TK_I8, TK_U8, TK_I32, TK_I64, TK_BOOL,
    TK_C64, TK_C128 /* real and imaginary part side by side */, TK_E4M3, TK_E5M2 /* storage only: copies, fills and casts */,
    TK_DTYPE_COUNT
};

// ---- configuration: config.c ----
/// The instruction set the kernels run with: "AVX-512", "AVX2", "baseline" (x86-64) or "portable".
const char *tk_isa_name(void);
/// The best instruction set this CPU has, whatever was chosen (same names).
const char *tk_cpu_isa_name(void);
/// Limits the kernels to a level: 0 baseline, 1 AVX2, 2 AVX-512; -1 the best there is. For tests. Returns the level in force.
int tk_set_isa_level(int level);
/// Outputs of at least so many bytes are stored past the caches. Returns the limit before.
int64_t tk_set_stream_bytes(int64_t bytes);
/// Whether convolutions may use Winograd's algorithm, which is faster and rounds more; at start they may.
bool tk_allows_winograd(void);
void tk_set_winograd(bool allowed);

// ---- profiling: profiling.c, peaks.c ----
extern _Atomic int tk_profiling_flag;
/// Whether the calls of the backend are timed.
static inline bool tk_profiling(void) { return __builtin_expect(__c11_atomic_load(&tk_profiling_flag, __ATOMIC_RELAXED), 0); }
void tk_set_profiling(bool on);
/// A clock that never goes back.
uint64_t tk_nanoseconds(void);
/// The best f32 multiply-adds (counted as two) and memory traffic per second of all threads, measured in some 100 ms.
void tk_measure_peaks(double *flops, double *bytes);

// ---- thread pool: pool.c ----
/// Number of threads the pool uses, the caller included.
int tk_thread_count(void);
void tk_set_thread_count(int n);
typedef void (*tk_task_fn)(void *context, int64_t task);
/// Runs tasks 0 ..< count, each once, on the pool's threads and the caller. Nested calls run inline.
void tk_parallel(int64_t count, tk_task_fn fn, void *context);
/// Splits [0, n) into ranges of `grain` (the last may be shorter) and runs them as tasks.
typedef void (*tk_range_fn)(void *context, int64_t low, int64_t high);
void tk_parallel_ranges(int64_t n, int64_t grain, tk_range_fn fn, void *context);

// ---- caching allocator: allocator.c ----
typedef struct {
    int64_t bytes_in_use, peak_bytes_in_use;   // handed out now, and the most ever (since the last reset)
    int64_t bytes_cached;                      // kept for reuse
    int64_t allocations, system_allocations;   // calls served, and those that went to the system
} tk_memory_stats;
/// 64-byte aligned memory; NULL when the system has none. The content is undefined.
void *tk_alloc(size_t bytes);
/// `bytes` is what tk_alloc was asked for.
void tk_free(void *pointer, size_t bytes);
void tk_empty_cache(void);
tk_memory_stats tk_get_memory_stats(void);
void tk_reset_peak_memory(void);

// ---- thread-local state and call sites: callsite.c ----
/// The element type of an autocast region in force, or -1.
extern _Thread_local int tk_autocast_type;
static inline int tk_get_autocast(void) { return tk_autocast_type; }
static inline void tk_set_autocast(int dtype) { tk_autocast_type = dtype; }
extern _Thread_local int tk_grad_disabled_depth;
static inline bool tk_grad_enabled(void) { return tk_grad_disabled_depth == 0; }
static inline int tk_get_grad_depth(void) { return tk_grad_disabled_depth; }
static inline void tk_set_grad_depth(int d) { tk_grad_disabled_depth = d; }
/// The calling thread's own object; whoever sets it sees to its end.
extern _Thread_local void *tk_thread_object;
static inline void *tk_get_thread_object(void) { return tk_thread_object; }
static inline void tk_set_thread_object(void *object) { tk_thread_object = object; }
/// Return addresses of the callers, innermost first, by walking frame pointers; fills `out` with up to `max`. Returns how many.
int tk_capture_call_site(uintptr_t *out, int max);
/// The file (a program or a library) whose code is at an address, and the address in the file's own numbering. 0 if there is none, or its path is too
/// long.
int tk_find_code(uintptr_t address, char *path, size_t size, uintptr_t *own);
/// A process-wide counter: 1, 2, 3 ... (atomic).
uint64_t tk_next_sequence(void);

// ---- elementwise ----
// Unary, same type in and out. Integers: NEG ABS SIGN SQUARE RELU NOT only. BOOL: NOT only.
enum {
    TK_NEG = 0, TK_ABS, TK_SIGN, TK_SQUARE, TK_SQRT, TK_RSQRT, TK_RECIPROCAL, TK_EXP, TK_EXPM1, TK_LOG, TK_LOG1P,
    TK_LOG2, TK_LOG10, TK_EXP2, TK_SIN, TK_COS, TK_TAN, TK_ASIN, TK_ACOS, TK_ATAN, TK_SINH, TK_COSH, TK_TANH,
    TK_ERF, TK_ERFC, TK_SIGMOID, TK_LOG_SIGMOID, TK_SOFTPLUS, TK_RELU, TK_GELU_ERF, TK_GELU_TANH, TK_SILU,
    TK_FLOOR, TK_CEIL, TK_ROUND /* half to even */, TK_TRUNC, TK_NOT /* bool; all bits of integers */,
    // From here on computed in double (special.c); complex types have the first three.
    TK_ASINH, TK_ACOSH, TK_ATANH, TK_LGAMMA, TK_DIGAMMA, TK_ERFINV, TK_ERFCX, TK_I0, TK_I0E, TK_I1, TK_I1E, TK_NDTRI,
    TK_LOG_NDTR, TK_SINC, TK_UNARY_COUNT
};
void tk_unary(int op, int dtype, const void *x, void *y, int64_t n);
// y: bool. Float types.
enum { TK_ISNAN = 0, TK_ISINF, TK_ISFINITE };
void tk_classify(int op, int dtype, const void *x, bool *y, int64_t n);

// Fused derivative: dx = g * f'(s), where s is the saved tensor: the op's input x, or its output y where marked.
enum {
    TK_GRAD_TANH_Y = 0, TK_GRAD_SIGMOID_Y, TK_GRAD_RELU_Y /* y > 0 */, TK_GRAD_GELU_ERF_X, TK_GRAD_GELU_TANH_X,
    TK_GRAD_SILU_X, TK_GRAD_LOG_SIGMOID_X, TK_GRAD_SOFTPLUS_X, TK_GRAD_UNARY_COUNT
};
void tk_unary_grad(int op, int dtype, const void *s, const void *g, void *dx, int64_t n);

// Binary with broadcasting by strides; `out` is dense in the order of dims.
// ADD SUB MUL DIV POW MAX MIN REMAINDER (sign of divisor, as Python) FLOOR_DIV on float and integer types (DIV on integers
// truncates; integer division or remainder by zero gives 0); MAX/MIN propagate NaN. AND OR XOR on bool and integers.
// ATAN2 HYPOT on float types. Integers wrap.
enum {
    TK_ADD = 0, TK_SUB, TK_MUL, TK_DIV, TK_POW, TK_MAX, TK_MIN, TK_REMAINDER, TK_FLOOR_DIV, TK_AND, TK_OR, TK_XOR,
    TK_ATAN2, TK_HYPOT,
    // FMOD (sign of the dividend) GCD LCM on integers too, LEFT_SHIFT RIGHT_SHIFT on integers alone; the rest on floats, computed
    // in double (special.c). FMAX and FMIN leave out NaN.
    TK_FMOD, TK_GCD, TK_LCM, TK_LEFT_SHIFT, TK_RIGHT_SHIFT, TK_FMAX, TK_FMIN, TK_COPYSIGN, TK_NEXTAFTER, TK_LOGADDEXP,
    TK_LOGADDEXP2, TK_XLOGY, TK_XLOG1PY, TK_ZETA, TK_HEAVISIDE, TK_BINARY_COUNT
};
void tk_binary(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides,
               const void *b, const int64_t *b_strides, void *out);
/// The dense case: out[i] = a[i] op b[i]. `out` may be `a` or `b`. A step is 1, or 0 for a single repeated element.
void tk_binary_dense(int op, int dtype, const void *a, int a_step, const void *b, int b_step, void *out, int64_t n);
enum { TK_EQ = 0, TK_NE, TK_LT, TK_LE, TK_GT, TK_GE, TK_COMPARE_COUNT };
void tk_compare(int op, int dtype, int rank, const int64_t *dims, const void *a, const int64_t *a_strides,
                const void *b, const int64_t *b_strides, bool *out);
/// out = condition ? a : b, moved as raw elements.
void tk_where(int dtype, int rank, const int64_t *dims, const bool *c, const int64_t *c_strides, const void *a,
              const int64_t *a_strides, const void *b, const int64_t *b_strides, void *out);
/// y = min(max(x, low), high), NaN stays. Float and integer types (bounds converted to the type).
void tk_clamp(int dtype, const void *x, void *y, int64_t n, double low, double high);
// ---- fused elementwise programs: fused.c ----
enum {
    TK_FUSED_UNARY = 0, TK_FUSED_UNARY_GRAD /* saved, g */, TK_FUSED_BINARY, TK_FUSED_COMPARE, TK_FUSED_SELECT /* condition, a, b */,
    TK_FUSED_CLAMP, TK_FUSED_CLASSIFY, TK_FUSED_CAST /* op: the type before */, TK_FUSED_ROUND /* op: a 16-bit type */,
    TK_FUSED_MULTIPLY_ADD /* a * b + c, rounded once; f32 */
};
enum { TK_FUSED_MOST_OPERANDS = 32, TK_FUSED_MOST_SLOTS = 256 };
/// One step: a register gets the result of an operation on slots. Slots are the inputs, the constants and the registers, in this order.
typedef struct {
    int32_t kind, op, type;            // computed in f32, f64 or bool (a comparison and a test: of f32, f64, bool)
    int32_t out, args[3];              // -1 where there is none
    double low, high;                  // of a clamp
} tk_fused_step;
/// f16 and bf16 are computed in f32. `strides` has the program's rank.
typedef struct { const void *data; const int64_t *strides; int32_t dtype; } tk_fused_input;
typedef struct { double value; int32_t type; } tk_fused_constant;
/// Dense; an axis of stride 0 is summed over, in float32 in groups and then in double. A register belongs to no more than one output.
typedef struct { void *data; const int64_t *strides; int32_t dtype, slot; } tk_fused_output;
typedef struct {
    const tk_fused_step *steps;
    const tk_fused_input *inputs;
    const tk_fused_constant *constants;
    const tk_fused_output *outputs;
    int32_t step_count, input_count, constant_count, output_count, register_count;
} tk_fused_program;
/// Runs the program on every element of the shape `dims`, to which all inputs broadcast by their strides. At most TK_FUSED_MOST_OPERANDS
/// inputs, as many outputs, and TK_FUSED_MOST_SLOTS slots.
void tk_fused(const tk_fused_program *program, int rank, const int64_t *dims);
/// y = alpha * x + y, dense. Float types.
void tk_axpy(int dtype, double alpha, const void *x, void *y, int64_t n);

// ---- moving data ----
/// dst[...] = src[...], both strided.
void tk_copy_strided(int dtype, int rank, const int64_t *dims, const void *src, const int64_t *src_strides, void *dst,
                     const int64_t *dst_strides);
/// Float to integer truncates towards zero and saturates (NaN gives 0); integer to integer wraps; to bool: != 0.
void tk_cast(int from, int to, const void *src, void *dst, int64_t n);
/// `value` points to one element of the type.
void tk_fill(int dtype, void *dst, int64_t n, const void *value);
/// dst[i] = start + i * step (computed in double, or int64 for integer types).
void tk_arange(int dtype, void *dst, int64_t n, double start, double step);
/// Rows of a [vocabulary, width] table: out[i, :] = table[ids[i], :]. Ids were checked by the caller.
void tk_gather_rows(int dtype, const void *table, int64_t width, const int64_t *ids, int64_t count, void *out);
/// out[ids[i], :] = rows[i, :]; each id once.
void tk_set_rows(int dtype, void *out, int64_t width, const int64_t *ids, int64_t count, const void *rows);
/// out [table_rows, width] = 0, then out[ids[i], :] += rows[i, :], in the order of i for each row (deterministic). Any numbers;
/// f16 and bf16 add in float and round once.
void tk_scatter_rows(int dtype, void *out, int64_t table_rows, int64_t width, const int64_t *ids, int64_t count, const void *rows);
/// out[ids[i], :] += rows[i, :], in the order of i; the other rows are not touched.
void tk_add_rows(int dtype, void *out, int64_t width, const int64_t *ids, int64_t count, const void *rows);
/// out[o, j, i] = src[o, index[o, j, i], i]; src is [outer, src_n, inner], index and out [outer, n, inner].
void tk_gather(int dtype, const void *src, int64_t outer, int64_t src_n, int64_t inner, const int64_t *index, int64_t n, void *out);
/// dst[o, index[o, j, i], i] += src[o, j, i], in the order of j. Float and integer types.
void tk_scatter_add(int dtype, void *dst, int64_t outer, int64_t dst_n, int64_t inner, const int64_t *index, int64_t n, const void *src);
enum { TK_SCATTER_SET = 0, TK_SCATTER_PROD, TK_SCATTER_MAX, TK_SCATTER_MIN };
/// dst[o, index[o, j, i], i] = src, or combined with it, in the order of j. MAX and MIN keep a NaN.
void tk_scatter_reduce(int op, int dtype, void *dst, int64_t outer, int64_t dst_n, int64_t inner, const int64_t *index, int64_t n, const void *src);
/// The positions (flat, ascending) of the true elements; `out` may be NULL. Returns how many.
int64_t tk_nonzero(const bool *x, int64_t n, int64_t *out);
/// The first position i with index[i] outside 0 ..< limit, or -1.
int64_t tk_find_out_of_range(const int64_t *index, int64_t n, int64_t limit);

// ---- reductions over the middle of [outer, n, inner] ----
// SUM PROD on numbers (f16/bf16 accumulate in float; integers in their own type, wrapping), MAX MIN (NaN propagates),
// ANY ALL on bool. f32 sums are blocked (pairwise over fixed blocks), so that the error grows slowly.
enum { TK_SUM = 0, TK_PROD, TK_RMAX, TK_RMIN, TK_ANY, TK_ALL, TK_REDUCE_COUNT };
void tk_reduce(int op, int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner);
/// SUM of floats with the rounding errors added up beside, as if in twice the precision: compensated_sum.c.
void tk_sum_compensated(int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner);
/// First position of the maximum (or minimum); a NaN wins.
void tk_arg_reduce(bool minimum, int dtype, const void *x, int64_t *out, int64_t outer, int64_t n, int64_t inner);
/// Mean and the sum of squared deviations, in one numerically safe pass or two. Float types; both outputs of that type.
void tk_mean_m2(int dtype, const void *x, void *mean, void *m2, int64_t outer, int64_t n, int64_t inner);
/// The sum of squares in double; returns it.
double tk_sum_of_squares(int dtype, const void *x, int64_t n);
/// Running sum along the middle.
void tk_cumsum(int dtype, const void *x, void *out, int64_t outer, int64_t n, int64_t inner);

// ---- scans and sorting: scans.c, sorting.c; along the middle of [outer, n, inner] ----
enum { TK_SCAN_PROD = 0, TK_SCAN_MAX, TK_SCAN_MIN, TK_SCAN_LOGSUMEXP };
/// Running product (numbers), maximum or minimum (any type but complex; a NaN stays) or ln Σ eˣ (floats). `positions`, if not
/// NULL, gets where the running extremum is, the last of equals.
void tk_scan(int op, int dtype, const void *x, void *out, int64_t *positions, int64_t outer, int64_t n, int64_t inner);
/// Stable order by value, NaN last (first when descending): positions and, if not NULL, values. Any type but complex.
void tk_sort(int dtype, const void *x, void *values, int64_t *positions, int64_t outer, int64_t n, int64_t inner, bool descending);
/// The k largest (or smallest) in order, largest (smallest) first; NaN counts as largest.
void tk_topk(int dtype, const void *x, void *values, int64_t *positions, int64_t outer, int64_t n, int64_t inner, int64_t k, bool smallest);
/// The order of rows by their elements from the left, as `positions[rows]`; stable. Any type but complex.
void tk_sort_rows(int dtype, const void *x, int64_t *positions, int64_t rows, int64_t width);
/// For each value the first place in its sorted row where it could be put (`right`: the last). sorted [rows, n], values [rows, m];
/// rows of `sorted` may be one for all (`shared`). NaN sorts last.
void tk_searchsorted(int dtype, const void *sorted, const void *values, int64_t *out, int64_t rows, int64_t n, int64_t m, bool shared, bool right);

// ---- fused rows: float types; [rows, cols] dense ----
void tk_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols);
void tk_log_softmax(int dtype, const void *x, void *y, int64_t rows, int64_t cols);
/// dx = y * (g - sum(g * y)).
void tk_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols);
/// dx = g - exp(y) * sum(g).
void tk_log_softmax_grad(int dtype, const void *y, const void *g, void *dx, int64_t rows, int64_t cols);
/// Cross-entropy per row from logits, labels int64 in 0 ..< cols (checked by the caller) or == ignore_index.
/// loss[r] = (1-e) (lse - x[label]) + e (lse - mean(x)) with e = smoothing; 0 where ignored. lse[r] = logSumExp(row) is kept for the gradient.
/// loss, lse and g are double for f64, float for all others.
void tk_cross_entropy(int dtype, const void *logits, const int64_t *labels, void *loss, void *lse, int64_t rows,
                      int64_t cols, int64_t ignore_index, double smoothing);
/// dx[r, c] = g[r] * (exp(x - lse) - (1-e) [c == label] - e / cols); 0 where ignored.
void tk_cross_entropy_grad(int dtype, const void *logits, const int64_t *labels, const void *lse, const void *g,
                           void *dx, int64_t rows, int64_t cols, int64_t ignore_index, double smoothing);
/// Layer normalisation; weight and bias may be NULL. mean and rstd ([rows], float for f16/bf16/f32, double for f64) are kept.
void tk_layer_norm(int dtype, const void *x, const void *weight, const void *bias, void *y, void *mean, void *rstd,
                   int64_t rows, int64_t cols, double eps);
/// Any of dx, dweight, dbias may be NULL.
void tk_layer_norm_grad(int dtype, const void *x, const void *weight, const void *mean, const void *rstd, const void *g,
                        void *dx, void *dweight, void *dbias, int64_t rows, int64_t cols);
/// y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps).
void tk_rms_norm(int dtype, const void *x, const void *weight, void *y, void *rstd, int64_t rows, int64_t cols, double eps);
void tk_rms_norm_grad(int dtype, const void *x, const void *weight, const void *rstd, const void *g, void *dx,
                      void *dweight, int64_t rows, int64_t cols);

// ---- random numbers: Philox4x32-10 (Salmon et al., 2011), counter = offset + position / 4 ----
// Computed without fused multiply-add, so that a seed gives the same numbers on every instruction set.
/// One block of the generator: four words from a counter and a key.
void tk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/// Uniform on [low, high). f32 uses 24 bits, f64 53. One counter serves 4 elements (2 for f64).
void tk_random_uniform(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, double low, double high);
/// Normal by Box-Muller.
void tk_random_normal(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, double mean, double stddev);
/// Integers in low ..< high, without modulo bias worth naming (64-bit multiply-shift).
void tk_random_integers(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, int64_t low, int64_t high);
/// mask[i] = uniform < keep; y = mask ? x / keep : 0. Float types.
void tk_dropout(int dtype, uint64_t seed, uint64_t offset, const void *x, void *y, bool *mask, int64_t n, double keep);
/// dx = mask ? g / keep : 0.
void tk_dropout_grad(int dtype, const bool *mask, const void *g, void *dx, int64_t n, double keep);

// ---- optimizer sweeps: f32 or f64, one pass, as torch.optim defines them ----
typedef struct {
    double lr, weight_decay, momentum, dampening;   // dampening is ignored on the first step (first != 0)
    int nesterov, first, maximize;
} tk_sgd_options;
/// momentum_buffer may be NULL when momentum == 0.
void tk_sgd(int dtype, void *p, const void *g, void *momentum_buffer, int64_t n, const tk_sgd_options *o);
typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    int64_t step;                                   // 1 on the first step
    int decoupled, maximize;                        // decoupled: AdamW; otherwise the decay is added to the gradient
} tk_adam_options;
/// max_v (AMSGrad) may be NULL.
void tk_adam(int dtype, void *p, const void *g, void *m, void *v, void *max_v, int64_t n, const tk_adam_options *o);
typedef struct {
    double lr, alpha, eps, weight_decay, momentum;
    int centered, maximize;
} tk_rmsprop_options;
/// grad_avg only when centered, momentum_buffer only when momentum > 0; otherwise NULL.
void tk_rmsprop(int dtype, void *p, const void *g, void *square_avg, void *grad_avg, void *momentum_buffer, int64_t n,
                const tk_rmsprop_options *o);

// ---- the same sweeps on a parameter of 16 bits: updated in float and rounded; states are f32. narrow_steps.c ----
enum { TK_ROUND_NEAREST = 0, TK_ROUND_STOCHASTIC, TK_ROUND_COMPENSATED };
typedef struct {
    int dtype, gradient_dtype;                      // of the parameter: f16 or bf16; of the gradient: f32 or 16 bits
    int rounding;
    uint64_t seed, offset;                          // of TK_ROUND_STOCHASTIC: 16 counters for 128 elements
    void *compensation;                             // of TK_ROUND_COMPENSATED: what rounding cut off so far, of the parameter's type
} tk_narrowing;
void tk_narrow_sgd(const tk_narrowing *w, void *p, const void *g, float *momentum, int64_t n, const tk_sgd_options *o);
void tk_narrow_adam(const tk_narrowing *w, void *p, const void *g, float *m, float *v, float *max_v, int64_t n, const tk_adam_options *o);
void tk_narrow_rmsprop(const tk_narrowing *w, void *p, const void *g, float *square, float *average, float *momentum, int64_t n,
                       const tk_rmsprop_options *o);
/// y = x in 16 bits, rounded up with the probability of how far it lies above the value below (Gupta et al., 2015), to 2⁻¹⁶ of that step.
void tk_round_stochastic(int dtype, uint64_t seed, uint64_t offset, const float *x, void *y, int64_t n);

// ---- matrix products over OpenBLAS: gemm.c ----
/// C[b] = op(A[b]) · op(B[b]) (+ C if accumulate), for `batch` matrices; op transposes. op(A) is [m, k], op(B) is [k, n].
/// lda, ldb, ldc: row lengths in memory; *_stride: elements between batches (0: the same matrix). f32 and f64.
/// bias, if not NULL, is [n] and is added to each row (not with accumulate).
void tk_gemm(int dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
             int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
             int64_t batch, bool accumulate, const void *bias);
/// out = f(x · weightᵀ + bias), the function (a ReLU, GELU or SiLU of tk_unary's) applied to each tile of the product as it is made. x
/// [rows, inputs], weight [outputs, inputs], bias [outputs] or NULL, all dense floats; product, if not NULL, gets what f is applied to.
void tk_activated_linear(int activation, int64_t rows, int64_t outputs, int64_t inputs, const float *x, const float *weight, const float *bias,
                         float *product, float *out);
/// `tk_gemm` for bf16 operands, accumulated in float and rounded once; the result is bf16 or f32, the bias any float type. With
/// AVX512-BF16 subnormal numbers count as 0. gemm_bf16.c.
void tk_gemm_bf16(int out_dtype, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                  int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
                  int64_t batch, bool accumulate, int bias_dtype, const void *bias);
// ---- products with quantised weights: quantized.c. y [m, n] = x [m, k] · Wᵀ + bias [n] (or NULL), all f32 or all bf16 or f16 ----
// Rows of W [n, k] lie in panels of 32, filled up with zeros:
//  int8: [panels, ceil(k / 4), 32, 4] and a scale per row, W = scale q;
//  int4: [panels, groups · group / 8, 32, 2] words of 16 bits; nibble i of the word p is q at k = 8 block + 2 i + p. A step, and
//  perhaps an offset, per group of k and row, bf16 [panels, groups, 32]: W = step (q - 8), or step q + offset. `group` is a multiple of 8.
/// x is quantised row by row to 0 ... 255, scale (max - min) / 255 and a zero point; the products are summed exactly, so k is at most
/// 65,000. `sums` are those of each row's q.
void tk_linear_int8_dynamic(int dtype, int64_t m, int64_t n, int64_t k, const void *x, const int8_t *panels, const float *scales,
                            const int32_t *sums, const void *bias, void *y);
/// x stays as it is (for several rows, rounded to bf16 where the CPU multiplies that).
void tk_linear_int8(int dtype, int64_t m, int64_t n, int64_t k, const void *x, const int8_t *panels, const float *scales,
                    const void *bias, void *y);
/// x is rounded to bf16 where the CPU multiplies that.
void tk_linear_int4(int dtype, int64_t m, int64_t n, int64_t k, int64_t group, const void *x, const uint8_t *panels,
                    const uint16_t *steps, const uint16_t *offsets, const void *bias, void *y);
/// The same for int64, wrapping.
void tk_gemm_int64(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                   int64_t a_stride, const void *b, int64_t ldb, int64_t b_stride, void *c, int64_t ldc, int64_t c_stride,
                   int64_t batch, bool accumulate, const void *bias);

// ---- attention: attention.c and attention_avx512*.c. f32, f64, f16 and bf16 ----
// q [batch, heads, q_len, dim], k [batch, kv_heads, kv_len, dim], v [batch, kv_heads, kv_len, value_dim], given by strides for batch,
// head and position (the last axis is dense), so that the packed output of one projection needs no copy.
// heads is a multiple of kv_heads (grouped-query attention).
typedef struct { int64_t batch, head, position; } tk_attention_strides;
typedef struct {
    int64_t batch, heads, kv_heads, q_len, kv_len, dim, value_dim;
    tk_attention_strides q, k, v, out;
    double scale;
    int64_t position;           // of the first query among the keys
    bool causal;                // no key after the query's position is seen
    int64_t window;             // above 0: only keys at a distance below it are seen
    double soft_cap;            // above 0: scores x become cap tanh(x / cap)
    const double *slopes;       // NULL, or [heads]: slope · distance is subtracted (ALiBi)
    const void *mask;           // NULL, or bools (true: seen), or numbers to add: double for f64, else float
    bool mask_adds;
    int64_t mask_strides[4];    // batch, head, query, key; the last is 0 or 1
    double dropout;             // the probability of a weight to become 0, the others growing
    uint64_t seed, offset;      // which weights: a position of a stream of random.c
} tk_attention_shape;
/// out = softmax(scores) v. lse [batch, heads, q_len], double for f64, else float, is kept for the gradient. Memory beyond the outputs
/// is linear in the lengths. A row that sees no key gives 0.
void tk_attention(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, void *out, void *lse);
/// The gradients of q, k and v, addressed with dq_strides, dk_strides, dv_strides; `out` and `lse` as `tk_attention` gave them.
void tk_attention_grad(int dtype, const tk_attention_shape *s, const void *q, const void *k, const void *v, const void *out,
                       const void *lse, const void *dout, tk_attention_strides dout_strides, void *dq,
                       tk_attention_strides dq_strides, void *dk, tk_attention_strides dk_strides, void *dv,
                       tk_attention_strides dv_strides);
/// Which weights the dropout of `s` keeps: dense [batch, heads, q_len, kv_len].
void tk_attention_kept(const tk_attention_shape *s, bool *kept);

// ---- decoder.c: f32, and bf16 ----
/// A linear layer: a dense weight [outputs, inputs] of the activations' type, or one of the quantised forms above, whose steps are
/// `scales`. The bias is of the activations' type, or NULL.
enum { TK_LINEAR_DENSE = 0, TK_LINEAR_INT8_DYNAMIC, TK_LINEAR_INT8, TK_LINEAR_INT4 };
typedef struct {
    int kind;
    int64_t outputs, inputs, group;
    const void *weight, *scales, *sums, *offsets, *bias;
} tk_linear;
/// A pre-norm transformer block and its cache: `qkv` makes 3 width features of width, `keys` and `values` are
/// [batch, heads, capacity, width / heads], of which `length` positions are there.
typedef struct {
    int dtype, activation;                          // activation: a TK_ unary operation
    int64_t batch, width, heads, capacity, length;
    const void *norm_weight[2], *norm_bias[2];      // each may be NULL
    double eps[2];
    tk_linear qkv, output, expand, project;
    void *keys, *values;
} tk_decoder_block;
/// One further position of each sequence, x [batch, width]: m = x + output(attention(qkv(norm(x)))), y = m + project(activation(expand(norm(m)))).
/// Its keys and values are written at `length`.
void tk_decoder_block_step(const tk_decoder_block *p, const void *x, void *y);

// ---- convolution: conv.c. f32, f64 and i64 (wrapping) ----
/// Sizes of a convolution over up to three axes (leading axes 1 where there are fewer). Input [batch, groups · inputs, in...],
/// weight [groups · outputs, inputs, kernel...], output [batch, groups · outputs, out...]. Output place o and tap t meet input
/// place o · stride - pad + t · dilation; places outside the input count as 0.
typedef struct {
    int64_t batch, groups, inputs, outputs;   // channels per group
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
} tk_conv_shape;
/// y = x * weight (cross-correlation), plus bias [groups · outputs] if not NULL.
void tk_conv(int dtype, const tk_conv_shape *s, const void *x, const void *weight, const void *bias, void *y);
/// Whether `tk_conv_channels_last` knows such a convolution.
bool tk_conv_reads_channels_last(int dtype, const tk_conv_shape *s);
/// `tk_conv` of an input [batch, in..., groups · inputs]; the output is laid out as ever.
void tk_conv_channels_last(int dtype, const tk_conv_shape *s, const void *x, const void *weight, const void *bias, void *y);
/// The adjoint in the input: dx from g, which has the output's shape. Also the transposed convolution.
void tk_conv_grad_input(int dtype, const tk_conv_shape *s, const void *g, const void *weight, void *dx);
/// The adjoint in the weight.
void tk_conv_grad_weight(int dtype, const tk_conv_shape *s, const void *x, const void *g, void *dweight);
/// Both at once: what they share is read once where it lies in memory.
void tk_conv_grads(int dtype, const tk_conv_shape *s, const void *x, const void *g, const void *weight, void *dx, void *dweight);
/// columns [batch, inputs · taps, places] of x [batch, inputs, in...] (groups = 1), and the adjoint, which adds them up.
void tk_im2col(int dtype, const tk_conv_shape *s, const void *x, void *columns);
void tk_col2im(int dtype, const tk_conv_shape *s, const void *columns, void *x);

// ---- pooling: pooling.c. f32, f64 and i64 ----
/// Windows along one axis: window o covers the places start[o], start[o] + step, ... count[o] of them, all inside 0 ..< in.
typedef struct { int64_t in, out, step; const int64_t *start, *count; } tk_pool_axis;
/// The largest of each window of x [planes, in...] and, unless NULL, its place in the plane (int32; the plane has fewer than 2^31).
/// The first of equals; a NaN wins.
void tk_max_pool(int dtype, int64_t planes, const tk_pool_axis axes[3], const void *x, void *y, int32_t *places);
/// dx [planes, size] = 0, then dx[p, places[p, i]] += (or =) g[p, i] in the order of i.
void tk_scatter_planes(int dtype, int64_t planes, int64_t size, int64_t n, const int32_t *places, const void *g, void *dx, bool add);
/// The same for places in disjoint windows of 2 x 2: g is [planes, out_height, out_width]. f32 and f64.
void tk_scatter_pairs(int dtype, int64_t planes, int64_t height, int64_t width, int64_t out_height, int64_t out_width, const int32_t *places,
                      const void *g, void *dx);
/// y[p, i] = x[p, places[p, i]]: the adjoint.
void tk_gather_planes(int dtype, int64_t planes, int64_t size, int64_t n, const int32_t *places, const void *x, void *y);

// ---- sparse linear maps of one axis: axis_map.c. f32 and f64 ----
/// y[o, j, i] = sum over e in first[j] ..< first[j + 1] of weights[e] x[o, sources[e], i]; x is [outer, n_in, inner],
/// y [outer, n_out, inner]. Interpolation and averages are made of it.
void tk_axis_map(int dtype, const void *x, void *y, int64_t outer, int64_t n_in, int64_t n_out, int64_t inner,
                 const int64_t *first, const int64_t *sources, const double *weights);
/// The map of one axis: output j has the entries first[j] ..< first[j + 1] of sources and weights.
typedef struct { int64_t in, out; const int64_t *first, *sources; const double *weights; } tk_axis;
/// Maps of the last two axes at once: x [planes, rows->in, columns->in] to y [planes, rows->out, columns->out]; rows may be NULL: no
/// such axis. plane_map.c.
void tk_map_planes(int dtype, int64_t planes, const tk_axis *rows, const tk_axis *columns, const void *x, void *y);

// ---- normalisation per channel: channel_norm.c. f32 and f64 ----
/// x is [batch, channels, inner]. groups == 0: statistics per channel, over the batch (batch normalisation). Otherwise per sample
/// and group of channels (group and instance normalisation).
/// `rectified`: of the output, what is below 0 becomes 0 (a ReLU in the same pass).
typedef struct { int64_t batch, channels, inner, groups; bool rectified; } tk_norm_shape;
/// y = (x - mean) rstd weight + bias with weight and bias [channels] or NULL; mean and variance (over n) are kept, of x's type,
/// [channels] or [batch · groups].
void tk_channel_norm(int dtype, const tk_norm_shape *s, const void *x, const void *weight, const void *bias, void *y, void *mean,
                     void *variance, double eps);
/// The same with given statistics.
void tk_channel_norm_apply(int dtype, const tk_norm_shape *s, const void *x, const void *mean, const void *variance,
                           const void *weight, const void *bias, void *y, double eps);
/// Gradients; any may be NULL. `fixed`: the statistics were given, not computed from x.
void tk_channel_norm_grad(int dtype, const tk_norm_shape *s, const void *x, const void *g, const void *mean, const void *variance,
                          const void *weight, const void *bias, void *dx, void *dweight, void *dbias, double eps, bool fixed);

// ---- optimizer sweeps of the rarer rules: sweeps.c. f32 or f64, one pass ----
// With d = ±g + decay p and q = p · shrink (both from the old p), a and b the state, c0 ... the numbers of the rule:
//  ADAGRAD   a += d²; p = q - rate d / (√a + eps)
//  ADADELTA  a = c0 a + c1 d²; s = √(b + eps) / √(a + eps) d; b = c0 b + c1 s²; p = q - rate s
//  ADAMAX    a += c0 (d - a); b = max(c1 b, |d| + eps); p = q - rate a / b
//  NADAM     a += c0 (d - a); b = c1 b + c2 d²; p = q - (rate d + c3 a) / (√b c4 + eps)
//  RADAM     a += c0 (d - a); b = c1 b + c2 d²; p = q - rate a / (√b + eps), without the divisor if c3 is 0
//  ASGD      p = q - rate d; a += c0 (p - a)
//  RPROP     b *= c1 where d a > 0, c0 where < 0; b within c2 ... c3; d = 0 where d a < 0; a = d; p = q - sign(d) b
//  LION      p = q - rate sign(c0 a + c1 d); a = c2 a + c3 d
enum { TK_ADAGRAD = 0, TK_ADADELTA, TK_ADAMAX, TK_NADAM, TK_RADAM, TK_ASGD, TK_RPROP, TK_LION, TK_SWEEP_COUNT };
typedef struct {
    double decay, shrink, rate, eps, c[5];
    int maximize;                                   // negates g
} tk_sweep_options;
/// b may be NULL for the rules with one state.
void tk_sweep(int rule, int dtype, void *p, const void *g, void *a, void *b, int64_t n, const tk_sweep_options *o);
void tk_narrow_sweep(const tk_narrowing *w, int rule, void *p, const void *g, float *a, float *b, int64_t n, const tk_sweep_options *o);

// ---- connectionist temporal classification (Graves et al., 2006): ctc.c. f32 or f64 ----
// Lengths, offsets and labels were checked by the caller.
typedef struct {
    int64_t time, batch, classes, blank, max_states;   // max_states: 2 · the longest target + 1
    const int64_t *targets, *target_offsets;            // where each sequence's labels begin
    const int64_t *input_lengths, *target_lengths;      // [batch]
} tk_ctc_shape;
/// log_probs [time, batch, classes]; alpha [batch, time, max_states] is kept for the gradient; loss [batch] is infinite where
/// the labels do not fit into the input.
void tk_ctc(int dtype, const tk_ctc_shape *s, const void *log_probs, void *alpha, void *loss);
/// dx = g (exp(x) - the label's share of all paths), the gradient of the scores that log_softmax was taken of. dx must hold zeros:
/// steps beyond a sequence's length are not written, nor sequences of infinite loss with zero_infinity.
void tk_ctc_grad(int dtype, const tk_ctc_shape *s, const void *log_probs, const void *alpha, const void *loss, const void *g,
                 bool zero_infinity, void *dx);

// ---- linear algebra over LAPACK: linalg.c ----
// `kind` is the element type: 0 float, 1 double, 2 complex of two floats, 3 complex of two doubles (s d c z). Matrices are dense and
// COLUMN-major, one after the other for the batch; sizes fit an int. info[i]: 0, or LAPACK's for matrix i. The matrices of a batch are
// shared out over the pool, and so is the work on one large real matrix and on many right-hand sides.
/// A = P L U, in place; pivots [batch, min(m, n)] count from 1. pivot == false: no rows are exchanged.
void tk_lu_factor(int kind, int64_t batch, int64_t m, int64_t n, void *a, int32_t *pivots, int32_t *info, bool pivot);
/// b [n, columns] becomes A^-1 b, or A^-H b, given the factors.
void tk_lu_solve(int kind, int64_t batch, int64_t n, int64_t columns, const void *lu, const int32_t *pivots, void *b, bool adjoint);
/// b, the identity, becomes A⁻¹.
void tk_lu_inverse(int kind, int64_t batch, int64_t n, const void *lu, const int32_t *pivots, void *b);
/// The factor in place, zeros in the other triangle.
void tk_cholesky(int kind, int64_t batch, int64_t n, void *a, bool upper, int32_t *info);
/// b [n, columns] becomes A^-1 b, given A's factor.
void tk_cholesky_solve(int kind, int64_t batch, int64_t n, int64_t columns, const void *factor, bool upper, void *b);
/// A^-1 in place of A's factor.
void tk_cholesky_inverse(int kind, int64_t batch, int64_t n, void *a, bool upper, int32_t *info);
/// R above Householder vectors, in place; tau [batch, min(m, n)].
void tk_qr(int kind, int64_t batch, int64_t m, int64_t n, void *a, void *tau);
/// The first n columns of the product of k <= n <= m reflectors, in place of their vectors.
void tk_householder_product(int kind, int64_t batch, int64_t m, int64_t n, int64_t k, void *a, const void *tau);
/// vectors: 0 none, 1 the first min(m, n), 2 all. `a` is destroyed; s is real and descending.
void tk_svd(int kind, int64_t batch, int64_t m, int64_t n, int vectors, void *a, void *s, void *u, void *vt, int32_t *info);
/// Symmetric or Hermitian: eigenvectors in place of `a`, of which one triangle is read; w is real and ascending.
void tk_eigh(int kind, int64_t batch, int64_t n, void *a, void *w, bool vectors, bool upper, int32_t *info);
/// Any square matrix: w and v (NULL: not wanted) are complex. `a` is destroyed.
void tk_eig(int kind, int64_t batch, int64_t n, void *a, void *w, void *v, int32_t *info);
enum { TK_SOLVE_LEFT = 1, TK_SOLVE_UPPER = 2, TK_SOLVE_UNIT = 4, TK_SOLVE_TRANSPOSED = 8, TK_SOLVE_CONJUGATED = 16 /* and transposed */ };
/// b [m, n] becomes op(A)^-1 b (LEFT) or b op(A)^-1; UPPER says where A itself has its elements.
void tk_triangular_solve(int kind, int64_t batch, int64_t m, int64_t n, const void *a, void *b, int form);
enum { TK_GELS = 0, TK_GELSY, TK_GELSD, TK_GELSS };
/// b is [max(m, n), columns]: right-hand sides, then solutions. s (gelsd, gelss) and rank (all but gels) may be NULL.
void tk_least_squares(int kind, int64_t batch, int64_t m, int64_t n, int64_t columns, int driver, void *a, void *b, double rcond,
                      void *s, int32_t *rank, int32_t *info);

// ---- recurrent layers: recurrent.c. f32 or f64 ----
enum { TK_RNN_TANH = 0, TK_RNN_RELU, TK_LSTM, TK_GRU };
/// One direction of one layer. Steps at or past a sequence's length leave its state as it is. lengths [batch], or NULL: all are `time`.
typedef struct {
    int kind, dtype;
    int64_t time, batch, hidden;
    bool reverse;                  // from the last step to the first
    const int64_t *lengths;
} tk_recurrence;
/// x [time, batch, gates · hidden]: the input's part of the gates (1, 4 or 3 of them: LSTM i f g o, GRU r z n). weight
/// [gates · hidden, hidden], bias [gates · hidden] or NULL: the state's part. states and, in LSTM, cells [time + 1, batch, hidden] hold
/// the first state in slot 0 (in reverse: the last) and are filled up. gates [time or, if not kept, 1, batch, 4 · hidden] in LSTM and
/// GRU, else NULL.
void tk_recurrence_forward(const tk_recurrence *r, const void *x, const void *weight, const void *bias, void *states, void *cells,
                           void *gates, bool keeps_gates);
/// g [time, batch, hidden]: gradient of the states after each step. dx and dh [time, batch, gates · hidden]: gradients of the input's and
/// the state's part of the gates, which are one but in GRU. dstate [batch, hidden] is written; dcell holds the last cell's gradient and
/// is turned into the first's.
void tk_recurrence_backward(const tk_recurrence *r, const void *weight, const void *states, const void *cells, const void *gates,
                            const void *g, void *dx, void *dh, void *dstate, void *dcell);

// ---- word vectors: skip_gram.c. f32 ----
enum { TK_SKIP_ROWS = 64 };
/// A column of Walker's table: its own word where 32 random bits are below the threshold, else the other one.
typedef struct { uint32_t threshold, alias; } tk_alias;
/// Skip-gram with negative sampling: two tables [vocabulary, width] on cache lines, with `width` a multiple of 16; past a vector's end
/// rows are 0 and stay so.
typedef struct {
    int64_t width, vocabulary;
    float *centers, *contexts;
    const tk_alias *noise;     // [vocabulary]
    const uint32_t *keep;      // [vocabulary]: of 2^32, how often a word is kept, the largest number: always; NULL: all are
    int window, negatives;     // at least 1; negatives below TK_SKIP_ROWS
} tk_skip_gram_model;
/// Sentences first ..< last; sentence s is tokens[starts[s] ..< starts[s + 1]]. The rate falls by `slope` a word, down to `floor`.
typedef struct {
    const int32_t *tokens;
    const int64_t *starts;
    int64_t first, last;
    uint64_t seed;             // sentence s draws from a stream of its own, keyed by seed and s
    double rate, slope, floor;
} tk_skip_gram_run;
/// The loss summed over the pairs, -ln σ(u · v) - Σ ln σ(-n · v), each before its step.
typedef struct { double loss; int64_t pairs; } tk_skip_gram_sums;
/// A step of gradient descent for each pair of each run. One run is reproducible; several go on at the same time on one model, without
/// locks (Hogwild), and are not.
void tk_skip_gram_train(const tk_skip_gram_model *m, const tk_skip_gram_run *runs, int64_t count, tk_skip_gram_sums *sums);
/// The same steps for pairs that are given: words [pairs, 2 + negatives] are center, context and noise. Returns the summed loss.
double tk_skip_gram_step(const tk_skip_gram_model *m, const int32_t *words, int64_t pairs, double rate);
/// The pairs that training would take, in order, up to `capacity` of them; returns how many there are.
int64_t tk_skip_gram_pairs(const tk_skip_gram_model *m, const tk_skip_gram_run *run, int32_t *words, int64_t capacity);

#ifdef __cplusplus
}
#endif
#endif
