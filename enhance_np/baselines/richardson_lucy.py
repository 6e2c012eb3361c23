"""Richardson-Lucy deconvolution, the classical method of the field.

With d the data, P the PSF and Pt its mirror image (P itself, if round), each iteration

    estimate <- estimate * (Pt * (d / (P * estimate)))

increases the probability of d under photon noise. The iterations do not stop at a useful solution:
they sharpen smaller and smaller scales and finally the noise. The number of iterations is the only
regularisation.
Sources: Richardson 1972, J. Opt. Soc. Am. 62, 55; Lucy 1974, AJ 79, 745.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ..config import TYPES
from ..optics.cosines import double, to_image, to_modes, transfers
from ..optics.degrade import HMI, Optics
from .tuning import Pair, Tuned, squared_error

ITERATIONS = 20  # as published with Enhance
DAMPING = 10.0  # times the median residual, as published


def check_iterations(iterations: int) -> None:
    """Raise ValueError for fewer than 1 iteration."""
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

    type : "intensity" (negative pixels count as 0) or "blos". Richardson-Lucy needs positive data,
        so the positive and the negative part of a field are deconvolved separately and subtracted,
        which is the usual way. It cannot recover opposite polarities that cancelled in a pixel.
    iterations : 1 or more.  damping : see `iterates`.
    as_target : give the image as seen through the target's aperture, like the training targets;
        otherwise the estimate is of the Sun itself.
    progress : called with (iterations done, total).

    The image is first interpolated to the output's grid and then deconvolved there, as in the
    paper. Means are kept, so the sum over the output is 4 times that over the input, also for a
    magnetogram.
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

    data : (H, W), 0 or more.  transfer : (H, W), of a PSF without negative values.
    damping : after every iteration, a pixel whose residual exceeds 10 times the median residual
        is reset to its data. This keeps an outlier from growing, but the sum over the image is
        then no longer that of the data.

    The first estimate is flat, at the mean. Every estimate has the sum of the data: a round PSF of
    sum 1, on an image continued as its mirror image, has the adjoint Pt = P, and sum(estimate *
    Pt(d / (P * estimate))) = sum(P * estimate * d / (P * estimate)).
    """
    estimate = np.full(data.shape, data.mean())
    # below this level the ratio is 0/0 up to the rounding of the transforms
    nothing = 1e-12 * max(data.max(), np.finfo(float).tiny)
    blurred = estimate
    while True:
        ratio = np.divide(data, blurred, out=np.zeros_like(data), where=blurred > nothing)
        # kernel and ratio are positive, so negative values are rounding
        estimate = estimate * np.maximum(_through(ratio, transfer), 0)
        blurred = _through(estimate, transfer)
        if damping:
            missed = np.abs(blurred - data)
            off = missed > DAMPING * np.median(missed)
            estimate[off] = data[off]
            blurred = _through(estimate, transfer)
        yield estimate


def tune(
    pairs: Iterable[Pair],
    type: str,
    most: int = 200,
    *,
    damping: bool = False,
    as_target: bool = False,
    optics: Optics = HMI,
) -> Tuned:
    """Number of iterations, 1 to `most`, of the least mean squared error on validation pairs."""
    _parts(np.zeros((1, 1)), type)  # raises for a wrong type before the work
    total, pixels = np.zeros(most), 0
    for low, high in pairs:
        fine = double(low)
        transfer, target = transfers(fine.shape, optics.hmi_scale / 2, optics)
        runs = [(sign, iterates(part, transfer, damping)) for sign, part in _parts(fine, type)]
        for k in range(most):
            out = sum(sign * next(run) for sign, run in runs)
            total[k] += squared_error(_through(out, target) if as_target else out, high)
        pixels += high.size
    return Tuned.of(range(1, most + 1), total, pixels)


def _parts(image, type):
    """(sign, part that is 0 or more) of each polarity."""
    if type not in TYPES:
        raise ValueError(f"deconvolve: type must be one of {TYPES}, got type={type!r}")
    signs = (1,) if type == "intensity" else (1, -1)
    return [(sign, np.maximum(sign * image, 0)) for sign in signs]


def _through(image, transfer):
    return to_image(to_modes(image) * transfer)
