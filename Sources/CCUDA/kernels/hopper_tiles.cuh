// Tiles in shared memory as the copying unit writes them on sm_90: rows of 64 elements, in boxes beside each other, and products of them by a
// group of four warps.
#ifndef TK_HOPPER_TILES_CUH
#define TK_HOPPER_TILES_CUH
#include "types.cuh"

enum { HOPPER_ROW = 128 };   // bytes of a box's row

template <bool A_TURNED, bool B_TURNED, bool ADD = true, int N>
TK_DEVICE void multiply_boxes(float (&sum)[N], unsigned long long a, unsigned long long b, tk_bfloat) {
    tk_multiply_bf16<A_TURNED, B_TURNED, ADD>(sum, a, b);
}
template <bool A_TURNED, bool B_TURNED, bool ADD = true, int N>
TK_DEVICE void multiply_boxes(float (&sum)[N], unsigned long long a, unsigned long long b, tk_half) {
    tk_multiply_f16<A_TURNED, B_TURNED, ADD>(sum, a, b);
}
template <bool B_TURNED, int N> TK_DEVICE void multiply_held(float (&sum)[N], const unsigned (&a)[4], unsigned long long b, tk_bfloat) {
    tk_multiply_held_bf16<B_TURNED>(sum, a, b);
}
template <bool B_TURNED, int N> TK_DEVICE void multiply_held(float (&sum)[N], const unsigned (&a)[4], unsigned long long b, tk_half) {
    tk_multiply_held_f16<B_TURNED>(sum, a, b);
}

/// 16 of k of a tile, as a factor: k runs along the rows of a box, or across them and then columns are in boxes `box` bytes apart.
template <bool TURNED> TK_DEVICE unsigned long long factor_at(const unsigned char *tile, int k, int box) {
    return TURNED ? tk_factor(tile + k * HOPPER_ROW, box, 8 * HOPPER_ROW) : tk_factor(tile + k / 64 * box + k % 64 * 2, 16, 8 * HOPPER_ROW);
}

#endif
