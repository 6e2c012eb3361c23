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


def to_dask(image: np.ndarray):
    """image as a dask array; called only for a result of one, so dask is loaded already."""
    import dask.array as da

    return da.from_array(image)


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


def covered(mask: np.ndarray, shape: tuple[int, int], factor: float) -> np.ndarray:
    """Where a pixel of an image of `shape` touches one that is True in the mask: bool of `shape`.

    mask : (H, W) bool.  factor : pixels of the image along one of the mask; their first edges are
        aligned, and the mask may reach further than the image.
    """
    for axis, n in enumerate(shape):
        edges = np.arange(n + 1) / factor
        first = np.floor(edges[:-1] + 1e-9).astype(int)
        last = np.ceil(edges[1:] - 1e-9).astype(int).clip(max=mask.shape[axis])
        total = np.insert(np.cumsum(mask, axis, dtype=np.int32), 0, 0, axis)
        mask = np.take(total, last, axis) > np.take(total, first, axis)
    return mask
