// shim.h -- defines what CUDA C++ adds to C++, so that g++ compiles a kernel's unchanged source
//
// A kernel becomes a function, and its block runs on one OS thread (runtime.cpp). Shared memory is
// therefore a static variable in its own section: the runtime fills it with NaN before each block,
// and the tracer recognises it by its address. `extern __shared__ T name[];` cannot be expressed
// here; emulator.py turns that line into EMU_DYNAMIC_SHARED(T, name). Inline assembly becomes calls of
// ampere.h. Not supported: textures, half precision, cooperative groups, printf.
#pragma once
#include <math.h>  // of C++: with overloads for float in the global namespace
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__ __attribute__((noinline, noipa))
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("cu_shared")))
#define EMU_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(emu_dynamic_shared())

// ------------------------------------------------------------------------------------- vectors
#define EMU_VECTORS(T, name)                                                             \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                   \
    struct name##3 { T x, y, z; };                                                       \
    struct alignas(sizeof(T) < 8 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };        \
    static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                    \
    static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }            \
    static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTORS(float, float)
EMU_VECTORS(double, double)
EMU_VECTORS(int, int)
EMU_VECTORS(unsigned, uint)
EMU_VECTORS(unsigned char, uchar)
struct dim3 { unsigned x, y, z; };

// ----------------------------------------------------------------------- what the runtime gives
struct EmuThread { uint3 index; unsigned linear; };
struct EmuState { EmuThread* current; uint3 block; dim3 block_size, grid_size; };
#define EMU_HIDDEN __attribute__((visibility("hidden")))
extern "C" {
extern EmuState emu_state EMU_HIDDEN;
EMU_HIDDEN void* emu_dynamic_shared();
EMU_HIDDEN void emu_sync_block(int which, const void* at);
EMU_HIDDEN int emu_count_block(int which, int predicate, int* all, const void* at);
EMU_HIDDEN void emu_sync_warp(int which, unsigned mask, const void* at);
EMU_HIDDEN uint64_t emu_shuffle(int which, unsigned mask, uint64_t value, int lane, const void* at);
EMU_HIDDEN unsigned emu_ballot(int which, unsigned mask, int predicate, const void* at);
EMU_HIDDEN void emu_atomic(const void* address, unsigned bytes, const void* at);
EMU_HIDDEN void emu_trap();
}
#define threadIdx (emu_state.current->index)
#define blockIdx (emu_state.block)
#define blockDim (emu_state.block_size)
#define gridDim (emu_state.grid_size)
enum { warpSize = 32 };

// Not inlined, because the return address gives the line; not traced, because they belong to the
// machine. g++ may copy a call, so macros count the barriers of the source.
#define EMU_CALL __attribute__((noinline, no_sanitize("thread"), unused)) static
#define EMU_AT __builtin_return_address(0)
#define __syncthreads() emu_syncthreads(__COUNTER__)
#define __syncthreads_count(p) emu_syncthreads_count(__COUNTER__, p)
#define __syncthreads_or(p) (emu_syncthreads_count(__COUNTER__, p) > 0)
#define __syncthreads_and(p) emu_syncthreads_and(__COUNTER__, p)
#define __syncwarp(...) emu_syncwarp(__COUNTER__ __VA_OPT__(, ) __VA_ARGS__)
#define __ballot_sync(m, p) emu_ballot_sync(__COUNTER__, m, p)
#define __any_sync(m, p) (emu_ballot_sync(__COUNTER__, m, p) != 0)
#define __all_sync(m, p) (emu_ballot_sync(__COUNTER__, m, !(p)) == 0)
#define __shfl_sync(...) emu_shfl(__COUNTER__, __VA_ARGS__)
#define __shfl_down_sync(...) emu_shfl_down(__COUNTER__, __VA_ARGS__)
#define __shfl_up_sync(...) emu_shfl_up(__COUNTER__, __VA_ARGS__)
#define __shfl_xor_sync(...) emu_shfl_xor(__COUNTER__, __VA_ARGS__)

EMU_CALL void emu_syncthreads(int which) { emu_sync_block(which, EMU_AT); }
EMU_CALL int emu_syncthreads_count(int which, int p)
{
    int all;
    return emu_count_block(which, p, &all, EMU_AT);
}
EMU_CALL int emu_syncthreads_and(int which, int p)
{
    int all;
    return emu_count_block(which, p, &all, EMU_AT) == all;
}
EMU_CALL void emu_syncwarp(int which, unsigned mask = ~0u) { emu_sync_warp(which, mask, EMU_AT); }
EMU_CALL unsigned emu_ballot_sync(int which, unsigned m, int p)
{
    return emu_ballot(which, m, p, EMU_AT);
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __trap() { emu_trap(); }

template <class T> static inline uint64_t emu_bits(T value)
{
    static_assert(sizeof(T) <= 8, "warps exchange at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T> static inline T emu_value(uint64_t bits)
{
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline int emu_lane() { return emu_state.current->linear & 31; }

// `from` is the lane that is read; a lane outside the segment of `width` lanes reads itself
#define EMU_SHUFFLE(name, type, from)                                                     \
    template <class T>                                                                    \
    EMU_CALL T name(int which, unsigned mask, T value, type by, int width = 32)           \
    {                                                                                     \
        int lane = emu_lane(), first = lane & ~(width - 1), last = first + width - 1;     \
        int source = from;                                                                \
        if (source < first || source > last) source = lane;                               \
        return emu_value<T>(emu_shuffle(which, mask, emu_bits(value), source, EMU_AT));          \
    }
EMU_SHUFFLE(emu_shfl, int, first | (by & (width - 1)))
EMU_SHUFFLE(emu_shfl_down, unsigned, lane + (int)by)
EMU_SHUFFLE(emu_shfl_up, unsigned, lane - (int)by)
EMU_SHUFFLE(emu_shfl_xor, int, lane ^ by)
#include "ampere.h"

#define EMU_ATOMIC(name, result)                                                          \
    template <class T> EMU_CALL T name(T* p, typename std::common_type<T>::type v) \
    {                                                                                     \
        emu_atomic(p, sizeof(T), EMU_AT);                                                 \
        T old = *p;                                                                       \
        *p = result;                                                                      \
        return old;                                                                       \
    }
EMU_ATOMIC(atomicAdd, old + v)
EMU_ATOMIC(atomicSub, old - v)
EMU_ATOMIC(atomicMax, old > v ? old : v)
EMU_ATOMIC(atomicMin, old < v ? old : v)
EMU_ATOMIC(atomicExch, v)
template <class T> EMU_CALL T atomicCAS(T* p, T compare, T value)
{
    emu_atomic(p, sizeof(T), EMU_AT);
    T old = *p;
    if (old == compare) *p = value;
    return old;
}

// ------------------------------------------------------------------------------------ functions
template <class T> static inline T __ldg(const T* p) { return *p; }
template <class T> static inline T __ldcg(const T* p) { return *p; }
template <class T> static inline T __ldcs(const T* p) { return *p; }
template <class T> static inline void __stcg(T* p, T value) { *p = value; }
template <class T> static inline void __stcs(T* p, T value) { *p = value; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
// volatile: g++ must not contract what CUDA promises to round by itself
static inline float __fmul_rn(float a, float b) { volatile float p = a * b; return p; }
static inline float __fadd_rn(float a, float b) { volatile float s = a + b; return s; }
static inline float __fsub_rn(float a, float b) { volatile float s = a - b; return s; }
static inline double __dmul_rn(double a, double b) { volatile double p = a * b; return p; }
static inline double __dadd_rn(double a, double b) { volatile double s = a + b; return s; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __frcp_rn(float a) { return 1 / a; }
static inline float rsqrtf(float a) { return 1 / sqrtf(a); }
static inline double rsqrt(double a) { return 1 / sqrt(a); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1) : 0; }
#define __expf(a) expf(a)  // macros: glibc declares these names itself
#define __logf(a) logf(a)
#define __sinf(a) sinf(a)
#define __cosf(a) cosf(a)
#define __powf(a, b) powf(a, b)
static inline int __float_as_int(float a) { return emu_value<int>(emu_bits(a)); }
static inline unsigned __float_as_uint(float a) { return emu_value<unsigned>(emu_bits(a)); }
static inline float __int_as_float(int a) { return emu_value<float>(emu_bits(a)); }
static inline float __uint_as_float(unsigned a) { return emu_value<float>(emu_bits(a)); }
static inline int __popc(unsigned a) { return __builtin_popcount(a); }
static inline int __clz(int a) { return a ? __builtin_clz((unsigned)a) : 32; }
static inline int __ffs(int a) { return __builtin_ffs(a); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return ((uint64_t)a * b) >> 32; }
static inline int __mulhi(int a, int b) { return ((int64_t)a * b) >> 32; }

#define EMU_MIN_MAX(A, B, R)                                                              \
    static inline R min(A a, B b) { return (R)a < (R)b ? (R)a : (R)b; }                   \
    static inline R max(A a, B b) { return (R)a > (R)b ? (R)a : (R)b; }
EMU_MIN_MAX(int, int, int)
EMU_MIN_MAX(unsigned, unsigned, unsigned)
EMU_MIN_MAX(int, unsigned, unsigned)
EMU_MIN_MAX(unsigned, int, unsigned)
EMU_MIN_MAX(long, long, long)
EMU_MIN_MAX(long long, long long, long long)
EMU_MIN_MAX(unsigned long, unsigned long, unsigned long)
EMU_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

// --------------------------------------------------------- the kernels of a text, for the runtime
// A parameter's type as three letters: P for a pointer, else the letter of struct.pack; the letter
// of the pointer's target; c if the target is const, else m.
template <class T> constexpr char emu_letter()
{
    using U = typename std::remove_cv<T>::type;
    if (std::is_pointer<U>::value) return 'P';
    if (std::is_same<U, bool>::value) return '?';
    if (std::is_floating_point<U>::value) return sizeof(U) == 4 ? 'f' : 'd';
    if (!std::is_integral<U>::value) return 'S';
    const char* letters = std::is_signed<U>::value ? "bhiq" : "BHIQ";
    return letters[sizeof(U) == 1 ? 0 : sizeof(U) == 2 ? 1 : sizeof(U) == 4 ? 2 : 3];
}
struct EmuSignature { char text[3 * 64 + 1]; };
template <class... A> static EmuSignature emu_signature(void (*)(A...))
{
    EmuSignature s{};
    char* to = s.text;
    auto put = [&](char letter, char pointee, char access) {
        *to++ = letter, *to++ = pointee, *to++ = access;
    };
    (put(emu_letter<A>(),
         std::is_pointer<A>::value ? emu_letter<typename std::remove_pointer<A>::type>() : '-',
         std::is_const<typename std::remove_pointer<A>::type>::value ? 'c' : 'm'),
     ...);
    return s;
}
#define EMU_QUIET __attribute__((no_sanitize("thread", "undefined")))
template <class... A, size_t... I>
EMU_QUIET static void emu_apply(void (*kernel)(A...), void** at, std::index_sequence<I...>)
{
    kernel(*reinterpret_cast<typename std::remove_cv<A>::type*>(at[I])...);
}
template <class... A> EMU_QUIET static void emu_call(void (*kernel)(A...), void** at)
{
    emu_apply(kernel, at, std::index_sequence_for<A...>{});
}
struct EmuKernel { const char* name; void (*call)(void**); EmuSignature signature; };
#define EMU_KERNEL(k) {#k, [](void** at) EMU_QUIET { emu_call(&k, at); }, emu_signature(&k)}
