// winograd.cu -- 3x3 convolution, and its gradient dX, by Winograd's F(2x2, 3x3)
//
//   winograd_weights   U = G g G^T for each pair of channels, g = w[:,:,c,o]
//   winograd           y[n,i,j,o] = act(b[o] + skip[n,i,j,o] + Y of its tile), where
//                      Y = A^T [sum over c of U (*) V] A,  V = B^T d B,  (*) element by element
//   winograd_dx        the same without b and skip; x is dy, w is turned by 180 degrees and its
//                      channels are exchanged: the gradient in the x that was mirrored
//
//   A tile is 2 x 2 pixels of y; d are the 4 x 4 pixels of x on which it depends. 16 products for
//   each pair of channels replace the 36 of conv3x3.cu. For each of the 16 elements p ("planes"),
//   the sum over c is a matrix product, M[p] (tiles, Cout) = V[p] (tiles, Cin) U[p] (Cin, Cout).
//
//         | 1  0 -1  0 |       |  1    0    0  |
//   B^T = | 0  1  1  0 |   G = | 1/2  1/2  1/2 |   A^T = | 1  1  1  0 |
//         | 0 -1  1  0 |       | 1/2 -1/2  1/2 |         | 0  1 -1 -1 |
//         | 0  1  0 -1 |       |  0    0    1  |
//
//   reference   enhance_np.layers.conv.pad_conv, conv2d_backward's dx; Winograd on the CPU, with
//               tiles of 4 x 4, is enhance_np.engine.cpu.transforms.  Source: Lavin & Gray 2016, arXiv:1509.09308
//   checked by  tests/support/cases/winograd.py: exact on integers, error bound on floats.
//               Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x (N, H, W, Cin), H, W >= 2, w (3, 3, Cin, Cout), b (Cout,), skip and y
//               (N, H, W, Cout), every y written once; what is outside x is its mirror image.
//               winograd_dx: y (N, H+2, W+2, Cout), what is outside x is zero.  u (Cout/64, Cin/8, 16, 8, 64) is U as it
//               is read; float32, C order, 16-byte aligned; Cin a multiple of 8, Cout of 64;
//               < 2^31 elements
//   launch      winograd: 256 threads; one block for each 32 tiles (numbered along W, H, N) x 64
//               channels.  winograd_weights: a thread for each pair of channels, 256 per block
//   method      a stage is 8 input channels: V of 32 tiles and U of 64 channels are in shared
//               memory, while those of the next stage are fetched into registers. A warp has two
//               planes, and each of its threads 8 tiles x 8 channels of both: a value read from
//               shared memory enters 8 multiply-adds. V is computed on the way from registers to
//               shared memory: each thread computes one row of a tile for 4 channels, from two rows
//               of pixels. The addresses of the loads do the mirroring. A warp fetches U only for
//               its own planes, 4 channels at a time, so it waits for U only within the warp. In
//               the end M goes through shared memory, a quarter at a time, to threads that take all
//               planes of a tile
//   shared      49,152 bytes. Loads and stores are free of bank conflicts, because the halves of
//               each 16 tiles are exchanged in V of channels 4 to 7. Each lane of a load in the loop
//               has a partner with the same address. If such a load takes 2 cycles instead of 4, as
//               NVIDIA says of compute capability 7.0 to 7.5, a stage needs 1408 cycles of shared memory,
//               60 % of those in which its instructions are issued; if not, 2432, 103 %
//               (tests/kernels/test_winograd.py)
//   registers   255 at most (1 block on an SM), no spills
//   cost        8 Cin FLOP per value of y instead of 18; 32 additions for 4 values of x, 24 for 4
//               of y. For 128 pixels a block reads U of its channels, 4096 Cin bytes, and x, 1056
//               Cin bytes if L1 keeps them: 13 FLOP per byte of L2, where conv3x3.cu has 47.
//               Not measured
//   error       u = 2^-24; U is rounded once; 2 additions on the way to V, Cin products added one
//               after another, 4 additions on the way to Y, then b and skip:
//               |y - exact| <= (Cin + 9) u (|A^T| [sum |G||g||G^T| (*) |B^T||d||B|] |A| + |b| +
//               |skip|).  NaN in x reaches only the y that depend on it; infinity may become NaN

#define THREADS 256
#define PLANES 16
#define TILES 32  // of a block
#define COUTS 64
#define CK 8  // input channels of a stage: two float4 of a pixel

__device__ __forceinline__ int mirrored(int i, int n)
{
    // The line, 0 to n - 1, of which line i is the mirror image. For odd n, the last tile depends
    // on two lines outside; no y depends on the second
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

__device__ __forceinline__ float finish(float sum, float b, float skip, int relu)
{
    float y = sum + b + skip;
    return relu && y < 0 ? 0 : y;  // NaN stays NaN
}

__device__ __forceinline__ float2 output(int r, const float2* m)
{
    // Row r of A^T times m
    return r ? make_float2(m[1].x - m[2].x - m[3].x, m[1].y - m[2].y - m[3].y)
             : make_float2(m[0].x + m[1].x + m[2].x, m[0].y + m[1].y + m[2].y);
}

extern "C" __global__ void __launch_bounds__(THREADS) winograd_weights(
    const float* __restrict__ w, float* __restrict__ u, int Cin, int Cout)
{
    const int at = blockIdx.x * THREADS + threadIdx.x;  // Cin Cout is a multiple of THREADS
    const int c = at / Cout, o = at % Cout;
    u += ((o / COUTS * (Cin / CK) + c / CK) * PLANES * CK + c % CK) * COUTS + o % COUTS;
    double rows[4][3];  // G g
    for (int s = 0; s < 3; s++) {
        const double g0 = w[s * Cin * Cout + at], g1 = w[(3 + s) * Cin * Cout + at],
                     g2 = w[(6 + s) * Cin * Cout + at];
        rows[0][s] = g0;
        rows[1][s] = (g0 + g1 + g2) / 2;
        rows[2][s] = (g0 - g1 + g2) / 2;
        rows[3][s] = g2;
    }
    for (int r = 0; r < 4; r++) {
        const double* g = rows[r];
        float* to = u + 4 * r * CK * COUTS;
        to[0] = (float)g[0];
        to[CK * COUTS] = (float)((g[0] + g[1] + g[2]) / 2);
        to[2 * CK * COUTS] = (float)((g[0] - g[1] + g[2]) / 2);
        to[3 * CK * COUTS] = (float)g[2];
    }
}

// Floats of shared memory: V and U of a stage
#define SHARED (PLANES * CK * (TILES + COUTS))

// FRAME: lines of y outside x, on each side. Without, x is mirrored; with, it is zero outside
template <int FRAME>
__device__ __forceinline__ void convolve(
    const float* __restrict__ x, const float* __restrict__ u, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int N, int H, int W, int Cin, int Cout,
    int relu, int add, float* shared)
{
    float(*sv)[CK][TILES] = reinterpret_cast<float(*)[CK][TILES]>(shared);
    float(*su)[CK][COUTS] = reinterpret_cast<float(*)[CK][COUTS]>(shared + PLANES * CK * TILES);

    // channels and tiles of the block
    const int Ho = H + 2 * FRAME, Wo = W + 2 * FRAME;
    const int across = (Wo + 1) / 2, down = (Ho + 1) / 2, tiles = N * down * across;
    const int groups = Cout / COUTS, group = blockIdx.x % groups;
    const int first = blockIdx.x / groups * TILES;

    // the thread fetches two rows of pixels, whose sum or difference is row `row` of B^T d
    const int half = threadIdx.x % 2, tile = threadIdx.x / 2 % TILES, row = threadIdx.x / 64;
    const float sign = row == 1 ? 1 : -1;
    int from[4], apart;
    unsigned inside = 0;  // bits s and 4 + s: whether pixel s of the two rows is inside x
    {
        const int t = min(first + tile, tiles - 1), n = t / across / down;
        const int i = t / across % down * 2 - 1 - FRAME, j = t % across * 2 - 1 - FRAME;
        int one = i + (row == 0 ? 0 : row == 2 ? 2 : 1), other = i + (row == 2 ? 1 : row == 3 ? 3 : 2);
#pragma unroll
        for (int s = 0; s < 4; s++)
            if (FRAME && 0 <= j + s && j + s < W)
                inside |= (0 <= one && one < H) << s | (0 <= other && other < H) << 4 + s;
        if (!FRAME) one = mirrored(one, H), other = mirrored(other, H);
        apart = (other - one) * W * Cin;
#pragma unroll
        for (int s = 0; s < 4; s++)
            from[s] = ((n * H + one) * W + (FRAME ? j + s : mirrored(j + s, W))) * Cin + half * 4;
    }
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u += (group * (Cin / CK) * PLANES + 2 * warp) * CK * COUTS + lane * 4;

    float4 x_next[2][4], u_next[2][2];
    auto fetch_x = [&](int stage) {
#pragma unroll
        for (int s = 0; s < 4; s++) {
            const int at = from[s] + stage * CK;
            x_next[0][s] = x_next[1][s] = make_float4(0, 0, 0, 0);
            if (!FRAME || inside >> s & 1)
                x_next[0][s] = *reinterpret_cast<const float4*>(x + at);
            if (!FRAME || inside >> 4 + s & 1)
                x_next[1][s] = *reinterpret_cast<const float4*>(x + at + apart);
        }
    };
    auto store_v = [&]() {
        float d[4][4];  // row `row` of B^T d: column, channel
#pragma unroll
        for (int s = 0; s < 4; s++) {
            const float4 p = x_next[0][s], q = x_next[1][s];
            d[s][0] = fmaf(sign, q.x, p.x), d[s][1] = fmaf(sign, q.y, p.y);
            d[s][2] = fmaf(sign, q.z, p.z), d[s][3] = fmaf(sign, q.w, p.w);
        }
#pragma unroll
        for (int k = 0; k < 4; k++) {
            float* to = &sv[4 * row][4 * half + k][tile ^ 16 * half];
            to[0] = d[0][k] - d[2][k];
            to[CK * TILES] = d[1][k] + d[2][k];
            to[2 * CK * TILES] = d[2][k] - d[1][k];
            to[3 * CK * TILES] = d[1][k] - d[3][k];
        }
    };
    auto fetch_u = [&](int stage, int c) {  // channels c to c + 3
        const float* at = u + (stage * PLANES * CK + c) * COUTS;
#pragma unroll
        for (int k = 0; k < 4; k++)
            u_next[k / 2][k % 2] =
                *reinterpret_cast<const float4*>(at + (k / 2 * CK + k % 2 * 2) * COUTS);
    };
    auto store_u = [&](int c) {
        float* to = &su[2 * warp][c + lane / 16][lane % 16 * 4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            *reinterpret_cast<float4*>(to + (k / 2 * CK + k % 2 * 2) * COUTS) = u_next[k / 2][k % 2];
    };

    // the thread sums, for two planes: 4 tiles from `four` on and 4 channels from `quad` on, and as
    // many in the other half of each. Lanes n and n ^ 1 read the same V, n and n ^ 2 the same U: a load
    // whose lanes are such pairs takes half the cycles
    const int four = (lane / 2 % 2 + lane / 16 * 2) * 4, quad = (lane % 2 + lane / 4 % 4 * 2) * 4;
    float sum[2][8][8] = {};
    auto multiply = [&](int from) {  // channels `from` to `from` + 3
#pragma unroll
        for (int c = from; c < from + 4; c++)
#pragma unroll
            for (int p = 0; p < 2; p++) {
                const float* v = &sv[2 * warp + p][c][four];
                const float* g = &su[2 * warp + p][c][quad];
                const float4 v0 = *reinterpret_cast<const float4*>(v + (c < 4 ? 0 : 16));
                const float4 v1 = *reinterpret_cast<const float4*>(v + (c < 4 ? 16 : 0));
                const float4 g0 = *reinterpret_cast<const float4*>(g);
                const float4 g1 = *reinterpret_cast<const float4*>(g + COUTS / 2);
                const float in[8] = {v0.x, v0.y, v0.z, v0.w, v1.x, v1.y, v1.z, v1.w};
                const float weight[8] = {g0.x, g0.y, g0.z, g0.w, g1.x, g1.y, g1.z, g1.w};
#pragma unroll
                for (int k = 0; k < 8; k++)
#pragma unroll
                    for (int o = 0; o < 8; o++)
                        sum[p][k][o] = fmaf(in[k], weight[o], sum[p][k][o]);
            }
    };

    fetch_x(0);
    fetch_u(0, 0);
    store_u(0);
    fetch_u(0, 4);
    const int stages = Cin / CK;
    for (int stage = 0; stage < stages; stage++) {
        const int next = min(stage + 1, stages - 1);  // no branch at the end: it costs registers
        store_v();
        store_u(4);
        __syncthreads();
        fetch_x(next);
        fetch_u(next, 0);
        multiply(0);
        __syncwarp();  // until no thread uses these channels any more
        store_u(0);
        fetch_u(next, 4);
        multiply(4);
        __syncthreads();
    }

    // M goes through shared memory, 16 tiles x 32 channels at a time; a thread gets 2 channels of a
    // tile. In each second four of tiles the halves of the channels are exchanged, against conflicts
    float(*sm)[16][32] = reinterpret_cast<float(*)[16][32]>(shared);
    const int of = threadIdx.x / 16, pair = threadIdx.x % 16 * 2;
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        const int lower = quarter / 2, right = quarter % 2;  // which half of the tiles, of channels
#pragma unroll
        for (int k = 0; k < 8; k++) {
            const float* m = &sum[k / 4][4 * lower + k % 4][4 * right];
            *reinterpret_cast<float4*>(&sm[2 * warp + k / 4][four + k % 4][quad ^ four % 8 * 4]) =
                make_float4(m[0], m[1], m[2], m[3]);
        }
        __syncthreads();
        const int t = first + 16 * lower + of, o = group * COUTS + 32 * right + pair;
        if (t < tiles) {
            float2 at[2][4];  // A^T M
#pragma unroll
            for (int s = 0; s < 4; s++) {
                float2 m[4];
#pragma unroll
                for (int r = 0; r < 4; r++)
                    m[r] = *reinterpret_cast<const float2*>(&sm[4 * r + s][of][pair ^ of / 4 % 2 * 16]);
                at[0][s] = output(0, m);
                at[1][s] = output(1, m);
            }
            const float2 bias = *reinterpret_cast<const float2*>(b + o);
            const int n = t / across / down, i = t / across % down * 2, j = t % across * 2;
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int r = k / 2, s = k % 2;
                if (i + r >= Ho || j + s >= Wo) continue;
                const float2 sums = output(s, at[r]);
                const int to = ((n * Ho + i + r) * Wo + j + s) * Cout + o;
                float2 more = make_float2(0, 0);
                if (add) more = *reinterpret_cast<const float2*>(skip + to);
                *reinterpret_cast<float2*>(y + to) =
                    make_float2(finish(sums.x, bias.x, more.x, relu),
                                finish(sums.y, bias.y, more.y, relu));
            }
        }
        __syncthreads();
    }
}

// skip is read only if add is set
extern "C" __global__ void __launch_bounds__(THREADS, 1) winograd(
    const float* __restrict__ x, const float* __restrict__ u, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int N, int H, int W, int Cin, int Cout,
    int relu, int add)
{
    __shared__ __align__(16) float shared[SHARED];
    convolve<0>(x, u, b, skip, y, N, H, W, Cin, Cout, relu, add, shared);
}

// b is zero: a gradient has no bias
extern "C" __global__ void __launch_bounds__(THREADS, 1) winograd_dx(
    const float* __restrict__ x, const float* __restrict__ u, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float shared[SHARED];
    convolve<1>(x, u, b, b, y, N, H, W, Cin, Cout, 0, 0, shared);
}
