// Convolution as a matrix product over columns (im2col; Chellapilla et al., 2006), cut into chunks of output places so that the
// columns stay in the caches. The work is split by shape alone.
#include "conv.h"

#include <string.h>

// ---- columns ----

// Where the taps of one row of outputs fall: outputs lo ..< hi of `from` ..< `to` have their input inside.
typedef struct { int64_t lo, hi; } span;
static span inside(int64_t from, int64_t to, int64_t offset, int64_t stride, int64_t size) {
    // 0 <= o stride + offset < size
    int64_t lo = offset >= 0 ? 0 : conv_ceil_div(-offset, stride), hi = size - offset <= 0 ? 0 : conv_ceil_div(size - offset, stride);
    lo = conv_least(conv_most(lo, from), to);
    hi = conv_least(conv_most(hi, lo), to);
    return (span){lo, hi};
}

#define SPREAD(T, STRIDE) for (int64_t i = 0; i < n; i++) ((T *)to)[i] = ((const T *)from)[i * (STRIDE)]
static void spread(int64_t size, const char *restrict from, int64_t stride, char *restrict to, int64_t n) {
    if (stride == 1) memcpy(to, from, (size_t)(n * size));
    else if (size == 4 && stride == 2) SPREAD(uint32_t, 2);   // becomes shuffles of vectors
    else if (size == 4) SPREAD(uint32_t, stride);
    else SPREAD(uint64_t, stride);
}

void tk_conv_columns(int64_t size, const tk_conv_shape *s, const char *x, int64_t low, int64_t high, char *columns, int64_t ld) {
    int64_t plane = conv_volume(s->in), width = s->out[2], height = s->out[1], row = 0;
    for (int64_t c = 0; c < s->inputs; c++)
        for (int64_t kd = 0; kd < s->kernel[0]; kd++)
            for (int64_t kh = 0; kh < s->kernel[1]; kh++)
                for (int64_t kw = 0; kw < s->kernel[2]; kw++, row++) {
                    char *to = columns + row * ld * size;
                    int64_t ow = low % width, oh = low / width % height, od = low / width / height;
                    for (int64_t p = low; p < high;) {
                        int64_t end = conv_least(width, ow + high - p), n = end - ow;
                        int64_t id = od * s->stride[0] - s->pad[0] + kd * s->dilation[0];
                        int64_t ih = oh * s->stride[1] - s->pad[1] + kh * s->dilation[1];
                        int64_t offset = kw * s->dilation[2] - s->pad[2];
                        if (id < 0 || id >= s->in[0] || ih < 0 || ih >= s->in[1]) {
                            memset(to, 0, (size_t)(n * size));
                        } else {
                            span in = inside(ow, end, offset, s->stride[2], s->in[2]);
                            memset(to, 0, (size_t)((in.lo - ow) * size));
                            if (in.hi > in.lo) {
                                int64_t at = c * plane + (id * s->in[1] + ih) * s->in[2] + in.lo * s->stride[2] + offset;
                                spread(size, x + at * size, s->stride[2], to + (in.lo - ow) * size, in.hi - in.lo);
                            }
                            memset(to + (in.hi - ow) * size, 0, (size_t)((end - in.hi) * size));
                        }
                        to += n * size;
                        p += n;
                        ow = 0;
                        if (++oh == height) { oh = 0; od++; }
                    }
                }
}

// The adjoint for one channel: adds the rows of its taps into its plane.
#define ADD_SPREAD(T)                                                                                                 \
    for (int64_t i = in.lo; i < in.hi; i++)                                                                           \
        ((T *)to)[i * s->stride[2]] += ((const T *)from)[i - ow]
static void add_columns(int dtype, const tk_conv_shape *s, const char *columns, int64_t ld, int64_t low, int64_t high, char *x) {
    int64_t width = s->out[2], height = s->out[1], row = 0, size = tk_element_size(dtype);
    for (int64_t kd = 0; kd < s->kernel[0]; kd++)
        for (int64_t kh = 0; kh < s->kernel[1]; kh++)
            for (int64_t kw = 0; kw < s->kernel[2]; kw++, row++) {
                const char *from = columns + row * ld * size;
                int64_t ow = low % width, oh = low / width % height, od = low / width / height;
                for (int64_t p = low; p < high;) {
                    int64_t end = conv_least(width, ow + high - p), n = end - ow;
                    int64_t id = od * s->stride[0] - s->pad[0] + kd * s->dilation[0];
                    int64_t ih = oh * s->stride[1] - s->pad[1] + kh * s->dilation[1];
                    int64_t offset = kw * s->dilation[2] - s->pad[2];
                    if (id >= 0 && id < s->in[0] && ih >= 0 && ih < s->in[1]) {
                        span in = inside(ow, end, offset, s->stride[2], s->in[2]);
                        char *to = x + ((id * s->in[1] + ih) * s->in[2] + offset) * size;
                        if (dtype == TK_F32) ADD_SPREAD(float);
                        else if (dtype == TK_F64) ADD_SPREAD(double);
                        else ADD_SPREAD(uint64_t);
                    }
                    from += n * size;
                    p += n;
                    ow = 0;
                    if (++oh == height) { oh = 0; od++; }
                }
            }
}

// ---- products ----

static void multiply(int dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const char *a, int64_t lda, const char *b, int64_t ldb,
                     char *c, int64_t ldc, bool accumulate) {
    if (k == 0 && !accumulate)
        for (int64_t i = 0; i < m; i++) memset(c + i * ldc * tk_element_size(dtype), 0, (size_t)(n * tk_element_size(dtype)));
    else if (dtype == TK_I64) tk_gemm_int64(ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1, accumulate, 0);
    else tk_gemm(dtype, ta, tb, m, n, k, a, lda, 0, b, ldb, 0, c, ldc, 0, 1, accumulate, 0);
}

// Output places per chunk, for columns of about 2^20 bytes.
static int64_t chunk_size(int64_t rows, int64_t places, int64_t elements) {
    int64_t chunk = elements / conv_most(rows, 1);
    chunk = conv_most(chunk / 32 * 32, 64);
    return conv_least(chunk, conv_most(places, 1));
}

/// A product with the input as it lies: no columns needed.
static bool is_pointwise(const tk_conv_shape *s) {
    for (int i = 0; i < 3; i++)
        if (s->kernel[i] != 1 || s->stride[i] != 1 || s->pad[i] != 0 || s->in[i] != s->out[i]) return false;
    return true;
}

static bool is_direct(int dtype, const tk_conv_shape *s) {
    return (dtype == TK_F32 || dtype == TK_F64) && s->inputs <= 4 && s->outputs <= 4 && s->inputs * s->outputs <= 8 && conv_volume(s->kernel) > 1;
}

typedef struct {
    int dtype;
    const tk_conv_shape *s;
    const char *x, *w, *bias;
    char *y, *partial;
    int64_t size, places, rows, chunk, chunks, parts, together;
} run;

static run make_run(int dtype, const tk_conv_shape *s) {
    return (run){.dtype = dtype, .s = s, .size = tk_element_size(dtype), .places = conv_volume(s->out), .rows = conv_taps(s)};
}

#define FILL(T) for (int64_t i = 0; i < n; i++) ((T *)to)[i] = *(const T *)value
static void fill_row(int64_t size, const char *value, char *to, int64_t n) {
    if (size == 4) FILL(uint32_t);
    else FILL(uint64_t);
}

// ---- forward ----

static void forward_task(void *context, int64_t task) {
    const run *r = context;
    const tk_conv_shape *s = r->s;
    int64_t low = task % r->chunks * r->chunk, high = conv_least(low + r->chunk, r->places), n = high - low;
    int64_t group = task / r->chunks % s->groups, sample = task / r->chunks / s->groups;
    const char *x = r->x + (sample * s->groups + group) * s->inputs * conv_volume(s->in) * r->size;
    char *y = r->y + ((sample * s->groups + group) * s->outputs * r->places + low) * r->size;
    if (r->bias)
        for (int64_t o = 0; o < s->outputs; o++) fill_row(r->size, r->bias + (group * s->outputs + o) * r->size, y + o * r->places * r->size, n);
    const char *w = r->w + group * s->outputs * r->rows * r->size;
    if (is_pointwise(s)) {
        multiply(r->dtype, false, false, s->outputs, n, r->rows, w, r->rows, x + low * r->size, r->places, y, r->places, r->bias != 0);
        return;
    }
    size_t bytes = (size_t)(r->rows * n * r->size);
    char *columns = tk_alloc(bytes);
    tk_conv_columns(r->size, s, x, low, high, columns, n);
    multiply(r->dtype, false, false, s->outputs, n, r->rows, w, r->rows, columns, n, y, r->places, r->bias != 0);
    tk_free(columns, bytes);
}

bool tk_conv_reads_channels_last(int dtype, const tk_conv_shape *s) {
#if defined(__x86_64__)
    return dtype == TK_F32 && tk_isa_level() == 2 && tk_conv_is_depthwise(s);
#else
    return false;
#endif
}

void tk_conv_channels_last(int dtype, const tk_conv_shape *s, const void *x, const void *weight, const void *bias, void *y) {
#if defined(__x86_64__)
    if (s->batch * s->groups * s->out[1] * s->out[2] > 0) tk_conv_depthwise_channels_last(s, x, weight, bias, y);
#endif
}

void tk_conv(int dtype, const tk_conv_shape *s, const void *x, const void *weight, const void *bias, void *y) {
    run r = make_run(dtype, s);
    bool has_avx512 = dtype == TK_F32 && tk_isa_level() == 2;
    if (s->batch * s->groups * s->outputs * r.places == 0) return;
#if defined(__x86_64__)
    if (has_avx512 && tk_conv_is_depthwise(s)) {
        tk_conv_depthwise(s, x, weight, false, bias, y);
        return;
    }
#endif
    if (is_direct(dtype, s)) {
        tk_conv_direct(dtype, s, (const int64_t[]){1, 1, 1}, x, weight, bias, y);
        return;
    }
#if defined(__x86_64__)
    if (has_avx512 && r.rows > 0) {
        if (tk_conv_is_winograd(s)) tk_conv_winograd(s, x, weight, false, bias, y);
        else if (tk_conv_is_planes(s)) tk_conv_planes(s, x, weight, bias, y);
        else tk_conv_avx512(s, x, weight, bias, y);
        return;
    }
#endif
    r.x = x, r.w = weight, r.bias = bias, r.y = y;
    r.chunk = chunk_size(r.rows, r.places, 1 << 17);
    r.chunks = conv_ceil_div(r.places, r.chunk);
    tk_parallel(s->batch * s->groups * r.chunks, forward_task, &r);
}

// ---- gradient of the input ----

#define REVERSE(T)                                                                                        \
    {                                                                                                     \
        T *to = (T *)result;                                                                              \
        for (int64_t g = 0; g < s->groups; g++)                                                           \
            for (int64_t c = 0; c < s->inputs; c++)                                                       \
                for (int64_t o = 0; o < s->outputs; o++)                                                  \
                    for (int64_t t = volume - 1; t >= 0; t--)                                             \
                        *to++ = ((const T *)w)[((g * s->outputs + o) * s->inputs + c) * volume + t];      \
    }
// The weight with taps reversed and channels exchanged: [groups · inputs, outputs, kernel reversed].
static char *reversed_weight(int64_t size, const tk_conv_shape *s, const char *w, size_t *bytes) {
    int64_t volume = conv_volume(s->kernel), rows = conv_taps(s);
    *bytes = (size_t)(s->groups * s->outputs * rows * size);
    char *result = tk_alloc(*bytes);
    if (size == 4) REVERSE(uint32_t)
    else REVERSE(uint64_t)
    return result;
}

typedef struct { const run *r; const char *columns; char *x; int64_t ld, low, high; } add_run;
static void add_range(void *context, int64_t low, int64_t high) {
    const add_run *a = context;
    int64_t volume = conv_volume(a->r->s->kernel), plane = conv_volume(a->r->s->in), size = a->r->size;
    for (int64_t c = low; c < high; c++)
        add_columns(a->r->dtype, a->r->s, a->columns + c * volume * a->ld * size, a->ld, a->low, a->high, a->x + c * plane * size);
}

static void grad_input_task(void *context, int64_t task) {
    const run *r = context;
    const tk_conv_shape *s = r->s;
    int64_t group = task % s->groups, plane = conv_volume(s->in);
    char *dx = r->y + task * s->inputs * plane * r->size;
    memset(dx, 0, (size_t)(s->inputs * plane * r->size));
    size_t bytes = (size_t)(r->rows * r->chunk * r->size);
    char *columns = tk_alloc(bytes);
    for (int64_t low = 0; low < r->places; low += r->chunk) {
        int64_t high = conv_least(low + r->chunk, r->places), n = high - low;
        multiply(r->dtype, true, false, r->rows, n, s->outputs, r->w + group * s->outputs * r->rows * r->size, r->rows,
                 r->x + (task * s->outputs * r->places + low) * r->size, r->places, columns, n, false);
        add_run a = {r, columns, dx, n, low, high};
        tk_parallel_ranges(s->inputs, conv_ceil_div(TK_GRAIN, conv_volume(s->kernel) * n), add_range, &a);
    }
    tk_free(columns, bytes);
}

void tk_conv_grad_input(int dtype, const tk_conv_shape *s, const void *g, const void *weight, void *dx) {
    run r = make_run(dtype, s);
    int64_t count = s->batch * s->groups * s->inputs * conv_volume(s->in);
    if (count == 0) return;
    if (s->outputs * r.places == 0) { memset(dx, 0, (size_t)(count * r.size)); return; }
    bool dense = s->stride[0] == 1 && s->stride[1] == 1 && s->stride[2] == 1, direct = is_direct(dtype, s);
    bool fused = dtype == TK_F32 && tk_isa_level() == 2 && dense;
    if (direct || fused) {
        // A convolution of g with the reversed taps.
        tk_conv_shape back = tk_conv_back(s);
#if defined(__x86_64__)
        if (fused && tk_conv_is_depthwise(&back)) {
            tk_conv_depthwise(&back, g, weight, true, 0, dx);
            return;
        }
        if (fused && !direct && tk_conv_is_winograd(&back)) {
            tk_conv_winograd(&back, g, weight, true, 0, dx);
            return;
        }
#endif
        size_t bytes;
        char *w = reversed_weight(r.size, s, weight, &bytes);
        if (direct) tk_conv_direct(dtype, &back, s->stride, g, w, 0, dx);
#if defined(__x86_64__)
        else if (tk_conv_is_planes(&back)) tk_conv_planes(&back, g, (const float *)w, 0, dx);
        else tk_conv_avx512(&back, g, (const float *)w, 0, dx);
#endif
        tk_free(w, bytes);
        return;
    }
    r.x = g, r.w = weight, r.y = dx;
    r.chunk = chunk_size(r.rows, r.places, 1 << 18);
    int64_t tasks = s->batch * s->groups;
    // Few tasks run one after the other, each on all threads.
    if (tasks >= 8) tk_parallel(tasks, grad_input_task, &r);
    else for (int64_t t = 0; t < tasks; t++) grad_input_task(&r, t);
}

// ---- gradient of the weight ----

// A part of the sum over samples and places, for one group.
static void grad_weight_task(void *context, int64_t task) {
    const run *r = context;
    const tk_conv_shape *s = r->s;
    int64_t group = task % s->groups, part = task / s->groups, total = s->outputs * r->rows;
    char *dw = r->partial + task * total * r->size;
    int64_t first = r->chunks * part / r->parts, last = r->chunks * (part + 1) / r->parts;
    int64_t per_sample = conv_ceil_div(r->places, r->chunk), ld = r->chunk * r->together;
    size_t bytes = (size_t)(r->rows * ld * r->size), g_bytes = (size_t)(s->outputs * ld * r->size);
    char *columns = tk_alloc(bytes), *packed = r->together > 1 ? tk_alloc(g_bytes) : 0;
    bool pointwise = is_pointwise(s) && r->together == 1, add = false;
    for (int64_t c = first; c < last; c++, add = true) {
        int64_t sample = r->together > 1 ? c * r->together : c / per_sample, samples = conv_least(r->together, s->batch - sample);
        int64_t low = r->together > 1 ? 0 : c % per_sample * r->chunk, high = conv_least(low + r->chunk, r->places), n = high - low;
        const char *g = r->w + ((sample * s->groups + group) * s->outputs * r->places + low) * r->size;
        const char *x = r->x + (sample * s->groups + group) * s->inputs * conv_volume(s->in) * r->size;
        if (pointwise) {
            multiply(r->dtype, false, true, s->outputs, r->rows, n, g, r->places, x + low * r->size, r->places, dw, r->rows, add);
            continue;
        }
        for (int64_t i = 0; i < samples; i++) {
            tk_conv_columns(r->size, s, x + i * s->groups * s->inputs * conv_volume(s->in) * r->size, low, high, columns + i * n * r->size, ld);
            if (packed)
                for (int64_t o = 0; o < s->outputs; o++)
                    memcpy(packed + (o * ld + i * n) * r->size, g + (i * s->groups * s->outputs + o) * r->places * r->size, (size_t)(n * r->size));
        }
        multiply(r->dtype, false, true, s->outputs, r->rows, n * samples, packed ? packed : g, packed ? ld : r->places, columns, ld, dw, r->rows, add);
    }
    tk_free(columns, bytes);
    if (packed) tk_free(packed, g_bytes);
}

void tk_conv_grad_weight(int dtype, const tk_conv_shape *s, const void *x, const void *g, void *dweight) {
    run r = make_run(dtype, s);
    int64_t total = s->groups * s->outputs * r.rows;
    if (total == 0) return;
    if (s->batch * r.places == 0) { memset(dweight, 0, (size_t)(total * r.size)); return; }
    bool direct = is_direct(dtype, s);
#if defined(__x86_64__)
    if (dtype == TK_F32 && tk_isa_level() == 2) {
        if (tk_conv_is_depthwise(s)) { tk_conv_depthwise_grads(s, x, g, 0, 0, dweight); return; }
        if (!direct && tk_conv_is_winograd_grad_weight(s)) { tk_conv_winograd_grad_weight(s, x, g, dweight); return; }
        if (!direct && tk_conv_is_planes_grad_weight(s)) { tk_conv_planes_grad_weight(s, x, g, dweight); return; }
        if (!direct && tk_conv_is_wide_grad_weight(s)) { tk_conv_wide_grad_weight(s, x, g, dweight); return; }
    }
#endif
    if (direct) { tk_conv_direct_grad_weight(dtype, s, x, g, dweight); return; }
    r.x = x, r.w = g;
    // Sums of up to 2048 places: longer ones of small results are BLAS's, which is slower here.
    r.chunk = conv_least(chunk_size(r.rows, r.places, 1 << 20), 2048);
    int64_t fit = conv_least((1 << 20) / conv_most(r.rows * r.places, 1), 2048 / r.places);
    r.together = r.chunk < r.places ? 1 : conv_most(1, conv_least(s->batch, fit));
    r.chunks = r.together > 1 ? conv_ceil_div(s->batch, r.together) : s->batch * conv_ceil_div(r.places, r.chunk);
    // Enough parts for many threads, but not more memory for partial sums than 64 MB.
    int64_t most = conv_least(conv_ceil_div(32, s->groups), conv_most(((int64_t)64 << 20) / (total * r.size), 4));
    r.parts = conv_least(most, r.chunks);
    size_t bytes = (size_t)(r.parts * total * r.size);
    r.partial = r.parts == 1 ? dweight : tk_alloc(bytes);
    if (s->groups * r.parts == 1) grad_weight_task(&r, 0);
    else tk_parallel(s->groups * r.parts, grad_weight_task, &r);
    if (r.parts == 1) return;
    tk_reduce(TK_SUM, dtype, r.partial, dweight, 1, r.parts, total);
    tk_free(r.partial, bytes);
}

void tk_conv_grads(int dtype, const tk_conv_shape *s, const void *x, const void *g, const void *weight, void *dx, void *dweight) {
#if defined(__x86_64__)
    tk_conv_shape back = tk_conv_back(s);
    if (dtype == TK_F32 && tk_isa_level() == 2 && tk_conv_is_depthwise(s) && tk_conv_is_depthwise(&back)) {
        tk_conv_depthwise_grads(s, x, g, weight, dx, dweight);
        return;
    }
#endif
    tk_conv_grad_input(dtype, s, g, weight, dx);
    tk_conv_grad_weight(dtype, s, x, g, dweight);
}

// ---- columns as an operation ----

static void im2col_range(void *context, int64_t low, int64_t high) {
    const run *r = context;
    tk_conv_shape one = *r->s;   // a channel at a time
    one.inputs = 1;
    int64_t volume = conv_volume(one.kernel);
    for (int64_t c = low; c < high; c++)
        tk_conv_columns(r->size, &one, r->x + c * conv_volume(one.in) * r->size, 0, r->places, r->y + c * volume * r->places * r->size, r->places);
}

void tk_im2col(int dtype, const tk_conv_shape *s, const void *x, void *columns) {
    run r = make_run(dtype, s);
    r.x = x, r.y = columns;
    if (r.places == 0) return;
    tk_parallel_ranges(s->batch * s->inputs, conv_ceil_div(TK_GRAIN, conv_volume(s->kernel) * r.places), im2col_range, &r);
}

static void col2im_range(void *context, int64_t low, int64_t high) {
    const run *r = context;
    int64_t volume = conv_volume(r->s->kernel), plane = conv_volume(r->s->in);
    for (int64_t c = low; c < high; c++) {
        memset(r->y + c * plane * r->size, 0, (size_t)(plane * r->size));
        if (r->places) add_columns(r->dtype, r->s, r->x + c * volume * r->places * r->size, r->places, 0, r->places, r->y + c * plane * r->size);
    }
}

void tk_col2im(int dtype, const tk_conv_shape *s, const void *columns, void *x) {
    run r = make_run(dtype, s);
    r.x = columns, r.y = x;
    tk_parallel_ranges(s->batch * s->inputs, conv_ceil_div(TK_GRAIN, conv_volume(s->kernel) * r.places + 1), col2im_range, &r);
}
