"""ReLU, the residual sum and upsampling on CPU cores: one pass over memory."""

import numpy as np

from ... import layers
from . import elementwise, memory
from .arrays import gradient, mapped
from .subnormal import parallel


def relu(x):
    """See layers.relu."""
    if x.dtype != np.float32 or x.ndim < 2:
        return layers.relu(x)
    y = mapped(elementwise.relu, x)
    return y, y


def relu_backward(dy, y):
    """See layers.relu_backward."""
    if dy.dtype != np.float32 or dy.ndim < 2:
        return layers.relu_backward(dy, y)
    return mapped(elementwise.relu_backward, gradient("relu_backward", dy, y.shape), y)


def add(x, y):
    """See layers.add."""
    if x.dtype != np.float32 or y.dtype != np.float32 or x.ndim < 2 or x.shape != y.shape:
        return layers.add(x, y)
    return mapped(elementwise.add, x, y)


def upsample(x):
    """See layers.upsample."""
    if x.dtype != np.float32:
        return layers.upsample(x)
    n, h, w, c = x.shape
    x, y = np.ascontiguousarray(x), memory.empty((n, 2 * h, 2 * w, c))
    parallel(lambda i: elementwise.upsample(x[i], y[i]), range(n))
    return y


def upsample_backward(dy):
    """See layers.upsample_backward."""
    n, h, w, c = dy.shape
    if dy.dtype != np.float32 or h % 2 or w % 2:
        return layers.upsample_backward(dy)
    dy, dx = np.ascontiguousarray(dy), memory.empty((n, h // 2, w // 2, c))
    parallel(lambda i: elementwise.upsample_backward(dy[i], dx[i]), range(n))
    return dx
