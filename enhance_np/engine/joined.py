"""Caches of the joined layers, and the pairs that no engine joins further: for the CPU and the GPU.

An engine that computes a pair of layers in one pass keeps less than the reference does. Batch norm
keeps x instead of x_hat, and ReLU before the head keeps its input alone.
"""

from typing import NamedTuple

import numpy as np

from .._array import Array
from ..layers.conv import ConvCache
from ..layers.joined import ActConvCache


class BatchNormCache(NamedTuple):
    """Like layers.BatchNormCache, but x_hat is computed from x on access."""

    x: Array  # (N, H, W, C)
    inv_std: Array  # (C,)
    gamma: Array
    mean: Array
    var: Array
    fixed: bool
    beta: Array

    floor = np.float32(-np.inf)  # lower bound of y; not a field

    @property
    def x_hat(self) -> Array:
        return (self.x - self.mean) * self.inv_std


class BatchNormReluCache(BatchNormCache):
    floor = np.float32(0)


class BatchNormEluCache(NamedTuple):
    x: Array  # x to beta are as in BatchNormCache
    inv_std: Array
    gamma: Array
    mean: Array
    var: Array
    fixed: bool
    beta: Array
    y: Array  # (N, H, W, C), output of the activation

    x_hat = BatchNormCache.x_hat


class ReluConvCache(NamedTuple):
    x: Array  # (N, H, W, Cin), input of the ReLU
    w: Array  # (1, 1, Cin, 1)


def act_conv(act, pad_conv, x, w, b):
    """(y, cache) of pad_conv(act(x)) by the engine's two operations."""
    h, _ = act(x)
    y, cache = pad_conv(h, w, b)
    return y, ActConvCache(*cache, h)


def act_conv_backward(act_backward, pad_conv_backward, dy, cache):
    """(dx, dw, db) of `act_conv` by the engine's two operations."""
    *seen, h = cache
    dh, dw, db = pad_conv_backward(dy, ConvCache(*seen))
    return act_backward(dh, h), dw, db
