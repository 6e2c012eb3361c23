"""Compares results with network.py in float64."""

from typing import NamedTuple

import numpy as np

from enhance_np import layers
from enhance_np.engine import REFERENCE
from enhance_np.engine.tiles import halo
from enhance_np.layers.conv import ConvCache
from enhance_np.weights import Weights

# Bars of the CPU engine, and of every other way. Whatever computes in float32 keeps them: the
# ways here have 1e-6. bfloat16, of 8 bits, misses both by a factor of 100 and more.
RMS, LARGEST = 1e-5, 5e-5
GRADIENT = 1e-4  # of a tensor's gradient, over its norm
WHOLE = 1024  # pixels a side; of a larger image only pieces are computed, as 1024 take a minute
PIECE = 128
COLUMNS = 2**26  # elements of im2col at a time: of all lines at once it would take gigabytes


class Errors(NamedTuple):
    rms: float  # of the error, over the rms of the exact result
    largest: float  # error, over the range of the exact result

    def small(self) -> bool:
        return self.rms <= RMS and self.largest <= LARGEST  # NaN is not


def errors(found: np.ndarray, exact: np.ndarray) -> Errors:
    return Errors(relative(found, exact), float(np.abs(found - exact).max() / np.ptp(exact)))


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    """rms of the error over the rms of the exact array."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


class Page:
    """The output of network.py for x (H, W) in float64: all of it, or five pieces for a large x.

    The pieces are the corners and the middle, which include edges of tiles.
    """

    def __init__(self, x: np.ndarray, weights: Weights):
        params, moving = (
            {name: a.astype("f8") for name, a in group.items()}
            for group in (weights.params, weights.moving)
        )
        weights = Weights(weights.config, params, moving)
        reach = halo(weights.config)
        self.pieces = [
            (core, _piece(x, core, reach, weights)) for core in _cores(x.shape, WHOLE, PIECE)
        ]

    def errors(self, y: np.ndarray) -> Errors:
        """The error of y (2H, 2W)."""
        found = [y[_doubled(core)].ravel() for core, _ in self.pieces]
        exact = [piece.ravel() for _, piece in self.pieces]
        return errors(np.concatenate(found), np.concatenate(exact))


def _cores(shape, whole, side):
    """Slices of x that are compared."""
    h, w = shape
    if max(shape) <= whole:
        return [(slice(0, h), slice(0, w))]
    rows, columns = (
        [slice(0, side), slice((n - side) // 2, (n + side) // 2), slice(n - side, n)] for n in shape
    )
    at = [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]
    return [(rows[i], columns[j]) for i, j in at]


def _piece(x, core, reach, weights):
    """The exact output of `core`, from the part of x on which it depends."""
    seen = [
        slice(max(0, s.start - reach), min(n, s.stop + reach))
        for s, n in zip(core, x.shape, strict=True)
    ]
    y = REFERENCE.predictor(weights)(x[tuple(seen)].astype("f8"), tile=PIECE)
    inner = [
        slice(s.start - around.start, s.stop - around.start)
        for s, around in zip(core, seen, strict=True)
    ]
    return y[_doubled(inner)]


def _doubled(slices):
    return tuple(slice(2 * s.start, 2 * s.stop) for s in slices)


def pad_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """layers.pad_conv in float64, strip by strip."""
    padded = layers.reflection_pad(x.astype("f8"), len(w) // 2)
    w, b = w.astype("f8"), b.astype("f8")
    strips = [layers.conv2d(padded[:, seen], w, b)[0] for _, seen in _strips(x.shape, w.shape)]
    return np.concatenate(strips, axis=1)


def pad_conv_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, ...]:
    """layers.pad_conv_backward in float64, strip by strip: dx, dw, db."""
    p = len(w) // 2
    padded, w = layers.reflection_pad(x.astype("f8"), p), w.astype("f8")
    dx, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros(w.shape[-1])
    for lines, seen in _strips(x.shape, w.shape):
        cache = ConvCache(padded[:, seen], w)
        part, dw_part, db_part = layers.conv2d_backward(dy[:, lines].astype("f8"), cache)
        dx[:, seen] += part
        dw += dw_part
        db += db_part
    return layers.reflection_pad_backward(dx, p), dw, db


def upsample_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """layers.upsample_conv in float64, strip by strip."""
    return pad_conv(layers.upsample(x), w, b)


def upsample_conv_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, ...]:
    """layers.upsample_conv_backward in float64, strip by strip: dx, dw, db."""
    dx, dw, db = pad_conv_backward(dy, layers.upsample(x), w)
    return layers.upsample_backward(dx), dw, db


def _strips(shape, kernel):
    """(lines of y, lines of the padded x that they depend on)."""
    n, h, w, _ = shape
    k = kernel[0]
    step = max(1, COLUMNS // (n * w * k * k * max(kernel[2:])))
    for first in range(0, h, step):
        last = min(first + step, h)
        yield slice(first, last), slice(first, last + k - 1)
