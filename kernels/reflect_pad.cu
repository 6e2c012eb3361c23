// reflect_pad.cu -- sum the gradient of a reflection-padded image back onto the image
//
//   dx[n,h,w,c] = sum of dy[n,i,j,c] over the padded pixels (i,j) copied from (h,w)
//
//   reference   enhance_np.layers.pad.reflection_pad_backward
//   checked by  tests/kernels/test_reflect_pad.py: bit-equal to the reference, adjoint and error
//               bound on floats. Compiled by nvcc and emulated by g++; not run on a GPU
//   arrays      dy (N, H+2p, W+2p, C) read;  dx (N, H, W, C) written, every element once;
//               float32, C order;  needs 1 <= p < min(H, W) and |dy| < 2^31 elements
//   launch      one thread per element of dx, 256 per block, no shared memory
//   method      gather: a thread reads the 1 to 9 sources of its dx in a fixed order, rows
//               before columns as the reference does, so no atomics, and two runs give the
//               same bits
//   cost        every dy is read by one thread: moves 4 (|dy| + |dx|) bytes, bandwidth bound.
//               Not measured
//   error       at most 8 additions: |dx - exact| <= 8 u sum|dy|, u = 2^-24. On a GPU numbers
//               below 2^-126 may count as 0: CuPy compiles with -ftz=true

// Sum of the padded column at dy over the rows copied from image row h of H; stride from row to row
__device__ float border_rows(const float* dy, int h, int H, int p, int stride)
{
    float sum = dy[(h + p) * stride];
    if (1 <= h && h <= p) sum += dy[(p - h) * stride];
    if (H - 1 - p <= h && h < H - 1) sum += dy[(2 * (H - 1) - h + p) * stride];
    return sum;
}

extern "C" __global__ void reflect_pad_backward(
    const float* __restrict__ dy, float* __restrict__ dx, int N, int H, int W, int C, int p)
{
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= N * H * W * C) return;
    int c = at % C, w = at / C % W, h = at / C / W % H, n = at / C / W / H;

    int stride = (W + 2 * p) * C;
    dy += n * (H + 2 * p) * stride + c;
    float sum = border_rows(dy + (w + p) * C, h, H, p, stride);
    if (1 <= w && w <= p) sum += border_rows(dy + (p - w) * C, h, H, p, stride);
    if (W - 1 - p <= w && w < W - 1)
        sum += border_rows(dy + (2 * (W - 1) - w + p) * C, h, H, p, stride);
    dx[at] = sum;
}
