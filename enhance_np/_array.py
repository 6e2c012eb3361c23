"""One interface to NumPy and CuPy arrays, and tests for the other kinds of image."""

import sys
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray; every docstring gives the shape


def array_module(x: Array):
    """numpy, or cupy if x is a CuPy array. CuPy is never imported here."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(x, cupy.ndarray) else np


def without_subnormals(x: np.ndarray) -> np.ndarray:
    """x with zero where a float32 would be subnormal (below 1.2e-38), for any dtype of x.

    Such weights have no effect on the output but are slow to compute with; see
    engine.cpu.subnormal.
    """
    tiny = abs(x) < np.finfo(np.float32).tiny
    return np.where(tiny, x.dtype.type(0), x) if tiny.any() else x


def is_dask(x) -> bool:
    """Whether x is a dask array. dask is never imported here: if x is one, it is loaded already."""
    return _is(x, "dask.array", "Array")


def is_map(x) -> bool:
    """Whether x is a sunpy Map. sunpy is never imported here."""
    return _is(x, "sunpy.map", "GenericMap")


def is_map_sequence(x) -> bool:
    """Whether x is a sunpy MapSequence. sunpy is never imported here."""
    return _is(x, "sunpy.map", "MapSequence")


def _is(x, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(x, kind)


def repeated(image: np.ndarray) -> np.ndarray:
    """(H, W) -> (2H, 2W): the four output pixels of each input pixel."""
    return image.repeat(2, axis=0).repeat(2, axis=1)
