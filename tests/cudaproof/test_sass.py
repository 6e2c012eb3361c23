"""The counts of machine instructions, on kernels whose loops are known."""

import pytest
from cudaproof import nvrtc, sass

if (reason := nvrtc.missing() or sass.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

TEXT = """
extern "C" __global__ void products(const float4* __restrict__ x, float* y, int n)
{
    float sums[16] = {};
    for (int i = 0; i < n; i++) {
        float4 v = x[i];
#pragma unroll
        for (int j = 0; j < 16; j++)
            sums[j] = fmaf(v.x, v.y + j, fmaf(v.z, sums[j], fmaf(v.w, sums[j], sums[j])));
    }
#pragma unroll
    for (int j = 0; j < 16; j++) y[j * 32 + threadIdx.x] = sums[j];
}

extern "C" __global__ void indexed(const int* at, float* y)
{
    float table[64];
    for (int i = 0; i < 64; i++) table[i] = i;
    for (int i = 0; i < 64; i++) table[at[i]] += y[i];
    y[threadIdx.x] = table[at[threadIdx.x]];
}
"""


@pytest.fixture(params=[80, 90, 120])
def kernels(request):
    return sass.disassemble(nvrtc.compile(TEXT, request.param).cubin)


def test_loop(kernels):
    loop = sass.hottest_loop(kernels["products"])
    assert len(loop) < len(kernels["products"])
    found = sass.shares(loop)
    assert sum(found.values()) == pytest.approx(1)
    assert 0.4 < found["FFMA"] < 0.95
    assert set(sass.widths(loop, "LDG")) == {128}
    assert sass.local_memory(kernels["products"]) == 0


def test_local_memory(kernels):
    """An array with an index that is known only at run time cannot be in registers."""
    assert sass.local_memory(kernels["indexed"]) > 0


def test_the_innermost_loop():
    """A loop is a label and a branch back to it; an outer loop contains an inner one."""
    lines = ["\t.section .text.f", ".L_0:", "/*0000*/ MOV R0, R1 ;", ".L_1:"]
    lines += ["/*0010*/ FFMA R0, R1, R2, R3 ;", "/*0020*/ @!P0 BRA `(.L_1) ;"]
    lines += ["/*0030*/ LDS.128 R4, [R5] ;", "/*0040*/ @P1 BRA `(.L_0) ;", "/*0050*/ EXIT ;"]
    (kernel,) = sass.parse("\n".join(lines)).values()
    assert [i.name for i in sass.hottest_loop(kernel)] == ["FFMA", "BRA"]
    assert [i.name for i in kernel][3:] == ["LDS.128", "BRA", "EXIT"]
