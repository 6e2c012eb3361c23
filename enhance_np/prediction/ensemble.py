"""One image in eight orientations: the mean of what a network makes of them, and their spread.

Edges are aligned, so an image and its enhanced one stay a pair under the rotations and reflections
of the square. No place on the Sun prefers an orientation, hence a perfect network would commute
with them. A trained one does nearly, and where it does not, it shows what it adds by itself.

A reflection of a line-of-sight field also changes its sign, as a mirror does: the field is an
axial vector. Nothing in the Sun's physics or in HMI prefers a polarity either, so to let half of
the images have the other one costs nothing, and what the network makes of no field cancels.
"""

from collections.abc import Callable

import numpy as np

ORIENTATIONS = 8
BAND = 64  # lines at a time, so that no temporary is as large as the output


def mean_and_spread(
    forward: Callable[[np.ndarray, np.ndarray | None, Callable[[int, int], None]], np.ndarray],
    x: np.ndarray,
    valid: np.ndarray | None,
    type: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, spread), (2H, 2W) float32 each, of forward in all orientations of x.

    forward(image, valid, progress) : (h, w) -> (2h, 2w) float32, an array that it does not use
    again.  x : (H, W) float32.  valid : (H, W) bool, where the result is wanted; None everywhere.
    type : "intensity", or "blos", whose reflections change sign.
    spread : standard deviation, the root of the mean square about the mean.
    progress : called with (input pixels done, in all), over all eight.

    Sums run along: besides x turned once, three arrays of the output's size are alive.
    Source: Welford 1962, Technometrics 4, 419.
    """
    mean = squares = None
    for k in range(ORIENTATIONS):
        sign = np.float32(-1 if type == "blos" and k >= 4 else 1)

        def advance(done, total, k=k):
            progress(k * total + done, ORIENTATIONS * total)

        wanted = None if valid is None else np.ascontiguousarray(_turned(valid, k))
        y = _returned(forward(np.ascontiguousarray(sign * _turned(x, k)), wanted, advance), k)
        if mean is None:
            mean, squares = y, np.zeros_like(y)
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # for the caller to find, in the sums
            for first in range(0, len(y), BAND):
                band = slice(first, first + BAND)
                off = sign * y[band] - mean[band]
                mean[band] += off / np.float32(k + 1)
                squares[band] += np.float32(k / (k + 1)) * off * off
    squares /= np.float32(ORIENTATIONS)
    return mean, np.sqrt(squares, out=squares)


def _turned(image, k):
    """Upside down from k = 4 on, then by k % 4 quarters."""
    return np.rot90(image[::-1] if k >= 4 else image, k % 4)


def _returned(image, k):
    image = np.rot90(image, -(k % 4))
    return image[::-1] if k >= 4 else image
