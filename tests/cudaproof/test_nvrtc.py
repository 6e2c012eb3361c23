"""The compiler, called through ctypes: its results and its error messages."""

import pytest
from cudaproof import nvrtc

if (reason := nvrtc.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

TEXT = """
extern "C" __global__ void add(const float* x, float* y, int n)
{
    __shared__ float tile[64];
    int at = blockIdx.x * 64 + threadIdx.x;
    tile[threadIdx.x] = at < n ? x[at] : 0.f;
    __syncthreads();
    if (at < n) y[at] = tile[63 - threadIdx.x] + 1;
}
"""


def test_compiles():
    compiled = nvrtc.compile(TEXT, 80)
    used = compiled.resources["add"]
    assert compiled.cubin.startswith(b"\x7fELF")
    assert ".target sm_80" in compiled.ptx
    assert 0 < used.registers < 32
    assert used == (used.registers, 0, 0, 256)
    assert "add.ftz.f32" in compiled.ptx  # as with CuPy's options


def test_sees_spills():
    """The kernel needs more values at once than the bound leaves registers."""
    sums = "".join(f"float a{i} = x[{i} * n];\n" for i in range(200))
    uses = "".join(f"y[{i} * n] = a{i} * a{199 - i};\n" for i in range(200))
    text = 'extern "C" __global__ void __launch_bounds__(1024) f(const float* x, float* y, int n)'
    used = nvrtc.compile(f"{text} {{ {sums} __syncthreads(); {uses} }}", 80).resources["f"]
    assert used.registers <= 64
    assert used.spilled > 0
    assert used.stack > 0


def test_says_what_is_wrong():
    with pytest.raises(nvrtc.Error, match=r"kernel.cu\(1\): error"):
        nvrtc.compile('extern "C" __global__ void f(float* x) { x[0] = y; }')


def test_version():
    assert nvrtc.version() >= (12, 0)
