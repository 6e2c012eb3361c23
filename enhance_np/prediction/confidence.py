"""What `confidence` adds to an enhanced image: error bars, doubts, spread and residual."""

import logging

import numpy as np

from .._array import repeated
from .._errors import avoidable
from ..observation import fits
from ..observation.normalise import Norm
from ..optics.degrade import HMI, Optics, on_pixels
from ..weights import Weights
from .doubt import COMMENTS, EDGE, SIGMAS, Doubt
from .error_bar import LINES, Calibration, judged
from .noise import LOUDEST, Noise, noise_of

log = logging.getLogger(__name__)


def check_noise(noise: float | None, confidence: bool) -> None:
    """Raises ValueError unless noise is None, or a number of 0 to LOUDEST beside `confidence`."""
    if noise is None:
        return
    if not confidence:
        raise avoidable(ValueError("predict: noise is for confidence"), "confidence")
    try:
        valid = 0 <= float(noise) <= LOUDEST
    except (TypeError, ValueError):  # an array, or a Quantity, whose unit may be another
        valid = False
    if not valid:
        message = f"predict: noise must be 0 to {LOUDEST:g}, in the image's unit, got {noise}"
        raise avoidable(ValueError(message), "noise")


def check_calibration(loaded: Weights) -> None:
    """Raises ValueError if the weights have a calibration, but a damaged one; before any work."""
    Calibration.stored(loaded.calibration)


def optics_of(loaded: Weights) -> Optics:
    """The optics of the data that the weights were trained on; HMI's if they are not stored.

    Raises ValueError if the PSF came from a file.
    """
    return Optics.stored(loaded.provenance) or HMI


def confidence_images(
    frame: fits.Frame,
    type: str,
    output: np.ndarray,
    spread: np.ndarray,
    header,
    loaded: Weights,
    divisor: Norm,
    noise: float | None = None,
) -> dict[str, fits.Extension]:
    """The images by name, each with the header of its pixels.

    ERROR and DOUBT are left out, with a warning, if the weights have no calibration, or nothing
    tells the noise; RESIDUAL if the weights do not store their PSF.

    output, spread : of the image `frame` with the norm `divisor`.
    header : of the output; None if the images have none.
    noise : sigma of the input's noise in its unit; None finds it out, see `noise.noise_of`.
    """
    its_optics, residual = None, None
    try:
        its_optics = on_pixels(optics_of(loaded), frame.header)
    except ValueError as error:
        log.warning("%s: RESIDUAL is left out: %s", frame.path, error)
    if its_optics is not None:
        from .reblur import residual_map

        residual = residual_map(output, frame.data, its_optics)
    found = {}
    calibration = _calibration(frame, loaded)
    its_noise = calibration and noise_of(frame, type, divisor.level, its_optics, noise)
    if its_noise is not None:
        found = _with_bars(frame, type, output, residual, header, calibration, divisor, its_noise)
    elif calibration is not None:
        message = (
            "%s: ERROR and DOUBT are left out: neither the header nor the image tells the noise"
        )
        log.warning(message, frame.path, extra={"parameters": ("noise",)})
    images = {"SPREAD": (spread, header, "SPREAD OVER ORIENTATIONS, NO ERROR BAR")}
    if residual is not None:
        of_input = None if header is None else fits.without_storage(frame.header)
        images["RESIDUAL"] = residual, of_input, "RESIDUAL OF THE RE-BLURRED OUTPUT"
    for name, (image, its_header, content) in images.items():
        found[name] = fits.Extension(name, image, _described(its_header, content))
    return found


def _calibration(frame: fits.Frame, loaded: Weights) -> Calibration | None:
    found = Calibration.stored(loaded.calibration)
    if found is None:
        log.warning(
            "%s: ERROR and DOUBT are left out: the weights have no calibration "
            "(enhance-np calibrate makes one)",
            frame.path,
        )
    return found


def _described(header, content: str):
    if header is None:
        return None
    made = header.copy()
    made["CONTENT"] = content
    return made


def _with_bars(
    frame, type, output, residual, header, calibration: Calibration, divisor, noise: Noise
) -> dict[str, fits.Extension]:
    """ERROR and DOUBT."""
    error, value, contrast = judged(output, type, calibration, divisor, noise.sigma)
    level = f"{noise.typical:.4g} {frame.unit}".strip()
    log.info("%s: error bars for noise of %s (%s)", frame.path, level, noise.source)
    found = {
        Doubt.VALUE: value,
        Doubt.CONTRAST: contrast,
        Doubt.EDGE: repeated(_edge(np.isnan(output[::2, ::2]))),
    }
    if residual is not None:
        found[Doubt.RESIDUAL] = repeated(_more_than_noise(residual, calibration, divisor, noise))
    doubt = np.zeros(output.shape, np.uint8)
    for bit, there in found.items():
        doubt[there] |= np.uint8(bit)
    of_error = _described(header, "ERROR OF THE ENHANCED IMAGE, 1 SIGMA")
    of_doubt = _described(header, "REASONS TO DOUBT, BITS")
    if header is not None:
        of_error["ENHNOISE"] = (noise.typical, f"noise of the input, {noise.source}"[:45])
        of_error["ENHCALIB"] = (calibration.data[:60], "calibrated on")
        of_doubt.remove("BUNIT", ignore_missing=True)
        for number, (bit, comment) in enumerate(COMMENTS.items()):
            of_doubt[f"ENHBIT{number}"] = (bit.name, f"{bit.value}: {comment}")
    return {
        "ERROR": fits.Extension("ERROR", error, of_error),
        "DOUBT": fits.Extension("DOUBT", doubt, of_doubt),
    }


def _edge(gaps: np.ndarray) -> np.ndarray:
    from scipy.ndimage import maximum_filter

    return maximum_filter(gaps, 2 * EDGE + 1, mode="constant", cval=True)


def _more_than_noise(residual, calibration, divisor, noise) -> np.ndarray:
    """(H, W) bool; False where the residual is missing."""
    found = np.zeros(residual.shape, bool)
    sigma = np.broadcast_to(noise.sigma, residual.shape)
    for first in range(0, len(residual), LINES):
        lines = slice(first, min(first + LINES, len(residual)))
        misfit = calibration.misfit * divisor.lines(first, lines.stop, residual.shape[1])
        with np.errstate(invalid="ignore"):
            found[lines] = np.abs(residual[lines]) > SIGMAS * np.hypot(sigma[lines], misfit)
    return found
