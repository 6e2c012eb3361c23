"""The real CuPy has everything that the stand-in has; the wheel is enough, without a device."""

import gc
import inspect
import weakref

import numpy as np
import pytest
from cudaproof import device

cupy = pytest.importorskip("cupy")

CLASSES = {
    "ndarray": cupy.ndarray,
    "cuda.Stream": cupy.cuda.Stream,
    "cuda.Event": cupy.cuda.Event,
    "cuda.Device": cupy.cuda.Device,
    "cuda.MemoryPool": cupy.cuda.MemoryPool,
    "cuda.Graph": cupy.cuda.Graph,
    "RawModule": cupy.RawModule,
    "RawKernel": cupy.RawKernel,
}


def found(module, path):
    for name in path.split("."):
        module = getattr(module, name)
    return module


def within(space, path=""):
    """The dotted names of everything in a namespace."""
    for name, value in vars(space).items():
        if (
            hasattr(value, "__dict__")
            and not inspect.isroutine(value)
            and not isinstance(value, type)
        ):
            yield from within(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


@pytest.mark.parametrize("name", device.OURS)
def test_has_the_name(name):
    found(cupy, name)


@pytest.mark.parametrize("name", list(within(device.cuda)))
def test_cuda_has_the_name(name):
    found(cupy.cuda, name)


@pytest.mark.parametrize("path", CLASSES)
def test_has_the_methods(path):
    ours = found(device, path)
    public = [name for name in vars(ours) if not name.startswith("_")]
    assert public
    assert not [name for name in public if not hasattr(CLASSES[path], name)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ndarray.get", ["self, stream=None", "out=None", "blocking=True"]),
        ("ndarray.set", ["self, arr, stream=None"]),
    ],
)
def test_copies_take_the_same_arguments(name, words):
    head = found(cupy, name).__doc__.splitlines()[0]
    assert not [word for word in words if word not in head]


def test_streams_and_events_take_the_same_arguments():
    for name in ("Stream", "Event", "Event.record"):
        ours, theirs = (found(m.cuda, name) for m in (device, cupy))
        wanted = inspect.signature(ours).parameters
        assert list(inspect.signature(theirs).parameters)[: len(wanted)] == list(wanted)


def test_pinned_memory_is_a_buffer_that_lives_as_long_as_its_arrays():
    class Block:
        def __init__(self):
            self.host = np.arange(8, dtype=np.float32)
            self.ptr, self.size = self.host.ctypes.data, self.host.nbytes

    block = Block()
    alive = weakref.ref(block)
    floats = np.frombuffer(cupy.cuda.PinnedMemoryPointer(block, 0), np.float32, 6)
    part = floats[2:].reshape(2, 2)
    del block, floats
    gc.collect()
    part[0, 0] = 9
    assert alive().host.tolist() == [0, 1, 9, 3, 4, 5, 6, 7]
    del part
    gc.collect()
    assert alive() is None


def test_errors_are_of_the_same_kind():
    runtime, memory = cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.memory.OutOfMemoryError
    assert issubclass(runtime, RuntimeError)
    assert issubclass(device.CUDARuntimeError, RuntimeError)
    assert issubclass(memory, MemoryError)
    assert issubclass(device.OutOfMemoryError, MemoryError)


def test_a_module_compiles_only_when_a_kernel_is_asked_for():
    """Like the stand-in: the first launch compiles, and its error names what is missing."""
    if cupy.cuda.is_available():
        pytest.skip("needs CuPy without a GPU")
    module = cupy.RawModule(code='extern "C" __global__ void f() {}', options=("--std=c++17",))
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        module.get_function("f")
