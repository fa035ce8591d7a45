// Included by attention.c for each vector width W (in floats). Rows of scores lie in buffers padded to a multiple of 16 elements.
typedef float V(vf) __attribute__((vector_size(W * 4)));
typedef int32_t V(vi) __attribute__((vector_size(W * 4)));
#define VF V(vf)
#define VI V(vi)

static inline __attribute__((always_inline)) VF V(load)(const float *p) { VF v; memcpy(&v, p, sizeof v); return v; }
static inline __attribute__((always_inline)) void V(store)(float *p, VF v) { memcpy(p, &v, sizeof v); }
static inline __attribute__((always_inline)) VF V(pick)(VI mask, VF a, VF b) { return (VF)((mask & (VI)a) | (~mask & (VI)b)); }

// exp for arguments up to about 88, error about 1 ulp; below -87.3 it gives 0. NaN stays.
static inline __attribute__((always_inline)) VF V(exponential)(VF x) {
#pragma clang fp contract(fast)
    VF t = x * 1.44269504f + 12582912.0f;                 // the low bits of t are round(x / ln 2)
    VF n = t - 12582912.0f;
    VF r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    VF p = r * 1.38888889e-3f + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 0.166666667f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    VF y = p * (VF)(((VI)t + 127) << 23);
    return V(pick)(x < -87.3f, (VF){0}, y);
}

// s[j] = exp(s[j] - m) for j < n with m = max(*maximum, s), zeros up to `padded`; updates *maximum and returns the row's sum.
static float V(forward_row)(float *s, int64_t n, int64_t padded, float *maximum) {
    VI iota;
    for (int l = 0; l < W; l++) iota[l] = l;
    const VF lowest = (VF){0} - INFINITY;
    int64_t whole = n - n % W, j = 0;
    VF m0 = lowest, m1 = lowest;
    for (; j + 2 * W <= whole; j += 2 * W) {
        VF a = V(load)(s + j), b = V(load)(s + j + W);
        m0 = V(pick)(a > m0, a, m0);
        m1 = V(pick)(b > m1, b, m1);
    }
    for (; j < n; j += W) {
        VF a = V(pick)(iota < (int32_t)(n - j), V(load)(s + j), lowest);
        m0 = V(pick)(a > m0, a, m0);
    }
    m0 = V(pick)(m0 > m1, m0, m1);
    float m = *maximum;
    for (int l = 0; l < W; l++) m = m0[l] > m ? m0[l] : m;
    *maximum = m;
    float shift = m == -INFINITY ? 0 : m;
    VF sum0 = {0}, sum1 = {0};
    for (j = 0; j + 2 * W <= whole; j += 2 * W) {
        VF a = V(exponential)(V(load)(s + j) - shift), b = V(exponential)(V(load)(s + j + W) - shift);
        V(store)(s + j, a);
        V(store)(s + j + W, b);
        sum0 += a;
        sum1 += b;
    }
    for (; j < n; j += W) {
        VF a = V(pick)(iota < (int32_t)(n - j), V(exponential)(V(load)(s + j) - shift), (VF){0});
        V(store)(s + j, a);
        sum0 += a;
    }
    for (; j < padded; j += W) V(store)(s + j, (VF){0});
    sum0 += sum1;
    float sum = 0;
    for (int l = 0; l < W; l++) sum += sum0[l];
    return sum;
}

// s = P = exp(s - lse), dp = P * (dp - delta) * scale for j < n, zeros up to `padded`.
static void V(backward_row)(float *s, float *dp, int64_t n, int64_t padded, float lse, float delta, float scale) {
    VI iota;
    for (int l = 0; l < W; l++) iota[l] = l;
    int64_t whole = n - n % W, j = 0;
    for (; j < whole; j += W) {
        VF p = V(exponential)(V(load)(s + j) - lse);
        V(store)(s + j, p);
        V(store)(dp + j, p * (V(load)(dp + j) - delta) * scale);
    }
    for (; j < n; j += W) {
        VI keep = iota < (int32_t)(n - j);
        VF p = V(exponential)(V(load)(s + j) - lse), d = p * (V(load)(dp + j) - delta) * scale;
        V(store)(s + j, V(pick)(keep, p, (VF){0}));
        V(store)(dp + j, V(pick)(keep, d, (VF){0}));
    }
    for (; j < padded; j += W) {
        V(store)(s + j, (VF){0});
        V(store)(dp + j, (VF){0});
    }
}
#undef VF
#undef VI
