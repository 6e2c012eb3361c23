// conv3x3_3xtf32.cu -- 3x3 convolution on tensor cores: three products of TF32 for one of float32
//
//   y[n,i,j,o] = act(b[o] + skip[n,i,j,o] +
//                    sum over r,s,c of x[n,i+r-before,j+s-before,c] w[r,s,c,o])
//
//   reference   enhance_np.layers.conv.pad_conv, and conv2d_backward's dx (zeros around dy, w turned
//               by 180 degrees, its channels exchanged), for networks that ask for it
//               (engine.cuda.methods)
//   checked by  tests/support/cases/conv3x3_3xtf32.py: exact on integers, error bound on floats.
//               Compiled by NVRTC and emulated; not run on a GPU
//   arrays      x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,), skip and y (N, Ho, Wo, Cout), every
//               y written once; float32, C order, 16-byte aligned; Cin a multiple of 8, Cout of the
//               64 or 32 in the kernel's name; < 2^31 elements. Outside x: edge 0 zero, 1 mirrored
//   launch      compute capability 8.0; 128 threads; one block for each 4 x 32 pixels x 64 or 32
//               channels, one axis of blocks
//   method      Ootomo & Yokota 2022, arXiv:2203.03341, as in kernels/ladder/conv3x3/9_3xtf32.cu. A
//               TF32 has 11 of the 24 bits of a float32. big is the value rounded to TF32, small the
//               rest, cut off to TF32; then
//                   x w  =  x_big w_big + x_big w_small + x_small w_big  +  (x_small w_small, left out)
//               Tensor cores cut sums off, towards zero. So the three products of 8 channels begin at
//               0, the small ones first, and are added to the sum by an ordinary addition, which rounds.
//               A stage is 8 input channels and one row of the kernel, its 3 taps. Asynchronous
//               copies fill three buffers: two stages are on their way while one is used, with one
//               barrier per stage. The addresses of the copies do the mirroring; what is zero is
//               filled in by the copy itself. A warp has a row of 32 pixels and all channels of the block
//   split       big by an integer addition, which carries into the exponent, and a mask; cvt.rna.tf32
//               would be three instructions, because it looks for NaN. NaN stays NaN here: if big is
//               not, small is. Infinity becomes NaN, and so may what rounds to it, from 2^128 (1 - 2^-12)
//   shared      40,320 bytes, 31,104 for _32. The loads of fragments are free of bank conflicts:
//               12 floats for a pixel, 72 or 40 for a row of weights put the 32 lanes on 32 banks
//   registers   255 at most (2 blocks on an SM), no spills
//   cost        18 Cin FLOP per value of y, three times that on the tensor cores; a warp has 144 mma
//               among 768 instructions of a stage, 64 channels. From L2, 37 FLOP per byte. Not measured.
//               A third of the peak in TF32 is 52 TFLOP/s on an A100, 2.7 times that of float32, by
//               its data sheet; on an RTX 4090, 27.5 of 82.6, this is a loss
//   error       u = 2^-24. |x_small| <= 2^-11 |x|, and has at most 12 bits, so cutting it off to 11
//               changes it by at most one unit in the last place of x, 2 u |x|. So 4 u |x||w| for what
//               is left out, and 4 u |x||w| for cutting off. How tensor cores add is not documented; 24 u
//               of the sum|x||w| of an mma are assumed, as derived in 8_tf32.cu, for the small ones
//               2^-11 of that. The errors of an mma do not meet the whole sum, so over all of them it
//               is 24 u once. 9 Cin / 8 ordinary additions, of which the first is exact, b and skip.
//               With 1 for the small mma and products of errors:
//               |y - exact| <= (9 Cin / 8 + 34) u (sum|x||w| + |b| + |skip|)
//               Numbers below 2^-126, also those into which a factor is split, count as 0

#define THREADS 128
#define ROWS 4     // of a block, one for each warp
#define COLS 32
#define CK 8       // input channels of a stage
#define STAGES 3
#define C (COLS + 2)
#define PIXEL 12   // floats of a pixel of x in shared memory
#define GAP 8      // floats behind a row of weights

__device__ __forceinline__ int line_of(int i, int n, int edge)
{
    // The line, 0 to n - 1, that stands for line i, which may be outside; -1 stands for zeros
    if (edge == 1) {
        i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
        i = min(max(i, 0), n - 1);  // further outside: for pixels that no y needs
    }
    return 0 <= i && i < n ? i : -1;
}

__device__ __forceinline__ float finish(float sum, float b, float skip, int relu)
{
    float y = sum + b + skip;
    return relu && y < 0 ? 0 : y;  // NaN stays NaN
}

// Begins a copy of 16 bytes, of which the first `bytes` are read and the others are 0
__device__ __forceinline__ void copy(float* to, const float* from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(bytes) : "memory");
}

struct Parts { unsigned big, small; };  // TF32, whose low 13 bits are 0
__device__ __forceinline__ Parts split(float value)
{
    const unsigned big = (__float_as_uint(value) + 0x1000u) & ~0x1fffu;
    return {big, __float_as_uint(value - __uint_as_float(big)) & ~0x1fffu};  // the difference is exact
}

// D = A B + C, 16 x 8 by 8 x 8, over the lanes of a warp as 8_tf32.cu explains
__device__ __forceinline__ void multiply(float* d, const unsigned* a, const unsigned* b,
                                         const float* c)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
                   "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

template <int COUTS>
__device__ __forceinline__ void convolve(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add, float (*sx)[ROWS][C][PIXEL],
    float (*sw)[3][CK][COUTS + GAP])
{
    const int W_QUADS = 3 * CK * COUTS / 4, EIGHTS = COUTS / 8;
    const int groups = Cout / COUTS, across = (Wo + COLS - 1) / COLS, down = (Ho + ROWS - 1) / ROWS;
    const int t = blockIdx.x / groups, o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32, g = lane / 4, t4 = lane % 4;
    const int stages = Cin / CK * 3;

    // A warp copies its row of x: a lane has half of the channels of pixels lane / 2, 16 further, and
    // of the first two pixels 32 further
    int column[3];  // of x, -1 for zeros
#pragma unroll
    for (int k = 0; k < 3; k++) column[k] = line_of(j0 + lane / 2 + 16 * k - before, W, edge);
    x += n * H * W * Cin + lane % 2 * 4;
    auto begin = [&](int stage) {  // begins the copies of a stage, a group
        const int to = stage % STAGES, c0 = stage / 3 * CK, r = stage % 3;
        const int h = line_of(i0 + row + r - before, H, edge);
        if (stage < stages) {
#pragma unroll
            for (int k = 0; k < 3; k++) {
                if (k == 2 && lane >= 4) break;
                const bool inside = h >= 0 && column[k] >= 0;
                copy(&sx[to][row][lane / 2 + 16 * k][lane % 2 * 4],
                     x + (inside ? (h * W + column[k]) * Cin + c0 : 0), inside ? 16 : 0);
            }
#pragma unroll
            for (int k = 0; k < (W_QUADS + THREADS - 1) / THREADS; k++) {
                const int e = threadIdx.x + k * THREADS;
                if (e >= W_QUADS) break;
                const int o = e % (COUTS / 4) * 4, c = e / (COUTS / 4) % CK, s = e / (COUTS / 4) / CK;
                copy(&sw[to][s][c][o], w + ((r * 3 + s) * Cin + c0 + c) * Cout + o0 + o, 16);
            }
        }
        // at the end the groups are empty, so that wait_group counts on
        asm volatile("cp.async.commit_group;" ::: "memory");
    };

    float sum[2][EIGHTS][4] = {};  // 16 pixels, 8 channels of y, fragment
    for (int stage = 0; stage < STAGES - 1; stage++) begin(stage);
    for (int stage = 0; stage < stages; stage++) {
        const int now = stage % STAGES;
        asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
        __syncthreads();  // this stage is there for all, and nobody uses the last one any more
        begin(stage + STAGES - 1);
#pragma unroll
        for (int s = 0; s < 3; s++) {
            unsigned big[2][4], small[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    const Parts of =
                        split(sx[now][row][16 * m + g + s + k % 2 * 8][t4 + k / 2 * 4]);
                    big[m][k] = of.big, small[m][k] = of.small;
                }
#pragma unroll
            for (int q = 0; q < EIGHTS; q++) {
                unsigned w_big[2], w_small[2];
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    const Parts of = split(sw[now][s][t4 + 4 * k][8 * q + g]);
                    w_big[k] = of.big, w_small[k] = of.small;
                }
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    float d[4] = {};
                    multiply(d, small[m], w_big, d);
                    multiply(d, big[m], w_small, d);
                    multiply(d, big[m], w_big, d);
#pragma unroll
                    for (int k = 0; k < 4; k++) sum[m][q][k] += d[k];
                }
            }
        }
    }

    const int i = i0 + row;
    if (i >= Ho) return;
#pragma unroll
    for (int q = 0; q < EIGHTS; q++) {
        const int o = o0 + 8 * q + 2 * t4;
        const float2 bias = *reinterpret_cast<const float2*>(b + o);
#pragma unroll
        for (int k = 0; k < 4; k++) {  // pixels g, g + 8, g + 16, g + 24
            const int j = j0 + 8 * k + g;
            if (j >= Wo) continue;
            const int at = ((n * Ho + i) * Wo + j) * Cout + o;
            const float* of = sum[k / 2][q] + k % 2 * 2;
            float2 more = make_float2(0, 0);
            if (add) more = *reinterpret_cast<const float2*>(skip + at);
            *reinterpret_cast<float2*>(y + at) = make_float2(
                finish(of[0], bias.x, more.x, relu), finish(of[1], bias.y, more.y, relu));
        }
    }
}

// skip is read only if add is set
extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3_3xtf32_64(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add)
{
    __shared__ __align__(16) float sx[STAGES][ROWS][C][PIXEL], sw[STAGES][3][CK][64 + GAP];
    convolve<64>(x, w, b, skip, y, H, W, Cin, Ho, Wo, Cout, before, edge, relu, add, sx, sw);
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3_3xtf32_32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    const float* __restrict__ skip, float* __restrict__ y, int H, int W, int Cin, int Ho, int Wo,
    int Cout, int before, int edge, int relu, int add)
{
    __shared__ __align__(16) float sx[STAGES][ROWS][C][PIXEL], sw[STAGES][3][CK][32 + GAP];
    convolve<32>(x, w, b, skip, y, H, W, Cin, Ho, Wo, Cout, before, edge, relu, add, sx, sw);
}
