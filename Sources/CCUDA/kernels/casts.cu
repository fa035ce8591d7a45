// Conversions between element types: floats to integers are cut towards zero and saturate, integers wrap, bools are what is not 0.
#include "types.cuh"

/// 8-bit floats by their number of mantissa bits: E4M3 (3) has no infinity, E5M2 (2) is a short float16.
TK_DEVICE float fp8_to_float(unsigned char b, int mantissa, int bias) {
    int exponent = (b & 0x7f) >> mantissa, m = b & ((1 << mantissa) - 1);
    float value;
    if (mantissa == 3 && (b & 0x7f) == 0x7f) value = tk_nan(0.0f);
    else if (mantissa == 2 && exponent == 31) value = m ? tk_nan(0.0f) : tk_infinity(0.0f);
    else if (exponent == 0) value = (float)m * tk_bits_float((unsigned)(128 - bias - mantissa) << 23);
    else value = (float)(m + (1 << mantissa)) * tk_bits_float((unsigned)(exponent - bias - mantissa + 127) << 23);
    return b & 0x80 ? -value : value;
}

/// To nearest, ties to even, rounded once; what is too large saturates.
TK_DEVICE unsigned char float_to_fp8(double x, int mantissa, int bias) {
    unsigned long long bits = tk_double_bits(x);
    unsigned char sign = bits >> 63 ? 0x80 : 0;
    bits &= 0x7fffffffffffffffull;
    if (x != x) return sign | 0x7f;
    int exponent = (int)(bits >> 52) - 1023;
    if (exponent < 1 - bias) exponent = 1 - bias;
    if (exponent <= 16) {
        double q = rint(tk_bits_double(bits) * tk_bits_double((unsigned long long)(1023 + mantissa - exponent) << 52));
        if (q >= (double)(2 << mantissa)) { q /= 2; exponent += 1; }
        int m = (int)q, code = m >> mantissa ? ((exponent + bias) << mantissa) | (m & ((1 << mantissa) - 1)) : m;
        if (code < (mantissa == 3 ? 0x7f : 0x7c)) return sign | (unsigned char)code;
    }
    return sign | (mantissa == 3 ? 0x7e : 0x7c);
}

template <class T> TK_DEVICE T saturated(double x, double low, double high, T lowest, T highest) {
    return x != x ? (T)0 : x <= low ? lowest : x >= high ? highest : (T)x;
}

TK_DEVICE double real_part(float x) { return x; }
TK_DEVICE double real_part(double x) { return x; }
TK_DEVICE double real_part(long long x) { return (double)x; }
TK_DEVICE float single(float x) { return x; }
TK_DEVICE float single(double x) { return (float)x; }
TK_DEVICE float single(long long x) { return (float)x; }
// Through float32, as the CPU goes: an integer is rounded to it first, a double to odd.
TK_DEVICE float for_half(float x) { return x; }
TK_DEVICE float for_half(double x) { return tk_round_to_odd(x); }
TK_DEVICE float for_half(long long x) { return (float)x; }
TK_DEVICE long long integer(long long x, int) { return x; }
TK_DEVICE long long integer(double x, int code) {
    switch (code) {
    case TK_CODE_I8: return saturated<signed char>(x, -128.0, 127.0, -128, 127);
    case TK_CODE_U8: return saturated<unsigned char>(x, 0.0, 255.0, 0, 255);
    case TK_CODE_I32: return saturated<int>(x, -2147483648.0, 2147483647.0, -2147483647 - 1, 2147483647);
    default: return saturated<long long>(x, -9223372036854775808.0, 9223372036854775808.0, -9223372036854775807ll - 1, 9223372036854775807ll);
    }
}
TK_DEVICE long long integer(float x, int code) { return integer((double)x, code); }

/// Stores a value (float, double or long long) as the type of a code.
template <class V> TK_DEVICE void store(V x, double imaginary, int code, void *out, long long i) {
    switch (code) {
    case TK_CODE_F32: ((float *)out)[i] = single(x); break;
    case TK_CODE_F64: ((double *)out)[i] = real_part(x); break;
    case TK_CODE_F16: ((tk_half *)out)[i] = tk_narrow<tk_half>(for_half(x)); break;
    case TK_CODE_BF16: ((tk_bfloat *)out)[i] = tk_narrow<tk_bfloat>(for_half(x)); break;
    case TK_CODE_I8: case TK_CODE_U8: ((unsigned char *)out)[i] = (unsigned char)integer(x, code); break;
    case TK_CODE_I32: ((int *)out)[i] = (int)integer(x, code); break;
    case TK_CODE_I64: ((long long *)out)[i] = integer(x, code); break;
    case TK_CODE_BOOL: ((unsigned char *)out)[i] = x != (V)0 || imaginary != 0; break;
    case TK_CODE_C64: ((float *)out)[2 * i] = single(x); ((float *)out)[2 * i + 1] = (float)imaginary; break;
    case TK_CODE_C128: ((double *)out)[2 * i] = real_part(x); ((double *)out)[2 * i + 1] = imaginary; break;
    case TK_CODE_E4M3: ((unsigned char *)out)[i] = float_to_fp8(real_part(x), 3, 7); break;
    default: ((unsigned char *)out)[i] = float_to_fp8(real_part(x), 2, 15);
    }
}

// One kernel per type that is read; the type that is written is a number.
#define CAST(NAME, V, VALUE, IMAGINARY)                                                             \
    TK_KERNEL(256) tk_cast_##NAME(const void *x, void *out, long long n, long long code) {           \
        for (long long i = tk_first(); i < n; i += tk_step()) store<V>(VALUE, IMAGINARY, (int)code, out, i); \
    }                                                                                               \
    TK_EXPORT(tk_cast_##NAME)
CAST(f32, float, ((const float *)x)[i], 0)
CAST(f64, double, ((const double *)x)[i], 0)
CAST(f16, float, tk_widen(((const tk_half *)x)[i]), 0)
CAST(bf16, float, tk_widen(((const tk_bfloat *)x)[i]), 0)
CAST(i8, long long, ((const signed char *)x)[i], 0)
CAST(u8, long long, ((const unsigned char *)x)[i], 0)
CAST(i32, long long, ((const int *)x)[i], 0)
CAST(i64, long long, ((const long long *)x)[i], 0)
CAST(c64, double, ((const float *)x)[2 * i], ((const float *)x)[2 * i + 1])
CAST(c128, double, ((const double *)x)[2 * i], ((const double *)x)[2 * i + 1])
CAST(e4m3, double, fp8_to_float(((const unsigned char *)x)[i], 3, 7), 0)
CAST(e5m2, double, fp8_to_float(((const unsigned char *)x)[i], 2, 15), 0)
#undef CAST

/// start + i · step, in double or, for integers, in 64 bits.
TK_KERNEL(256) tk_arange(void *out, long long n, double start, double step, long long code) {
    bool whole = code >= TK_CODE_I8 && code <= TK_CODE_BOOL;
    for (long long i = tk_first(); i < n; i += tk_step()) {
        if (whole) store<long long>((long long)start + i * (long long)step, 0, (int)code, out, i);
        else store<double>(tk_sum(start, tk_product((double)i, step)), 0, (int)code, out, i);
    }
}
TK_EXPORT(tk_arange)
