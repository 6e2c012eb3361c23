"""The stand-in for CuPy: it computes the right results, and refuses what CuPy or CUDA forbids."""

import numpy as np
import pytest
from cudaproof import device as cupy
from cudaproof import emulator

if (reason := emulator.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

TEXT = """
extern "C" __global__ void __launch_bounds__(128)
axpy(const float* __restrict__ x, float* __restrict__ y, float a, int n)
{
    extern __shared__ float unused[];
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < n) y[at] += a * x[at];
}
"""
A, N = np.float32(2), np.int32(100)


@pytest.fixture
def axpy():
    return cupy.RawModule(code=TEXT, options=("--std=c++17",)).get_function("axpy")


@pytest.fixture
def x():
    return cupy.arange(100, dtype=cupy.float32)


@pytest.mark.parametrize("mode", ["fast", "trace", "asan"])
def test_launches(axpy, x, mode):
    y = cupy.ones(100, cupy.float32)
    with cupy.running(mode) as launched:
        axpy((1,), (128,), (x, y, A, N))
    np.testing.assert_array_equal(cupy.asnumpy(y), 2 * np.arange(100) + 1)
    assert launched == [("axpy", (1, 1, 1), (128, 1, 1), 0, ((100,), (100,), 2.0, 100))]


def refused(name, error, match, arguments=None, grid=(1,), block=(128,), shared=0):
    return pytest.param(error, match, arguments, grid, block, shared, id=name)


@pytest.mark.parametrize(
    ("error", "match", "arguments", "grid", "block", "shared"),
    [
        refused("too few", TypeError, "3 arguments for 4", lambda x, y: (x, y, A)),
        refused("python int", TypeError, "argument 3 is int,", lambda x, y: (x, y, A, 100)),
        refused("python float", TypeError, "argument 2 is float,", lambda x, y: (x, y, 2.0, N)),
        refused("int64", TypeError, "int64", lambda x, y: (x, y, A, np.int64(100))),
        refused("swapped numbers", TypeError, "argument 2 is int32", lambda x, y: (x, y, N, A)),
        refused("NumPy", TypeError, "argument 0 is ndarray", lambda x, y: (x.get(), y, A, N)),
        refused("float64", TypeError, "float64", lambda x, y: (x.astype("f8"), y, A, N)),
        refused("strided", TypeError, "C order", lambda x, y: (x, y[::2], A, N)),
        refused("overlap", ValueError, "0 and 1 overlap", lambda x, y: (y[:50], y, A, N)),
        refused("list", TypeError, "must be tuples", grid=[1]),
        refused("float size", TypeError, "must be an integer", grid=(1.0,)),
        refused("no block", ValueError, "blocks", grid=(0,)),
        refused("grid", ValueError, "blocks", grid=(1, 65536)),
        refused("block", ValueError, "threads", block=(2048,)),
        refused("shared", ValueError, "49153 bytes of shared memory", shared=49153),
        refused("wrong grid", emulator.Fault, "oob", lambda x, y: (x, y, A, np.int32(101))),
    ],
)
def test_refuses(axpy, x, error, match, arguments, grid, block, shared):
    y = cupy.ones(100, cupy.float32)
    args = arguments(x, y) if arguments else (x, y, A, N)
    with pytest.raises(error, match=match):
        axpy(grid, block, args, shared_mem=shared)


def test_refuses_more_threads_than_the_bounds_say(axpy, x):
    from cudaproof import nvrtc

    if (reason := nvrtc.missing()) is not None:
        pytest.skip(reason)
    with pytest.raises(ValueError, match="1 to 128"):
        axpy((1,), (256,), (x, x.copy(), A, N))


def test_shared_memory_on_request(axpy, x):
    axpy.max_dynamic_shared_size_bytes = 60000
    axpy((1,), (128,), (x, x.copy(), A, N), shared_mem=60000)
    with pytest.raises(cupy.cuda.driver.CUDADriverError):
        axpy.max_dynamic_shared_size_bytes = 1 << 20


def test_no_such_kernel():
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match="NOT_FOUND"):
        cupy.RawModule(code=TEXT).get_function("apxy")


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, host: x + host,
        lambda x, host: host + x,
        lambda x, host: np.maximum(x, 0),
        lambda x, host: np.asarray(x),
        lambda x, host: cupy.maximum(x, host),
        lambda x, host: x.__setitem__(slice(None), host),
        lambda x, host: host.__setitem__(slice(None), x),
    ],
)
def test_does_not_mix_with_numpy(x, mix):
    with pytest.raises((TypeError, ValueError)):
        mix(x, np.zeros(100, np.float32))


def test_views_share_memory_and_empty_is_nan(x):
    y = cupy.empty((2, 3), cupy.float32)
    assert np.isnan(y.get()).all()
    y[:, 1:][...] = x[:4].reshape(2, 2)
    np.testing.assert_array_equal(y.get()[:, 1:], [[0, 1], [2, 3]])
    z = y
    z += 1
    assert z is y
    assert isinstance(y.sum(), cupy.ndarray)
    assert float(y[:, 1:].sum()) == 10
    assert (np.float32(2) * y).dtype == np.float32


def test_a_card_can_be_full():
    with cupy.limited(4000) as memory:
        kept = cupy.zeros(500, cupy.float32)
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
            cupy.zeros(501, cupy.float32)
        del kept
        cupy.zeros(501, cupy.float32)
        assert cupy.cuda.runtime.memGetInfo()[0] <= 4000
    assert memory.used <= memory.most
