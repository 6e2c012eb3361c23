"""Richardson-Lucy deconvolution, the classical method of the field.

With d the data, P the PSF and Pt its mirror image (P itself, if round),

    estimate <- estimate * (Pt * (d / (P * estimate)))

climbs towards the positive image that makes d most probable if its noise is that of counted
photons. It never stops at a solution: scale after scale sharpens, the noise last of all. The
number of iterations is the only regularisation.
Sources: Richardson 1972, J. Opt. Soc. Am. 62, 55; Lucy 1974, AJ 79, 745.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ..config import TYPES
from ..optics.cosines import double, to_image, to_modes, transfers
from ..optics.degrade import HMI, Optics
from .tuning import Scene, Tuned, squared_error

ITERATIONS = 20  # as published with Enhance
DAMPING = 10.0  # times the median residual, as published


def check_iterations(iterations: int) -> None:
    """Raise ValueError for fewer than 1."""
    if iterations < 1:
        raise ValueError(f"deconvolve: iterations must be 1 or more, got iterations={iterations}")


def deconvolve(
    image: np.ndarray,
    type: str,
    iterations: int = ITERATIONS,
    *,
    damping: bool = False,
    as_target: bool = False,
    optics: Optics = HMI,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """(H, W) -> (2H, 2W) float64, edges aligned, in the unit of the image, which must be finite.

    type : "intensity" (what is negative counts as 0) or "blos": Richardson-Lucy knows no sign,
        so the positive and the negative part are deconvolved one by one and subtracted, the
        field's usual way. Where opposite polarities mix, that forgets that they have cancelled.
    iterations : 1 or more.  damping : see `iterates`.
    as_target : seen through the target's aperture, as the training targets are; otherwise the
        estimate is of the Sun itself, as far as the iterations have come.
    progress : called with (iterations done, in all).

    The image is first interpolated to the output's grid, then deconvolved there, as in the
    paper. Means are kept: the sum over the output is 4 times that over the input, for a
    magnetogram too.
    Raises ValueError for another type, fewer than 1 iteration, NaN or an unsymmetric PSF.
    Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, the comparison of figure 11.
    """
    check_iterations(iterations)
    fine = double(image)
    transfer, target = transfers(fine.shape, optics.hmi_scale / 2, optics)
    parts = _parts(fine, type)
    out = np.zeros(fine.shape)
    done, in_all = 0, iterations * len(parts)
    progress(done, in_all)
    for sign, part in parts:
        run = iterates(part, transfer, damping)
        for _ in range(iterations):
            estimate = next(run)
            progress(done := done + 1, in_all)
        out += sign * estimate
    return _through(out, target) if as_target else out


def iterates(data: np.ndarray, transfer: np.ndarray, damping: bool = False) -> Iterator[np.ndarray]:
    """The estimates after 1, 2, ... iterations, without end. Each is a new array.

    data : (H, W), 0 or more.  transfer : (H, W), of a PSF that is nowhere negative.
    damping : after every iteration, a pixel whose data are missed by more than 10 times the
        median residual is set back to them. It keeps an outlier from growing; the sum over
        the image is then no longer that of the data.

    Starts flat, at the mean. Every estimate then has the sum of the data: a PSF of sum 1, round,
    on an image continued as its mirror image, has adjoint Pt = P, and sum(estimate * Pt(d /
    (P * estimate))) = sum(P * estimate * d / (P * estimate)).
    """
    estimate = np.full(data.shape, data.mean())
    # where there is nothing to explain, 0/0 below: rounding of the transforms decides
    nothing = 1e-12 * max(data.max(), np.finfo(float).tiny)
    blurred = estimate
    while True:
        ratio = np.divide(data, blurred, out=np.zeros_like(data), where=blurred > nothing)
        # the kernel is positive and so is the ratio: below 0 is rounding
        estimate = estimate * np.maximum(_through(ratio, transfer), 0)
        blurred = _through(estimate, transfer)
        if damping:
            missed = np.abs(blurred - data)
            off = missed > DAMPING * np.median(missed)
            estimate[off] = data[off]
            blurred = _through(estimate, transfer)
        yield estimate


def tune(
    scenes: Iterable[Scene],
    type: str,
    most: int = 200,
    *,
    damping: bool = False,
    as_target: bool = False,
    optics: Optics = HMI,
) -> Tuned:
    """Number of iterations, 1 to `most`, of the least mean squared error on validation scenes."""
    _parts(np.zeros((1, 1)), type)  # a wrong type is found before the work
    total, pixels = np.zeros(most), 0
    for scene in scenes:
        fine = double(scene.low)
        transfer, target = transfers(fine.shape, optics.hmi_scale / 2, optics)
        runs = [(sign, iterates(part, transfer, damping)) for sign, part in _parts(fine, type)]
        for k in range(most):
            out = sum(sign * next(run) for sign, run in runs)
            total[k] += squared_error(_through(out, target) if as_target else out, scene.high)
        pixels += scene.high.size
    return Tuned.of(range(1, most + 1), total, pixels)


def _parts(image, type):
    """(sign, part that is 0 or more) of each polarity."""
    if type not in TYPES:
        raise ValueError(f"deconvolve: type must be one of {TYPES}, got type={type!r}")
    signs = (1,) if type == "intensity" else (1, -1)
    return [(sign, np.maximum(sign * image, 0)) for sign in signs]


def _through(image, transfer):
    return to_image(to_modes(image) * transfer)
