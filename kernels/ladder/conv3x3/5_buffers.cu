// 5_buffers.cu -- two buffers: while a stage is used, the next one is on its way
//
//   idea        in rung 4 all threads of a block wait: for memory, then for each other, before they
//               multiply. Here the loads of the next 4 channels begin before the multiply-adds of
//               these, into registers, and are stored in the other of two buffers after them: one
//               barrier instead of two, and the time of a load is hidden
//   cost        the registers of 2 pixels and 5 float4 of weights, and twice the shared memory,
//               25,344 bytes. Intensity as in rung 4
//   next        6_tile.cu: a tile for images of 50 pixels
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      128 threads, a block for each 4 x 32 pixels x 64 channels;  Cin a multiple of 4,
//               Cout of 64, arrays 16-byte aligned

#define THREADS 128
#define COUTS 64
#define ROWS 4
#define COLS 32
#define CK 4
#define R (ROWS + 2)
#define C (COLS + 2)
#define STRIDE 36  // floats; 9 float4, an odd number, so that two rows use different banks
#define X_LOADS ((R * C + THREADS - 1) / THREADS)    // pixels that a thread fetches
#define W_QUADS (9 * CK * COUTS / 4)                 // float4 of weights of a stage
#define W_LOADS ((W_QUADS + THREADS - 1) / THREADS)  // of these, of a thread

__device__ int mirrored(int i, int n)
{
    i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return min(max(i, 0), n - 1);  // for pixels that no y needs
}

__device__ float4 load(const float* at) { return *reinterpret_cast<const float4*>(at); }

extern "C" __global__ void __launch_bounds__(THREADS) conv3x3(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float sx[2][CK][R][STRIDE], sw[2][9][CK][COUTS];
    const int groups = (Cout + COUTS - 1) / COUTS, across = (W + COLS - 1) / COLS;
    const int down = (H + ROWS - 1) / ROWS, t = blockIdx.x / groups;
    const int o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int eight = lane % 8 + 8 * (warp % 2), quad = (lane / 8 + 4 * (warp / 2)) * 4;
    const int row = eight / 4, col = eight % 4 * 8;

    float4 x_next[X_LOADS], w_next[W_LOADS];
    auto fetch = [&](int c0) {  // begins the loads of a stage; nothing waits for them here
#pragma unroll
        for (int k = 0; k < X_LOADS; k++) {
            const int e = threadIdx.x + k * THREADS;
            const int h = mirrored(i0 + e / C - 1, H), v = mirrored(j0 + e % C - 1, W);
            if (e < R * C) x_next[k] = load(x + ((n * H + h) * W + v) * Cin + c0);
        }
#pragma unroll
        for (int k = 0; k < W_LOADS; k++) {
            const int e = threadIdx.x + k * THREADS, o = e * 4 % COUTS, c = e * 4 / COUTS;
            if (e < W_QUADS)
                w_next[k] = load(w + (c / CK * Cin + c0 + c % CK) * Cout + o0 + o);
        }
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int k = 0; k < X_LOADS; k++) {
            const int e = threadIdx.x + k * THREADS;
            if (e >= R * C) continue;
            sx[buffer][0][e / C][e % C] = x_next[k].x;
            sx[buffer][1][e / C][e % C] = x_next[k].y;
            sx[buffer][2][e / C][e % C] = x_next[k].z;
            sx[buffer][3][e / C][e % C] = x_next[k].w;
        }
#pragma unroll
        for (int k = 0; k < W_LOADS; k++)
            if (threadIdx.x + k * THREADS < W_QUADS)
                reinterpret_cast<float4*>(sw[buffer])[threadIdx.x + k * THREADS] = w_next[k];
    };

    float sum[8][8] = {};
    fetch(0);
    store(0);
    __syncthreads();
    for (int c0 = 0; c0 < Cin; c0 += CK) {
        const int now = c0 / CK % 2;
        if (c0 + CK < Cin) fetch(c0 + CK);
#pragma unroll
        for (int c = 0; c < CK; c++)
#pragma unroll
            for (int r = 0; r < 3; r++) {
                float in[10];
                const float* line = &sx[now][c][row + r][col];
                *reinterpret_cast<float4*>(in) = load(line);
                *reinterpret_cast<float4*>(in + 4) = load(line + 4);
                *reinterpret_cast<float2*>(in + 8) = *reinterpret_cast<const float2*>(line + 8);
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
                            sum[k][o] = fmaf(in[k + s], weight[o], sum[k][o]);
                }
            }
        if (c0 + CK < Cin) {
            store(1 - now);  // no thread uses this buffer: all are past the last barrier
            __syncthreads();
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
