// 8_tf32.cu -- tensor cores: fast, but with 11 bits of each factor
//
//   idea        from compute capability 8.0 on, one instruction of a warp multiplies two matrices and
//               adds a third, D = A B + C: mma.sync.m16n8k8, A 16 x 8, B 8 x 8, C and D 16 x 8. Here
//               the rows of A are 16 pixels, its columns and the rows of B are 8 input channels, and
//               the columns of B are 8 channels of y. 1024 multiply-adds in one instruction
//   fragments   the numbers of a matrix are spread over the lanes of the warp. With g = lane / 4 and
//               t = lane % 4, a lane has
//                   a[0..3]  A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]      b[0,1]  B[t][g], B[t+4][g]
//                   c[0..3]  C[g][2t], C[g][2t+1], C[g+8][2t], C[g+8][2t+1], and d as c
//   TF32        a factor has the 8 bits of exponent of float32, but 10 of mantissa instead of 23.
//               cvt.rna.tf32 rounds to it, to nearest; the sum is a float32
//   stage       8 input channels and one row of the kernel, 3 taps: 40,320 bytes of shared memory for
//               three stages as in rung 7. Each warp has a row of 32 pixels x 64 channels
//   cost        for a tap and 8 channels 24 loads of one float and 24 roundings for 16 mma. From L2, 37
//               FLOP per byte. The peak of an A100 is 156 TFLOP/s instead of 19.5, by its data sheet
//   next        9_3xtf32.cu: the same with the error of float32
//   reference   enhance_np.layers.pad_conv;  x (N, H, W, Cin), w (3, 3, Cin, Cout), b (Cout,),
//               y (N, H, W, Cout); float32, C order, < 2^31 elements
//   error       u = 2^-24, S = sum|x||w| + |b|. Rounding two factors: 2^-10 + 2^-22. How tensor cores
//               add is not documented. Assumed, as worse than what was measured (Fasi et al. 2021,
//               doi:10.7717/peerj-cs.330): two steps, each of 4 exact products and the sum so far, which
//               are cut off 23 bits below the largest, as is their sum: 6 errors of at most 2 u S, 24 u S
//               for an mma, of which there are 9 Cin / 8 in a sum. With 1 for b and products of
//               errors:  |y - exact| <= (2^-10 + (28 Cin + 6) u) S
//   checked by  tests/kernels/test_ladder.py. Compiled by NVRTC and emulated; not run on a GPU
//   launch      compute capability 8.0;  128 threads, a block for each 4 x 32 pixels x 64 channels;
//               Cin a multiple of 8, Cout of 64, arrays 16-byte aligned

#define THREADS 128
#define COUTS 64
#define ROWS 4
#define COLS 32
#define CK 8
#define STAGES 3
#define C (COLS + 2)
// Floats of a pixel and of a row of weights in shared memory: with 12 and 72, the 32 lanes that load a
// fragment use 32 banks
#define PIXEL 12
#define LINE 72

__device__ int mirrored(int i, int n)
{
    i = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    return min(max(i, 0), n - 1);  // for pixels that no y needs
}

// Begins a copy of 16 bytes. "r" is an integer of 32 bits, an address within shared memory; "l" one of
// 64 bits. "memory" keeps the compiler from moving loads and stores across the instruction
__device__ void copy(float* to, const float* from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory");
}

// "=r" is a result of 32 bits, "f" a float
__device__ unsigned tf32(float value)
{
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return rounded;
}

// D = A B + C; all 32 lanes take part. .row and .col say in which order A and B are spread
__device__ void multiply(float* d, const unsigned* a, const unsigned* b, const float* c)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
                   "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) conv3x3(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b,
    float* __restrict__ y, int N, int H, int W, int Cin, int Cout)
{
    __shared__ __align__(16) float sx[STAGES][ROWS][C][PIXEL], sw[STAGES][3][CK][LINE];
    const int groups = (Cout + COUTS - 1) / COUTS, across = (W + COLS - 1) / COLS;
    const int down = (H + ROWS - 1) / ROWS, t = blockIdx.x / groups;
    const int o0 = blockIdx.x % groups * COUTS, j0 = t % across * COLS;
    const int i0 = t / across % down * ROWS, n = t / across / down;
    const int g = threadIdx.x % 32 / 4, t4 = threadIdx.x % 4, row = threadIdx.x / 32;
    const int stages = Cin / CK * 3;

    auto begin = [&](int stage) {  // begins the copies of a stage, a group
        const int to = stage % STAGES, c0 = stage / 3 * CK, r = stage % 3;
        if (stage < stages) {
#pragma unroll
            for (int k = 0; k < (ROWS * C * 2 + THREADS - 1) / THREADS; k++) {
                const int e = threadIdx.x + k * THREADS;
                if (e >= ROWS * C * 2) break;
                const int line = e / 2 / C, pixel = e / 2 % C, c = e % 2 * 4;
                const int h = mirrored(i0 + line + r - 1, H), v = mirrored(j0 + pixel - 1, W);
                copy(&sx[to][line][pixel][c], x + ((n * H + h) * W + v) * Cin + c0 + c);
            }
#pragma unroll
            for (int k = 0; k < 3 * CK * COUTS / 4 / THREADS; k++) {
                const int e = (threadIdx.x + k * THREADS) * 4;
                const int o = e % COUTS, c = e / COUTS % CK, s = e / COUTS / CK;
                copy(&sw[to][s][c][o], w + ((r * 3 + s) * Cin + c0 + c) * Cout + o0 + o);
            }
        }
        // at the end the groups are empty, so that wait_group counts on
        asm volatile("cp.async.commit_group;" ::: "memory");
    };

    float sum[2][8][4] = {};  // 16 pixels, 8 channels of y, fragment
    for (int stage = 0; stage < STAGES - 1; stage++) begin(stage);
    for (int stage = 0; stage < stages; stage++) {
        const int now = stage % STAGES;
        asm volatile("cp.async.wait_group %0;" :: "n"(STAGES - 2) : "memory");
        __syncthreads();  // this stage is there for all, and nobody uses the last one any more
        begin(stage + STAGES - 1);
#pragma unroll
        for (int s = 0; s < 3; s++) {
            unsigned a[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int k = 0; k < 4; k++)
                    a[m][k] = tf32(sx[now][row][16 * m + g + s + k % 2 * 8][t4 + k / 2 * 4]);
#pragma unroll
            for (int q = 0; q < 8; q++) {
                unsigned weight[2];
#pragma unroll
                for (int k = 0; k < 2; k++) weight[k] = tf32(sw[now][s][t4 + 4 * k][8 * q + g]);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply(sum[m][q], a[m], weight, sum[m][q]);
            }
        }
    }
    const int i = i0 + row;
    if (i >= H) return;
#pragma unroll
    for (int q = 0; q < 8; q++) {
        const int o = o0 + 8 * q + 2 * t4;
        const float2 bias = *reinterpret_cast<const float2*>(b + o);
#pragma unroll
        for (int k = 0; k < 4; k++) {  // pixels g, g + 8, g + 16, g + 24
            const int j = j0 + 8 * k + g;
            const float* of = sum[k / 2][q] + k % 2 * 2;
            if (j < W)
                *reinterpret_cast<float2*>(y + ((n * H + i) * W + j) * Cout + o) =
                    make_float2(of[0] + bias.x, of[1] + bias.y);
        }
    }
}
