"""Nearest-neighbour upsampling by 2, alone and with the convolution behind it."""

from .._array import Array
from .conv import ConvCache, pad_conv, pad_conv_backward


def upsample(x: Array) -> Array:
    """Each pixel becomes a 2x2 block of itself. x : (N, H, W, C);  result : (N, 2H, 2W, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_backward(dy: Array) -> Array:
    """The adjoint: each 2x2 block is summed. dy : (N, 2H, 2W, C);  result : (N, H, W, C)."""
    n, h, w, c = dy.shape
    if h % 2 or w % 2:
        raise ValueError(f"upsample_backward: dy must have even H and W, got dy.shape={dy.shape}")
    return dy.reshape(n, h // 2, 2, w // 2, 2, c).sum(axis=(2, 4))


def upsample_conv(x: Array, w: Array, b: Array) -> tuple[Array, ConvCache]:
    """pad_conv of upsample(x): a name of its own because an engine can do it without the
    large image, which has four times the pixels and no more in it.

    x : (N, H, W, Cin);  w : (k, k, Cin, Cout);  b : (Cout,);  y : (N, 2H, 2W, Cout).
    """
    return pad_conv(upsample(x), w, b)


def upsample_conv_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """pad_conv_backward, then upsample_backward. Shapes as in upsample_conv."""
    dx, dw, db = pad_conv_backward(dy, cache)
    return upsample_backward(dx), dw, db
