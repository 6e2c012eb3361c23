"""Launches kernels of kernels/, after checks that CuPy does not make.

CuPy passes any arguments to a kernel: a wrong number of them, a Python int as 64 bits, an array
with strides as if it were contiguous. Here every argument is checked against the signature in the
text of the kernel.
"""

import re
from functools import cache
from numbers import Real
from operator import itemgetter

import numpy as np

from ..._kernels import source

# Types of the kernels' arguments, and the same in NumPy
TYPES = {"int": np.int32, "float": np.float32, "double": np.float64}
LIMIT = 2**31  # elements of an array and blocks of a launch, because indices have 32 bits


def launch(stem: str, name: str, blocks: int | tuple, threads: int, *arguments) -> None:
    """Run kernel `name` of kernels/`stem`.cu on `blocks` blocks of `threads` threads.

    arguments : in the order of the kernel's signature, an array for a pointer and a number for an
    int or float; -0.0 counts as 0.0.
    Raises TypeError for an argument of another kind or dtype or not in C order, ValueError for a
    wrong number of arguments or for sizes beyond 32 bits.
    """
    bound = _bound(stem, name)
    if len(arguments) != bound.count:
        raise ValueError(f"{name}: needs {bound.count} arguments, got {len(arguments)}")
    try:
        grid, passed = bound.prepared[blocks, bound.numbers(arguments)]
    except (KeyError, TypeError):  # new numbers, or what is no number and has no hash
        grid, passed = bound.prepare(blocks, arguments)
    passed = passed.copy()
    for at, dtype in bound.pointers:
        value = passed[at] = arguments[at]
        if not (
            value.__class__ is bound.array
            and value.dtype == dtype
            and value.flags.c_contiguous
            and value.size < LIMIT
        ):
            passed[at] = _checked(name, value, bound.signature[at])
    bound.kernel(grid, (threads,), passed)


class _Bound:
    """A kernel, and its launches so far: a training step repeats the same ones again and again.

    Grid and numbers of a launch are checked and converted when they first occur.
    """

    MOST = 256  # launches that are kept; a rate that changes in every step would be without end

    def __init__(self, stem, name):
        import cupy

        self.name, self.signature = name, signature(stem, name)
        self.kernel, self.array, self.count = _kernel(stem, name), cupy.ndarray, len(self.signature)
        types = [np.dtype(TYPES[type]) for _, type, _ in self.signature]
        self.pointers = [(i, types[i]) for i, (*_, pointer) in enumerate(self.signature) if pointer]
        self._numbers = [i for i, (*_, pointer) in enumerate(self.signature) if not pointer]
        self.numbers = itemgetter(*self._numbers)
        self.prepared = {}  # (blocks, numbers) -> (grid, arguments with None for arrays)

    def prepare(self, blocks, arguments):
        grid = (blocks,) if isinstance(blocks, int) else blocks
        if not (1 <= grid[0] < LIMIT and all(1 <= side < 2**16 for side in grid[1:])):
            raise ValueError(
                f"{self.name}: blocks must be 1 to 2^31 - 1 by up to 65535, got {grid}"
            )
        passed = [None] * self.count
        for i in self._numbers:
            passed[i] = _checked(self.name, arguments[i], self.signature[i])
        if len(self.prepared) == self.MOST:
            self.prepared.clear()
        self.prepared[blocks, self.numbers(arguments)] = grid, passed
        return grid, passed


@cache
def _bound(stem, name):
    return _Bound(stem, name)


def blocks_for(elements: int, threads: int) -> int:
    """Number of blocks of `threads` threads that have one thread for each of `elements`."""
    return max(1, -(-elements // threads))


@cache
def signature(stem: str, name: str) -> tuple[tuple[str, str, bool], ...]:
    """(argument, type, whether it is a pointer) of each parameter, from the kernel's text."""
    found = re.search(
        rf'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?{name}\s*\(([^)]*)\)',
        source(stem),
    )
    if found is None:
        raise ValueError(f"{name}: must be a kernel of kernels/{stem}.cu")
    parameters = []
    for text in found[1].split(","):
        *words, argument = text.replace("*", " * ").split()
        (type,) = TYPES.keys() & set(words)
        parameters.append((argument, type, "*" in words))
    return tuple(parameters)


def forget() -> None:
    """Forget compiled kernels, so that they are compiled again: for tests with another CuPy."""
    _bound.cache_clear()
    _kernel.cache_clear()
    _module.cache_clear()


def _checked(name, value, parameter):
    """The argument for CuPy, after its checks."""
    argument, type, pointer = parameter
    dtype = np.dtype(TYPES[type])
    if not pointer:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name}: {argument} must be a number, got {value!r}")
        if type == "int" and not (-LIMIT <= value < LIMIT and value == int(value)):
            raise ValueError(f"{name}: {argument} must be a 32-bit integer, got {value}")
        return dtype.type(value)
    if getattr(value, "dtype", None) != dtype or isinstance(value, np.ndarray | np.generic):
        raise TypeError(
            f"{name}: {argument} must be a {dtype} array on the GPU, got {_kind(value)}"
        )
    if not value.flags.c_contiguous:
        raise TypeError(f"{name}: {argument} must be in C order, got strides {value.strides}")
    if value.size >= LIMIT:
        raise ValueError(f"{name}: {argument} needs 32-bit indices, got {value.size} elements")
    return value


def _kind(value):
    return f"{type(value).__name__} of {getattr(value, 'dtype', 'no dtype')}"


@cache
def _kernel(stem, name):
    return _module(stem).get_function(name)


@cache
def _module(stem):
    """Compiled on first use; CuPy keeps one build per device. Never --use_fast_math."""
    import cupy

    return cupy.RawModule(code=source(stem), options=("--std=c++17",))
