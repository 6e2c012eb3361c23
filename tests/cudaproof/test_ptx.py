"""The translation of PTX: for every known instruction, the same results as the source's."""

import numpy as np
import pytest
from cudaproof import emulator, nvrtc, ptx

if (reason := emulator.missing() or nvrtc.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

TEXT = """
extern "C" __global__ void integers(const int* __restrict__ a, const int* __restrict__ b,
                                    int* __restrict__ y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int u = a[i], v = b[i];
    unsigned s = u, t = v;
    int* to = y + 24 * i;
    to[0] = u + v, to[1] = u - v, to[2] = u * v, to[3] = u / (v | 1), to[4] = u % (v | 1);
    to[5] = s / (t | 1), to[6] = s % (t | 1), to[7] = u & v, to[8] = u | v, to[9] = u ^ ~v;
    to[10] = u << (v & 31), to[11] = u >> (v & 31), to[12] = s >> (t & 31), to[13] = min(u, v);
    to[14] = max(s, t), to[15] = abs(u), to[16] = -u, to[17] = u < v, to[18] = s < t;
    to[19] = (int)((long long)u * v >> 32), to[20] = __popc(s), to[21] = u > 0 && v > 0 ? u : v;
    to[22] = (short)u, to[23] = (int)((long long)u * 12345 % 1000003);
}

extern "C" __global__ void floats(const float* __restrict__ a, const float* __restrict__ b,
                                  float* __restrict__ y, double* __restrict__ z, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float u = a[i], v = b[i];
    float* to = y + 16 * i;
    to[0] = u + v, to[1] = u - v, to[2] = u * v, to[3] = u / v, to[4] = fmaf(u, v, u);
    to[5] = fminf(u, v), to[6] = fmaxf(u, 0.f), to[7] = fabsf(u), to[8] = -v, to[9] = sqrtf(u * u);
    to[10] = (float)(int)u, to[11] = floorf(u), to[12] = (float)i, to[13] = u < v ? u : v;
    to[14] = u > v || !(v > 0) ? 1.f : 2.f, to[15] = u * v + v;
    z[i] = (double)u * v + sqrt((double)(u * u)) / 3;
}

extern "C" __global__ void __launch_bounds__(64)
blocks(const float* __restrict__ x, float* __restrict__ y)
{
    __shared__ float tile[2][64];
    extern __shared__ float more[];
    int t = threadIdx.x;
    const float4* from = reinterpret_cast<const float4*>(x) + blockIdx.x * 64;
    float4 v = from[t];
    float2 w = {v.x + v.y, v.z - v.w};
    reinterpret_cast<float2*>(more)[t] = w;
    tile[0][t] = v.x;
    for (int step = 0; step < 4; step++) {
        __syncthreads();
        tile[1 - step % 2][t] = tile[step % 2][(t + 7) % 64] + more[(2 * t + step) % 128];
    }
    float sum = tile[0][t];
    __syncwarp();
    for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
    float up = __shfl_up_sync(~0u, sum, 3), down = __shfl_down_sync(~0u, v.y, 2, 8);
    float4 out = {sum, up, down, __shfl_sync(~0u, v.z, t + 1)};
    reinterpret_cast<float4*>(y)[blockIdx.x * 64 + t] = out;
}
"""
ARCHS = pytest.mark.parametrize("arch", [80, 100])
MODES = pytest.mark.parametrize("mode", ["fast", "trace"])


def both(name, mode, arch, blocks, arguments, written, **how):
    """(output of the source, output of its PTX)."""
    found = []
    for kernels in (
        emulator.load(TEXT, "fast", contract=False),
        ptx.load(TEXT, mode, arch, contract=False),
    ):
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        kernels[name](blocks, 64, *copies, **how)
        found.append([copies[i] for i in written])
    return found


def assert_same_bits(pair):
    for source, emitted in zip(*pair, strict=True):
        assert not np.isnan(source).any()
        np.testing.assert_array_equal(source, emitted)
        np.testing.assert_array_equal(source.view(np.uint8), emitted.view(np.uint8))


@ARCHS
@MODES
def test_integers(mode, arch, rng):
    a, b = rng.integers(-(2**31), 2**31, (2, 100)).astype(np.int32)
    a[:3], b[:5] = (0, 1, -1), (1, -1, 0, 31, 32)
    y = np.full(2400, -7, np.int32)
    assert_same_bits(both("integers", mode, arch, 2, (a, b, y, np.int32(100)), [2]))


@ARCHS
@MODES
def test_floats(mode, arch, rng):
    a, b = (100 * rng.standard_normal((2, 100))).astype(np.float32)
    y, z = np.full(1600, np.nan, np.float32), np.full(100, np.nan)
    assert_same_bits(both("floats", mode, arch, 2, (a, b, y, z, np.int32(100)), [2, 3]))


@ARCHS
@MODES
@pytest.mark.parametrize("schedule", emulator.SCHEDULES)
def test_blocks(mode, arch, schedule, rng):
    x = rng.standard_normal(512).astype(np.float32)
    y = np.full(512, np.nan, np.float32)
    pair = both("blocks", mode, arch, 2, (x, y), [1], shared=512, schedule=schedule)
    assert_same_bits(pair)


@pytest.mark.parametrize("contract", [False, True])
def test_contraction_is_nvrtc_s(contract, rng):
    """NVRTC decides whether x * y + z is rounded once or twice."""
    text = """extern "C" __global__ void f(const float* x, float* y)
    { y[threadIdx.x] = x[threadIdx.x] * x[threadIdx.x + 64] + x[threadIdx.x + 128]; }"""
    x, y = rng.standard_normal(192).astype(np.float32), np.full(64, np.nan, np.float32)
    ptx.load(text, contract=contract)["f"](1, 64, x, y)
    a, b, c = x.reshape(3, 64).astype("f8")
    want = (a * b if contract else x[:64] * x[64:128]) + c
    # float64 has 29 bits more, so that its own rounding does not show
    np.testing.assert_array_equal(y, want.astype(np.float32))


def test_trace_sees_what_the_compiler_wrote():
    """A float4 access past the end of an array is found in the PTX too."""
    x = np.zeros(508, np.float32)
    with pytest.raises(emulator.Fault, match="oob.*read of 16 bytes"):
        ptx.load(TEXT, "trace")["blocks"](2, 64, x, np.zeros(512, np.float32), shared=512)


@pytest.mark.parametrize("align", ["", "__align__(16) "])
def test_shared_memory_has_the_alignment_that_it_asks_for(align):
    """And no more than that: an array of float may be too little aligned for float4."""
    text = f"""extern "C" __global__ void f(const float* x, float* y)
    {{
        __shared__ {align}float all[256];
        reinterpret_cast<float4*>(all)[threadIdx.x] = ((const float4*)x)[threadIdx.x];
        __syncthreads();
        y[threadIdx.x] = all[255 - threadIdx.x];
    }}"""
    x, y = np.arange(256, dtype=np.float32), np.full(64, np.nan, np.float32)
    if align:
        ptx.load(text, "trace")["f"](1, 64, x, y)
        np.testing.assert_array_equal(y, x[:191:-1])
    else:
        with pytest.raises(emulator.Fault, match="misaligned.*16 bytes"):
            ptx.load(text, "trace")["f"](1, 64, x, y)


def test_unknown_instructions_are_an_error():
    text = """extern "C" __global__ void f(int* x) { asm("brev.b32 %0, %0;" : "+r"(x[0])); }"""
    compiled = nvrtc.compile(text)
    with pytest.raises(ptx.Unsupported, match="brev"):
        ptx.translate(compiled.ptx, {"f": (emulator.Parameter(True, np.dtype("i4"), False),)})
