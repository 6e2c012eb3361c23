"""Pairs of neighbouring layers, each pair as one operation.

Each function calls two operations of this package one after the other, and its backward pass calls
theirs in reverse order. They are separate functions because memory is slow: an engine that joins
the two layers reads and writes one activation less in each direction.
"""

from typing import NamedTuple

from .._array import Array
from .activation import elu, elu_backward, relu, relu_backward
from .add import add
from .batchnorm import (
    EPS,
    BatchNormCache,
    Moving,
    Total,
    batchnorm,
    batchnorm_backward,
    unshared,
)
from .conv import ConvCache, pad_conv, pad_conv_backward


class BatchNormActCache(NamedTuple):
    x_hat: Array  # x_hat to fixed are as in BatchNormCache
    inv_std: Array
    gamma: Array
    mean: Array
    var: Array
    fixed: bool
    y: Array  # (N, H, W, C), output of the activation


class ActConvCache(NamedTuple):
    x: Array  # as in ConvCache: padded, if the kernel needs it
    w: Array
    h: Array  # (N, H, W, Cin), output of the activation


def batchnorm_relu(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float = EPS,
    moving: Moving = None,
    total: Total = unshared,
) -> tuple[Array, BatchNormActCache]:
    """relu(batchnorm(x)). Shapes and errors as in batchnorm."""
    h, cache = batchnorm(x, gamma, beta, eps, moving, total)
    y, _ = relu(h)
    return y, BatchNormActCache(*cache, y)


def batchnorm_relu_backward(
    dy: Array, cache: BatchNormActCache, total: Total = unshared
) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta."""
    *normalised, y = cache
    return batchnorm_backward(relu_backward(dy, y), BatchNormCache(*normalised), total)


def batchnorm_elu(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float = EPS,
    moving: Moving = None,
    total: Total = unshared,
) -> tuple[Array, BatchNormActCache]:
    """elu(batchnorm(x)). Shapes and errors as in batchnorm."""
    h, cache = batchnorm(x, gamma, beta, eps, moving, total)
    y, _ = elu(h)
    return y, BatchNormActCache(*cache, y)


def batchnorm_elu_backward(
    dy: Array, cache: BatchNormActCache, total: Total = unshared
) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta."""
    *normalised, y = cache
    return batchnorm_backward(elu_backward(dy, y), BatchNormCache(*normalised), total)


def batchnorm_add(
    x: Array,
    skip: Array,
    gamma: Array,
    beta: Array,
    eps: float = EPS,
    moving: Moving = None,
    total: Total = unshared,
) -> tuple[Array, BatchNormCache]:
    """add(batchnorm(x), skip).  skip : (N, H, W, C) like x.  The rest as in batchnorm."""
    h, cache = batchnorm(x, gamma, beta, eps, moving, total)
    return add(h, skip), cache


def batchnorm_add_backward(
    dy: Array, cache: BatchNormCache, total: Total = unshared
) -> tuple[Array, Array, Array, Array]:
    """(dx, dskip, dgamma, dbeta); dskip is dy itself."""
    dx, dgamma, dbeta = batchnorm_backward(dy, cache, total)
    return dx, dy, dgamma, dbeta


def relu_conv(x: Array, w: Array, b: Array) -> tuple[Array, ActConvCache]:
    """pad_conv(relu(x)). Shapes and errors as in pad_conv."""
    h, _ = relu(x)
    y, cache = pad_conv(h, w, b)
    return y, ActConvCache(*cache, h)


def relu_conv_backward(dy: Array, cache: ActConvCache) -> tuple[Array, Array, Array]:
    """dx, dw, db."""
    *seen, h = cache
    dh, dw, db = pad_conv_backward(dy, ConvCache(*seen))
    return relu_backward(dh, h), dw, db


def elu_conv(x: Array, w: Array, b: Array) -> tuple[Array, ActConvCache]:
    """pad_conv(elu(x)). Shapes and errors as in pad_conv."""
    h, _ = elu(x)
    y, cache = pad_conv(h, w, b)
    return y, ActConvCache(*cache, h)


def elu_conv_backward(dy: Array, cache: ActConvCache) -> tuple[Array, Array, Array]:
    """dx, dw, db."""
    *seen, h = cache
    dh, dw, db = pad_conv_backward(dy, ConvCache(*seen))
    return elu_backward(dh, h), dw, db
