// The instruction set level in force: 0 baseline (or portable), 1 AVX2 (with FMA and F16C), 2 AVX-512 (F, VL, BW, DQ).
#ifndef TAPESTRY_ISA_H
#define TAPESTRY_ISA_H
#include <stdbool.h>

int tk_isa_level(void);
/// Level 2 in force, on a CPU with AVX512-BF16 (vdpbf16ps) or AVX512-VNNI (vpdpbusd).
bool tk_has_bf16_dot(void);
bool tk_has_byte_dot(void);
#endif

