// conv3x3_gradient.cu -- gradient of the kernel of a 3x3 convolution, and of upsampling's 2x2 ones
//
//   conv3x3_dw          part[l,r,s,c,o] = sum of x[n,i+r-before,j+s-before,c] dy[n,i,j,o] over the
//                       l-th run of strips of 32 pixels, or 26; conv.cu's sum_parts adds the parts
//   upsample_conv_dw    part[l,p,q,u,v,c,o] = sum of x[n,i+p-1+u,j+q-1+v,c] dy[n,2i+p,2j+q,o]
//
//   reference   enhance_np.layers.conv.conv2d_backward's and pad_conv_backward's dw,
//               enhance_np.layers.upsample_conv_backward's
//   checked by  tests/support/cases/conv3x3_gradient.py: exact on integers, error bound on floats.
//               Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x (N, H, W, Cin), dy (N, Ho, Wo, Cout), or (N, 2H, 2W, Cout) for upsample_conv_dw;
//               part (runs, [4,] K, K, Cin, Cout) written once; float32, C order, 16-byte aligned,
//               < 2^31 elements. Cin and Cout are multiples of a block's, see the kernels below.
//               Outside x its edge is mirrored for conv3x3_dw, repeated for upsample_conv_dw
//   launch      128 threads; one block for each run, each group of channels of x and of dy (and
//               each line of phases). Run l has the strips l * per to (l + 1) * per, which are
//               numbered along the lines, line after line
//   method      the product X^T dY over pixels, split over runs. A thread sums all 9 taps of 2
//               channels of x and 4 of dy in registers, or the 4 taps of both phases of a line. For
//               each pixel it reads one column of the window, keeps the other two, and does 72 (64)
//               multiply-adds. While a strip is used the next is fetched into registers, then
//               stored in the other of two buffers: one barrier per strip. No atomics: two runs
//               give the same bits. 85 % or more of the loop are multiply-adds
//   shared      up to 41,472 bytes. Loads are free of bank conflicts: the threads of a warp read
//               neighbouring floats, or the same one
//   registers   224 at most (2 blocks on an SM), no spills
//   cost        2 K K Cin Cout FLOP per pixel. For a strip, a block reads 4 (3*34*16 + 32*64) bytes
//               from L2 and does 2*9*16*64*32 FLOP: 40 FLOP per byte. Not measured
//   error       32 * per products are added one after another, then the parts in double:
//               |dw - exact| <= (32 per + 2) u sum|x||dy|, u = 2^-24

#define THREADS 128
#define CI 2  // channels of x per thread

// The line, 0 to n - 1, that stands for line i, which may be outside: mirrored, or the nearest
template <bool MIRRORED>
__device__ __forceinline__ int line_of(int i, int n)
{
    if (MIRRORED) i = abs(i), i = min(i, 2 * (n - 1) - i);
    return min(max(i, 0), n - 1);  // for pixels that no dy uses
}

__device__ __forceinline__ void add(float* sum, float value, float4 d)
{
    sum[0] = fmaf(value, d.x, sum[0]);
    sum[1] = fmaf(value, d.y, sum[1]);
    sum[2] = fmaf(value, d.z, sum[2]);
    sum[3] = fmaf(value, d.w, sum[3]);
}

// For upsample_conv a block has two phases, which use the same columns of x
__host__ __device__ constexpr int rows(bool phases) { return phases ? 2 : 3; }
__host__ __device__ constexpr int cins(int couts) { return 4 * THREADS / couts * CI; }

// Floats of shared memory: two buffers of x and two of dy
__host__ __device__ constexpr int shared_size(int couts, bool phases, int pixels = 32)
{
    return 2 * rows(phases) * (pixels + 2) * cins(couts) + 2 * (phases ? 2 : 1) * pixels * couts;
}

// Ho, Wo are the sizes of one phase where dy has four
// PIXELS : of a strip, an even number
template <int COUTS, bool PHASES, int PIXELS = 32>
__device__ __forceinline__ void gradient(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Ho, int Wo, int Cout, int before, int per, float* shared)
{
    const int CINS = cins(COUTS), QUADS = COUTS / 4, R = rows(PHASES), Q = PHASES ? 2 : 1;
    const int K = PHASES ? 2 : 3, TAPS = Q * R * K, COLUMNS = PIXELS + 2;  // columns of x
    const int X_QUADS = R * COLUMNS * CINS / 4, X_LOADS = (X_QUADS + THREADS - 1) / THREADS;
    const int DY_QUADS = Q * PIXELS * QUADS, DY_LOADS = (DY_QUADS + THREADS - 1) / THREADS;
    const bool WHOLE = DY_QUADS % THREADS == 0;  // every thread fetches as many quads of dy
    float(*sx)[R][COLUMNS][CINS] = reinterpret_cast<float(*)[R][COLUMNS][CINS]>(shared);
    float(*sdy)[PIXELS][Q][COUTS] =
        reinterpret_cast<float(*)[PIXELS][Q][COUTS]>(shared + 2 * R * COLUMNS * CINS);

    int t = blockIdx.x;
    const int outs = Cout / COUTS, ins = Cin / CINS;
    const int o0 = t % outs * COUTS, c0 = t / outs % ins * CINS;
    t /= outs * ins;
    const int p = t % Q, run = t / Q;
    const int across = (Wo + PIXELS - 1) / PIXELS;
    const int strips = min(per, N * Ho * across - run * per);
    const int up = PHASES ? 1 - p : before, left = PHASES ? 1 : before;

    // channels of the thread; it also fetches the quads of dy from channel o on
    const int o = threadIdx.x % QUADS * 4, c = threadIdx.x / QUADS * CI;

    // the next strip to fetch: pixels from j0 on in `line` of dy, and lines around i in its image x
    int line = run * per / across, j0 = run * per % across * PIXELS, i = line % Ho;
    x += line / Ho * H * W * Cin + c0;
    float4 x_next[X_LOADS], dy_next[DY_LOADS];
    auto fetch = [&]() {
#pragma unroll
        for (int k = 0; k < X_LOADS; k++) {
            const int e = threadIdx.x + k * THREADS, c = e % (CINS / 4) * 4;
            const int h = line_of<!PHASES>(i + e / (CINS / 4) / COLUMNS - up, H);
            const int v = line_of<!PHASES>(j0 + e / (CINS / 4) % COLUMNS - left, W);
            if (e < X_QUADS)
                x_next[k] = *reinterpret_cast<const float4*>(x + (h * W + v) * Cin + c);
        }
        const int j = Q * j0 + threadIdx.x / QUADS;
        const float* dy_at = dy + ((line * Q + p) * Q * Wo + j) * Cout + o0 + o;
#pragma unroll
        for (int k = 0; k < DY_LOADS; k++) {
            const int on = k * (THREADS / QUADS);
            dy_next[k] = make_float4(0, 0, 0, 0);
            if (j + on < Q * Wo && (WHOLE || threadIdx.x + k * THREADS < DY_QUADS))
                dy_next[k] = *reinterpret_cast<const float4*>(dy_at + on * Cout);
        }
        j0 += PIXELS;
        if (j0 < Wo) return;
        j0 = 0, line++;
        if (++i < Ho) return;
        i = 0, x += H * W * Cin;
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int k = 0; k < X_LOADS; k++)
            if (threadIdx.x + k * THREADS < X_QUADS)
                reinterpret_cast<float4*>(sx[buffer])[threadIdx.x + k * THREADS] = x_next[k];
#pragma unroll
        for (int k = 0; k < DY_LOADS; k++)
            if (WHOLE || threadIdx.x + k * THREADS < DY_QUADS)
                reinterpret_cast<float4*>(sdy[buffer])[threadIdx.x + k * THREADS] = dy_next[k];
    };

    float sum[Q][R][K][CI][4] = {};
    fetch();
    store(0);
    __syncthreads();
    for (int strip = 0; strip < strips; strip++) {
        const int now = strip % 2;
        if (strip + 1 < strips) fetch();
        float2 seen[3][R];  // the window; column j of the strip stands in seen[j % 3]
        auto see = [&](int j) {
#pragma unroll
            for (int r = 0; r < R; r++)
                seen[j % 3][r] = *reinterpret_cast<const float2*>(&sx[now][r][j][c]);
        };
        see(0);
        see(1);
#pragma unroll
        for (int j = 0; j < PIXELS; j++) {
            see(j + 2);
#pragma unroll
            for (int q = 0; q < Q; q++) {
                const float4 d = *reinterpret_cast<const float4*>(&sdy[now][j][q][o]);
#pragma unroll
                for (int r = 0; r < R; r++)
#pragma unroll
                    for (int s = 0; s < K; s++) {
                        add(sum[q][r][s][0], seen[(j + q + s) % 3][r].x, d);
                        add(sum[q][r][s][1], seen[(j + q + s) % 3][r].y, d);
                    }
            }
        }
        if (strip + 1 < strips) {
            store(1 - now);  // no thread uses this buffer any more: all are past the last barrier
            __syncthreads();
        }
    }

    const float(*found)[CI][4] = &sum[0][0][0];
#pragma unroll
    for (int tap = 0; tap < TAPS; tap++)
#pragma unroll
        for (int k = 0; k < CI; k++) {
            const int at = (((run * Q + p) * TAPS + tap) * Cin + c0 + c + k) * Cout + o0 + o;
            const float* of = found[tap][k];
            *reinterpret_cast<float4*>(part + at) = make_float4(of[0], of[1], of[2], of[3]);
        }
}

// a block has 16 channels of x and 64 of dy, or 32 and 32; strips of 26 waste less of 50 columns
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3_dw_64(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Ho, int Wo, int Cout, int before, int per)
{
    __shared__ __align__(16) float shared[shared_size(64, false)];
    gradient<64, false>(x, dy, part, N, H, W, Cin, Ho, Wo, Cout, before, per, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3_dw_64_narrow(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Ho, int Wo, int Cout, int before, int per)
{
    __shared__ __align__(16) float shared[shared_size(64, false, 26)];
    gradient<64, false, 26>(x, dy, part, N, H, W, Cin, Ho, Wo, Cout, before, per, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3_dw_32(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Ho, int Wo, int Cout, int before, int per)
{
    __shared__ __align__(16) float shared[shared_size(32, false)];
    gradient<32, false>(x, dy, part, N, H, W, Cin, Ho, Wo, Cout, before, per, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) upsample_conv_dw_64(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Cout, int per)
{
    __shared__ __align__(16) float shared[shared_size(64, true)];
    gradient<64, true>(x, dy, part, N, H, W, Cin, H, W, Cout, 0, per, shared);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) upsample_conv_dw_32(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int N,
    int H, int W, int Cin, int Cout, int per)
{
    __shared__ __align__(16) float shared[shared_size(32, true)];
    gradient<32, true>(x, dy, part, N, H, W, Cin, H, W, Cout, 0, per, shared);
}
