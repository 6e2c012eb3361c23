// ampere_runtime.h -- part of runtime.cpp: asynchronous copies and products of matrices
//
// A copy lands as late as PTX allows: when its own thread waits for its group. Until then its
// target is NaN, and in trace mode every access to it is a fault. So a missing wait shows, as does a
// copy into what another thread still reads. What others may see after the wait, a barrier decides.
//
// mma.sync: NVIDIA does not document how tensor cores add. This is a little worse than what was
// measured on cards from compute capability 8.0 on, which keep 24 or 25 bits behind the point where
// 23 are kept here (Fasi et al. 2021, doi:10.7717/peerj-cs.330; Xie et al. 2025, arXiv:2511.10909:
// Ampere and Ada Lovelace add 4 products at a time, Hopper and Blackwell 8): in two steps, 4 exact
// products and the
// sum so far are cut off below 2^(e-23), where e is the largest of their exponents, and added; the
// result is cut off to 24 bits.

static const unsigned DYNAMIC_FROM = 1u << 24;  // addresses of dynamic shared memory
struct Copy { char* to; const char* from; unsigned bytes, read; };
struct Copies { std::vector<Copy> open; std::vector<std::vector<Copy>> groups; };
static std::vector<Copies> copies;  // of each thread

extern "C" unsigned emu_to_shared(const void* p)
{
    const char* at = (const char*)p;
    if (at >= dynamic && at < dynamic + DYNAMIC_MOST) return DYNAMIC_FROM + (at - dynamic);
    return at - __start_cu_shared;
}
extern "C" void* emu_from_shared(unsigned address)
{
    return address < DYNAMIC_FROM ? __start_cu_shared + address : dynamic + (address - DYNAMIC_FROM);
}

static void forget_copies()  // of the last block
{
    copies.assign(threads, {});
}
extern "C" void emu_copy(void* to, const void* from, unsigned bytes, unsigned read, const void* at)
{
    if (read > bytes) {
        fault("async", at, "a copy of %u bytes that reads %u", bytes, read);
        return stop();
    }
    trace_copy(to, from, bytes, read, at);
    memset(to, 0xff, bytes);
    copies[current->linear].open.push_back({(char*)to, (const char*)from, bytes, read});
}
extern "C" void emu_commit_copies()
{
    Copies& own = copies[current->linear];
    own.groups.push_back(std::move(own.open));
    own.open.clear();
}
extern "C" void emu_wait_copies(unsigned groups, const void* at)
{
    auto& own = copies[current->linear].groups;
    while (own.size() > groups) {
        for (const Copy& copy : own.front()) {
            trace_landing(copy.to, copy.bytes, at);
            memcpy(copy.to, copy.from, copy.read);
            memset(copy.to + copy.read, 0, copy.bytes - copy.read);
        }
        own.erase(own.begin());
    }
}

// -------------------------------------------------------------------------------------- products
static int exponent(float value)  // of 0: far below all others
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    int biased = bits >> 23 & 255;
    return biased ? biased - 127 : -1000;
}
static double power(int n)  // 2^n
{
    uint64_t bits = (uint64_t)(1023 + n) << 52;
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

// c + a[0] b[0] + ... + a[3] b[3] as described above; numbers below 2^-126 count as 0
static float four_products(const float* a, const float* b, float c)
{
    double terms[5] = {c}, plain = c;
    int most = exponent(c);
    for (int k = 0; k < 4; k++) {
        terms[1 + k] = (double)a[k] * b[k];
        plain += terms[1 + k];
        // the hardware adds the exponents, without carrying from the product of the mantissas
        most = std::max(most, exponent(a[k]) + exponent(b[k]));
    }
    if (!std::isfinite(plain) || most < -256) return plain;
    int64_t sum = 0;  // in units of 2^(most-23), of which a term has less than 2^25
    for (double term : terms) sum += (int64_t)(term * power(23 - most));
    uint64_t size = sum < 0 ? -sum : sum;
    if (size >> 24) size &= ~0ull << (40 - __builtin_clzll(size));
    return (sum < 0 ? -1. : 1.) * size * power(most - 23);
}

// PTX ISA, fragments of mma.m16n8k8 for .tf32: lane = 4 group + member has
//   a[i]: row group + 8 (i % 2), column member + 4 (i / 2)      b[i]: row member + 4 i, column group
//   c[i], d[i]: row group + 8 (i / 2), column 2 member + i % 2
extern "C" void emu_multiply(int which, float* d, const uint32_t* a, const uint32_t* b,
                             const float* c, const void* at)
{
    for (int i = 0; i < 6; i++) {
        uint32_t bits = i < 4 ? a[i] : b[i - 4];
        bool number = (bits & 0x7f800000) != 0x7f800000;
        if (number && bits & 0x1fff)
            fault("tf32", at, "operand %c%d of mma is not TF32: %08x", "ab"[i / 4], i % 4, bits);
        bits &= ~0x1fffu;
        memcpy(&current->fragment[i], &bits, 4);
    }
    emu_sync_warp(which, ~0u, at);
    const Fiber* lanes[32];
    for (int lane = 0; lane < 32; lane++) {
        lanes[lane] = lane_of_warp(lane);
        if (lanes[lane]) continue;
        fault("mma", at, "a warp without lane %d", lane);
        return stop();
    }
    const int group = (current->linear & 31) / 4, member = current->linear & 3;
    for (int i = 0; i < 4; i++) {
        const int high = i / 2, column = 2 * member + i % 2;
        float row_of_a[8], column_of_b[8];
        for (int k = 0; k < 8; k++) {
            row_of_a[k] = lanes[4 * group + k % 4]->fragment[high + 2 * (k / 4)];
            column_of_b[k] = lanes[4 * column + k % 4]->fragment[4 + k / 4];
        }
        d[i] = four_products(row_of_a, column_of_b, c[i]);
        d[i] = four_products(row_of_a + 4, column_of_b + 4, d[i]);
    }
    emu_sync_warp(which, ~0u, at);
}
