// Element types and the conversions between them, the CPU kernels' to the bit.
#ifndef TK_TYPES_CUH
#define TK_TYPES_CUH
#include "device.cuh"

// The codes of DType.
enum { TK_CODE_F32 = 0, TK_CODE_F64, TK_CODE_F16, TK_CODE_BF16, TK_CODE_I8, TK_CODE_U8, TK_CODE_I32, TK_CODE_I64, TK_CODE_BOOL,
       TK_CODE_C64, TK_CODE_C128, TK_CODE_E4M3, TK_CODE_E5M2 };

struct tk_half { unsigned short bits; };
struct tk_bfloat { unsigned short bits; };

/// What elements of a type are calculated in.
template <class T> struct tk_wide_type { typedef T type; };
template <> struct tk_wide_type<tk_half> { typedef float type; };
template <> struct tk_wide_type<tk_bfloat> { typedef float type; };
template <class T> using tk_wide = typename tk_wide_type<T>::type;

template <class T> TK_DEVICE T tk_widen(T x) { return x; }
TK_DEVICE float tk_widen(tk_half x) { return tk_half_to_float(x.bits); }
TK_DEVICE float tk_widen(tk_bfloat x) { return tk_bits_float((unsigned)x.bits << 16); }

template <class T> struct tk_narrower { static TK_DEVICE_MEMBER T from(T x) { return x; } };
template <> struct tk_narrower<tk_half> {
    static TK_DEVICE_MEMBER tk_half from(float x) { tk_half y; y.bits = tk_float_to_half(x); return y; }
};
template <> struct tk_narrower<tk_bfloat> {   // to nearest, ties to even; without the instruction, which sm_75 lacks
    static TK_DEVICE_MEMBER tk_bfloat from(float x) {
        unsigned bits = tk_float_bits(x);
        tk_bfloat y;
        y.bits = (unsigned short)(x != x ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
        return y;
    }
};
/// Rounds to the element type.
template <class T> TK_DEVICE T tk_narrow(tk_wide<T> x) { return tk_narrower<T>::from(x); }

/// double to a float that rounds to the same 16-bit float as the double itself: rounded to odd.
TK_DEVICE float tk_round_to_odd(double x) {
    float y = (float)x;
    if ((double)y == x || x != x || fabs((double)y) == tk_infinity(0.0)) return y;
    unsigned bits = tk_float_bits(y);
    if (fabs((double)y) > fabs(x)) bits -= 1;   // towards zero
    return tk_bits_float(bits | 1u);
}

#define TK_FLOAT_TYPES(X) X(float, f32) X(double, f64) X(tk_half, f16) X(tk_bfloat, bf16)
#define TK_WIDE_TYPES(X) X(float, f32) X(double, f64)
#define TK_INTEGER_TYPES(X) X(signed char, i8) X(unsigned char, u8) X(int, i32) X(long long, i64)
#define TK_SIZES(X) X(unsigned char, 1) X(unsigned short, 2) X(unsigned, 4) X(unsigned long long, 8) X(tk_16bytes, 16)

#endif
