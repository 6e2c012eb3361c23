"""The gradient of reflection padding on the GPU. Convolutions pad when they load."""

import numpy as np

from ... import layers
from ..._array import array_module
from .arrays import THREADS
from .launch import blocks_for, launch


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward. Kernel in kernels/reflect_pad.cu.

    Raises TypeError unless float32 or float64, ValueError for 2^31 elements or more.
    """
    n, hp, wp, c = dy.shape
    h, w = hp - 2 * p, wp - 2 * p
    cupy = array_module(dy)
    if cupy is np or dy.dtype == np.float64 or not 1 <= p < min(h, w):
        return layers.reflection_pad_backward(dy, p)  # raises the error, or copies
    if dy.dtype != np.float32:
        raise TypeError(f"reflection_pad_backward: the CUDA kernel is float32, got {dy.dtype}")
    if dy.size >= 2**31:  # 8192 x 8192 x 64 is larger
        raise ValueError(f"reflection_pad_backward: needs 32-bit indices, got dy.size={dy.size}")
    dy = cupy.ascontiguousarray(dy)
    dx = cupy.empty((n, h, w, c), dy.dtype)
    blocks = blocks_for(dx.size, THREADS)
    launch("reflect_pad", "reflect_pad_backward", blocks, THREADS, dy, dx, n, h, w, c, p)
    return dx
