"""The emulator itself: right kernels run, and each mode finds the faults that it can find."""

import numpy as np
import pytest
from cudaproof import emulator

if (reason := emulator.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

TEXT = """
template <int K> __device__ float scaled(float x, float (&by)[K]) { return x * by[K - 1]; }

extern "C" __global__ void __launch_bounds__(64)
sums(const float* __restrict__ x, float* __restrict__ y, int n)
{
    __shared__ float part[64];
    __shared__ float by[3];
    int t = threadIdx.x, at = blockIdx.x * 64 + t;
    if (t < 3) by[t] = t - 1;
    __syncthreads();
    part[t] = at < n ? scaled(x[at], by) : 0.f;
    for (int half = 32; half; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) y[blockIdx.x] = part[0];
}

// one sum per block of 64, by warps and dynamic shared memory
extern "C" __global__ void warps(const float4* x, float* y)
{
    extern __shared__ float part[];
    float4 v = x[blockIdx.x * blockDim.x + threadIdx.x];
    float sum = v.x + v.y + v.z + v.w;
    for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
    part[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0) y[blockIdx.x] = part[0] + part[32];
}

extern "C" __global__ void columns(float* y, int stride)
{
    __shared__ float tile[1024];
    tile[threadIdx.x * stride % 1024] = 1.f;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x * stride % 1024];
}

extern "C" __global__ void neighbours(float* y)
{
    __shared__ float part[64];
    int t = threadIdx.x;
    part[t] = t;
    __syncwarp();
    float sum = part[t ^ 1] + part[t ^ 2];
    __syncwarp();  // all have read
    part[t] = sum;
    __syncwarp();
    y[t] = part[t ^ 3];
}
"""
X = np.arange(200, dtype=np.float32)
SUMS = [2016, 6112, 10208, 1564]


def sums(kernels, x=X, n=200, blocks=4, **how):
    y = np.full(4, np.nan, np.float32)
    kernels["sums"](blocks, 64, x, y, np.int32(n), **how)
    return y


@pytest.mark.parametrize("mode", emulator.MODES)
@pytest.mark.parametrize("schedule", emulator.SCHEDULES)
def test_shared_memory_and_barriers(mode, schedule):
    np.testing.assert_array_equal(sums(emulator.load(TEXT, mode), schedule=schedule), SUMS)


@pytest.mark.parametrize("mode", emulator.MODES)
def test_float4_is_taken_apart_by_its_own_type(mode):
    """A pointer to a vector type has no NumPy dtype, so the call is refused before anything
    runs."""
    kernels = emulator.load(TEXT, mode)
    assert kernels["warps"].parameters[0].dtype is None
    with pytest.raises(TypeError, match="argument 0 is float32"):
        kernels["warps"](1, 64, X, np.zeros(1, np.float32), shared=256)


WARPS = TEXT.replace("const float4* x, float* y", "const float* from, float* y").replace(
    "float4 v = x[", "const float4* x = (const float4*)from;\n    float4 v = x["
)


@pytest.mark.parametrize("mode", emulator.MODES)
def test_warps_and_dynamic_shared_memory(mode):
    x = np.arange(512, dtype=np.float32)
    y = np.full(2, np.nan, np.float32)
    emulator.load(WARPS, mode)["warps"](2, 64, x, y, shared=256, schedule="shuffled")
    np.testing.assert_array_equal(y, x.reshape(2, 256).sum(axis=1))


@pytest.mark.parametrize("mode", emulator.MODES)
@pytest.mark.parametrize("schedule", emulator.SCHEDULES)
def test_barriers_of_a_warp(mode, schedule):
    y, t = np.full(64, np.nan, np.float32), np.arange(64)
    emulator.load(TEXT, mode)["neighbours"](1, 64, y, schedule=schedule)
    np.testing.assert_array_equal(y, (t ^ 2) + (t ^ 1))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("__syncwarp();\n    float sum", "float sum"),
        ("__syncwarp();  // all have read", ""),
        ("__syncwarp();\n    y[t]", "y[t]"),
        ("part[t ^ 1] +", "part[t ^ 33] +"),  # of another warp, for which nothing waits
    ],
)
def test_a_warp_that_does_not_wait(before, after):
    assert TEXT.count(before) == 1
    kernel = emulator.load(TEXT.replace(before, after), "trace")["neighbours"]
    with pytest.raises(emulator.Fault, match="uninitialised at kernel.cu|race at kernel.cu"):
        kernel(1, 64, np.full(64, np.nan, np.float32), schedule="shuffled")


# name -> ((text, replacement), {mode: the fault that it must find})
WRONG = {
    "no barrier in the loop": (
        ("        __syncthreads();\n        if", "        if"),
        {"trace": "uninitialised at kernel.cu|race at kernel.cu"},
    ),
    "no bound": (
        ("at < n ? scaled(x[at], by) : 0.f", "scaled(x[at], by)"),
        {"trace": "oob at kernel.cu:.*read of 4 bytes.*argument 0.800", "asan": "heap-buffer"},
    ),
    "writes behind": (
        ("y[blockIdx.x] = part[0];", "y[blockIdx.x + 1] = part[0];"),
        {"fast": "wrote outside", "trace": "oob", "asan": "heap-buffer-overflow"},
    ),
    "blocks write over each other": (
        ("y[blockIdx.x] = part[0];", "y[0] = part[0];"),
        {"trace": "race at kernel.cu:.*by thread 0 of block 0 "},
    ),
    "leaves its shared array": (
        ("= t - 1;", "= t - 1; if (t == 3) by[t] = 0;"),
        {"asan": "global-buffer-overflow", "ubsan": "out of bounds for type 'float"},
    ),
    "shared memory not written": (("if (t < 3)", "if (t < 2)"), {"trace": "uninitialised"}),
    "ends before a barrier": (
        ("    part[t] = at", "    if (at >= n) return;\n    part[t] = at"),
        {"fast": "exited-barrier", "trace": "exited-barrier"},
    ),
    "barriers in two branches": (
        (
            "    __syncthreads();\n    part",
            "    if (t < 32) __syncthreads();\n    else __syncthreads();\n    part",
        ),
        {"fast": "divergent-barrier"},
    ),
    "an int overflows": (
        ("if (t < 3)", "if (t < 3 && n * 2000000000 > 7)"),
        {"ubsan": "signed integer overflow"},
    ),
    "writes its input": (
        ("    part[t] = at", "    const_cast<float*>(x)[0] = 0;\n    part[t] = at"),
        {"trace": "const-write"},
    ),
    "misaligned": (
        (
            "    part[t] = at",
            "    if (t == 1) *(float4*)y = *(const float4*)(x + 1);\n    part[t] = at",
        ),
        {"trace": "misaligned", "ubsan": "misaligned"},
    ),
}


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, (_, found) in WRONG.items() for mode in found]
)
def test_finds(name, mode):
    change, found = WRONG[name]
    assert TEXT.count(change[0]) == 1
    with pytest.raises(emulator.Fault, match=found[mode]):
        sums(emulator.load(TEXT.replace(*change), mode))


def test_a_removed_barrier_shows_in_the_numbers_too():
    """Shared memory holds NaN at the start, so a read that is too early gives a wrong result."""
    change = WRONG["no barrier in the loop"][0]
    assert np.isnan(sums(emulator.load(TEXT.replace(*change)))).any()


def test_reading_an_output_before_it_is_written():
    text = TEXT.replace("y[blockIdx.x] = part[0];", "y[blockIdx.x] += part[0];")
    y = np.full(4, -1, np.int32).view(np.float32)  # like `empty` of the stand-in
    with pytest.raises(emulator.Fault, match="uninitialised.*argument 1"):
        emulator.load(text, "trace")["sums"](4, 64, X, y, np.int32(200))


@pytest.mark.parametrize(("stride", "turns"), [(1, 1), (2, 2), (4, 4), (33, 1)])
def test_bank_conflicts(stride, turns):
    kernel = emulator.load(TEXT, "trace")["columns"]
    kernel(1, 32, np.zeros(32, np.float32), np.int32(stride), traffic=1)
    shared = [line for line in kernel.lines() if line.shared]
    assert [line.write for line in shared] == [True, False]
    assert all(line.wavefronts == turns * line.least for line in shared)
    (stored,) = [line for line in kernel.lines() if not line.shared]
    assert (stored.sectors, stored.bytes) == (4, 128)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((X, X), "2 arguments for 3 parameters"),
        ((X, X, 200), "argument 2 is int, must be int32"),
        ((X, X, np.int64(200)), "argument 2 is int64"),
        ((X.astype("f8"), X, np.int32(1)), r"argument 0 is float64, must be const float32\*"),
        ((X[::2], X, np.int32(1)), "argument 0 must be in C order"),
    ],
)
def test_refuses_arguments(arguments, error):
    with pytest.raises(TypeError, match=error):
        emulator.load(TEXT)["sums"](4, 64, *arguments)


@pytest.mark.parametrize(("grid", "block"), [(0, 64), (1, 1025), (1, (2, 2, 65))])
def test_refuses_what_no_gpu_launches(grid, block):
    with pytest.raises(ValueError, match="cannot launch"):
        emulator.load(TEXT)["sums"](grid, block, X, X.copy(), np.int32(200))


def test_small_numbers_count_as_zero():
    text = 'extern "C" __global__ void half(float* x) { x[0] *= 0.5f; }'
    for flush, wanted in ((True, 0), (False, 2.0**-127)):
        x = np.array([2.0**-126], np.float32)
        emulator.load(text)["half"](1, 1, x, flush=flush)
        assert x[0] == np.float32(wanted)


def test_says_what_does_not_compile():
    with pytest.raises(emulator.Fault, match="kernel.cu:1"):
        emulator.load('extern "C" __global__ void f(float* x) { x[0] = y; }')
