"""An activation and the convolution after it on CPU cores, as in the network's head.

ReLU and a 1x1 convolution to one channel are one pass over memory. Other cases are two operations
of the engine.
"""

import numpy as np

from ...layers.activation import elu, elu_backward
from ..joined import ReluConvCache, act_conv, act_conv_backward
from . import direct, elementwise, memory
from .arrays import gradient, pixels, tasks
from .convolution import ours, pad_conv, pad_conv_backward
from .pointwise import relu, relu_backward
from .subnormal import parallel


def relu_conv(x, w, b):
    """See layers.relu_conv. For one output channel, relu(x) is not stored."""
    if x.ndim != 4 or not ours(x, w) or (w.shape, b.shape) != ((1, 1, x.shape[-1], 1), (1,)):
        return act_conv(relu, pad_conv, x, w, b)
    y = memory.empty((*x.shape[:3], 1))
    flat, kernel = pixels(x), direct.flat(w)

    def piece(at):
        elementwise.relu_dot(flat[slice(*at)], kernel, b[0], y.reshape(-1)[slice(*at)])

    parallel(piece, tasks(flat))
    return y, ReluConvCache(flat.reshape(x.shape), w)


def relu_conv_backward(dy, cache):
    """See layers.relu_conv_backward."""
    if not isinstance(cache, ReluConvCache):
        return act_conv_backward(relu_backward, pad_conv_backward, dy, cache)
    x, w = cache
    dy = gradient("relu_conv_backward", dy, (*x.shape[:3], 1))
    flat, flat_dy, kernel = pixels(x), dy.reshape(-1), direct.flat(w)
    dx = memory.empty(flat.shape)

    def piece(at):
        at, sums = slice(*at), np.zeros(flat.shape[1])
        elementwise.relu_dot_backward(flat_dy[at], flat[at], kernel, dx[at], sums)
        return sums

    dw = np.sum(parallel(piece, tasks(flat)), axis=0).astype(np.float32)
    return dx.reshape(x.shape), dw.reshape(w.shape), dy.sum(dtype=np.float64).astype("f4")[None]


def elu_conv(x, w, b):
    """See layers.elu_conv."""
    return act_conv(elu, pad_conv, x, w, b)


def elu_conv_backward(dy, cache):
    """See layers.elu_conv_backward."""
    return act_conv_backward(elu_backward, pad_conv_backward, dy, cache)
