// Philox4x32-10 (Salmon et al., 2011) and what is drawn from it. Element i depends on seed, offset and i alone. Plain IEEE
// operations without fused multiply-add, and polynomials of our own, make the numbers the same on every machine.
#include <math.h>
#include <string.h>

#include "levels.h"

#pragma clang fp contract(off)

void tk_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int r = 0; r < 10; r++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void philox(uint64_t seed, uint64_t position, uint32_t out[4]) {
    uint32_t counter[4] = { (uint32_t)position, (uint32_t)(position >> 32), 0, 0 }, key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    tk_philox4x32(counter, key, out);
}

enum { BLOCK = 1024 };

/// Words [start, start + n) of the stream; start is a multiple of 4.
static void words(uint64_t seed, uint64_t offset, int64_t start, uint32_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        philox(seed, offset + (uint64_t)(start + i) / 4, w);
        int64_t m = n - i < 4 ? n - i : 4;
        memcpy(out + i, w, (size_t)(m * 4));
    }
}

typedef struct {
    int dtype;
    uint64_t seed, offset;
    char *out;
    double a, b;
    int64_t low, span;
    const char *x;
    bool *mask;
} random_context;

static double unit53(uint32_t high, uint32_t low) { return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53; }

static void uniform_block(const random_context *c, int64_t start, int64_t n) {
    uint32_t w[2 * BLOCK];
    if (c->dtype == TK_F64) {
        words(c->seed, c->offset, 2 * start, w, 2 * n);
        double *y = (double *)c->out + start;
        for (int64_t i = 0; i < n; i++) {
            double v = c->a + unit53(w[2 * i], w[2 * i + 1]) * (c->b - c->a);
            y[i] = v < c->b ? v : nextafter(c->b, c->a);
        }
        return;
    }
    float v[BLOCK], low = (float)c->a, span = (float)(c->b - c->a), top = (float)c->b;
    words(c->seed, c->offset, start, w, n);
    for (int64_t i = 0; i < n; i++) {
        float f = low + (float)(w[i] >> 8) * 0x1p-24f * span;
        v[i] = f < top || span <= 0 ? f : nextafterf(top, low);
    }
    tk_cast(TK_F32, c->dtype, v, c->out + start * tk_element_size(c->dtype), n);
}

// ---- Box-Muller in double, with polynomials: ln on (0, 1], sine and cosine of a turn ----

static double ln_unit(double u) {
    uint64_t bits;
    memcpy(&bits, &u, 8);
    int64_t e = (int64_t)(bits - 0x3fe6a09e667f3bcdull) >> 52;  // mantissa in [√½, √2)
    bits -= (uint64_t)e << 52;
    double m;
    memcpy(&m, &bits, 8);
    double s = (m - 1) / (m + 1), z = s * s, p = 0;
    for (int k = 19; k >= 1; k -= 2) p = p * z + 1.0 / k;
    return (double)e * 0.693147180559945309417 + 2 * s * p;
}

/// sin and cos of 2π t, t in [0, 1).
static void turn(double t, double *sine, double *cosine) {
    double q = floor(t * 4 + 0.5), x = (t - q * 0.25) * 6.28318530717958647693, z = x * x;
    double s = x * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800 + z * (1.0 / 6227020800.0)))))));
    double k = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600.0))))));
    switch ((int)q & 3) {
    case 0: *sine = s; *cosine = k; break;
    case 1: *sine = k; *cosine = -s; break;
    case 2: *sine = -s; *cosine = -k; break;
    default: *sine = -k; *cosine = s;
    }
}

static void normal_block(const random_context *c, int64_t start, int64_t n) {
    double v[BLOCK + 2];
    uint32_t w[2 * BLOCK + 4];
    bool wide = c->dtype == TK_F64;
    int64_t pairs = (n + 1) / 2;
    words(c->seed, c->offset, wide ? 2 * start : start, w, wide ? 4 * pairs : 2 * pairs);
    for (int64_t i = 0; i < pairs; i++) {
        double u = wide ? unit53(w[4 * i], w[4 * i + 1]) + 0x1p-53 : ((double)(w[2 * i] >> 8) + 1) * 0x1p-24;
        double t = wide ? unit53(w[4 * i + 2], w[4 * i + 3]) : (double)(w[2 * i + 1] >> 8) * 0x1p-24;
        double r = sqrt(-2 * ln_unit(u)), s, k;
        turn(t, &s, &k);
        v[2 * i] = c->a + c->b * (r * k);
        v[2 * i + 1] = c->a + c->b * (r * s);
    }
    tk_cast(TK_F64, c->dtype, v, c->out + start * tk_element_size(c->dtype), n);
}

static void integer_block(const random_context *c, int64_t start, int64_t n) {
    int64_t v[BLOCK];
    uint32_t w[2 * BLOCK];
    words(c->seed, c->offset, 2 * start, w, 2 * n);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = ((uint64_t)w[2 * i] << 32) | w[2 * i + 1];
        v[i] = (int64_t)((uint64_t)c->low + (uint64_t)(((unsigned __int128)bits * (uint64_t)c->span) >> 64));
    }
    tk_cast(TK_I64, c->dtype, v, c->out + start * tk_element_size(c->dtype), n);
}

static void dropout_block(const random_context *c, int64_t start, int64_t n) {
    uint32_t w[BLOCK];
    words(c->seed, c->offset, start, w, n);
    bool *mask = c->mask + start;
    // u < keep, with u = word's upper 24 bits · 2^-24
    uint32_t limit = (uint32_t)ceil(c->a * 0x1p24);
    for (int64_t i = 0; i < n; i++) mask[i] = (w[i] >> 8) < limit;
    tk_dropout_grad(c->dtype, mask, c->x + start * tk_element_size(c->dtype), c->out + start * tk_element_size(c->dtype), n, c->a);
}

#define BLOCKS(NAME)                                                                                       \
    static void NAME##_range(void *p, int64_t low, int64_t high) {                                         \
        for (int64_t i = low; i < high; i += BLOCK) NAME##_block(p, i, high - i < BLOCK ? high - i : BLOCK); \
    }
BLOCKS(uniform)
BLOCKS(normal)
BLOCKS(integer)
BLOCKS(dropout)

void tk_random_uniform(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, double low, double high) {
    random_context c = {.dtype = dtype, .seed = seed, .offset = offset, .out = out, .a = low, .b = high};
    tk_parallel_ranges(n, 16 * BLOCK, uniform_range, &c);
}
void tk_random_normal(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, double mean, double stddev) {
    random_context c = {.dtype = dtype, .seed = seed, .offset = offset, .out = out, .a = mean, .b = stddev};
    tk_parallel_ranges(n, 8 * BLOCK, normal_range, &c);
}
void tk_random_integers(int dtype, uint64_t seed, uint64_t offset, void *out, int64_t n, int64_t low, int64_t high) {
    random_context c = {.dtype = dtype, .seed = seed, .offset = offset, .out = out, .low = low, .span = (int64_t)((uint64_t)high - (uint64_t)low)};
    tk_parallel_ranges(n, 16 * BLOCK, integer_range, &c);
}
void tk_dropout(int dtype, uint64_t seed, uint64_t offset, const void *x, void *y, bool *mask, int64_t n, double keep) {
    random_context c = {.dtype = dtype, .seed = seed, .offset = offset, .out = y, .x = x, .mask = mask, .a = keep};
    tk_parallel_ranges(n, 16 * BLOCK, dropout_range, &c);
}

void tk_dropout_grad(int dtype, const bool *mask, const void *g, void *dx, int64_t n, double keep) {
    switch (dtype) {
    case TK_F32: {
        float scale = (float)(1 / keep);
        for (int64_t i = 0; i < n; i++) ((float *)dx)[i] = mask[i] ? ((const float *)g)[i] * scale : 0;
    } break;
    case TK_F64:
        for (int64_t i = 0; i < n; i++) ((double *)dx)[i] = mask[i] ? ((const double *)g)[i] / keep : 0;
        break;
    default:
        for (int64_t i = 0; i < n; i += 512) {
            float v[512];
            int64_t m = n - i < 512 ? n - i : 512;
            tk_cast(dtype, TK_F32, (const char *)g + 2 * i, v, m);
            tk_dropout_grad(TK_F32, mask + i, v, v, m, keep);
            tk_cast(TK_F32, dtype, v, (char *)dx + 2 * i, m);
        }
    }
}
