"""Nearest-neighbour upsampling by 2 and its adjoint."""

from .._array import Array


def upsample(x: Array) -> Array:
    """Each pixel becomes a 2x2 block of itself. x : (N, H, W, C);  result : (N, 2H, 2W, C)."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def upsample_backward(dy: Array) -> Array:
    """The adjoint: each 2x2 block is summed. dy : (N, 2H, 2W, C);  result : (N, H, W, C)."""
    n, h, w, c = dy.shape
    if h % 2 or w % 2:
        raise ValueError(f"upsample_backward: dy must have even H and W, got dy.shape={dy.shape}")
    return dy.reshape(n, h // 2, 2, w // 2, 2, c).sum(axis=(2, 4))
