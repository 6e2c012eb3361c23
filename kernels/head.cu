// head.cu -- ReLU and a 1x1 convolution to one channel, forward and backward
//
//   y[i] = b + sum over c of max(x[i,c], 0) w[c]          i: one of the P = N*H*W pixels
//   dx[i,c] = dy[i] w[c] where x[i,c] > 0, else 0
//   dw[c] = sum over i of dy[i] max(x[i,c], 0),  db = sum over i of dy[i]
//
//   reference   enhance_np.layers.relu_conv with w (1, 1, C, 1)
//   checked by  tests/support/cases/head.py: exact on integers, within the bounds below of float64.
//               Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x, dx (P, C), y, dy (P,), w, dw (C,), b, db (1,);  float32, C order, fewer than 2^31 elements;  partial (blocks, C + 1) double
//   launch      256 threads. head: one warp per pixel. head_backward: grid (blocks, channels /
//               256). Block b takes the pixels from b * per on; the threads form rows of `lanes`,
//               one channel per thread, and the rows take different pixels. head_gradient: one
//               block per column of partial
//   method      max(x, 0) is never stored. head: 32 channels at a time, then a tree of shuffles.
//               Sums over pixels: RUN of them in float32, the rest in double, in an order that
//               depends only on the shape, without atomics: two runs give the same bits
//   cost        a warp reads 128 contiguous bytes. 4 |x| bytes forward, 8 |x| backward: bandwidth
//               bound. Not measured
//   error       u = 2^-24.  |y - exact| <= (C / 32 + 7) u (|b| + sum|max(x, 0) w|);  dx: relative
//               error u;  |dw - exact| <= (RUN + 1) u sum|dy max(x, 0)|, db likewise.  On a GPU
//               numbers below 2^-126 may count as 0: CuPy compiles with -ftz=true

#define THREADS 256
#define RUN 8  // pixels that a thread loads at once, and whose sums are in float32

// NaN stays NaN
__device__ float rectified(float x) { return x < 0 ? 0 : x; }

extern "C" __global__ void __launch_bounds__(THREADS) head(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int P, int C)
{
    int lane = threadIdx.x % 32;
    unsigned i = blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    if (i >= (unsigned)P) return;  // the whole warp
    float sum = 0;
    for (int c = lane; c < C; c += 32) sum = fmaf(rectified(x[i * C + c]), w[c], sum);
#pragma unroll
    for (int apart = 16; apart; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
    if (lane == 0) y[i] = sum + b[0];
}

// The sum of a lane over the rows of threads; row 0 returns it
__device__ double summed_rows(double mine, int lane, int row, int lanes, int rows)
{
    __shared__ double sums[THREADS];
    int at = row * lanes + lane;
    __syncthreads();  // until all have read the values of the last call
    if (row < rows) sums[at] = mine;
    for (int left = rows; left > 1;) {
        int half = (left + 1) / 2;
        __syncthreads();
        if (row < left - half) sums[at] = mine += sums[at + half * lanes];
        left = half;
    }
    return mine;
}

extern "C" __global__ void __launch_bounds__(THREADS) head_backward(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ w,
    float* __restrict__ dx, double* __restrict__ partial, int P, int C, int lanes, int per)
{
    int lane = threadIdx.x % lanes, row = threadIdx.x / lanes, rows = THREADS / lanes;
    int c = blockIdx.y * lanes + lane;
    unsigned first = blockIdx.x * per, last = first + min(int(P - first), per);
    double dw = 0, db = 0;
    if (c < C && row < rows) {
        float weight = w[c];
        for (unsigned i = first + row; i < last;) {
            float value[RUN], slope[RUN], product = 0, sum = 0;
            unsigned start = i;
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                value[k] = slope[k] = 0;
                if (i < last) value[k] = x[i * C + c], slope[k] = dy[i];
                i += rows;
            }
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                unsigned at = start + k * rows;
                if (at < last) dx[at * C + c] = value[k] > 0 ? slope[k] * weight : 0;
                product = fmaf(slope[k], rectified(value[k]), product);
                sum += slope[k];
            }
            dw += product, db += sum;
        }
    }
    dw = summed_rows(dw, lane, row, lanes, rows);
    db = summed_rows(db, lane, row, lanes, rows);
    if (c < C && row == 0) partial[blockIdx.x * (C + 1) + c] = dw;
    if (c == 0 && row == 0) partial[blockIdx.x * (C + 1) + C] = db;
}

extern "C" __global__ void __launch_bounds__(THREADS) head_gradient(
    const double* __restrict__ partial, float* __restrict__ dw, float* __restrict__ db, int blocks)
{
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += partial[b * gridDim.x + blockIdx.x];
    sum = summed_rows(sum, 0, threadIdx.x, 1, THREADS);
    if (threadIdx.x == 0) *(blockIdx.x + 1 < gridDim.x ? dw + blockIdx.x : db) = (float)sum;
}
