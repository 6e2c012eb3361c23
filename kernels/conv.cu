// conv.cu -- convolutions of any kernel and any channels, the stem's, and sums over pixels
//
//   conv           y[n,i,j,o] = act(b[o] + skip[n,i,j,o] +
//                                   sum over r,s,c of x[n,i+r-up,j+s-left,c] w[r,s,c,o])
//   conv_stem      the same for one input channel and a multiple of 4 output channels
//   conv_gradient  part[l,r,s,c,o] = sum of x[n,i+r-up,j+s-left,c] dy[n,i,j,o] over a run of lines
//   channel_sums   part[l,o] = sum of dy[p,o] over a run of pixels: parts of a bias's gradient
//   sum_parts      total[k] = sum over l of part[l,k]
//
//   reference   enhance_np.layers.conv.conv2d, pad_conv, conv2d_backward
//   checked by  tests/support/cases/conv.py: exact on integers, error bounds on floats. Compiled
//               by NVRTC and emulated; not run on a GPU
//   arrays      x (N, H, W, Cin), w (kh, kw, Cin, Cout), b (Cout,), skip, y, dy (N, Ho, Wo, Cout);
//               float32, C order, < 2^31 elements, w and y of conv_stem 16-byte aligned; every
//               element of a result written once. Outside x: edge 0 zero, 1 mirrored
//   launch      conv: a thread for each y, 256 per block. conv_stem: a thread for 4 pixels of a row
//               x 4 channels. conv_gradient: blocks of 128; a thread for each weight, and a line of
//               blocks (axis 1) for each run. channel_sums: 256 threads, blocks (runs,
//               channels / 256). sum_parts: a thread for each sum
//   method      direct sums. conv_stem uses each weight for 4 pixels and each pixel for 4 channels.
//               Sums have a fixed order and no atomics: two runs give the same bits
//   cost        conv: one load of x and one of w per multiply-add, from the cache; it is for shapes
//               with little work. conv_stem: writes 4 Cout bytes per pixel for 2 kh kw Cout FLOP,
//               that is 4.5 FLOP per byte for 3x3: bandwidth bound. Not measured
//   error       u = 2^-24.  y: (kh kw Cin + 2) u of the sum of absolute values;  conv_gradient, a
//               line summed in float32 and the lines in double: (Wo + 2) u;  other sums in double:
//               2 u

#define THREADS 256

__device__ __forceinline__ int line_of(int i, int n, int edge)
{
    // The line, 0 to n - 1, that stands for line i, which may be outside; -1 stands for zeros
    if (edge == 1) i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return 0 <= i && i < n ? i : -1;
}

__device__ __forceinline__ float finish(float sum, float b, float skip, int relu)
{
    float y = sum + b + skip;
    return relu && y < 0 ? 0 : y;  // NaN stays NaN
}

// skip is read only if add is set
extern "C" __global__ void __launch_bounds__(THREADS) conv(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int N, int H, int W, int Cin, int Ho,
    int Wo, int Cout, int kh, int kw, int up, int left, int edge, int relu, int add)
{
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= (unsigned)(N * Ho * Wo * Cout)) return;
    const int o = at % Cout, j = at / Cout % Wo, i = at / Cout / Wo % Ho, n = at / Cout / Wo / Ho;
    float sum = 0;
    for (int r = 0; r < kh; r++) {
        const int h = line_of(i + r - up, H, edge);
        for (int s = 0; s < kw; s++) {
            const int v = line_of(j + s - left, W, edge);
            if (h < 0 || v < 0) continue;
            const float* pixel = x + ((n * H + h) * W + v) * Cin;
            const float* tap = w + (r * kw + s) * Cin * Cout + o;
            for (int c = 0; c < Cin; c++) sum = fmaf(pixel[c], tap[c * Cout], sum);
        }
    }
    y[at] = finish(sum, b[o], add ? skip[at] : 0, relu);
}

extern "C" __global__ void __launch_bounds__(THREADS) conv_stem(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Ho, int Wo, int Cout, int kh, int kw, int up,
    int left, int edge, int relu)
{
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    const int quads = Cout / 4, fours = (Wo + 3) / 4;
    if (at >= (unsigned)(N * Ho * fours * quads)) return;
    const int o = at % quads * 4, j = at / quads % fours * 4;
    const int i = at / quads / fours % Ho, n = at / quads / fours / Ho;
    float sum[4][4] = {};
    for (int r = 0; r < kh; r++) {
        const int h = line_of(i + r - up, H, edge);
        if (h < 0) continue;
        for (int s = 0; s < kw; s++) {
            const float4 tap = *reinterpret_cast<const float4*>(w + (r * kw + s) * Cout + o);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int v = line_of(j + k + s - left, W, edge);
                const float pixel = v < 0 ? 0 : x[(n * H + h) * W + v];
                sum[k][0] = fmaf(pixel, tap.x, sum[k][0]);
                sum[k][1] = fmaf(pixel, tap.y, sum[k][1]);
                sum[k][2] = fmaf(pixel, tap.z, sum[k][2]);
                sum[k][3] = fmaf(pixel, tap.w, sum[k][3]);
            }
        }
    }
    const float4 bias = *reinterpret_cast<const float4*>(b + o);
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (j + k < Wo)
            *reinterpret_cast<float4*>(y + ((n * Ho + i) * Wo + j + k) * Cout + o) = make_float4(
                finish(sum[k][0], bias.x, 0, relu), finish(sum[k][1], bias.y, 0, relu),
                finish(sum[k][2], bias.z, 0, relu), finish(sum[k][3], bias.w, 0, relu));
}

// A run consists of `per` of the N*Ho lines of dy
extern "C" __global__ void __launch_bounds__(128) conv_gradient(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Ho, int Wo, int Cout, int kh, int kw, int up, int left, int edge,
    int per)
{
    const int size = kh * kw * Cin * Cout, at = blockIdx.x * 128 + threadIdx.x;
    if (at >= size) return;
    const int o = at % Cout, c = at / Cout % Cin;
    const int s = at / Cout / Cin % kw, r = at / Cout / Cin / kw;
    double total = 0;
    const int first = blockIdx.y * per, last = first + min(per, N * Ho - first);
    for (int line = first; line < last; line++) {
        const int n = line / Ho, h = line_of(line % Ho + r - up, H, edge);
        if (h < 0) continue;
        const float* row = x + (n * H + h) * W * Cin + c;
        const float* dy_row = dy + line * Wo * Cout + o;
        float sum = 0;
        for (int j = 0; j < Wo; j++) {
            const int v = line_of(j + s - left, W, edge);
            if (v >= 0) sum = fmaf(row[v * Cin], dy_row[j * Cout], sum);
        }
        total += sum;
    }
    part[blockIdx.y * size + at] = (float)total;
}

// A run consists of `per` of the P pixels; `lanes` neighbouring threads take one channel each
extern "C" __global__ void __launch_bounds__(THREADS) channel_sums(
    const float* __restrict__ dy, float* __restrict__ part, int P, int C, int lanes, int per)
{
    __shared__ double sums[THREADS];
    const int rows = THREADS / lanes, row = threadIdx.x / lanes;
    const int c = blockIdx.y * lanes + threadIdx.x % lanes;
    const unsigned first = blockIdx.x * per, last = first + min(per, int(P - first));
    double sum = 0;
    if (row < rows && c < C)
        for (unsigned p = first + row; p < last; p += rows) sum += dy[p * C + c];
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (row > 0 || c >= C) return;
    for (int r = 1; r < rows; r++) sum += sums[r * lanes + threadIdx.x];
    part[blockIdx.x * C + c] = (float)sum;
}

extern "C" __global__ void __launch_bounds__(THREADS) sum_parts(
    const float* __restrict__ part, float* __restrict__ total, int parts, int size)
{
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= size) return;
    double sum = 0;
    for (int l = 0; l < parts; l++) sum += part[l * size + at];
    total[at] = (float)sum;
}
