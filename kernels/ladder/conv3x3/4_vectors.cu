// 4_vectors.cu -- 8 pixels x 8 channels per thread, four values per load, a row of x for three taps
//
//   idea        each load instruction takes the place of a multiply-add. x is transposed to rows of
//               one channel on its way into shared memory: two and a half loads of four give the 10
//               values of a row that 8 pixels need for all three taps; two loads give 8 weights
//   intensity   for a channel and a row of the kernel 2*3*64 FLOP from 34 floats of shared memory:
//               2.8 FLOP per byte; 192 multiply-adds for 9 loads
//   next        5_buffers.cu: the next 4 channels are fetched while these are used, and stored in a
//               second buffer: one barrier instead of two, and no waiting for memory
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
    __shared__ __align__(16) float sx[CK][R][STRIDE], sw[9][CK][COUTS];
    const int groups = (Cout + COUTS - 1) / COUTS, across = (W + COLS - 1) / COLS;
    const int down = (H + ROWS - 1) / ROWS, t = blockIdx.x / groups;
    const int o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int eight = lane % 8 + 8 * (warp % 2), quad = (lane / 8 + 4 * (warp / 2)) * 4;
    const int row = eight / 4, col = eight % 4 * 8;
    float sum[8][8] = {};
    for (int c0 = 0; c0 < Cin; c0 += CK) {
        for (int e = threadIdx.x; e < R * C; e += THREADS) {
            const int h = mirrored(i0 + e / C - 1, H), v = mirrored(j0 + e % C - 1, W);
            const float4 four = load(x + ((n * H + h) * W + v) * Cin + c0);
            sx[0][e / C][e % C] = four.x;
            sx[1][e / C][e % C] = four.y;
            sx[2][e / C][e % C] = four.z;
            sx[3][e / C][e % C] = four.w;
        }
        for (int e = 4 * threadIdx.x; e < 9 * CK * COUTS; e += 4 * THREADS) {
            const int o = e % COUTS, c = e / COUTS % CK, tap = e / COUTS / CK;
            *reinterpret_cast<float4*>(&sw[tap][c][o]) =
                load(w + (tap * Cin + c0 + c) * Cout + o0 + o);
        }
        __syncthreads();
#pragma unroll
        for (int c = 0; c < CK; c++)
#pragma unroll
            for (int r = 0; r < 3; r++) {
                float in[10];
                const float* line = &sx[c][row + r][col];
                *reinterpret_cast<float4*>(in) = load(line);
                *reinterpret_cast<float4*>(in + 4) = load(line + 4);
                *reinterpret_cast<float2*>(in + 8) = *reinterpret_cast<const float2*>(line + 8);
#pragma unroll
                for (int s = 0; s < 3; s++) {
                    float weight[8];
                    const float* tap = &sw[r * 3 + s][c][quad];
                    *reinterpret_cast<float4*>(weight) = load(tap);
                    *reinterpret_cast<float4*>(weight + 4) = load(tap + COUTS / 2);
#pragma unroll
                    for (int k = 0; k < 8; k++)
#pragma unroll
                        for (int o = 0; o < 8; o++)
                            sum[k][o] = fmaf(in[k + s], weight[o], sum[k][o]);
                }
            }
        __syncthreads();
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
