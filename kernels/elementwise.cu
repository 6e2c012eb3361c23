// elementwise.cu -- ReLU, the residual sum, upsampling by 2, and their backward
//
//   relu            y = max(x, 0), NaN stays NaN
//   relu_backward   dx = dy where y > 0, else 0
//   add             z = x + y
//   upsample        y[n,2i+a,2j+b,c] = x[n,i,j,c],  a, b in {0, 1}
//   upsample_backward   dx[n,i,j,c] = sum over a, b of dy[n,2i+a,2j+b,c]
//
//   reference   the functions of the same names in enhance_np.layers
//   checked by  tests/support/cases/elementwise.py: same bits as the reference, except for the
//               order of the sum in upsample_backward. Compiled by NVRTC and emulated; not run on a
//               GPU
//   arrays      float32, C order, 16-byte aligned, fewer than 2^31 elements; upsample: x
//               (N, H, W, C), y (N, 2H, 2W, C)
//   launch      256 threads. relu, relu_backward, add: four elements per thread; upsample: one
//               element of y; upsample_backward: one of dx
//   method      float4 where four elements are left, else single floats. upsample and its backward
//               use single floats, for any C: neighbouring threads have neighbouring channels, so
//               that a warp still moves whole lines of 128 bytes
//   cost        every array is moved once: 8 bytes per element for relu, 12 for relu_backward and
//               add, 20 bytes per element of x for upsample and its backward. Bandwidth bound. Not
//               measured
//   error       add: one rounding;  upsample_backward: 3 u sum|dy|, u = 2^-24;  the others: none.
//               On a GPU numbers below 2^-126 may count as 0: CuPy compiles with -ftz=true

#define THREADS 256

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

extern "C" __global__ void __launch_bounds__(THREADS) relu(
    const float* __restrict__ x, float* __restrict__ y, int size)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four v = read(x, at, left);
#pragma unroll
    for (int k = 0; k < 4; k++) v.at[k] = v.at[k] < 0 ? 0 : v.at[k];
    write(y, at, left, v);
}

extern "C" __global__ void __launch_bounds__(THREADS) relu_backward(
    const float* __restrict__ dy, const float* __restrict__ y, float* __restrict__ dx, int size)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four d = read(dy, at, left), v = read(y, at, left);
#pragma unroll
    for (int k = 0; k < 4; k++) d.at[k] = v.at[k] > 0 ? d.at[k] : 0;
    write(dx, at, left, d);
}

extern "C" __global__ void __launch_bounds__(THREADS) add(
    const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ z, int size)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x), left = size - at;
    if (at >= (unsigned)size) return;
    Four v = read(x, at, left), w = read(y, at, left);
#pragma unroll
    for (int k = 0; k < 4; k++) v.at[k] += w.at[k];
    write(z, at, left, v);
}

// W, C: of x; size: elements of y. A row of y is twice as wide as one of x, and is written twice
extern "C" __global__ void __launch_bounds__(THREADS) upsample(
    const float* __restrict__ x, float* __restrict__ y, int size, int W, int C)
{
    unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)size) return;
    unsigned wide = 2 * W * C, row = at / wide, column = at % wide / C, c = at % C;
    y[at] = x[(row / 2 * W + column / 2) * C + c];
}

// W, C, size: of dx
extern "C" __global__ void __launch_bounds__(THREADS) upsample_backward(
    const float* __restrict__ dy, float* __restrict__ dx, int size, int W, int C)
{
    unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)size) return;
    unsigned row = at / C / W, column = at / C % W, c = at % C;
    const float* upper = dy + (2 * row * 2 * W + 2 * column) * C + c;
    const float* lower = upper + 2 * W * C;
    dx[at] = (upper[0] + upper[C]) + (lower[0] + lower[C]);
}
