"""An activation and the convolution after it on the GPU, as in the network's head.

ReLU and a 1x1 convolution to one channel are one kernel, in kernels/head.cu. Other cases are two
operations of the engine.
"""

from importlib import import_module
from typing import NamedTuple

import numpy as np

from ... import layers
from ..._array import Array, array_module
from ...layers.conv import ConvCache
from ...layers.joined import ActConvCache
from .arrays import THREADS, by_channel, gradient, ours, pixels, ready
from .launch import blocks_for, launch


class ReluConvCache(NamedTuple):
    x: Array  # (N, H, W, Cin), input of the ReLU
    w: Array  # (1, 1, Cin, 1)


def relu_conv(x, w, b):
    """See layers.relu_conv. For one output channel, relu(x) is not stored."""
    if not ours(x, w, b) or x.ndim != 4 or (w.shape, b.shape) != ((1, 1, x.shape[-1], 1), (1,)):
        return _act_conv("relu", x, w, b)
    cupy = array_module(x)
    x, w, b = ready(x), cupy.ascontiguousarray(w), cupy.ascontiguousarray(b)
    y = cupy.empty((*x.shape[:3], 1), x.dtype)
    blocks = blocks_for(y.size, THREADS // 32)
    launch("head", "head", blocks, THREADS, x, w, b, y, y.size, x.shape[-1])
    return y, ReluConvCache(x, w)


def relu_conv_backward(dy, cache):
    """See layers.relu_conv_backward."""
    if not isinstance(cache, ReluConvCache):
        return _act_conv_backward("relu", dy, cache)
    x, w = cache
    cupy = array_module(x)
    dy = gradient("relu_conv_backward", dy, (*x.shape[:3], 1))
    count, c = pixels(x), x.shape[-1]
    dx, both = cupy.empty(x.shape, x.dtype), cupy.empty(c + 1, x.dtype)
    lanes, per, blocks = by_channel(count, c)
    partial = cupy.empty((blocks[0], c + 1), np.float64)
    arguments = dy, x, w, dx, partial, count, c, lanes, per
    launch("head", "head_backward", blocks, THREADS, *arguments)
    launch("head", "head_gradient", c + 1, THREADS, partial, both, blocks[0])
    return dx, both[:c].reshape(w.shape), both[c:]


def elu_conv(x, w, b):
    """See layers.elu_conv."""
    return _act_conv("elu", x, w, b)


def elu_conv_backward(dy, cache):
    """See layers.elu_conv_backward."""
    return _act_conv_backward("elu", dy, cache)


def _act_conv(act, x, w, b):
    if not ours(x, w, b):
        return getattr(layers, f"{act}_conv")(x, w, b)
    ops = import_module(__package__)  # here, because the package imports this module
    h, _ = getattr(ops, act)(ready(x))
    y, cache = ops.pad_conv(h, ready(w), ready(b))
    return y, ActConvCache(*cache, h)


def _act_conv_backward(act, dy, cache):
    *seen, h = cache
    if not ours(h):
        return getattr(layers, f"{act}_conv_backward")(dy, cache)
    ops = import_module(__package__)
    dh, dw, db = ops.pad_conv_backward(dy, ConvCache(*seen))
    return getattr(ops, f"{act}_backward")(dh, h), dw, db
