"""Nearest-neighbour upsampling by 2, alone and together with the convolution that follows it."""

from .._array import Array
from .conv import ConvCache, pad_conv, pad_conv_backward


def upsample(x: Array) -> Array:
    """Repeats each pixel as a 2x2 block.  x : (N, H, W, C);  result : (N, 2H, 2W, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_backward(dy: Array) -> Array:
    """The adjoint: sums each 2x2 block.  dy : (N, 2H, 2W, C);  result : (N, H, W, C)."""
    n, h, w, c = dy.shape
    if h % 2 or w % 2:
        raise ValueError(f"upsample_backward: dy must have even H and W, got dy.shape={dy.shape}")
    return dy.reshape(n, h // 2, 2, w // 2, 2, c).sum(axis=(2, 4))


def upsample_conv(x: Array, w: Array, b: Array) -> tuple[Array, ConvCache]:
    """pad_conv(upsample(x)).

    x : (N, H, W, Cin);  w : (k, k, Cin, Cout);  b : (Cout,);  y : (N, 2H, 2W, Cout).
    It is one operation because an engine can compute it without the upsampled image, which has four
    times the pixels but no more information.
    """
    return pad_conv(upsample(x), w, b)


def upsample_conv_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """pad_conv_backward, then upsample_backward. Shapes as in upsample_conv."""
    dx, dw, db = pad_conv_backward(dy, cache)
    return upsample_backward(dx), dw, db
