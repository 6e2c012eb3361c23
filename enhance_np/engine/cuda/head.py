"""An activation and the convolution after it on the GPU, as in the network's head.

ReLU and a 1x1 convolution to one channel are one kernel, in kernels/head.cu. Other cases are two
operations of the engine, which hand on to the reference what is not theirs.
"""

import numpy as np

from ..._array import array_module
from ...layers.activation import elu, elu_backward
from ..joined import ReluConvCache, act_conv, act_conv_backward
from .arrays import THREADS, by_channel, gradient, ours, pixels, ready, room
from .convolution import pad_conv, pad_conv_backward
from .elementwise import relu, relu_backward
from .flat import destinations
from .launch import blocks_for, launch


def relu_conv(x, w, b):
    """See layers.relu_conv. For one output channel, relu(x) is not stored."""
    if not ours(x, w, b) or x.ndim != 4 or (w.shape, b.shape) != ((1, 1, x.shape[-1], 1), (1,)):
        return act_conv(relu, pad_conv, x, w, b)
    cupy = array_module(x)
    x, w, b = ready(x), cupy.ascontiguousarray(w), cupy.ascontiguousarray(b)
    y = cupy.empty((*x.shape[:3], 1), x.dtype)
    blocks = blocks_for(y.size, THREADS // 32)
    launch("head", "head", blocks, THREADS, x, w, b, y, y.size, x.shape[-1])
    return y, ReluConvCache(x, w)


def relu_conv_backward(dy, cache):
    """See layers.relu_conv_backward."""
    if not isinstance(cache, ReluConvCache):
        return act_conv_backward(relu_backward, pad_conv_backward, dy, cache)
    x, w = cache
    cupy = array_module(x)
    dy = gradient("relu_conv_backward", dy, (*x.shape[:3], 1))
    count, c = pixels(x), x.shape[-1]
    dx, (dw, db) = cupy.empty(x.shape, x.dtype), destinations(cache)
    dw, db = room(cupy, dw, w.shape), room(cupy, db, (1,))
    lanes, per, blocks = by_channel(count, c)
    partial = cupy.empty((blocks[0], c + 1), np.float64)
    arguments = dy, x, w, dx, partial, count, c, lanes, per
    launch("head", "head_backward", blocks, THREADS, *arguments)
    launch("head", "head_gradient", c + 1, THREADS, partial, dw, db, blocks[0])
    return dx, dw, db


def elu_conv(x, w, b):
    """See layers.elu_conv."""
    return act_conv(elu, pad_conv, x, w, b)


def elu_conv_backward(dy, cache):
    """See layers.elu_conv_backward."""
    return act_conv_backward(elu_backward, pad_conv_backward, dy, cache)
