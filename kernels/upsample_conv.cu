// upsample_conv.cu -- kernels and edges of the 2x2 convolutions that upsampling makes of a 3x3 one
//
//   phase_kernels           k[p,q,u,v] = sum of w[r,s] over the r with tap(p,r) = u, s with
//                           tap(q,s) = v;  tap(0, r) = 0, 1, 1 and tap(1, r) = 0, 0, 1
//   phase_kernels_backward  dw[r,s] = sum over p,q of dk[p,q,tap(p,r),tap(q,s)], its adjoint
//   repeated_border_backward
//                           dx = the inside of d, and each pixel of its frame added to the pixel
//                           of the edge that it repeats
//
//   An even line 2i of the output needs lines 2i-1, 2i, 2i+1 of the large image: i-1, i, i of the
//   small one. Two rows of the kernel act on one line and are added. An odd line needs i, i, i+1.
//   Mirroring the large image is the same as repeating the edge of the small one.
//
//   reference   enhance_np.layers.upsample; enhance_np.engine.fold.phases says the same on the CPU
//   checked by  tests/support/cases/upsample_conv.py: exact on integers, error bounds on floats.
//               Compiled by NVRTC and emulated; not run on a GPU
//   arrays      w, dw (3, 3, S), k, dk (4, 2, 2, S), S = Cin Cout;  d (N, H+2, W+2, C) read, dx
//               (N, H, W, C); float32, C order, < 2^31 elements; each result written once
//   launch      a thread for each element of the result, 256 per block
//   cost        bandwidth bound. Not measured
//   error       u = 2^-24.  k, dw: at most 4 terms are added in double and rounded once, so u of
//               the sum of absolute values;  dx: at most 8 additions (3 if H, W >= 2), so 8 u

#define THREADS 256

__device__ __forceinline__ int tap(int phase, int r) { return phase ? r > 1 : r > 0; }

extern "C" __global__ void __launch_bounds__(THREADS) phase_kernels(
    const float* __restrict__ w, float* __restrict__ k, int S)
{
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= 16 * S) return;
    const int v = at / S % 2, u = at / S / 2 % 2, q = at / S / 4 % 2, p = at / S / 8;
    double sum = 0;
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++)
            if (tap(p, r) == u && tap(q, s) == v) sum += w[(r * 3 + s) * S + at % S];
    k[at] = (float)sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) phase_kernels_backward(
    const float* __restrict__ dk, float* __restrict__ dw, int S)
{
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= 9 * S) return;
    const int s = at / S % 3, r = at / S / 3;
    double sum = 0;
    for (int p = 0; p < 2; p++)
        for (int q = 0; q < 2; q++)
            sum += dk[(((p * 2 + q) * 2 + tap(p, r)) * 2 + tap(q, s)) * S + at % S];
    dw[at] = (float)sum;
}

__device__ float border_rows(const float* d, int h, int H, int stride)
{
    float sum = d[(h + 1) * stride];
    if (h == 0) sum += d[0];
    if (h == H - 1) sum += d[(H + 1) * stride];
    return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) repeated_border_backward(
    const float* __restrict__ d, float* __restrict__ dx, int N, int H, int W, int C)
{
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)(N * H * W * C)) return;
    const int c = at % C, w = at / C % W, h = at / C / W % H, n = at / C / W / H;
    const int stride = (W + 2) * C;
    d += n * (H + 2) * stride + c;
    float sum = border_rows(d + (w + 1) * C, h, H, stride);
    if (w == 0) sum += border_rows(d, h, H, stride);
    if (w == W - 1) sum += border_rows(d + (W + 1) * C, h, H, stride);
    dx[at] = sum;
}
