// 1_naive.cu -- one thread for each value of y, by the definition
//
//   idea        neighbouring threads have neighbouring channels of one pixel: their loads of w and
//               stores of y are contiguous, and they read the same x. No value is reused
//   intensity   each multiply-add loads an x and a w: 2 FLOP for 8 bytes, 0.25 FLOP per byte, from
//               caches. A card with 20 TFLOP/s would need 80 TB/s from them
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      256 threads, a block for each 256 of y;  any channels

__device__ int mirrored(int i, int n)
{
    i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return min(max(i, 0), n - 1);  // for pixels that no y needs
}

extern "C" __global__ void __launch_bounds__(256) conv3x3(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    const int at = blockIdx.x * 256 + threadIdx.x;
    if (at >= N * H * W * Cout) return;
    const int o = at % Cout, j = at / Cout % W, i = at / Cout / W % H, n = at / Cout / W / H;
    float sum = 0;
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
            const int h = mirrored(i + r - 1, H), v = mirrored(j + s - 1, W);
            for (int c = 0; c < Cin; c++)
                sum = fmaf(x[((n * H + h) * W + v) * Cin + c],
                           w[((r * 3 + s) * Cin + c) * Cout + o], sum);
        }
    y[at] = sum + b[o];
}
