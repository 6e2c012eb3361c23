"""Convolution as one matrix product, and its backward."""

from typing import NamedTuple

from .._array import Array, array_module
from .pad import reflection_pad, reflection_pad_backward


class ConvCache(NamedTuple):
    x: Array  # (N, H, W, Cin)
    w: Array  # (kh, kw, Cin, Cout)


def im2col(x: Array, kh: int, kw: int) -> Array:
    """The kh x kw window of every output pixel as one row of a matrix.

    x : (N, H, W, C);  result : (N * Ho * Wo, kh * kw * C), Ho = H - kh + 1, Wo = W - kw + 1.
    The columns run over (row, column, channel) of the window, in the order of a kernel.
    """
    n, h, w, c = x.shape
    ho, wo = h - kh + 1, w - kw + 1
    windows = [x[:, i : i + ho, j : j + wo] for i in range(kh) for j in range(kw)]
    return array_module(x).concatenate(windows, axis=-1).reshape(n * ho * wo, kh * kw * c)


def col2im(columns: Array, shape: tuple[int, ...], kh: int, kw: int) -> Array:
    """Adjoint of im2col: every window is added back where it was read.

    columns : (N * Ho * Wo, kh * kw * C);  result : `shape` = (N, H, W, C).
    """
    n, h, w, c = shape
    ho, wo = h - kh + 1, w - kw + 1
    columns = columns.reshape(n, ho, wo, kh, kw, c)
    x = array_module(columns).zeros(shape, columns.dtype)
    for i in range(kh):
        for j in range(kw):
            x[:, i : i + ho, j : j + wo] += columns[:, :, :, i, j]
    return x


def conv2d(x: Array, w: Array, b: Array) -> tuple[Array, ConvCache]:
    """y[n,i,j,o] = b[o] + sum over (r, s, c) of x[n,i+r,j+s,c] w[r,s,c,o].

    x : (N, H, W, Cin);  w : (kh, kw, Cin, Cout);  b : (Cout,);  y : (N, H-kh+1, W-kw+1, Cout).
    No padding, stride 1. This is a cross-correlation: the kernel is not flipped, as in every
    deep-learning framework. Raises ValueError if shapes do not fit or the kernel is even.

    The cache keeps x and not its im2col matrix, which is kh * kw times as large; the backward pass
    builds the matrix again.
    """
    check("conv2d", x, w, b)
    kh, kw, cin, cout = w.shape
    n, h, wd, _ = x.shape
    y = im2col(x, kh, kw) @ w.reshape(kh * kw * cin, cout) + b
    return y.reshape(n, h - kh + 1, wd - kw + 1, cout), ConvCache(x, w)


def conv2d_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """With X = im2col(x), Y = X W + b:  dX = dY W^T,  dW = X^T dY,  db = sum of rows of dY.

    dy : (N, Ho, Wo, Cout);  dx, dw, db have the shapes of x, w, b. dw and db are sums over the
    batch.
    """
    x, w = cache
    kh, kw, cin, cout = w.shape
    dy = dy.reshape(-1, cout)
    dx = col2im(dy @ w.reshape(kh * kw * cin, cout).T, x.shape, kh, kw)
    dw = (im2col(x, kh, kw).T @ dy).reshape(w.shape)
    db = dy.sum(axis=0)
    return dx, dw, db


def pad_conv(x: Array, w: Array, b: Array) -> tuple[Array, ConvCache]:
    """conv2d of reflection_pad(x): the output has the height and width of x.

    The padding is (k - 1) / 2 for an odd k x k kernel; a 1x1 kernel needs none.
    x : (N, H, W, Cin);  w : (k, k, Cin, Cout);  b : (Cout,);  y : (N, H, W, Cout).
    """
    if w.ndim != 4 or w.shape[0] != w.shape[1]:
        raise ValueError(f"pad_conv: w must be (k, k, Cin, Cout), got w.shape={w.shape}")
    return conv2d(reflection_pad(x, w.shape[0] // 2), w, b)


def pad_conv_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array]:
    """conv2d_backward, then the adjoint of the padding. Shapes as in pad_conv."""
    dx, dw, db = conv2d_backward(dy, cache)
    return reflection_pad_backward(dx, cache.w.shape[0] // 2), dw, db


def pad_conv_gradient(dy: Array, cache: ConvCache) -> tuple[Array, Array]:
    """(dw, db) of pad_conv_backward without dx, for the first layer, whose x is data."""
    _, dw, db = pad_conv_backward(dy, cache)
    return dw, db


def check_channels(name: str, x: Array, w: Array, b: Array) -> None:
    if x.ndim != 4 or w.ndim != 4 or x.shape[-1] != w.shape[2] or b.shape != w.shape[-1:]:
        raise ValueError(
            f"{name}: needs x (N, H, W, Cin), w (kh, kw, Cin, Cout), b (Cout,), "
            f"got {x.shape}, {w.shape}, {b.shape}"
        )


def check(name: str, x: Array, w: Array, b: Array) -> None:
    check_channels(name, x, w, b)
    kh, kw = w.shape[:2]
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(f"{name}: the kernel must have odd sides, got w.shape={w.shape}")
    if x.shape[1] < kh or x.shape[2] < kw:
        raise ValueError(
            f"{name}: the image must be at least as large as the kernel, got x.shape={x.shape}, "
            f"w.shape={w.shape}"
        )
