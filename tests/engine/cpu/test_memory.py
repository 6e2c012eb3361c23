"""Memory is reused, but never while anything still refers to it."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from enhance_np.engine.cpu import memory


@pytest.fixture(autouse=True)
def _nothing_free(monkeypatch):
    """Starts each test without free buffers, and leaves those of other tests alone."""
    gc.collect()
    monkeypatch.setattr(memory, "_free", type(memory._free)(memory._free.default_factory))


def address(array):
    return array.__array_interface__["data"][0]


def overlap(a, b):
    """Whether two C-ordered arrays share a byte."""
    first, second = sorted((address(x), address(x) + x.nbytes) for x in (a, b))
    return second[0] < first[1]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 7), (0, 4), (2, 0), (1, 64, 64, 64)])
def test_arrays_are_as_numpy_makes_them_and_begin_on_a_cache_line(shape):
    for _ in range(3):
        array = memory.empty(shape)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert address(array) % memory.LINE == 0
        array[...] = 1


def test_memory_comes_back_when_the_array_has_died():
    array = memory.empty((5, 7))
    first = address(array)
    del array
    assert address(memory.empty((7, 5))) == first  # any shape of that size
    array = memory.empty((5, 7))
    assert address(array) == first
    assert address(memory.empty((5, 8))) != first


VIEWS = {
    "slice": lambda a: a[1:2, ::2],
    "shape": lambda a: a.reshape(-1),
    "slice of a slice of a shape": lambda a: a.reshape(-1)[3:][:2],
    "transposed": lambda a: a.T,
    "split": lambda a: np.split(a, 2)[1],
    "other type": lambda a: a.view(np.uint8),
    "subclass": lambda a: a.view(np.recarray),
    "strided": lambda a: np.lib.stride_tricks.as_strided(a, (2,), (4,)),
    "broadcast": lambda a: np.broadcast_to(a[0], (3, *a[0].shape)),
    "buffer": memoryview,
    "array of a buffer": lambda a: np.asarray(memoryview(a)),
    "from dlpack": lambda a: np.from_dlpack(a),
    "iterator": lambda a: a.flat,
    "container": lambda a: {"x": [(a,)]},
}


@pytest.mark.parametrize("kind", VIEWS)
def test_memory_does_not_come_back_while_a_view_lives(kind):
    array = memory.empty((4, 6))
    array[...] = 5
    first = address(array)
    view = VIEWS[kind](array)
    del array
    others = [memory.empty((4, 6)) for _ in range(3)]
    for other in others:
        other[...] = -1
        assert address(other) != first
    del view
    gc.collect()
    assert address(memory.empty((4, 6))) == first


def test_memory_in_a_cycle_of_references_comes_back():
    array = memory.empty((4, 6))
    first, cycle = address(array), [array]
    cycle.append(cycle)
    del array, cycle
    gc.collect()
    assert address(memory.empty((4, 6))) == first


def test_arrays_alive_never_share_memory(rng):
    alive = []
    for _ in range(2000):
        array = memory.empty((int(rng.integers(1, 4)),))
        assert not any(overlap(array, other) for other, _ in alive)
        array[...] = value = rng.random(dtype=np.float32)
        alive.append((array, value))
        if len(alive) > 20:
            array, value = alive.pop(int(rng.integers(len(alive))))
            assert (array == value).all()


def test_several_threads_never_get_the_same_array():
    """Each thread fills its arrays with its own numbers, and finds them unchanged."""
    start = threading.Barrier(4)

    def work(number):
        rng, held = np.random.default_rng(number), []
        start.wait()
        for k in range(3000):
            array = memory.empty((16,))
            array[:] = mine = 10_000 * number + k
            held.append((array, mine))
            if len(held) > 8:
                array, mine = held.pop(int(rng.integers(len(held))))
                if not (array == mine).all():
                    return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_an_array_may_die_in_another_thread():
    array = memory.empty((4, 6))
    first, box = address(array), [array]
    del array
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert address(memory.empty((4, 6))) == first


def test_what_was_unused_for_long_is_given_back(monkeypatch):
    monkeypatch.setattr(memory, "AGE", 20)

    def free():
        return {size: len(buffers) for size, buffers in memory._free.items() if buffers}

    large = memory.empty((1000,))
    del large
    for _ in range(30):
        memory.empty((3,))  # reuses the same buffer each time
    assert free() == {12: 1}


def test_a_step_of_nearly_as_many_arrays_finds_its_memory_again(monkeypatch):
    """Only arrays that are made count, not those that die."""
    monkeypatch.setattr(memory, "AGE", 40)
    made, buffer = [], memory._buffer
    monkeypatch.setattr(memory, "_buffer", lambda size: made.append(size) or buffer(size))
    for _ in range(3):
        kept = [memory.empty((100 + i,)) for i in range(32)]
        del kept
    assert len(made) == 32


def test_of_many_the_oldest_are_given_back(monkeypatch):
    monkeypatch.setattr(memory, "AGE", 20)
    many = [memory.empty((10,)) for _ in range(5)]
    del many
    for _ in range(30):
        memory.empty((10,))  # reuses the youngest buffer
    memory.empty((11,))
    assert len(memory._free[40]) == 1


def test_a_thread_takes_the_last_old_buffer_while_another_forgets(monkeypatch):
    """The oldest buffer may be taken by another thread between the look at it and its removal."""

    class Taken(type(memory._free[0])):
        def __bool__(self):
            found = len(self) > 0
            self.clear()  # as another thread might do at this moment
            return found

    memory._free[8] = Taken([(-1, np.empty(72, np.uint8))])
    memory._forget(0)


def test_every_thread_has_a_scratch_of_its_own():
    def work(size):
        mine = memory.scratch(size)
        assert mine.shape == (size,)
        assert address(memory.scratch(size - 10)) == address(mine)
        larger = memory.scratch(size + 1)
        assert larger.shape == (size + 1,)
        assert not overlap(mine, larger)  # the first one is kept while it is referred to
        return larger

    with ThreadPoolExecutor(3) as pool:
        meeting = threading.Barrier(3)
        found = [*pool.map(lambda size: (meeting.wait(), work(size))[1], (20, 30, 40))]
    assert not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])
