// moving.cu -- the moving statistics of all batch norms after a step, in one flat buffer
//
//   moving' = momentum moving + rest found,  rest = 1 - momentum
//
//   reference   enhance_np.params.update_moving
//   checked by  tests/support/cases/moving.py: within the bound below of float64. Compiled by NVRTC
//               and emulated; not run on a GPU
//   arrays      moving, found, new_moving (size,) float32, 16-byte aligned, size a multiple of 4
//               (enhance_np/engine/cuda/flat.py)
//   launch      256 threads, four elements each
//   cost        12 bytes per element, of some thousands: bound by the launch. Not measured
//   error       |moving' - exact| <= 3 u (|momentum moving| + |rest found|), u = 2^-24, the rounding
//               of momentum and rest included. On a GPU numbers below 2^-126 may count as 0: CuPy
//               compiles with -ftz=true

#define THREADS 256

extern "C" __global__ void __launch_bounds__(THREADS) update_moving(
    const float* __restrict__ moving, const float* __restrict__ found,
    float* __restrict__ new_moving, int size, float momentum, float rest)
{
    unsigned at = 4 * (blockIdx.x * THREADS + threadIdx.x);
    if (at >= (unsigned)size) return;
    float4 old = *(const float4*)(moving + at), now = *(const float4*)(found + at);
    old.x = fmaf(momentum, old.x, rest * now.x);
    old.y = fmaf(momentum, old.y, rest * now.y);
    old.z = fmaf(momentum, old.z, rest * now.z);
    old.w = fmaf(momentum, old.w, rest * now.w);
    *(float4*)(new_moving + at) = old;
}
