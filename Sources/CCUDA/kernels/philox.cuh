// Philox4x32-10 (Salmon et al., 2011).
#ifndef TK_PHILOX_CUH
#define TK_PHILOX_CUH
#include "device.cuh"

struct tk_words { unsigned at[4]; };

TK_DEVICE tk_words tk_philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned h0 = tk_high_product(0xD2511F53u, c0), l0 = 0xD2511F53u * c0, h1 = tk_high_product(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ k0;
        c2 = h0 ^ c3 ^ k1;
        c1 = l1;
        c3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    tk_words w = {{c0, c1, c2, c3}};
    return w;
}
/// The words of a position of a seed's stream.
TK_DEVICE tk_words tk_philox(unsigned long long seed, unsigned long long position) {
    return tk_philox((unsigned)position, (unsigned)(position >> 32), 0, 0, (unsigned)seed, (unsigned)(seed >> 32));
}

#endif
