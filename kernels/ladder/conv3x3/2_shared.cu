// 2_shared.cu -- data that all threads of a block need are loaded once
//
//   idea        a block has 8 pixels of a row x 32 channels. It copies 16 input channels of the
//               3 x 10 pixels that these need, and of the weights, to shared memory; after a
//               barrier all threads use them; after another barrier the next 16 are copied
//   intensity   per 16 channels 4 (3*10*16 + 9*16*32) bytes from L2 for 2*9*16*256 FLOP: 3.6 FLOP
//               per byte. From shared memory still 2 FLOP for 8 bytes
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      256 threads, a block for each 8 pixels of a row x 32 channels;  any channels

#define THREADS 256
#define COUTS 32
#define ROWS 1
#define COLS 8
#define CK 16
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
    const int o = threadIdx.x % COUTS, col = threadIdx.x / COUTS;
    float sum = 0;
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
#pragma unroll 1
        for (int r = 0; r < 3; r++)
#pragma unroll 1
            for (int s = 0; s < 3; s++)
                for (int c = 0; c < CK; c++)
                    sum = fmaf(sx[r][col + s][c], sw[r * 3 + s][c][o], sum);
        __syncthreads();  // before the next 16 channels replace these
    }
    if (o0 + o < Cout && j0 + col < W)
        y[((n * H + i0) * W + j0 + col) * Cout + o0 + o] = sum + b[o0 + o];
}
