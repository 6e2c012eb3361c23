"""Arrays as the kernels need them, and how they are divided into tasks by their shape."""

import numpy as np

from ..._threads import cut
from . import memory
from .subnormal import parallel

# Floats of an elementwise task: 1 MB, which fits into L2 on current cores. Tasks depend only on the
# arrays, and so do the bits of sums.
ELEMENTS = 2**18


def gradient(name, dy, shape):
    """dy as the kernels need it, which would read beyond the end of another shape."""
    if dy.shape != shape:
        raise ValueError(f"{name}: dy must be {shape}, got dy.shape={dy.shape}")
    return np.ascontiguousarray(dy, np.float32)


def mapped(kernel, *inputs):
    """y, from kernel(*inputs, y) on the tasks of arrays of one shape."""
    flat = [pixels(x) for x in inputs]
    y = memory.empty(flat[0].shape)
    parallel(lambda at: kernel(*(x[slice(*at)] for x in flat), y[slice(*at)]), tasks(y))
    return y.reshape(inputs[0].shape)


def tasks(flat):
    """(first, last) pixel of each task of an array (P, C)."""
    rows, channels = flat.shape
    return cut(rows, max(1, ELEMENTS // channels))


def pixels(x):
    """(N, H, W, C) -> (P, C)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])
