// 6_tile.cu -- a tile of 2 x 52 pixels, and 13 pixels x 4 channels per thread: for lines of 50
//
//   idea        a line of 50 takes two tiles of 32: 64 columns, of which 14 are thrown away, and one
//               tile of 52. The rows of 13 lines of 4 tiles are 52, those of 25 lines of 2 are 50.
//               Together 75 % of the work of rung 5 is of use on 50 x 50, and 96 % here
//   price       13 pixels do not begin at a multiple of 4, so x is loaded one by one; and 4 channels
//               use a value of x half as often. 156 multiply-adds for 18 loads, instead of 192 for 9
//   waves       a block is a whole unit of work: of 832 blocks on 132 multiprocessors some get 7, and
//               the card is as slow as these. Here it is 7 of 800, each of 104 pixels instead of 128
//               (enhance_np/engine/cuda/shapes.py, python -m bench.gpu.tiles)
//   next        ../../conv3x3.cu: both tiles, chosen by the image; also 2x2 kernels, edges of zeros,
//               and a sum and ReLU before y is stored. 7_async.cu: rung 5 on newer cards
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      128 threads, a block for each 2 x 52 pixels x 64 channels;  Cin a multiple of 4,
//               Cout of 64, arrays 16-byte aligned

#define THREADS 128
#define COUTS 64
#define ROWS 2
#define COLS 52
#define PX 13  // pixels of a thread
#define CK 4
#define R (ROWS + 2)
#define C (COLS + 2)
#define STRIDE 54  // floats; the 8 threads at 13 and 54 from each other use different banks
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
    const int quad = (lane / 8 + 4 * warp) * 4, row = lane % 8 / 4, col = lane % 4 * PX;

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

    float sum[PX][4] = {};
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
                float in[PX + 2];
#pragma unroll
                for (int k = 0; k < PX + 2; k++) in[k] = sx[now][c][row + r][col + k];
#pragma unroll
                for (int s = 0; s < 3; s++) {
                    const float4 weight = load(&sw[now][r * 3 + s][c][quad]);
#pragma unroll
                    for (int k = 0; k < PX; k++) {
                        sum[k][0] = fmaf(in[k + s], weight.x, sum[k][0]);
                        sum[k][1] = fmaf(in[k + s], weight.y, sum[k][1]);
                        sum[k][2] = fmaf(in[k + s], weight.z, sum[k][2]);
                        sum[k][3] = fmaf(in[k + s], weight.w, sum[k][3]);
                    }
                }
            }
        if (c0 + CK < Cin) {
            store(1 - now);  // no thread uses this buffer: all are past the last barrier
            __syncthreads();
        }
    }
    const int i = i0 + row;
    if (i >= H) return;
    const float4 bias = load(b + o0 + quad);
#pragma unroll
    for (int k = 0; k < PX; k++) {
        if (j0 + col + k >= W) continue;
        *reinterpret_cast<float4*>(y + ((n * H + i) * W + j0 + col + k) * Cout + o0 + quad) =
            make_float4(sum[k][0] + bias.x, sum[k][1] + bias.y, sum[k][2] + bias.z,
                        sum[k][3] + bias.w);
    }
}
