"""What the stand-in has, CuPy has: by the wheel, without a device."""

import inspect

import pytest

from cudaproof import device

cupy = pytest.importorskip("cupy")

CLASSES = {
    "ndarray": cupy.ndarray,
    "cuda.Stream": cupy.cuda.Stream,
    "cuda.Event": cupy.cuda.Event,
    "cuda.Device": cupy.cuda.Device,
    "cuda.MemoryPool": cupy.cuda.MemoryPool,
    "RawModule": cupy.RawModule,
    "RawKernel": cupy.RawKernel,
}


def found(module, path):
    for name in path.split("."):
        module = getattr(module, name)
    return module


def within(space, path=""):
    """Dotted names of what a namespace holds."""
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


def test_errors_are_of_the_same_kind():
    runtime, memory = cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.memory.OutOfMemoryError
    assert issubclass(runtime, RuntimeError)
    assert issubclass(device.CUDARuntimeError, RuntimeError)
    assert issubclass(memory, MemoryError)
    assert issubclass(device.OutOfMemoryError, MemoryError)


def test_a_module_compiles_only_when_a_kernel_is_asked_for():
    """As the stand-in's: what is launched first pays, and names what is missing."""
    if cupy.cuda.is_available():
        pytest.skip("needs CuPy without a GPU")
    module = cupy.RawModule(code='extern "C" __global__ void f() {}', options=("--std=c++17",))
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        module.get_function("f")
