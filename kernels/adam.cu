// adam.cu -- one step of Adam on all tensors of a network at once, in one flat buffer
//
//   d        gradient + decay p where p is the kernel of a convolution, else the gradient
//   squares, clip_factor  factor = min(1, clip / |d|) over all tensors;  loss becomes NaN
//            if |d| is not finite
//   adam     d' = factor d,  m' = beta1 m + (1 - beta1) d',  v' = beta2 v + (1 - beta2) d'^2,
//            p' = p - rate m' / (sqrt(v') + eps)
//
//   reference   enhance_np.optim.adam, optim.clipped and loss.l2
//   checked by  tests/support/cases/adam.py: within the bounds below of float64. Compiled by NVRTC
//               and emulated; not run on a GPU
//   arrays      p, g, m, v and their successors (size,) float32, 16-byte aligned; each tensor has
//               its place there, padded with zeros to a multiple of 4, and the kernels of the
//               convolutions are the first `kernels` elements (enhance_np/engine/cuda/flat.py);
//               partial (blocks,), loss (1,) double, factor and rate (1,) float32
//   launch      256 threads. squares: block b takes the elements from b * per on. clip_factor: one
//               block. adam: four elements per thread
//   method      nothing is changed in place: a step makes new p, m, v, so that the old state still
//               exists if the step fails. Squares are added in double, in an order that depends
//               only on the size, without atomics. Any value that is not finite makes the loss NaN,
//               so the host reads only one number, one step later. d is computed twice, by the same
//               fmaf, because to store it would move more bytes. rate is read from the card, so
//               that the launch is the same in every step
//   cost        28 bytes per element, and 8 more in squares: bound by bandwidth. Not measured
//   error       u = 2^-24.  d: 2 u (|gradient| + |decay p|). m, v: 3 u and 5 u of the sum of
//               the terms' magnitudes; p: u |p|, 9 u of the change, and the errors of m and v.
//               On a GPU numbers below 2^-126 may count as 0: CuPy compiles with -ftz=true

#define THREADS 256

union Four {
    float4 all;
    float at[4];
};

// The gradient with that of L2; one function, so that squares and adam compute the same bits
__device__ float with_decay(float gradient, float p, float decay)
{
    return fmaf(decay, p, gradient);
}

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

extern "C" __global__ void __launch_bounds__(THREADS) squares(
    const float* __restrict__ p, const float* __restrict__ g, double* __restrict__ partial,
    int size, int per, int kernels, float decay)
{
    unsigned first = blockIdx.x * per, last = first + min(int(size - first), per);
    double sum = 0;
    for (unsigned at = first + threadIdx.x; at < last; at += THREADS) {
        double d = at < (unsigned)kernels ? with_decay(g[at], p[at], decay) : g[at];
        sum = fma(d, d, sum);
    }
    sum = summed(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// clip: bound of the norm; 0 is no bound
extern "C" __global__ void __launch_bounds__(THREADS) clip_factor(
    const double* __restrict__ partial, double* __restrict__ loss, float* __restrict__ factor,
    int blocks, double clip)
{
    double sum = 0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += partial[b];
    sum = summed(sum);
    if (threadIdx.x != 0) return;
    double found = sqrt(sum);
    factor[0] = clip > 0 && found > clip ? (float)(clip / found) : 1;
    loss[0] += 0 * sum;  // NaN if sum is infinite or NaN
}

extern "C" __global__ void __launch_bounds__(THREADS) adam(
    const float* __restrict__ p, const float* __restrict__ g, const float* __restrict__ m,
    const float* __restrict__ v, const float* __restrict__ factor, const float* __restrict__ rate,
    float* __restrict__ new_p, float* __restrict__ new_m, float* __restrict__ new_v, int size,
    int kernels, float decay, float beta1, float rest1, float beta2, float rest2, float eps)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x);
    if (at >= (unsigned)size) return;
    Four value, slope, first, second;
    value.all = *(const float4*)(p + at), slope.all = *(const float4*)(g + at);
    first.all = *(const float4*)(m + at), second.all = *(const float4*)(v + at);
    float scale = factor[0], length = rate[0];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        float d = slope.at[k];
        if (at < (unsigned)kernels) d = with_decay(d, value.at[k], decay);
        d *= scale;
        first.at[k] = fmaf(beta1, first.at[k], rest1 * d);
        second.at[k] = fmaf(beta2, second.at[k], rest2 * d * d);
        value.at[k] -= length * first.at[k] / (sqrtf(second.at[k]) + eps);
    }
    *(float4*)(new_p + at) = value.all;
    *(float4*)(new_m + at) = first.all;
    *(float4*)(new_v + at) = second.all;
}
