// 7_async.cu -- cp.async with three stages: copies to shared memory without registers in between
//
//   idea        in rung 5 a thread loads into registers and stores to shared memory later. From
//               compute capability 8.0 on (A100, RTX 30) one instruction does both, and nobody waits:
//                   cp.async        begins a copy of 16 bytes from global to shared memory
//                   commit_group    the thread's copies since the last commit become a group
//                   wait_group n    waits until at most the n youngest groups are under way
//               C++ has no such functions, so the kernel writes PTX, in asm volatile("text" :: values).
//               A thread waits for its own copies only; the barrier behind it makes all of them
//               visible to all. Three buffers: one is used, two are on their way. The barrier also says
//               that nobody reads the buffer of the last stage any more, so one per stage is enough
//   layout      a copy cannot transpose. A pixel stays a float4 of 4 channels: a thread loads 10 pixels
//               for a row of the kernel, and uses each for 4 channels x 3 taps
//   cost        no registers for what is under way; 40,320 bytes of shared memory, 1.6 times rung 5's:
//               2 blocks on an SM with 100 KB (RTX 30, 40), 3 with more. Intensity as in rung 4. 768
//               multiply-adds for 34 loads, instead of 36
//   next        8_tf32.cu: tensor cores
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   error       as in rungs 1 to 6, only the order of the sum differs: |y - exact| <=
//               (9 Cin + 1) u (sum|x||w| + |b|), u = 2^-24
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      compute capability 8.0;  128 threads, a block for each 4 x 32 pixels x 64 channels;
//               Cin a multiple of 4, Cout of 64, arrays 16-byte aligned

#define THREADS 128
#define COUTS 64
#define ROWS 4
#define COLS 32
#define CK 4
#define STAGES 3
#define R (ROWS + 2)
#define C (COLS + 2)
// A gap behind each 8 pixels puts the pixels 0, 8, 16, 24 on different banks, and rows of 44 float4,
// 4 more than a multiple of 8, put two rows on different banks
#define PLACE(pixel) ((pixel) + (pixel) / 8)
#define STRIDE 44

__device__ int mirrored(int i, int n)
{
    i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return min(max(i, 0), n - 1);  // for pixels that no y needs
}

__device__ float4 load(const float* at) { return *reinterpret_cast<const float4*>(at); }

// Begins a copy of 16 bytes. "r" is an integer of 32 bits, an address within shared memory; "l" one of
// 64 bits. "memory" keeps the compiler from moving loads and stores across the instruction
__device__ void copy(float* to, const float* from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory");
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) conv3x3(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float sx[STAGES][R][STRIDE][CK], sw[STAGES][9][CK][COUTS];
    const int groups = (Cout + COUTS - 1) / COUTS, across = (W + COLS - 1) / COLS;
    const int down = (H + ROWS - 1) / ROWS, t = blockIdx.x / groups;
    const int o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int eight = lane % 8 + 8 * (warp % 2), quad = (lane / 8 + 4 * (warp / 2)) * 4;
    const int row = eight / 4, col = eight % 4 * 8, stages = Cin / CK;

    auto begin = [&](int stage) {  // begins the copies of a stage, a group
        const int to = stage % STAGES, c0 = stage * CK;
        if (stage < stages) {
#pragma unroll
            for (int k = 0; k < (R * C + THREADS - 1) / THREADS; k++) {
                const int e = threadIdx.x + k * THREADS;
                if (e >= R * C) break;
                const int h = mirrored(i0 + e / C - 1, H), v = mirrored(j0 + e % C - 1, W);
                copy(sx[to][e / C][PLACE(e % C)], x + ((n * H + h) * W + v) * Cin + c0);
            }
#pragma unroll
            for (int k = 0; k < (9 * CK * COUTS / 4 + THREADS - 1) / THREADS; k++) {
                const int e = (threadIdx.x + k * THREADS) * 4;
                if (e >= 9 * CK * COUTS) break;
                const int o = e % COUTS, c = e / COUTS % CK, tap = e / COUTS / CK;
                copy(&sw[to][tap][c][o], w + (tap * Cin + c0 + c) * Cout + o0 + o);
            }
        }
        // at the end the groups are empty, so that wait_group counts on
        asm volatile("cp.async.commit_group;" ::: "memory");
    };

    float sum[8][8] = {};
    for (int stage = 0; stage < STAGES - 1; stage++) begin(stage);
    for (int stage = 0; stage < stages; stage++) {
        const int now = stage % STAGES;
        asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
        __syncthreads();  // this stage is there for all, and nobody uses the last one any more
        begin(stage + STAGES - 1);
#pragma unroll
        for (int r = 0; r < 3; r++) {
            float in[10][CK];
#pragma unroll
            for (int k = 0; k < 10; k++)
                *reinterpret_cast<float4*>(in[k]) = load(sx[now][row + r][PLACE(col) + PLACE(k)]);
#pragma unroll
            for (int c = 0; c < CK; c++)
#pragma unroll
                for (int s = 0; s < 3; s++) {
                    float weight[8];
                    const float* tap = &sw[now][r * 3 + s][c][quad];
                    *reinterpret_cast<float4*>(weight) = load(tap);
                    *reinterpret_cast<float4*>(weight + 4) = load(tap + COUTS / 2);
#pragma unroll
                    for (int k = 0; k < 8; k++)
#pragma unroll
                        for (int o = 0; o < 8; o++)
                            sum[k][o] = fmaf(in[k + s][c], weight[o], sum[k][o]);
                }
        }
    }
    const int i = i0 + row;
    if (i >= H) return;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int o = o0 + quad + half * COUTS / 2;
        const float4 bias = load(b + o);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (j0 + col + k >= W) continue;
            const float* of = sum[k] + 4 * half;
            *reinterpret_cast<float4*>(y + ((n * H + i) * W + j0 + col + k) * Cout + o) =
                make_float4(of[0] + bias.x, of[1] + bias.y, of[2] + bias.z, of[3] + bias.w);
        }
    }
}
