// tracer.h -- part of runtime.cpp: checks every memory access of a kernel
//
// In trace mode the kernel's source is compiled by `g++ -fsanitize=thread`, which calls a function
// before each access; this file defines those functions, in place of the library's. For every 4
// bytes of shared memory and of each array it stores which thread wrote and read last, and at which
// barrier. The faults are
//   oob             an access outside every array of the launch; found before it happens, and the
//                   launch stops. The shared memory of all kernels of a source is one piece here,
//                   so an access beyond that of one kernel may fall into another's, which
//                   AddressSanitizer detects
//   misaligned      the address is not a multiple of the width, as CUDA's vector accesses require
//   const-write     a write to an array that is const in the kernel's signature
//   uninitialised   a read before any write, of shared memory or of an array with all bits set
//   race            accesses by two threads, of which one writes, without a barrier between them;
//                   between blocks there is never a barrier
//   async           an access to what an asynchronous copy is under way to
// On demand, it also counts per line how many cycles a warp's access to shared memory takes (bank
// conflicts) and how many sectors of 32 bytes of global memory it touches.

#if !defined(EMU_TRACE)
static void trace_begin() {}
static void trace_block(long, bool) {}
static void trace_block_end() {}
static void trace_copy(const void*, const void*, unsigned, unsigned, const void*) {}
static void trace_landing(const void*, unsigned, const void*) {}
extern "C" void emu_atomic(const void*, unsigned, const void*) {}
#else

struct Word {
    uint32_t write_phase, read_phase;  // 0: never
    uint32_t write_block, read_block;
    uint32_t write_warp_phase, read_warp_phase;
    int32_t writer, reader;
    uint8_t write_bytes, read_bytes;  // masks
    bool many_readers, many_warps, atomic;
    bool flying;  // an asynchronous copy to it is under way
};
struct Memory {
    char *first, *last;  // one behind
    std::string name;
    bool read_only, shared, floats;
    std::vector<Word> words;
};
struct Access {
    const void* at;
    uint32_t occurrence, thread;
    uint64_t address;
    uint8_t bytes;
    bool write, shared;
};
struct Traffic {
    long instructions, wavefronts, least, joined, sectors, bytes;
    bool write, shared;
};
static std::vector<Memory> memories;  // of the launch; the first two are shared memory
static uint32_t trace_block_number;
static bool recording;
static char *library_first, *library_last;
static std::vector<Access> accesses;
static std::vector<std::unordered_map<const void*, uint32_t>> occurrences;
static std::unordered_map<const void*, Traffic> traffic;
static std::string traffic_text;

// The arrays of the next launch
EMU_API void emu_clear_arrays() { memories.resize(2); }
EMU_API void emu_add_array(void* first, size_t bytes, const char* name, int read_only, int floats)
{
    memories.resize(std::max<size_t>(2, memories.size()));
    char* at = (char*)first;
    memories.push_back({at, at + bytes, name, (bool)read_only, false, (bool)floats,
                        std::vector<Word>(bytes / 4 + 1)});
}

static void trace_begin()
{
    memories.resize(std::max<size_t>(2, memories.size()));
    size_t fixed = emu_static_shared();
    memories[0] = {__start_cu_shared, __start_cu_shared + fixed, "shared", false, true, false, {}};
    memories[1] = {dynamic, dynamic + dynamic_size, "dynamic shared", false, true, false, {}};
    for (int i = 0; i < 2; i++) memories[i].words.assign((i ? dynamic_size : fixed) / 4 + 1, Word{});
    Dl_info info;
    dladdr((void*)emu_static_shared, &info);
    extern char _end[] EMU_HIDDEN;
    library_first = (char*)info.dli_fbase, library_last = _end;
    occurrences.assign(threads, {});
    traffic.clear();
}

static void trace_block(long number, bool record)
{
    trace_block_number = number;
    recording = record;
    for (int i = 0; i < 2; i++)  // forget the last block's shared memory
        std::fill(memories[i].words.begin(), memories[i].words.end(), Word{});
}

// Whether there is a barrier between that access and the present one of the current thread
static bool ordered(uint32_t block, int thread, uint32_t at_phase, uint32_t at_warp_phase)
{
    if (block != trace_block_number) return false;
    if (thread == (int)current->linear || at_phase != phase) return true;
    return thread / 32 == (int)current->linear / 32 && at_warp_phase != current->warp_phase;
}

static void check_word(Memory& memory, long offset, int bytes, bool write, bool atomic, const void* at)
{
    Word& word = memory.words[offset / 4];
    const char* name = memory.name.c_str();
    int self = current->linear;
    if (word.flying)
        fault("async", at, "%s %s+%ld, which a copy that no thread has waited for will write",
              write ? "writes" : "reads", name, offset);
    // whether all threads that have read are of this warp, with a barrier of the warp since then
    bool warp_waited = word.reader / 32 == self / 32 && !word.many_warps &&
                       word.read_warp_phase != current->warp_phase;
    if (word.write_phase && word.write_bytes & bytes && !(atomic && word.atomic) &&
        !ordered(word.write_block, word.writer, word.write_phase, word.write_warp_phase))
        fault("race", at, "%s %s+%ld, written by thread %d of block %u with no barrier between",
              write ? "writes" : "reads", name, offset, word.writer, word.write_block - 1);
    if (write && word.read_phase && word.read_bytes & bytes && !(atomic && word.atomic)) {
        bool here = word.read_block == trace_block_number && word.read_phase == phase;
        if ((here && word.many_readers && !warp_waited) ||
            !ordered(word.read_block, word.reader, word.read_phase, word.read_warp_phase))
            fault("race", at, "writes %s+%ld, read by thread %d of block %u with no barrier between",
                  name, offset, word.reader, word.read_block - 1);
    }
    if (!write && !word.write_phase) {
        uint32_t value = 0;
        if (memory.floats) memcpy(&value, memory.first + offset / 4 * 4, 4);
        if (memory.shared || value == ~0u)
            fault("uninitialised", at, "reads %s+%ld, which nothing has written", name, offset);
    }
    if (write) {
        bool again = word.write_phase == phase && word.writer == self &&
                     word.write_block == trace_block_number;
        word.write_bytes = again ? word.write_bytes | bytes : bytes;
        word.write_phase = phase, word.writer = self, word.write_block = trace_block_number;
        word.write_warp_phase = current->warp_phase, word.atomic = atomic;
        return;
    }
    bool again = word.read_phase == phase && word.read_block == trace_block_number;
    bool other = word.reader != self && !ordered(word.read_block, word.reader, word.read_phase,
                                                 word.read_warp_phase);
    word.many_readers = again && ((word.many_readers && !warp_waited) || other);
    word.many_warps = again && (word.many_warps || word.reader / 32 != self / 32);
    word.read_bytes = again ? word.read_bytes | bytes : bytes;
    word.read_phase = phase, word.reader = self, word.read_block = trace_block_number;
    word.read_warp_phase = current->warp_phase;
}

static void outside(const char* p, unsigned bytes, bool write, const void* at)
{
    const Memory* nearest = nullptr;
    long best = 1L << 62;
    for (const Memory& m : memories) {
        long away = p < m.first ? m.first - p : p - m.last;
        if (m.first != m.last && away < best) best = away, nearest = &m;
    }
    fault("oob", at, "%s of %u bytes outside every array; the nearest is %s%+ld",
          write ? "write" : "read", bytes, nearest ? nearest->name.c_str() : "none",
          nearest ? (long)(p - nearest->first) : 0);
    stop();
}

static void check(const void* address, unsigned bytes, bool write, bool atomic, const void* at)
{
    if (!current) return;
    char* p = (char*)address;
    if (p >= current->stack && p < current->stack + STACK) return;  // local variables
    if (p >= (char*)current && p < (char*)(current + 1)) return;    // threadIdx
    Memory* memory = nullptr;
    for (Memory& m : memories)
        if (p >= m.first && p + bytes <= m.last) memory = &m;
    if (!memory) {
        bool constants = p >= library_first && p < library_last && !write;
        if (!constants) outside(p, bytes, write, at);
        return;
    }
    long offset = p - memory->first;
    if ((uintptr_t)p % std::min(bytes, 16u)) {
        fault("misaligned", at, "%u bytes at %s+%ld", bytes, memory->name.c_str(), offset);
        return stop();
    }
    if (write && memory->read_only)
        fault("const-write", at, "writes %s+%ld, which is const", memory->name.c_str(), offset);
    if (bytes < 4)
        check_word(*memory, offset, ((1 << bytes) - 1) << (offset & 3), write, atomic, at);
    for (unsigned i = 0; i + 4 <= bytes; i += 4)
        check_word(*memory, offset + i, 15, write, atomic, at);
    if (recording)
        accesses.push_back({at, occurrences[current->linear][at]++, current->linear,
                            (uint64_t)(uintptr_t)p, (uint8_t)bytes, write, memory->shared});
}

extern "C" void emu_atomic(const void* p, unsigned bytes, const void* at)
{
    check(p, bytes, true, true, at);
}

static void set_flying(const void* p, unsigned bytes, bool flying)
{
    for (Memory& m : memories)
        for (const char* at = (const char*)p; m.first <= at && at < (const char*)p + bytes; at += 4)
            if (at < m.last) m.words[(at - m.first) / 4].flying = flying;
}
// An asynchronous copy begins: it reads now or later, and may write from now on
static void trace_copy(const void* to, const void* from, unsigned bytes, unsigned read,
                       const void* at)
{
    if (read) check(from, read, false, false, at);
    check(to, bytes, true, false, at);
    set_flying(to, bytes, true);
}
// The thread that began it has waited for it
static void trace_landing(const void* to, unsigned bytes, const void* at)
{
    bool counted = recording;
    recording = false;  // it was counted at its beginning
    set_flying(to, bytes, false);
    check(to, bytes, true, false, at);
    recording = counted;
}

static void count_lanes(const Access* first, const Access* last, int lanes, long* cycles,
                        long* least)
{
    for (int from = 0; from < 32; from += lanes) {
        std::vector<uint64_t> banks[32];
        bool any = false;
        for (const Access* a = first; a != last; a++) {
            int lane = a->thread % 32;
            if (lane < from || lane >= from + lanes) continue;
            any = true;
            for (uint64_t word = a->address / 4; word * 4 < a->address + a->bytes; word++) {
                auto& bank = banks[word % 32];
                if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
            }
        }
        size_t fullest = 0;
        for (auto& bank : banks) fullest = std::max(fullest, bank.size());
        *cycles += fullest, *least += any;
    }
}

// Whether each active lane has the address of lane ^ apart, which is active too
static bool in_pairs(const Access* first, const Access* last, int apart)
{
    uint64_t addresses[32] = {};
    for (const Access* a = first; a != last; a++) addresses[a->thread % 32] = a->address;
    for (int lane = 0; lane < 32; lane++)
        if (addresses[lane] != addresses[lane ^ apart]) return false;
    return true;
}

// A warp's access to shared memory takes as many cycles as the fullest of the 32 banks has words;
// 8-byte accesses are done by half warps, 16-byte accesses by quarters. If all lanes of a load are
// pairs with the same address, n and n ^ 1 or n and n ^ 2, twice as many are done at once: so NVIDIA
// says of compute capability 7.0 to 7.5 (forums.developer.nvidia.com/t/77228), and has not said more
// of later ones. `joined` counts the cycles with that rule, `wavefronts` without.
static void count_shared(Traffic& t, const Access* first, const Access* last)
{
    int lanes = first->bytes >= 16 ? 8 : first->bytes == 8 ? 16 : 32;
    bool pairs = lanes < 32 && !first->write &&
                 (in_pairs(first, last, 1) || in_pairs(first, last, 2));
    count_lanes(first, last, lanes, &t.wavefronts, &t.least);
    long least = 0;
    count_lanes(first, last, pairs ? 2 * lanes : lanes, &t.joined, &least);
}

static void trace_block_end()
{
    if (!recording) return;
    auto warp_of = [](const Access& a) { return std::make_tuple(a.thread / 32, a.at, a.occurrence); };
    std::stable_sort(accesses.begin(), accesses.end(),
                     [&](const Access& a, const Access& b) { return warp_of(a) < warp_of(b); });
    for (size_t i = 0, j; i < accesses.size(); i = j) {
        for (j = i; j < accesses.size() && warp_of(accesses[j]) == warp_of(accesses[i]);) j++;
        const Access *first = &accesses[i], *last = first + (j - i);
        Traffic& t = traffic[first->at];
        t.instructions++, t.write = first->write, t.shared = first->shared;
        std::vector<uint64_t> sectors;
        for (const Access* a = first; a != last; a++) {
            t.bytes += a->bytes;
            for (uint64_t s = a->address / 32; s * 32 < a->address + a->bytes; s++) sectors.push_back(s);
        }
        if (t.shared) {
            count_shared(t, first, last);
            continue;
        }
        std::sort(sectors.begin(), sectors.end());
        t.sectors += std::unique(sectors.begin(), sectors.end()) - sectors.begin();
    }
    accesses.clear();
    for (auto& thread : occurrences) thread.clear();
}

// Lines of: place, shared, write, instructions of warps, wavefronts, least wavefronts, joined ones,
// sectors, bytes
EMU_API const char* emu_traffic()
{
    traffic_text.clear();
    for (auto& [at, t] : traffic) {
        char line[200];
        snprintf(line, sizeof line, "%s %d %d %ld %ld %ld %ld %ld %ld\n", offset_in_library(at).c_str(),
                 t.shared, t.write, t.instructions, t.wavefronts, t.least, t.joined, t.sectors,
                 t.bytes);
        traffic_text += line;
    }
    return traffic_text.c_str();
}

#define EMU_HOOK(name, bytes, write)                                    \
    extern "C" EMU_HIDDEN void __tsan_##name(void* p)                   \
    {                                                                   \
        check(p, bytes, write, false, __builtin_return_address(0));     \
    }
#define EMU_HOOKS(bytes)                                                \
    EMU_HOOK(read##bytes, bytes, false)                                 \
    EMU_HOOK(write##bytes, bytes, true)                                 \
    EMU_HOOK(unaligned_read##bytes, bytes, false)                       \
    EMU_HOOK(unaligned_write##bytes, bytes, true)                       \
    EMU_HOOK(volatile_read##bytes, bytes, false)                        \
    EMU_HOOK(volatile_write##bytes, bytes, true)
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
extern "C" {
EMU_HIDDEN void __tsan_read_range(void* p, unsigned long n)
{
    check(p, n, false, false, __builtin_return_address(0));
}
EMU_HIDDEN void __tsan_write_range(void* p, unsigned long n)
{
    check(p, n, true, false, __builtin_return_address(0));
}
EMU_HIDDEN void __tsan_func_entry(void*) {}
EMU_HIDDEN void __tsan_func_exit() {}
EMU_HIDDEN void __tsan_init() {}
}
#endif
