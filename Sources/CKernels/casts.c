// Casts and fills.
#include <math.h>
#include <string.h>

#include "levels.h"
#include "stream.h"

enum { BLOCK = 512 };

// ---- casts ----

typedef struct { int from, to; const char *src; char *dst; } cast_context;

#define FROM_INTEGER(S)                                                                                   \
    switch (to) {                                                                                         \
    case TK_F32: for (int64_t i = 0; i < n; i++) ((float *)d)[i] = (float)((const S *)s)[i]; break;       \
    case TK_F64: for (int64_t i = 0; i < n; i++) ((double *)d)[i] = (double)((const S *)s)[i]; break;     \
    case TK_I8: for (int64_t i = 0; i < n; i++) ((int8_t *)d)[i] = (int8_t)((const S *)s)[i]; break;      \
    case TK_U8: for (int64_t i = 0; i < n; i++) ((uint8_t *)d)[i] = (uint8_t)((const S *)s)[i]; break;    \
    case TK_I32: for (int64_t i = 0; i < n; i++) ((int32_t *)d)[i] = (int32_t)((const S *)s)[i]; break;   \
    case TK_I64: for (int64_t i = 0; i < n; i++) ((int64_t *)d)[i] = (int64_t)((const S *)s)[i]; break;   \
    case TK_BOOL: for (int64_t i = 0; i < n; i++) ((bool *)d)[i] = ((const S *)s)[i] != 0; break;         \
    }

#define SATURATED(T, LOW, HIGH, TOP)                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                     \
        double v = (double)x[i];                                                                          \
        ((T *)d)[i] = v != v ? 0 : v <= (double)(LOW) ? (LOW) : v >= (TOP) ? (HIGH) : (T)v;               \
    }
#define FROM_FLOAT(S)                                                                                     \
    {                                                                                                     \
        const S *x = (const S *)s;                                                                        \
        switch (to) {                                                                                     \
        case TK_F32: for (int64_t i = 0; i < n; i++) ((float *)d)[i] = (float)x[i]; break;                \
        case TK_F64: for (int64_t i = 0; i < n; i++) ((double *)d)[i] = (double)x[i]; break;              \
        case TK_I8: SATURATED(int8_t, INT8_MIN, INT8_MAX, 127.0) break;                                   \
        case TK_U8: SATURATED(uint8_t, 0, 255, 255.0) break;                                              \
        case TK_I32: SATURATED(int32_t, INT32_MIN, INT32_MAX, 2147483647.0) break;                        \
        case TK_I64: SATURATED(int64_t, INT64_MIN, INT64_MAX, 9223372036854775808.0) break;               \
        case TK_BOOL: for (int64_t i = 0; i < n; i++) ((bool *)d)[i] = x[i] != 0; break;                  \
        }                                                                                                 \
    }

/// `from` is not a half type, `to` neither.
static void cast_plain(int from, int to, const char *s, char *d, int64_t n) {
    switch (from) {
    case TK_F32: FROM_FLOAT(float) break;
    case TK_F64: FROM_FLOAT(double) break;
    case TK_I8: FROM_INTEGER(int8_t) break;
    case TK_U8: case TK_BOOL: FROM_INTEGER(uint8_t) break;
    case TK_I32: FROM_INTEGER(int32_t) break;
    case TK_I64: FROM_INTEGER(int64_t) break;
    }
}

static bool is_half(int dtype) { return dtype == TK_F16 || dtype == TK_BF16; }

/// double to a float that rounds to the same half as the double itself: rounded to odd.
static float round_to_odd(double v) {
    float f = (float)v;
    if ((double)f == v || v != v || isinf(f)) return f;
    int32_t i;
    memcpy(&i, &f, 4);
    bool above = fabs((double)f) > fabs(v);
    if (above) i -= 1;  // towards zero
    i |= 1;
    memcpy(&f, &i, 4);
    return f;
}

// ---- complex numbers: the real part is converted, an imaginary part is 0 or dropped; true where either part is not 0 ----

static void cast_complex(int from, int to, const char *s, char *d, int64_t n) {
    int64_t ss = tk_element_size(from), sd = tk_element_size(to);
    for (int64_t i = 0; i < n; i += BLOCK) {
        double re[BLOCK], im[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (from == TK_C64) for (int64_t k = 0; k < m; k++) { const float *z = (const float *)s + 2 * (i + k); re[k] = z[0]; im[k] = z[1]; }
        else if (from == TK_C128) for (int64_t k = 0; k < m; k++) { const double *z = (const double *)s + 2 * (i + k); re[k] = z[0]; im[k] = z[1]; }
        else { tk_cast(from, TK_F64, s + i * ss, re, m); memset(im, 0, sizeof im); }
        if (to == TK_C64) for (int64_t k = 0; k < m; k++) { float *z = (float *)d + 2 * (i + k); z[0] = (float)re[k]; z[1] = (float)im[k]; }
        else if (to == TK_C128) for (int64_t k = 0; k < m; k++) { double *z = (double *)d + 2 * (i + k); z[0] = re[k]; z[1] = im[k]; }
        else if (to == TK_BOOL) for (int64_t k = 0; k < m; k++) ((bool *)d)[i + k] = re[k] != 0 || im[k] != 0;
        else tk_cast(TK_F64, to, re, d + i * sd, m);
    }
}

// ---- 8-bit floats (Micikevicius et al., 2022): E4M3 has no infinity and saturates, E5M2 is a short float16 ----

static float fp8_to_float(int dtype, uint8_t b) {
    int mantissa_bits = dtype == TK_E4M3 ? 3 : 2, bias = dtype == TK_E4M3 ? 7 : 15;
    int e = (b & 0x7f) >> mantissa_bits, m = b & ((1 << mantissa_bits) - 1);
    float v;
    if (dtype == TK_E4M3 && (b & 0x7f) == 0x7f) v = NAN;
    else if (dtype == TK_E5M2 && e == 31) v = m ? NAN : INFINITY;
    else if (e == 0) v = ldexpf((float)m, 1 - bias - mantissa_bits);
    else v = ldexpf((float)(m + (1 << mantissa_bits)), e - bias - mantissa_bits);
    return b & 0x80 ? -v : v;
}

/// To nearest, ties to even, in one rounding from double.
static uint8_t float_to_fp8(int dtype, double v) {
    int mantissa_bits = dtype == TK_E4M3 ? 3 : 2, bias = dtype == TK_E4M3 ? 7 : 15;
    uint8_t sign = signbit(v) ? 0x80 : 0;
    double a = fabs(v);
    if (a != a) return sign | 0x7f;
    int e;
    if (isinf(a)) e = 1 << 20;
    else { frexp(a, &e); e -= 1; }
    if (e < 1 - bias) e = 1 - bias;
    if (e <= 16) {
        double q = nearbyint(ldexp(a, mantissa_bits - e));
        if (q >= (double)(2 << mantissa_bits)) { q /= 2; e += 1; }
        int m = (int)q, normal = m >> mantissa_bits;
        int code = normal ? ((e + bias) << mantissa_bits) | (m & ((1 << mantissa_bits) - 1)) : m;
        if (code < (dtype == TK_E4M3 ? 0x7f : 0x7c)) return sign | (uint8_t)code;
    }
    return sign | (dtype == TK_E4M3 ? 0x7e : 0x7c);
}

static void cast_fp8(int from, int to, const char *s, char *d, int64_t n) {
    int64_t ss = tk_element_size(from), sd = tk_element_size(to);
    for (int64_t i = 0; i < n; i += BLOCK) {
        double v[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (from >= TK_E4M3) for (int64_t k = 0; k < m; k++) v[k] = fp8_to_float(from, ((const uint8_t *)s)[i + k]);
        else tk_cast(from, TK_F64, s + i * ss, v, m);
        if (to >= TK_E4M3) for (int64_t k = 0; k < m; k++) ((uint8_t *)d)[i + k] = float_to_fp8(to, v[k]);
        else tk_cast(TK_F64, to, v, d + i * sd, m);
    }
}

static void cast_range(void *p, int64_t low, int64_t high) {
    const cast_context *c = p;
    const tk_level *l = tk_current_level();
    int64_t ss = tk_element_size(c->from), sd = tk_element_size(c->to);
    const char *s = c->src + low * ss;
    char *d = c->dst + low * sd;
    int64_t n = high - low;
    if (tk_is_complex(c->from) || tk_is_complex(c->to)) { cast_complex(c->from, c->to, s, d, n); return; }
    if (c->from >= TK_E4M3 || c->to >= TK_E4M3) { cast_fp8(c->from, c->to, s, d, n); return; }
    if (!is_half(c->from) && !is_half(c->to)) { cast_plain(c->from, c->to, s, d, n); return; }
    if (is_half(c->from) && c->to == TK_F32) { l->half_to_float(c->from, (const uint16_t *)s, (float *)d, n); return; }
    if (c->from == TK_F32) { l->float_to_half(c->to, (const float *)s, (uint16_t *)d, n); return; }
    for (int64_t i = 0; i < n; i += BLOCK) {
        float u[BLOCK];
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (is_half(c->from)) l->half_to_float(c->from, (const uint16_t *)s + i, u, m);
        else if (c->from == TK_F64) for (int64_t k = 0; k < m; k++) u[k] = round_to_odd(((const double *)s)[i + k]);
        else cast_plain(c->from, TK_F32, s + i * ss, (char *)u, m);
        if (is_half(c->to)) l->float_to_half(c->to, u, (uint16_t *)d + i, m);
        else cast_plain(TK_F32, c->to, (const char *)u, d + i * sd, m);
    }
}

void tk_cast(int from, int to, const void *src, void *dst, int64_t n) {
    if (from == to) { memcpy(dst, src, (size_t)(n * tk_element_size(from))); return; }
    cast_context c = {from, to, src, dst};
    tk_parallel_ranges(n, TK_GRAIN, cast_range, &c);
}

// ---- fills ----

typedef struct { char *dst; int64_t size; tk_pair pattern; bool stream; } fill_context;   // the element, repeated to 16 bytes

static void fill_range(void *p, int64_t low, int64_t high) {
    const fill_context *c = p;
    tk_pair block[32];
    for (int k = 0; k < 32; k++) block[k] = c->pattern;
    char *d = c->dst + low * c->size;
    int64_t bytes = (high - low) * c->size, piece = sizeof block;
    for (int64_t i = 0; i < bytes; i += piece) {
        int64_t n = bytes - i < piece ? bytes - i : piece;
        if (c->stream) tk_stream_copy(d + i, block, n);
        else memcpy(d + i, block, (size_t)n);
    }
}

void tk_fill(int dtype, void *dst, int64_t n, const void *value) {
    fill_context c = {dst, tk_element_size(dtype), {0, 0}, false};
    for (int64_t i = 0; i < 16; i += c.size) memcpy((char *)&c.pattern + i, value, (size_t)c.size);
    c.stream = tk_streams(n * c.size);
    tk_parallel_ranges(n, 4 * TK_GRAIN, fill_range, &c);
    if (c.stream) tk_stream_fence();
}

void tk_arange(int dtype, void *dst, int64_t n, double start, double step) {
    int64_t size = tk_element_size(dtype);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        if (dtype <= TK_BF16 || dtype > TK_BOOL) {
            double v[BLOCK];
            for (int64_t k = 0; k < m; k++) v[k] = start + (double)(i + k) * step;
            tk_cast(TK_F64, dtype, v, (char *)dst + i * size, m);
        } else {
            int64_t v[BLOCK];
            for (int64_t k = 0; k < m; k++) v[k] = (int64_t)start + (i + k) * (int64_t)step;
            tk_cast(TK_I64, dtype, v, (char *)dst + i * size, m);
        }
    }
}
