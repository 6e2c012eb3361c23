"""The mean and the spread of a network's outputs for eight orientations of one image.

An image and its output stay a pair under the symmetries of the square (`_symmetry`). No place on
the Sun prefers an orientation, so a perfect network would commute with them. A trained network
commutes approximately; the differences show what it adds by itself.

A reflection also changes the sign of a line-of-sight field, because the field is an axial vector.
Neither the Sun's physics nor HMI prefers a polarity, so half of the images may have the other one,
and the network's output for zero field cancels in the mean.
"""

from collections.abc import Callable

import numpy as np

from .._symmetry import is_mirrored, turned, turned_back

# in the order of Welford's sums, on which their last bits depend
ORDER = (0, 1, 2, 3, 6, 5, 4, 7)
ORIENTATIONS = len(ORDER)
BAND = 64  # lines at a time, so that no temporary is as large as the output


def mean_and_spread(
    forward: Callable[[np.ndarray, np.ndarray | None, Callable[[int, int], None]], np.ndarray],
    x: np.ndarray,
    valid: np.ndarray | None,
    type: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, spread), (2H, 2W) float32 each, of forward in all orientations of x.

    forward(image, valid, progress) : (h, w) -> (2h, 2w) float32, a new array in each call.
    x : (H, W) float32.  valid : (H, W) bool, where the result is wanted; None means everywhere.
    type : "intensity", or "blos", whose reflections change sign.
    spread : standard deviation, the root of the mean square about the mean.
    progress : called with (input pixels done, total), counted over all eight.

    The sums are updated after each output, so at most one turned copy of x and three arrays of the
    output's size exist at a time.
    Source: Welford 1962, Technometrics 4, 419.
    """
    mean = squares = None
    for k, turn in enumerate(ORDER):
        sign = np.float32(-1 if type == "blos" and is_mirrored(turn) else 1)

        def advance(done, total, k=k):
            progress(k * total + done, ORIENTATIONS * total)

        wanted = None if valid is None else np.ascontiguousarray(turned(valid, turn))
        y = forward(np.ascontiguousarray(sign * turned(x, turn)), wanted, advance)
        y = turned_back(y, turn)
        if mean is None:
            mean, squares = y, np.zeros_like(y)
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the result
            for first in range(0, len(y), BAND):
                band = slice(first, first + BAND)
                off = sign * y[band] - mean[band]
                mean[band] += off / np.float32(k + 1)
                squares[band] += np.float32(k / (k + 1)) * off * off
    squares /= np.float32(ORIENTATIONS)
    return mean, np.sqrt(squares, out=squares)
