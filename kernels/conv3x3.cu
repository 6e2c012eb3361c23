// conv3x3.cu -- 3x3 convolution, and the 2x2 convolutions into which upsampling turns it
//
//   conv3x3            y[n,i,j,o] = act(b[o] + skip[n,i,j,o] +
//                                       sum over r,s,c of x[n,i+r-before,j+s-before,c] w[r,s,c,o])
//   upsample_conv      conv3x3 of x upsampled by 2: phase (p,q) of y, the pixels (2i+p, 2j+q), is
//                      the 2x2 convolution of x with w[p,q], from (i+p-1, j+q-1) on: 4/9 the work
//   upsample_conv_dx   its gradient in x framed by one pixel: the sum over the phases of dy of 2x2
//                      convolutions, from (i-p-1, j-q-1) on, with kernels that the caller turned
//
//   reference   enhance_np.layers.conv.pad_conv, conv2d and conv2d_backward's dx (zeros around dy,
//               w turned by 180 degrees, its channels exchanged), enhance_np.layers.upsample
//   checked by  tests/support/cases/conv3x3.py: exact on integers, error bound and adjoints on
//               floats. Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x (N, H, W, Cin), w (3, 3, Cin, Cout) or (4, 2, 2, Cin, Cout), b (Cout,), skip and
//               y (N, Ho, Wo, Cout), every y written once; float32, C order, 16-byte aligned;
//               Cin a multiple of 4, Cout of the 64 or 32 in the kernel's name; < 2^31 elements.
//               upsample_conv: y (N, 2H, 2W, Cout);  upsample_conv_dx: x is dy (N, 2H, 2W, Cin),
//               y (N, H+2, W+2, Cout).  What is outside x: edge 0 zero, 1 mirrored, 2 repeated
//   launch      128 threads; one block for each tile (and each of upsample_conv's 4 phases), one axis
//               of blocks. A tile is 4 x 32 pixels x 64 channels, 8 x 32 x 32 for _32, and 2 x 52 x
//               64 for _64_wide, which wastes less of images of 50 columns
//   method      implicit GEMM (Chetlur et al. 2014, arXiv:1410.0759): im2col's matrix is read from
//               the image, never stored. A thread keeps 8 pixels x 8 channels in registers, in wide
//               tiles 13 x 4. A value of x enters 4 multiply-adds for each tap, one of w 8 or 13. The
//               order of a sum is the same in every tile, and so are the bits. 4 input channels are a
//               stage; while one is used the next is fetched into registers, then stored in the
//               other of two buffers: one barrier per stage. Padding is done by the addresses of
//               the loads. x is transposed on its way into shared memory, to rows of one channel
//   shared      up to 25,344 bytes. Loads are free of bank conflicts: rows of 36 floats put two
//               rows of pixels on odd and even quads of banks; rows of 54 put the 8 threads at a
//               distance of 13 and of 54 on 8 banks
//   registers   168 at most (3 blocks on an SM), no spills
//   cost        2 K K Cin FLOP per value of y; x is read from L2 (1 + 2/ROWS)(1 + 2/32) Cout/COUTS
//               times. With 64 channels in and out, 144 FLOP per byte of DRAM: bound by arithmetic.
//               Not measured
//   error       K K Cin products added one after another, then b and skip:
//               |y - exact| <= (K K Cin + 2) u (sum|x||w| + |b| + |skip|), u = 2^-24

#define THREADS 128
#define CK 4       // input channels of a stage: one float4 of a pixel
#define ACROSS 4   // threads along a row of a tile, each with PX pixels

enum Phases { NONE, OF_Y, OF_X };

// By the pixels of a thread: its channels; floats between rows in shared memory
__host__ __device__ constexpr int channels_of(int px) { return px == 8 ? 8 : 4; }
__host__ __device__ constexpr int stride_of(int px) { return px == 8 ? 36 : 54; }
__host__ __device__ constexpr int rows_of(int couts, int px)
{
    return THREADS / ACROSS * channels_of(px) / couts;
}

__device__ __forceinline__ int line_of(int i, int n, int edge)
{
    // The line, 0 to n - 1, that stands for line i, which may be outside; -1 stands for zeros
    if (edge == 1) i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    if (edge == 2) i = min(max(i, 0), n - 1);
    return 0 <= i && i < n ? i : -1;
}

__device__ __forceinline__ float finish(float sum, float b, float skip, int relu)
{
    float y = sum + b + skip;
    return relu && y < 0 ? 0 : y;  // NaN stays NaN
}

// Floats of shared memory: two buffers of x and two of w
__host__ __device__ constexpr int shared_size(int K, int couts, int px = 8)
{
    return 2 * CK * (rows_of(couts, px) + K - 1) * stride_of(px) + 2 * K * K * CK * couts;
}

// H, W and Ho, Wo are the sizes of one phase where x or y has four
template <int K, int COUTS, Phases PHASES, int PX = 8>
__device__ __forceinline__ void convolve(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add, float* shared)
{
    const int COLS = ACROSS * PX, CH = channels_of(PX), STRIDE = stride_of(PX), QUADS = COUTS / 4;
    const int ROWS = rows_of(COUTS, PX), R = ROWS + K - 1, C = COLS + K - 1;
    const int X_LOADS = (R * C + THREADS - 1) / THREADS;
    const int W_QUADS = K * K * CK * QUADS, W_LOADS = (W_QUADS + THREADS - 1) / THREADS;
    float(*sx)[CK][R][STRIDE] = reinterpret_cast<float(*)[CK][R][STRIDE]>(shared);
    float(*sw)[K * K * CK][COUTS] =
        reinterpret_cast<float(*)[K * K * CK][COUTS]>(shared + 2 * CK * R * STRIDE);

    // channels and pixels of the block
    const int groups = Cout / COUTS, across = (Wo + COLS - 1) / COLS, down = (Ho + ROWS - 1) / ROWS;
    int t = blockIdx.x;
    const int first = t % groups * COUTS;
    t /= groups;
    const int phase = PHASES == OF_Y ? t % 4 : 0;
    if (PHASES == OF_Y) t /= 4;
    const int j0 = t % across * COLS, i0 = t / across % down * ROWS, n = t / across / down;

    // of the thread: PX pixels of a row; 4 channels from 4 * quad on, and if 8, 4 from the middle on
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int eight = lane % 8 + 8 * (warp % (ROWS / 2));
    const int quad = lane / 8 + 4 * (warp / (ROWS / 2));
    const int row = eight / ACROSS, col = eight % ACROSS * PX;

    // the pixels of x and quads of w that the thread fetches. Pixel (i, j) of the next phase of x
    // is at a constant distance, but whether it is outside must be known for each phase
    const int step = PHASES == OF_X ? 2 : 1;
    const int up = PHASES == NONE ? before : PHASES == OF_Y ? 1 - phase / 2 : 1;
    const int left = PHASES == NONE ? before : PHASES == OF_Y ? 1 - phase % 2 : 1;
    int from[X_LOADS];
    unsigned inside = 0;  // bit 4 k + p: whether pixel k is inside x in phase p
#pragma unroll
    for (int k = 0; k < X_LOADS; k++) {
        const int e = threadIdx.x + k * THREADS, i = i0 + e / C - up, j = j0 + e % C - left;
#pragma unroll
        for (int p = 0; p < step * step; p++)
            if (e < R * C && line_of(i - p / 2, H, edge) >= 0 && line_of(j - p % 2, W, edge) >= 0)
                inside |= 1u << 4 * k + p;
        from[k] = inside >> 4 * k == 0 ? 0
                  : PHASES == OF_X     ? ((2 * i - 1) * 2 * W + 2 * j - 1) * Cin
                                       : (line_of(i, H, edge) * W + line_of(j, W, edge)) * Cin;
    }
    x += n * (step * H) * (step * W) * Cin + (PHASES == OF_X ? (2 * W + 1) * Cin : 0);
    const int w_row = threadIdx.x / QUADS;  // (tap, channel) of the first quad
    w += (phase * K * K * Cin + w_row / CK * Cin + w_row % CK) * Cout + first +
         threadIdx.x % QUADS * 4;
    const int w_step = THREADS / QUADS / CK * Cin * Cout;

    float4 x_next[X_LOADS], w_next[W_LOADS];
    int c_next = 0, p_next = 0;
    auto fetch = [&]() {  // fetches a stage and advances x and w to the next one
#pragma unroll
        for (int k = 0; k < X_LOADS; k++)
            x_next[k] = inside >> 4 * k & 1 ? *reinterpret_cast<const float4*>(x + from[k])
                                            : make_float4(0, 0, 0, 0);
#pragma unroll
        for (int k = 0; k < W_LOADS; k++)
            if (threadIdx.x + k * THREADS < W_QUADS)
                w_next[k] = *reinterpret_cast<const float4*>(w + k * w_step);
        x += CK;
        w += CK * Cout;
        if (PHASES != OF_X || (c_next += CK) < Cin) return;
        c_next = 0;
        x -= (p_next++ == 1 ? 2 * W : 2) * Cin;
        w += (K * K - 1) * Cin * Cout;
        inside >>= 1;
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int k = 0; k < X_LOADS; k++) {
            int e = threadIdx.x + k * THREADS;
            if (e >= R * C) continue;
            float* to = &sx[buffer][0][e / C][e % C];
            to[0] = x_next[k].x;
            to[R * STRIDE] = x_next[k].y;
            to[2 * R * STRIDE] = x_next[k].z;
            to[3 * R * STRIDE] = x_next[k].w;
        }
#pragma unroll
        for (int k = 0; k < W_LOADS; k++) {
            int e = threadIdx.x + k * THREADS;
            if (e < W_QUADS)
                *reinterpret_cast<float4*>(&sw[buffer][e / QUADS][e % QUADS * 4]) = w_next[k];
        }
    };

    const int stages = (PHASES == OF_X ? 4 : 1) * Cin / CK;
    float sum[PX][CH] = {};
    fetch();
    store(0);
    __syncthreads();
    for (int stage = 0; stage < stages; stage++) {
        const int now = stage % 2;
        if (stage + 1 < stages) fetch();
#pragma unroll
        for (int c = 0; c < CK; c++)
#pragma unroll
            for (int r = 0; r < K; r++) {
                float in[PX + K - 1];  // the row of x that the pixels need
                const float* line = &sx[now][c][row + r][col];
                const int VECTORS = PX == 8 ? 2 : 0;  // 13 pixels do not begin at a float4
#pragma unroll
                for (int k = 0; k < VECTORS; k++)
                    *reinterpret_cast<float4*>(in + 4 * k) =
                        *reinterpret_cast<const float4*>(line + 4 * k);
#pragma unroll
                for (int k = 4 * VECTORS; k < PX + K - 1; k++) in[k] = line[k];
#pragma unroll
                for (int s = 0; s < K; s++) {
                    const float* tap = &sw[now][(r * K + s) * CK + c][quad * 4];
                    float weight[CH];
#pragma unroll
                    for (int half = 0; half < CH / 4; half++)
                        *reinterpret_cast<float4*>(weight + 4 * half) =
                            *reinterpret_cast<const float4*>(tap + half * COUTS / 2);
#pragma unroll
                    for (int k = 0; k < PX; k++)
#pragma unroll
                        for (int o = 0; o < CH; o++)
                            sum[k][o] = fmaf(in[k + s], weight[o], sum[k][o]);
                }
            }
        if (stage + 1 < stages) {
            store(1 - now);  // no thread uses this buffer any more: all are past the last barrier
            __syncthreads();
        }
    }

    const int i = i0 + row;
    if (i >= Ho) return;
#pragma unroll
    for (int half = 0; half < CH / 4; half++) {
        const int o = first + half * COUTS / 2 + quad * 4;
        const float4 bias = *reinterpret_cast<const float4*>(b + o);
#pragma unroll
        for (int k = 0; k < PX; k++) {
            const int j = j0 + col + k;
            if (j >= Wo) continue;
            const int pixel =
                PHASES == OF_Y ? ((n * Ho + i) * 2 + phase / 2) * 2 * Wo + 2 * j + phase % 2
                               : (n * Ho + i) * Wo + j;
            const int at = pixel * Cout + o;
            const float* of = sum[k] + half * 4;
            float4 more = make_float4(0, 0, 0, 0);
            if (add) more = *reinterpret_cast<const float4*>(skip + at);
            *reinterpret_cast<float4*>(y + at) = make_float4(
                finish(of[0], bias.x, more.x, relu), finish(of[1], bias.y, more.y, relu),
                finish(of[2], bias.z, more.z, relu), finish(of[3], bias.w, more.w, relu));
        }
    }
}

// skip is read only if add is set
extern "C" __global__ void __launch_bounds__(THREADS, 3) conv3x3_64(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add)
{
    __shared__ __align__(16) float shared[shared_size(3, 64)];
    convolve<3, 64, NONE>(x, w, b, skip, y, H, W, Cin, Ho, Wo, Cout, before, edge, relu, add,
                          shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) conv3x3_64_wide(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add)
{
    __shared__ __align__(16) float shared[shared_size(3, 64, 13)];
    convolve<3, 64, NONE, 13>(x, w, b, skip, y, H, W, Cin, Ho, Wo, Cout, before, edge, relu,
                              add, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) conv3x3_32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add)
{
    __shared__ __align__(16) float shared[shared_size(3, 32)];
    convolve<3, 32, NONE>(x, w, b, skip, y, H, W, Cin, Ho, Wo, Cout, before, edge, relu, add,
                          shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) upsample_conv_64(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float shared[shared_size(2, 64)];
    convolve<2, 64, OF_Y>(x, w, b, b, y, H, W, Cin, H, W, Cout, 0, 2, 0, 0, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) upsample_conv_32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float shared[shared_size(2, 32)];
    convolve<2, 32, OF_Y>(x, w, b, b, y, H, W, Cin, H, W, Cout, 0, 2, 0, 0, shared);
}

// b is zero: a gradient has no bias
extern "C" __global__ void __launch_bounds__(THREADS, 3) upsample_conv_dx_64(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float shared[shared_size(2, 64)];
    convolve<2, 64, OF_X>(x, w, b, b, y, H, W, Cin, H + 2, W + 2, Cout, 0, 0, 0, 0, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3) upsample_conv_dx_32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float shared[shared_size(2, 32)];
    convolve<2, 32, OF_X>(x, w, b, b, y, H, W, Cin, H + 2, W + 2, Cout, 0, 0, 0, 0, shared);
}
