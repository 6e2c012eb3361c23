"""What the stand-in for CuPy says of a captured stream and of graphs."""

import gc

import numpy as np
import pytest
from cudaproof.streams import CaptureError, Race

DOUBLE = 'extern "C" __global__ void twice(const float* x, float* y) { y[0] = 2 * x[0]; }'


@pytest.fixture
def twice(stand_in):
    kernel = stand_in.RawModule(code=DOUBLE, options=("--std=c++17",)).get_function("twice")
    return lambda x, y: kernel((1,), (1,), (x, y))


@pytest.fixture
def stream(stand_in):
    return stand_in.cuda.Stream(non_blocking=True)


def numbers(cupy, *values):
    return [cupy.asarray(np.float32([value])) for value in values]


def recorded(cupy, stream, work, pool=None):
    pool = cupy.cuda.MemoryPool() if pool is None else pool
    with cupy.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        assert stream.is_capturing()
        work()
        return stream.end_capture()


def test_nothing_runs_before_the_launch(stand_in, stream, twice):
    x, y, z = numbers(stand_in, 3, 0, 0)

    def work():
        twice(x, y)
        z[...] = y + stand_in.ones(1, np.float32)
        z.__iadd__(x)

    with stand_in.running("fast") as launches, stand_in.counted():
        graph = recorded(stand_in, stream, work)
        assert not launches
        assert (y.get(), z.get()) == (0, 0)
        graph.launch()
        assert (y.get(), z.get()) == (6, 10)
        x.fill(5)
        graph.launch()
        assert (y.get(), z.get()) == (10, 16)
    assert len(launches) == 2


@pytest.mark.parametrize(
    "wait",
    [
        lambda cupy, x: x.get(),
        lambda cupy, x: float(x[0]),
        lambda cupy, x: x.item(),
        lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
    ],
)
def test_the_host_must_not_wait(wait, stand_in, stream):
    (x,) = numbers(stand_in, 1)
    with pytest.raises(CaptureError):
        recorded(stand_in, stream, lambda: wait(stand_in, x))
    stream.end_capture()
    wait(stand_in, x)


def test_what_cannot_be_captured(stand_in, stream):
    with pytest.raises(RuntimeError, match="default"):
        stand_in.cuda.Stream.null.begin_capture()
    with pytest.raises(CaptureError):
        stream.end_capture()
    stream.begin_capture()
    with pytest.raises(CaptureError):
        stream.begin_capture()


def test_memory_that_was_given_back_is_seen(stand_in, stream, twice):
    given = numbers(stand_in, 3, 0)
    graph = recorded(stand_in, stream, lambda: twice(*given))
    graph.launch()
    given.clear()
    gc.collect()
    with pytest.raises(Race, match="given back"):
        graph.launch()


def test_memory_within_must_come_from_a_pool_of_its_own(stand_in, stream, twice):
    x, y = numbers(stand_in, 3, 0)

    def work():
        between = stand_in.empty(1, np.float32)
        twice(x, between)
        twice(between, y)

    recorded(stand_in, stream, work).launch()
    assert y.get() == 12
    with stream:
        stream.begin_capture()
        work()
        graph = stream.end_capture()
    with pytest.raises(Race, match="given back"):
        graph.launch()


def test_memory_within_keeps_nothing_from_one_launch_to_the_next(stand_in, stream, twice):
    kept, (x, y) = [], numbers(stand_in, 3, 0)

    def work():
        kept.append(stand_in.empty(1, np.float32))
        twice(kept[0], y)
        twice(x, kept[0])

    with stand_in.running("fast"):
        graph = recorded(stand_in, stream, work)
        for _ in range(2):
            graph.launch()
            assert np.isnan(y.get())
            assert kept[0].get() == 6
