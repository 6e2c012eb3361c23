// runtime.cpp -- runs a grid of CUDA threads on one OS thread: fibers, barriers, schedules
//
// Blocks run one after another, the threads of a block as fibers: one runs until it waits at a
// barrier or ends. The schedule decides the order: forward, reverse, or shuffled again between any
// two barriers. A result that depends on the order is a race; tracer.h finds it even if the order
// does no harm. This file is built without -fsanitize=thread, the kernel's source with it in trace
// mode.
#include "shim.h"
#undef threadIdx
#include <dlfcn.h>
#include <sys/mman.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#error "the switch between fibers is written for x86-64"
#endif
#define EMU_API extern "C" __attribute__((visibility("default")))

extern "C" {
EmuState emu_state;
extern char __start_cu_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cu_shared[] __attribute__((weak, visibility("hidden")));
extern const EmuKernel emu_kernels[] EMU_HIDDEN;
extern const int emu_kernel_count EMU_HIDDEN;
EMU_HIDDEN void emu_switch(void** save, void* to);
}
asm(R"(.text
.globl emu_switch
.hidden emu_switch
emu_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
)");

enum Status { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
struct Fiber : EmuThread {
    void* stack_pointer;
    char* stack;
    void* asan;  // what AddressSanitizer keeps of a fiber that waits
    Status status;
    int which;  // of the barriers in the text
    const void* at;  // the instruction
    unsigned mask;  // of the warp barrier
    uint32_t warp_phase;  // warp barriers passed
    uint64_t value;  // what the other lanes may read
    float fragment[6];  // of a matrix product, the same
};
static const size_t STACK = 256 << 10, GUARD = 4096;
static const size_t DYNAMIC_MOST = 227 << 10;  // bytes of shared memory that a block can have
static std::vector<Fiber> fibers;
static int threads;
static Fiber* current;  // null between fibers
static void *main_pointer, *main_asan;
static const void* main_bottom;
static size_t main_size;
static const EmuKernel* kernel;
static void** arguments;
static char* dynamic;  // shared memory by the launch
static size_t dynamic_size;
static uint32_t phase;  // block barriers passed, over all blocks
static bool stopped;
static long faults;
static std::string fault_text;
static std::unordered_map<std::string, long> fault_counts;

static std::string offset_in_library(const void* at)
{
    Dl_info info;
    char text[32] = "?";
    if (at && dladdr(at, &info))
        snprintf(text, sizeof text, "+0x%lx", (long)((char*)at - (char*)info.dli_fbase - 1));
    return text;
}

// Once per kind and place
static void fault(const char* kind, const void* at, const char* format, ...)
{
    faults++;
    std::string place = offset_in_library(at);
    if (fault_counts[kind + place]++ || fault_counts.size() > 20) return;
    char what[400], where[200];
    va_list rest;
    va_start(rest, format);
    vsnprintf(what, sizeof what, format, rest);
    va_end(rest);
    uint3 b = emu_state.block, t = current ? current->index : uint3{0, 0, 0};
    snprintf(where, sizeof where, "%s @%s block (%u, %u, %u) thread (%u, %u, %u): ", kind,
             place.c_str(), b.x, b.y, b.z, t.x, t.y, t.z);
    fault_text += std::string(where) + what + "\n";
}

// -------------------------------------------------------------------------------------- fibers
static void leave()
{
    Fiber* self = current;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(self->status == DONE ? nullptr : &self->asan, main_bottom, main_size);
#endif
    emu_switch(&self->stack_pointer, main_pointer);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(self->asan, &main_bottom, &main_size);
#endif
}

static void enter(Fiber* fiber)
{
    current = fiber;
    emu_state.current = fiber;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&main_asan, fiber->stack, STACK);
#endif
    emu_switch(&main_pointer, fiber->stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(main_asan, nullptr, nullptr);
#endif
    current = nullptr;
}

extern "C" __attribute__((visibility("hidden"), used)) void emu_first()
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &main_bottom, &main_size);
#endif
    kernel->call(arguments);
    current->status = DONE;
    leave();
    __builtin_trap();
}

static void prepare(Fiber& fiber)
{
    void** top = reinterpret_cast<void**>(fiber.stack + STACK) - 2;  // as after a call: 8 off 16
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(emu_first);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    fiber.stack_pointer = top;
    fiber.status = READY;
    fiber.warp_phase = 0;
    fiber.asan = nullptr;
}

static void stop()  // the launch, from within a fiber
{
    stopped = true;
    current->status = DONE;
    leave();
}

// ------------------------------------------------------------------------ what a kernel can call
extern "C" void* emu_dynamic_shared() { return dynamic; }
extern "C" void emu_trap()
{
    fault("trap", nullptr, "the kernel called __trap()");
    stop();
}
extern "C" void emu_sync_block(int which, const void* at)
{
    current->which = which;
    current->status = AT_BLOCK_BARRIER;
    current->at = at;
    leave();
}
extern "C" int emu_count_block(int which, int predicate, int* all, const void* at)
{
    static int set, arrived;  // complete once every thread has arrived
    static uint32_t of_phase;
    if (of_phase != phase) of_phase = phase, set = arrived = 0;
    set += predicate != 0;
    arrived++;
    emu_sync_block(which, at);
    *all = arrived;
    return set;
}
extern "C" void emu_sync_warp(int which, unsigned mask, const void* at)
{
    unsigned lane = current->linear & 31;
    if (!(mask >> lane & 1)) fault("warp-mask", at, "lane %u is not in its mask %08x", lane, mask);
    current->which = which;
    current->status = AT_WARP_BARRIER;
    current->at = at;
    current->mask = mask;
    leave();
}
static Fiber* lane_of_warp(int lane)
{
    int i = (current->linear & ~31u) + lane;
    return i < threads ? &fibers[i] : nullptr;
}
extern "C" uint64_t emu_shuffle(int which, unsigned mask, uint64_t value, int lane, const void* at)
{
    current->value = value;
    emu_sync_warp(which, mask, at);
    Fiber* from = lane_of_warp(lane);
    bool there = from && mask >> lane & 1;
    if (!there) fault("shuffle", at, "reads lane %d, which takes no part", lane);
    value = there ? from->value : value;
    emu_sync_warp(which, mask, at);
    return value;
}
extern "C" unsigned emu_ballot(int which, unsigned mask, int predicate, const void* at)
{
    current->value = predicate != 0;
    emu_sync_warp(which, mask, at);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) {
        Fiber* from = mask >> lane & 1 ? lane_of_warp(lane) : nullptr;
        if (from && from->value) votes |= 1u << lane;
    }
    emu_sync_warp(which, mask, at);
    return votes;
}

EMU_API long emu_static_shared()
{
    return __start_cu_shared ? __stop_cu_shared - __start_cu_shared : 0;
}

#include "tracer.h"
#include "ampere_runtime.h"

// ------------------------------------------------------------------------------------ one block
// Every live thread waits at a block barrier: let them through. CUDA requires all threads of the
// block at the same place of the source.
static void release_block(int done)
{
    const Fiber* one = nullptr;
    bool divergent = false;
    for (int i = 0; i < threads; i++) {
        if (fibers[i].status != AT_BLOCK_BARRIER) continue;
        if (!one) one = &fibers[i];
        divergent |= fibers[i].which != one->which;
        fibers[i].status = READY;
    }
    if (divergent) fault("divergent-barrier", one->at, "threads wait at different __syncthreads()");
    if (done) fault("exited-barrier", one->at, "%d threads have ended before __syncthreads()", done);
    phase++;
}

static bool release_warps()
{
    bool released = false;
    for (int i = 0; i < threads; i++) {
        if (fibers[i].status != AT_WARP_BARRIER) continue;
        int first = i & ~31;
        unsigned mask = fibers[i].mask;
        bool all = true;
        for (int lane = 0; lane < 32; lane++) {
            if (!(mask >> lane & 1)) continue;
            // do not wait for lanes that do not exist in a block of fewer threads
            if (first + lane >= threads) continue;
            Fiber& f = fibers[first + lane];
            all &= f.status == AT_WARP_BARRIER && f.mask == mask && f.which == fibers[i].which;
        }
        for (int lane = 0; all && lane < 32 && first + lane < threads; lane++)
            if (mask >> lane & 1) fibers[first + lane].status = READY, fibers[first + lane].warp_phase++;
        released |= all;
    }
    return released;
}

static void run_block(std::vector<int>& order, bool shuffled, std::mt19937& random)
{
    for (int i = 0; i < threads; i++) prepare(fibers[i]);
    forget_copies();
    while (!stopped) {
        if (shuffled) std::shuffle(order.begin(), order.end(), random);
        bool ran = false;
        for (int i : order) {
            if (fibers[i].status != READY) continue;
            enter(&fibers[i]);
            ran = true;
            if (stopped) return;
        }
        int done = 0, waiting = 0;
        for (int i = 0; i < threads; i++) {
            done += fibers[i].status == DONE;
            waiting += fibers[i].status == AT_BLOCK_BARRIER;
        }
        if (done == threads) return;
        if (done + waiting == threads) {
            release_block(done);
        } else if (!release_warps() && !ran) {
            fault("deadlock", nullptr, "%d threads ended, %d wait for the block, %d for their warp",
                  done, waiting, threads - done - waiting);
            return;
        }
    }
}

__attribute__((no_sanitize("address"), noinline)) static void refill_shared()
{
    volatile char *to = __start_cu_shared, *end = __stop_cu_shared;
    for (; to && to < end; ++to) *to = (char)0xff;  // NaN
    to = dynamic;
    for (size_t i = 0; i < dynamic_size; i++) to[i] = (char)0xff;
}

// ----------------------------------------------------------------------------------- the launch
static char* pages(size_t size)
{
    return (char*)mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

EMU_API const char* emu_name(int i) { return i < emu_kernel_count ? emu_kernels[i].name : nullptr; }
EMU_API const char* emu_parameters(int i) { return emu_kernels[i].signature.text; }
EMU_API const char* emu_faults() { return fault_text.c_str(); }

struct EmuLaunch {
    int kernel;
    unsigned grid[3], block[3];
    long shared;
    int schedule;  // 0 forward, 1 reverse, 2 shuffled
    unsigned seed;
    int flush;  // count numbers below 2^-126 as 0, as -ftz=true does
    int traffic;  // blocks, from the first, whose use of memory is recorded
    void** arguments;
};

// The number of faults
EMU_API long emu_launch(const EmuLaunch* launch)
{
    faults = 0, fault_text.clear(), fault_counts.clear(), stopped = false;
    kernel = &emu_kernels[launch->kernel];
    arguments = launch->arguments;
    const unsigned *g = launch->grid, *b = launch->block;
    threads = b[0] * b[1] * b[2];
    dynamic_size = launch->shared;
    if (!dynamic) {
        dynamic = pages(DYNAMIC_MOST + GUARD);
        mprotect(dynamic + DYNAMIC_MOST, GUARD, PROT_NONE);
    }
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(dynamic, DYNAMIC_MOST);
    ASAN_POISON_MEMORY_REGION(dynamic + dynamic_size, DYNAMIC_MOST - dynamic_size);
#endif
    while ((int)fibers.size() < threads) {
        Fiber fiber{};
        fiber.stack = pages(GUARD + STACK) + GUARD;
        mprotect(fiber.stack - GUARD, GUARD, PROT_NONE);
        fibers.push_back(fiber);
    }
    bool reverse = launch->schedule == 1, shuffled = launch->schedule == 2;
    std::mt19937 random(launch->seed);
    std::vector<int> order(threads);
    for (size_t i = 0; i < fibers.size(); i++) {
        unsigned t = i;
        fibers[i].linear = t;
        fibers[i].index = {t % b[0], t / b[0] % b[1], t / (b[0] * b[1])};
        if ((int)i < threads) order[i] = reverse ? threads - 1 - i : i;
    }
    emu_state.block_size = {b[0], b[1], b[2]};
    emu_state.grid_size = {g[0], g[1], g[2]};
    std::vector<long> blocks((long)g[0] * g[1] * g[2]);
    for (size_t i = 0; i < blocks.size(); i++) blocks[i] = reverse ? blocks.size() - 1 - i : i;
    if (shuffled) std::shuffle(blocks.begin(), blocks.end(), random);
    phase = 1;
    trace_begin();
    unsigned control = _mm_getcsr();
    if (launch->flush) _mm_setcsr(control | 0x8040);  // flush results, take operands as zero
    for (size_t done = 0; done < blocks.size() && !stopped; done++) {
        long i = blocks[done];
        emu_state.block = {(unsigned)(i % g[0]), (unsigned)(i / g[0] % g[1]),
                           (unsigned)(i / ((long)g[0] * g[1]))};
        refill_shared();
        phase++;
        trace_block(i + 1, (long)done < launch->traffic);
        run_block(order, shuffled, random);
        trace_block_end();
    }
    _mm_setcsr(control);
    return faults;
}

#if defined(EMU_MAIN)
// A separate program for the sanitizers, which end the process: reads one launch from a file and
// writes the arrays back. Each array is one malloc, so AddressSanitizer detects any byte beyond it.
static FILE* file;
template <class T> static void get(T* to, size_t n = 1)
{
    if (n && fread(to, sizeof(T), n, file) != n) exit(3);
}
int main(int count, char** names)
{
    if (count != 3 || !(file = fopen(names[1], "rb"))) return 3;
    EmuLaunch launch{};
    int numbers[11], n;
    get(numbers, 11);
    launch.kernel = numbers[0];
    for (int i = 0; i < 3; i++) launch.grid[i] = numbers[1 + i], launch.block[i] = numbers[4 + i];
    launch.shared = numbers[7], launch.schedule = numbers[8], launch.seed = numbers[9];
    launch.flush = numbers[10];
    get(&n);
    std::vector<void*> values(n), pointers(n);
    std::vector<long> sizes(n);
    for (int i = 0; i < n; i++) {
        long head[2];  // 0 a number, 1 an array; its bytes
        get(head, 2);
        sizes[i] = head[0] ? head[1] : 0;
        values[i] = malloc(head[1]);
        get((char*)values[i], head[1]);
        pointers[i] = head[0] ? (void*)&values[i] : values[i];
    }
    fclose(file);
    launch.arguments = pointers.data();
    long found = emu_launch(&launch);
    fputs(fault_text.c_str(), stderr);
    if (found || !(file = fopen(names[2], "wb"))) return 4;
    for (int i = 0; i < n; i++)
        if (sizes[i] && fwrite(values[i], 1, sizes[i], file) != (size_t)sizes[i]) return 3;
    return fclose(file) ? 3 : 0;
}
#endif
