// batchnorm.cu -- batch normalisation: statistics, scaling (with ReLU or a residual), backward
//
//   mean, var over the P = N*H*W pixels of a channel;  inv_std = 1 / sqrt(var + eps)
//   y = max((x - mean) scale + beta, floor) [+ skip],  scale = gamma inv_std
//   dbeta = sum dy,  dgamma = inv_std sum dy (x - mean)        dy counts where y > floor
//   dx = scale dy - scale dbeta / P - (x - mean) scale inv_std dgamma / P
//
//   reference   enhance_np.layers.batchnorm, batchnorm_relu, batchnorm_add and their backward
//   checked by  tests/support/cases/batchnorm.py: within the bounds below of float64, and exactly
//               where the sums are exact. Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x, dy, y, dx, skip (P, C), 16-byte aligned;  vectors (C,);  partial (blocks, C, 2)
//               double;  float32 except partial, C order, fewer than 2^31 elements
//   launch      moments, products: 256 threads, grid (blocks, channels / 256). Block b takes the
//               pixels from b * per on; the threads form rows of `lanes`, one channel per thread,
//               and the rows take different pixels. statistics, gradients: one block of 256 per
//               channel. The rest: 256 threads, four elements each
//   method      floor is 0 with ReLU and -infinity without. Whether y is above it is not read but
//               computed again from x, by the same fmaf. A thread takes runs of RUN pixels in
//               registers and finds the mean and the squared deviations of each in two passes,
//               relative to its first pixel. Those of all runs, rows and blocks are merged in
//               double (Chan, Golub & LeVeque 1983, The American Statistician 37, equation 2.1).
//               Runs and order depend only on the shape, and there are no atomics: every card and
//               every run give the same bits
//   cost        a warp reads 128 contiguous bytes. moments: 4 |x| bytes; products: 8 |x|;
//               normalise 8 |x|, with skip 12 |x|; normalise_backward 12 |x|: bandwidth bound.
//               Not measured
//   error       u = 2^-24. In a run of n = RUN = 8 pixels with standard deviation s, the
//               differences from the first pixel have a relative error of u and a mean magnitude
//               of at most (1 + sqrt n) s, so the error of their mean is at most 9 u of that, 36 u
//               s. Hence |mean - exact| <= 36 u sqrt(var) + u |mean|, the last term for storing it
//               in float32. The squared deviations have a relative error of
//               (2 (2 + sqrt n) + n) u <= 18 u (an error of the mean enters squared), and merging
//               the means adds 36 u: |var - exact| <= 64 u var. For a constant channel, mean and
//               var = 0 are exact, however large the constant.
//               |dbeta - exact| <= (n + 1) u sum|dy|,
//               |dgamma - exact| <= (n + 3) u inv_std sum|dy (x - mean)|, with mean and inv_std as
//               stored.  On a GPU numbers below 2^-126 may count as 0: CuPy compiles with -ftz=true

#define THREADS 256
#define RUN 8  // pixels that a thread loads at once, and whose sums are in float32

union Four {
    float4 all;
    float at[4];
};

// Four elements from `at` on, or the last `left` of the array
__device__ Four read(const float* x, unsigned at, unsigned left)
{
    Four v;
    v.all = make_float4(0, 0, 0, 0);
    if (left >= 4) {
        v.all = *(const float4*)(x + at);
    } else {
        v.all.x = x[at];
        if (left > 1) v.all.y = x[at + 1];
        if (left > 2) v.all.z = x[at + 2];
    }
    return v;
}

__device__ void write(float* y, unsigned at, unsigned left, Four v)
{
    if (left >= 4) {
        *(float4*)(y + at) = v.all;
    } else {
        y[at] = v.all.x;
        if (left > 1) y[at + 1] = v.all.y;
        if (left > 2) y[at + 2] = v.all.z;
    }
}

struct Moments {
    double n, mean, squares;  // squares: sum of the squared deviations from the mean
};

__device__ Moments merged(Moments a, Moments b)
{
    if (a.n == 0) return b;
    double n = a.n + b.n, apart = b.mean - a.mean, share = b.n / n;
    return {n, fma(apart, share, a.mean), fma(apart * apart * a.n, share, a.squares + b.squares)};
}

// The block's moments of channel `lane`, merged from its rows of threads; row 0 returns them
__device__ Moments merged_rows(Moments mine, int lane, int row, int lanes, int rows)
{
    __shared__ double n[THREADS], mean[THREADS], squares[THREADS];
    int at = row * lanes + lane;
    if (row < rows) n[at] = mine.n, mean[at] = mine.mean, squares[at] = mine.squares;
    for (int left = rows; left > 1;) {
        int half = (left + 1) / 2, other = at + half * lanes;
        __syncthreads();
        if (row < left - half) {
            mine = merged(mine, {n[other], mean[other], squares[other]});
            n[at] = mine.n, mean[at] = mine.mean, squares[at] = mine.squares;
        }
        left = half;
    }
    return mine;
}

struct Sums {
    double dy, product;
};

__device__ Sums summed_rows(Sums mine, int lane, int row, int lanes, int rows)
{
    __shared__ double dy[THREADS], product[THREADS];
    int at = row * lanes + lane;
    if (row < rows) dy[at] = mine.dy, product[at] = mine.product;
    for (int left = rows; left > 1;) {
        int half = (left + 1) / 2, other = at + half * lanes;
        __syncthreads();
        if (row < left - half) {
            mine = {mine.dy + dy[other], mine.product + product[other]};
            dy[at] = mine.dy, product[at] = mine.product;
        }
        left = half;
    }
    return mine;
}

// y before the floor; one function, so that forward and backward compute the same bits
__device__ float scaled(float x, float mean, float scale, float beta)
{
    return fmaf(x - mean, scale, beta);
}

extern "C" __global__ void __launch_bounds__(THREADS) moments(
    const float* __restrict__ x, double* __restrict__ partial, int P, int C, int lanes, int per)
{
    int lane = threadIdx.x % lanes, row = threadIdx.x / lanes, rows = THREADS / lanes;
    int c = blockIdx.y * lanes + lane;
    unsigned first = blockIdx.x * per, last = first + min(int(P - first), per);
    Moments found = {0, 0, 0};
    if (c < C && row < rows) {
        for (unsigned i = first + row; i < last;) {
            float value[RUN], sum = 0, squares = 0;
            int n = 0;
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                value[k] = 0;
                if (i < last) value[k] = x[i * C + c], n++;
                i += rows;
            }
#pragma unroll
            for (int k = 1; k < RUN; k++)
                if (k < n) sum += value[k] - value[0];
            float mean = sum / n;
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                float off = value[k] - value[0] - mean;
                if (k < n) squares = fmaf(off, off, squares);
            }
            found = merged(found, {(double)n, (double)value[0] + mean, squares});
        }
    }
    found = merged_rows(found, lane, row, lanes, rows);
    if (c < C && row == 0) {
        int at = 2 * (blockIdx.x * C + c);
        partial[at] = found.mean, partial[at + 1] = found.squares;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) statistics(
    const double* __restrict__ partial, float* __restrict__ mean, float* __restrict__ var,
    float* __restrict__ inv_std, int P, int C, int per, int blocks, float eps)
{
    int c = blockIdx.x;
    Moments found = {0, 0, 0};
    for (int b = threadIdx.x; b < blocks; b += THREADS) {
        double n = min(P - b * per, per);
        found = merged(found, {n, partial[2 * (b * C + c)], partial[2 * (b * C + c) + 1]});
    }
    found = merged_rows(found, 0, threadIdx.x, 1, THREADS);
    if (threadIdx.x == 0) {
        mean[c] = (float)found.mean;
        var[c] = (float)(found.squares / P);
        inv_std[c] = (float)(1 / sqrt((double)var[c] + eps));
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) normalise(
    const float* __restrict__ x, const float* __restrict__ mean, const float* __restrict__ inv_std,
    const float* __restrict__ gamma, const float* __restrict__ beta, float floor,
    float* __restrict__ y, int size, int C)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four v = read(x, at, left);
    int c = at % C;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        v.at[k] = scaled(v.at[k], mean[c], gamma[c] * inv_std[c], beta[c]);
        v.at[k] = v.at[k] < floor ? floor : v.at[k];  // NaN stays NaN
        c = c + 1 == C ? 0 : c + 1;
    }
    write(y, at, left, v);
}

extern "C" __global__ void __launch_bounds__(THREADS) normalise_add(
    const float* __restrict__ x, const float* __restrict__ skip, const float* __restrict__ mean,
    const float* __restrict__ inv_std, const float* __restrict__ gamma,
    const float* __restrict__ beta, float* __restrict__ y, int size, int C)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four v = read(x, at, left), s = read(skip, at, left);
    int c = at % C;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        v.at[k] = scaled(v.at[k], mean[c], gamma[c] * inv_std[c], beta[c]) + s.at[k];
        c = c + 1 == C ? 0 : c + 1;
    }
    write(y, at, left, v);
}

extern "C" __global__ void __launch_bounds__(THREADS) products(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ mean,
    const float* __restrict__ inv_std, const float* __restrict__ gamma,
    const float* __restrict__ beta, float floor, double* __restrict__ partial, int P, int C,
    int lanes, int per)
{
    int lane = threadIdx.x % lanes, row = threadIdx.x / lanes, rows = THREADS / lanes;
    int c = blockIdx.y * lanes + lane;
    unsigned first = blockIdx.x * per, last = first + min(int(P - first), per);
    Sums found = {0, 0};
    if (c < C && row < rows) {
        float middle = mean[c], scale = gamma[c] * inv_std[c], shift = beta[c];
        for (unsigned i = first + row; i < last;) {
            float value[RUN], slope[RUN], sum = 0, product = 0;
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                value[k] = slope[k] = 0;
                if (i < last) value[k] = x[i * C + c], slope[k] = dy[i * C + c];
                i += rows;
            }
#pragma unroll
            for (int k = 0; k < RUN; k++) {
                float passed = scaled(value[k], middle, scale, shift) <= floor ? 0 : slope[k];
                sum += passed;
                product = fmaf(passed, value[k] - middle, product);
            }
            found.dy += sum, found.product += product;
        }
    }
    found = summed_rows(found, lane, row, lanes, rows);
    if (c < C && row == 0) {
        int at = 2 * (blockIdx.x * C + c);
        partial[at] = found.dy, partial[at + 1] = found.product;
    }
}

// shift, slope: of dx = scale dy - slope (x - mean) - shift. through: 0 if mean and var are given
// and do not depend on x, else 1
extern "C" __global__ void __launch_bounds__(THREADS) gradients(
    const double* __restrict__ partial, const float* __restrict__ inv_std,
    const float* __restrict__ gamma, float* __restrict__ dgamma, float* __restrict__ dbeta,
    float* __restrict__ shift, float* __restrict__ slope, int P, int C, int blocks, int through)
{
    int c = blockIdx.x;
    Sums found = {0, 0};
    for (int b = threadIdx.x; b < blocks; b += THREADS) {
        found.dy += partial[2 * (b * C + c)];
        found.product += partial[2 * (b * C + c) + 1];
    }
    found = summed_rows(found, 0, threadIdx.x, 1, THREADS);
    if (threadIdx.x == 0) {
        double inverse = inv_std[c], scale = gamma[c] * inverse;
        dbeta[c] = (float)found.dy;
        dgamma[c] = (float)(found.product * inverse);
        shift[c] = (float)(through * scale * found.dy / P);
        slope[c] = (float)(through * scale * inverse * inverse * found.product / P);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) normalise_backward(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ mean,
    const float* __restrict__ inv_std, const float* __restrict__ gamma,
    const float* __restrict__ beta, float floor, const float* __restrict__ shift,
    const float* __restrict__ slope, float* __restrict__ dx, int size, int C)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four v = read(x, at, left), d = read(dy, at, left);
    int c = at % C;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        float scale = gamma[c] * inv_std[c];
        float passed = scaled(v.at[k], mean[c], scale, beta[c]) <= floor ? 0 : d.at[k];
        d.at[k] = fmaf(scale, passed, fmaf(mean[c] - v.at[k], slope[c], -shift[c]));
        c = c + 1 == C ? 0 : c + 1;
    }
    write(dx, at, left, d);
}
