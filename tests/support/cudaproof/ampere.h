// ampere.h -- part of shim.h: what cards from compute capability 8.0 on can do besides
//
// CUDA C++ has no functions for these instructions, so a kernel writes them as inline PTX;
// instructions.py turns each `asm` into a call of a function of this file. ampere_runtime.h has
// what they do.
//   cp.async          copies from global to shared memory while the thread goes on; with a fourth
//                     operand it reads so many bytes, and fills up with zeros
//   cvt.rna.tf32.f32  rounds to TF32: 8 bits of exponent and 10 of mantissa
//   mma.sync.m16n8k8  a warp multiplies a 16 x 8 by an 8 x 8 matrix of TF32
// Source: NVIDIA, PTX ISA 8.8.
#pragma once

extern "C" {
EMU_HIDDEN unsigned emu_to_shared(const void* p);
EMU_HIDDEN void* emu_from_shared(unsigned address);
EMU_HIDDEN void emu_copy(void* to, const void* from, unsigned bytes, unsigned read,
                         const void* at);
EMU_HIDDEN void emu_commit_copies();
EMU_HIDDEN void emu_wait_copies(unsigned groups, const void* at);
EMU_HIDDEN void emu_multiply(int which, float* d, const uint32_t* a, const uint32_t* b,
                             const float* c, const void* at);
}

static inline size_t __cvta_generic_to_shared(const void* p) { return emu_to_shared(p); }

EMU_CALL void emu_cp_async(void* to, const void* from, unsigned bytes, unsigned read)
{
    emu_copy(to, from, bytes, read, EMU_AT);
}
EMU_CALL void emu_cp_wait(unsigned groups) { emu_wait_copies(groups, EMU_AT); }
EMU_CALL void emu_cp_wait_all()
{
    emu_commit_copies();
    emu_wait_copies(0, EMU_AT);
}

// Round to nearest, ties away from zero; the low 13 bits become 0
static inline uint32_t emu_tf32(float value)
{
    uint32_t bits = emu_bits(value);
    if ((bits & 0x7f800000) == 0x7f800000) return value != value ? 0x7fffffff : bits;
    return (bits + 0x1000) & ~0x1fffu;
}

EMU_CALL void emu_mma(int which, float& d0, float& d1, float& d2, float& d3, uint32_t a0,
                      uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1, float c0,
                      float c1, float c2, float c3)
{
    const uint32_t a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    const float c[4] = {c0, c1, c2, c3};
    float d[4];
    emu_multiply(which, d, a, b, c, EMU_AT);
    d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
}
