// The instruction set level in force: 0 baseline (or portable), 1 AVX2 (with FMA and F16C), 2 AVX-512 (F, VL, BW, DQ).
#ifndef TAPESTRY_ISA_H
#define TAPESTRY_ISA_H
int tk_isa_level(void);
#endif
