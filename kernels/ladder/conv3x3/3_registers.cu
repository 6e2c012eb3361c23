// 3_registers.cu -- a thread has 4 pixels x 4 channels: each loaded value is used 4 times
//
//   idea        shared memory gives a warp 128 bytes per cycle, too few for its multiply-adds. An
//               outer product of 4 values of x and 4 weights does 16 of them with 8 loads, and
//               its sums stay in registers
//   intensity   from shared memory 32 FLOP for 32 bytes, 1 FLOP per byte, four times rung 2's. From
//               L2, for 4 x 8 pixels x 64 channels, 2*9*8*2048 FLOP for 4 (6*10*8 + 9*8*64) bytes:
//               14 FLOP per byte
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      128 threads, a block for each 4 x 8 pixels x 64 channels;  any channels

#define THREADS 128
#define COUTS 64
#define ROWS 4
#define COLS 8
#define CK 8
#define R (ROWS + 2)
#define C (COLS + 2)

__device__ int mirrored(int i, int n)
{
    i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return min(max(i, 0), n - 1);  // for pixels that no y needs
}

extern "C" __global__ void __launch_bounds__(THREADS) conv3x3(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    __shared__ float sx[R][C][CK], sw[9][CK][COUTS];
    const int groups = (Cout + COUTS - 1) / COUTS, across = (W + COLS - 1) / COLS;
    const int down = (H + ROWS - 1) / ROWS, t = blockIdx.x / groups;
    const int o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    // channels o, o + 16, ...: neighbouring threads read neighbouring values
    const int o = threadIdx.x % 16, row = threadIdx.x / 32, col = threadIdx.x / 16 % 2 * 4;
    float sum[4][4] = {};
    for (int c0 = 0; c0 < Cin; c0 += CK) {
        for (int e = threadIdx.x; e < R * C * CK; e += THREADS) {
            const int c = e % CK, h = mirrored(i0 + e / CK / C - 1, H);
            const int v = mirrored(j0 + e / CK % C - 1, W);
            sx[e / CK / C][e / CK % C][c] =
                c0 + c < Cin ? x[((n * H + h) * W + v) * Cin + c0 + c] : 0;
        }
        for (int e = threadIdx.x; e < 9 * CK * COUTS; e += THREADS) {
            const int o = e % COUTS, c = e / COUTS % CK, tap = e / COUTS / CK;
            sw[tap][c][o] = c0 + c < Cin && o0 + o < Cout
                                ? w[(tap * Cin + c0 + c) * Cout + o0 + o] : 0;
        }
        __syncthreads();
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < CK; c++) {
                float in[4], weight[4];
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    in[k] = sx[row + tap / 3][col + k + tap % 3][c];
                    weight[k] = sw[tap][c][o + 16 * k];
                }
#pragma unroll
                for (int k = 0; k < 4; k++)
#pragma unroll
                    for (int l = 0; l < 4; l++) sum[k][l] = fmaf(in[k], weight[l], sum[k][l]);
            }
        __syncthreads();
    }
#pragma unroll
    for (int k = 0; k < 4; k++)
#pragma unroll
        for (int l = 0; l < 4; l++) {
            const int i = i0 + row, j = j0 + col + k, to = o0 + o + 16 * l;
            if (i < H && j < W && to < Cout)
                y[((n * H + i) * W + j) * Cout + to] = sum[k][l] + b[to];
        }
}
