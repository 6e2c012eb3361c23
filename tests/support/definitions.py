"""References for the CPU engine: definitions in float64, and data that are exact in float32."""

import numpy as np

from enhance_np import layers

FRAMES = {"zero": "constant", "reflect": "reflect", "repeat": "edge"}  # -> mode of np.pad
# Bounds of the error against float64: rms over rms, largest over range
RMS, LARGEST = 1e-5, 5e-5


def integers(rng, *shape, most=3):
    """Random integers between -most and most, in float32."""
    return rng.integers(-most, most + 1, shape).astype(np.float32)


def assert_rounds_to(got, want, where=""):
    """For small integers: a wrong term changes the result by 1 or more, rounding by less than
    0.1."""
    assert got.dtype == np.float32, where
    assert got.shape == want.shape, where
    assert (abs(got - want) < 0.1).all(), f"{where}: off by {abs(got - want).max()}"


def assert_accurate(got, want, where=""):
    """The errors are within RMS and LARGEST; `want` is in float64."""
    assert got.dtype == np.float32, where
    assert got.shape == want.shape, where
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert error <= RMS, f"{where}: rms {error:.1e}"
    largest = abs(got - want).max() / np.ptp(np.append(want, 0))
    assert largest <= LARGEST, f"{where}: largest {largest:.1e}"


def doubled(*arrays):
    """The arrays in float64."""
    return tuple(a.astype(np.float64) for a in arrays)


def frame(x, before, edge):
    """x with `before` more lines and columns on every side."""
    around = ((0, 0), (before, before), (before, before), (0, 0))
    return np.pad(x, around, mode=FRAMES[edge])


def frame_backward(dy, before, edge):
    """The adjoint of frame: the gradient of a pixel is added to the pixel that it copies."""
    n, h, w, c = dy.shape
    h, w = h - 2 * before, w - 2 * before
    outside = {"constant_values": h * w} if edge == "zero" else {}
    shown = np.pad(np.arange(h * w).reshape(h, w), before, mode=FRAMES[edge], **outside)
    dx = np.zeros((n, h * w + 1, c))
    np.add.at(dx, (slice(None), shown.reshape(-1)), dy.reshape(n, -1, c))
    return dx[:, :-1].reshape(n, h, w, c)


def conv(x, w, b, before, edge):
    """The convolution of the framed image, in float64."""
    x, w, b = doubled(x, w, b)
    return layers.conv2d(frame(x, before, edge), w, b)[0]


def conv_backward(dy, x, w, before, edge):
    """dx, dw, db of `conv`."""
    dy, x, w = doubled(dy, x, w)
    cache = layers.conv.ConvCache(frame(x, before, edge), w)
    dx, dw, db = layers.conv2d_backward(dy, cache)
    return frame_backward(dx, before, edge), dw, db


def upsample_conv(x, w, b):
    return layers.upsample_conv(*doubled(x, w, b))[0]


def upsample_conv_backward(dy, x, w):
    dy, x, w = doubled(dy, x, w)
    _, cache = layers.upsample_conv(x, w, np.zeros(w.shape[-1]))
    return layers.upsample_conv_backward(dy, cache)
