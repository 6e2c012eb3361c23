"""Padding and convolutions on CPU cores: by Winograd where possible, else by the definition."""

import numpy as np

from ... import layers
from ...layers.conv import ConvCache
from . import direct, elementwise, memory, winograd
from .arrays import gradient
from .pointwise import upsample, upsample_backward
from .subnormal import parallel


def reflection_pad(x, p=1):
    """See layers.reflection_pad."""
    _, h, w, _ = x.shape
    if x.dtype != np.float32 or not 1 <= p < min(h, w):
        return layers.reflection_pad(x, p)  # raises the error, or copies
    return direct.framed(x, p, p, reflect=True)


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward."""
    n, h, w, c = dy.shape
    h, w = h - 2 * p, w - 2 * p
    if dy.dtype != np.float32 or not 1 <= p < min(h, w):
        return layers.reflection_pad_backward(dy, p)
    dx = memory.empty((n, h, w, c))
    dy = np.ascontiguousarray(dy)
    parallel(lambda i: elementwise.reflection_pad_backward(dy[i], p, dx[i]), range(n))
    return dx


def conv2d(x, w, b):
    """See layers.conv2d."""
    if not ours(x, w):
        return layers.conv2d(x, w, b)
    layers.conv.check("conv2d", x, w, b)
    x = np.ascontiguousarray(x)
    if _by_winograd(x, w):
        return winograd.conv(x, w, b, 0), ConvCache(x, w)
    return direct.correlate(x, w, b), ConvCache(x, w)


def conv2d_backward(dy, cache):
    """See layers.conv2d_backward.

    dX is a convolution of dY, padded with zeros, with the kernel rotated by 180 degrees and its
    channels exchanged. dW is a product over tiles or pixels.
    """
    x, w = cache
    if not ours(x, w):
        return layers.conv2d_backward(dy, cache)
    n, h, wd, _ = x.shape
    dy = gradient("conv2d_backward", dy, (n, h - len(w) + 1, wd - w.shape[1] + 1, w.shape[3]))
    if _by_winograd(x, w):
        return winograd.conv_backward(dy, x, w, 0)
    kh, kw, *_ = w.shape
    none = np.zeros(w.shape[2], np.float32)
    framed = direct.framed(dy, kh - 1, kw - 1, reflect=False)
    dx = direct.correlate(framed, winograd.turned(w), none)
    return dx, *direct.kernel_gradient(x, dy, w.shape)


def pad_conv(x, w, b):
    """See layers.pad_conv. With Winograd, the cache keeps x without padding."""
    if w.ndim != 4 or w.shape[0] != w.shape[1]:
        return layers.pad_conv(x, w, b)  # raises the error
    p = w.shape[0] // 2
    if not _by_winograd(x, w) or x.ndim != 4 or min(x.shape[1:3]) < 2:
        return conv2d(reflection_pad(x, p) if p else x, w, b)
    layers.conv.check_channels("pad_conv", x, w, b)
    x = np.ascontiguousarray(x)
    return winograd.conv(x, w, b, p, "reflect"), ConvCache(x, w)


def pad_conv_backward(dy, cache):
    """See layers.pad_conv_backward."""
    x, w = cache
    p = w.shape[0] // 2
    if not _by_winograd(x, w):
        dx, dw, db = conv2d_backward(dy, cache)
        return (reflection_pad_backward(dx, p) if p else dx), dw, db
    dy = gradient("pad_conv_backward", dy, (*x.shape[:3], w.shape[3]))
    return winograd.conv_backward(dy, x, w, p, "reflect")


def pad_conv_gradient(dy, cache):
    """See layers.pad_conv_gradient. Without Winograd, dX is not computed."""
    x, w = cache
    if _by_winograd(x, w) or not ours(x, w):
        _, dw, db = pad_conv_backward(dy, cache)
        return dw, db
    p = w.shape[0] // 2
    n, h, wd, _ = x.shape
    dy = gradient("pad_conv_gradient", dy, (n, h - 2 * p, wd - 2 * p, w.shape[3]))
    return direct.kernel_gradient(x, dy, w.shape)


def upsample_conv(x, w, b):
    """See layers.upsample_conv. With Winograd, the cache keeps x itself."""
    if not _by_winograd(x, w):
        return pad_conv(upsample(x), w, b)
    layers.conv.check_channels("upsample_conv", x, w, b)
    x = np.ascontiguousarray(x)
    return winograd.upsample_conv(x, w, b), ConvCache(x, w)


def upsample_conv_backward(dy, cache):
    """See layers.upsample_conv_backward."""
    x, w = cache
    if not _by_winograd(x, w):
        dx, dw, db = pad_conv_backward(dy, cache)
        return upsample_backward(dx), dw, db
    n, h, wd, _ = x.shape
    dy = gradient("upsample_conv_backward", dy, (n, 2 * h, 2 * wd, w.shape[3]))
    return winograd.upsample_conv_backward(dy, x, w)


def ours(x, w):
    """Whether this engine does a convolution; float64 and empty batches go to the reference."""
    return x.dtype == w.dtype == np.float32 and x.size > 0


def _by_winograd(x, w):
    return ours(x, w) and winograd.is_winograd(w.shape)
