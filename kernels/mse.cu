// mse.cu -- mean squared error and its gradient
//
//   loss = sum (y - target)^2 / size,  dy = (y - target) factor,  factor = 2 / size
//
//   reference   enhance_np.loss.mse
//   checked by  tests/support/cases/mse.py: within the bounds below of float64; on integers the
//               loss is exact. Compiled by NVRTC and emulated; not run on a GPU
//   arrays      y, target, dy (size,) float32, 16-byte aligned, fewer than 2^31 elements;  partial
//               (blocks,) and loss (1,) double
//   launch      squared_errors: 256 threads; block b takes the elements from b * per on, per a
//               multiple of 4. mean_squared_error: one block of 256
//   method      float4 where four elements are left. Squares are added in double, as the reference
//               does, in an order that depends only on the size, without atomics: two runs give the
//               same bits
//   cost        moves 12 bytes per element: bandwidth bound. Not measured
//   error       a difference has a relative error of u = 2^-24, so |loss - exact| <=
//               (2 u + size 2^-53) loss; dy has one of 3 u, the rounding of factor included. On a
//               GPU numbers below 2^-126 may count as 0: CuPy compiles with -ftz=true

#define THREADS 256

union Four {
    float4 all;
    float at[4];
};

// The sum over the block's threads; only thread 0 returns it
__device__ double summed(double mine)
{
    __shared__ double sums[THREADS];
    sums[threadIdx.x] = mine;
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] = mine += sums[threadIdx.x + half];
    }
    return mine;
}

extern "C" __global__ void __launch_bounds__(THREADS) squared_errors(
    const float* __restrict__ y, const float* __restrict__ target, float* __restrict__ dy,
    double* __restrict__ partial, int size, int per, float factor)
{
    unsigned first = blockIdx.x * per, last = first + min(int(size - first), per);
    double sum = 0;
    for (unsigned at = first + 4 * threadIdx.x; at < last; at += 4 * THREADS) {
        if (last - at >= 4) {
            Four a, b;
            a.all = *(const float4*)(y + at), b.all = *(const float4*)(target + at);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                a.at[k] -= b.at[k];
                sum = fma((double)a.at[k], (double)a.at[k], sum);
                a.at[k] *= factor;
            }
            *(float4*)(dy + at) = a.all;
        } else {
            for (unsigned i = at; i < last; i++) {
                float difference = y[i] - target[i];
                sum = fma((double)difference, (double)difference, sum);
                dy[i] = difference * factor;
            }
        }
    }
    sum = summed(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) mean_squared_error(
    const double* __restrict__ partial, double* __restrict__ loss, int blocks, int size)
{
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += partial[b];
    sum = summed(sum);
    if (threadIdx.x == 0) loss[0] = sum / size;
}
