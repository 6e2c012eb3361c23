"""kernels/reflect_pad.cu: compiled by nvcc, emulated by g++, and its launcher's checks."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import check
import numpy as np
import pytest

from enhance_np import layers
from enhance_np._kernels import source
from enhance_np.engine import cuda
from enhance_np.engine.gpu import probe

# N, H, W, C, p; up to 9 sources for one pixel; the last spans several blocks
SIZES = [
    (1, 2, 2, 1, 1),
    (2, 2, 7, 3, 1),
    (1, 7, 2, 5, 1),
    (2, 3, 3, 3, 2),
    (1, 3, 8, 1, 2),
    (1, 4, 6, 5, 3),
    (2, 9, 4, 3, 3),
    (3, 17, 13, 7, 2),
]
RUN = """
#include "shim.h"
#include "reflect_pad.cu"

extern "C" void run(unsigned first, unsigned last, unsigned threads, const float* dy, float* dx,
                    int N, int H, int W, int C, int p)
{
    run(first, last, threads, reflect_pad_backward, dy, dx, N, H, W, C, p);
}
"""


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_compiles(arch, tmp_path):
    """By nvcc to PTX, with the parameters that the launcher passes: 2 pointers, 5 ints."""
    if shutil.which("nvcc") is None:
        pytest.skip("needs nvcc")
    text = tmp_path / "reflect_pad.cu"
    text.write_text(source("reflect_pad"))
    ptx = text.with_suffix(".ptx")
    command = ["nvcc", "-ptx", f"-arch={arch}", "--std=c++17", "-Werror", "all-warnings"]
    subprocess.run([*command, "-o", ptx, text], check=True)
    entry, _, body = ptx.read_text().partition(".entry reflect_pad_backward(")[2].partition(")")
    types = [line.split()[1] for line in entry.split("\n") if ".param" in line]
    assert types == [".u64"] * 2 + [".u32"] * 5
    assert "atom" not in body
    assert ".local" not in body


def test_needs_no_header():
    assert "#include" not in source("reflect_pad")


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """run(first, last, dy, dx, p): these threads of the kernel, one after another on the CPU."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    folder = tmp_path_factory.mktemp("emulated")
    (folder / "reflect_pad.cu").write_text(source("reflect_pad"))
    (folder / "run.cpp").write_text(RUN)
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command += ["-I", Path(__file__).parent, "-o", folder / "run.so", folder / "run.cpp"]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(folder / "run.so"))
    library.run.argtypes = [ctypes.c_uint] * 3 + [ctypes.c_void_p] * 2 + [ctypes.c_int] * 5

    def run(first, last, dy, dx, p):
        at = dy.ctypes.data, dx.ctypes.data
        library.run(first, last, cuda.THREADS, *at, *dx.shape, p)

    return run


@pytest.fixture
def backward(emulated):
    """reflection_pad_backward by the whole launch. Reads outside dy give NaN, writes show."""

    def backward(dy, p):
        n, hp, wp, c = dy.shape
        dy = fenced(dy, np.nan)
        dx = fenced(np.full((n, hp - 2 * p, wp - 2 * p, c), np.nan), 0)
        blocks = -(-dx.size // cuda.THREADS)
        emulated(0, blocks * cuda.THREADS, dy, dx, p)
        assert (dx.base[:FENCE] == 0).all()
        assert (dx.base[-FENCE:] == 0).all()
        return dx

    return backward


FENCE = 4096  # more elements than any row of SIZES


def fenced(a, outside):
    """a in float32 within one array that goes on, as `outside`, before and after it."""
    whole = np.full(a.size + 2 * FENCE, outside, np.float32)
    inside = whole[FENCE:-FENCE].reshape(a.shape)
    inside[...] = a
    return inside


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_reference(backward, size, rng):
    n, h, w, c, p = size
    shape = n, h + 2 * p, w + 2 * p, c
    for dy in (check.integers(rng, shape), rng.standard_normal(shape)):
        dy = dy.astype(np.float32)
        np.testing.assert_array_equal(backward(dy, p), layers.reflection_pad_backward(dy, p))


@pytest.mark.parametrize("size", SIZES)
def test_adjoint_and_error(backward, size, rng):
    """On floats: within 8 u sum|dy| of float64, and so is the scalar product, weighted by x."""
    n, h, w, c, p = size
    x = rng.standard_normal((n, h, w, c))
    dy = rng.standard_normal((n, h + 2 * p, w + 2 * p, c)).astype(np.float32)
    dx = backward(dy, p).astype("f8")
    bound = 8 * 2.0**-24 * layers.reflection_pad_backward(abs(dy).astype("f8"), p)
    assert (abs(dx - layers.reflection_pad_backward(dy.astype("f8"), p)) <= bound).all()
    difference = np.vdot(layers.reflection_pad(x, p), dy.astype("f8")) - np.vdot(x, dx)
    assert abs(difference) <= np.vdot(abs(x), bound)


@pytest.mark.parametrize("size", SIZES[:-1])
def test_each_thread_writes_its_element(emulated, size, rng):
    n, h, w, c, p = size
    dy = rng.standard_normal((n, h + 2 * p, w + 2 * p, c)).astype(np.float32)
    for i in range(n * h * w * c):
        dx = np.full((n, h, w, c), np.nan, np.float32)
        emulated(i, i + 1, dy, dx, p)
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(dx)), [i])


@pytest.fixture
def device_arrays(monkeypatch):
    """NumPy arrays pass for CuPy's, but nothing of CuPy exists: past its checks a launch fails."""
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=np.ndarray))


@pytest.mark.usefixtures("device_arrays")
@pytest.mark.parametrize("p", [-1, 2, 3])
def test_refuses_what_cannot_be_mirrored(p):
    with pytest.raises(ValueError, match="needs 0 <= p < min"):
        cuda.reflection_pad_backward(np.zeros((1, 6, 9, 1), np.float32), p)


@pytest.mark.usefixtures("device_arrays")
@pytest.mark.parametrize("dtype", ["f2", "i4", "c8"])
def test_refuses_other_dtypes(dtype):
    with pytest.raises(TypeError, match="the CUDA kernel is float32, got "):
        cuda.reflection_pad_backward(np.zeros((1, 5, 5, 1), dtype))


@pytest.mark.usefixtures("device_arrays")
def test_refuses_what_32_bits_cannot_count():
    with pytest.raises(ValueError, match=f"needs 32-bit indices, got dy.size={2**31}"):
        cuda.reflection_pad_backward(np.broadcast_to(np.float32(0), (1, 2**15, 2**15, 2)))


@pytest.mark.usefixtures("device_arrays")
@pytest.mark.parametrize(("dtype", "p"), [("f8", 1), ("f4", 0)])
def test_float64_and_no_padding_go_to_the_reference(dtype, p, rng):
    dy = check.integers(rng, (2, 5, 6, 3)).astype(dtype)
    dx = cuda.reflection_pad_backward(dy, p)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, layers.reflection_pad_backward(dy, p))


@pytest.mark.gpu
@pytest.mark.parametrize("size", SIZES)
def test_on_the_gpu(size, rng):
    reason = probe()
    if reason is not None:
        pytest.skip(reason)
    import cupy

    n, h, w, c, p = size
    dy = rng.standard_normal((n, h + 2 * p, w + 2 * p, c)).astype(np.float32)
    dx = cuda.reflection_pad_backward(cupy.asarray(dy), p)
    np.testing.assert_array_equal(cupy.asnumpy(dx), layers.reflection_pad_backward(dy, p))
