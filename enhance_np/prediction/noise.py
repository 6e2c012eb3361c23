"""The noise of an image: given, known from HMI's cadence, or estimated from the image."""

from typing import NamedTuple

import numpy as np

from ..observation.fits import Frame
from ..observation.gaps import gap_free_box
from ..observation.header import card
from ..observation.telescope import foreign_instrument
from ..optics.degrade import Optics
from ..optics.psf import ARCSEC
from ..pairs.recipe import read

SIDE = 1024  # pixels, at most, of the part from which the noise is estimated
LEAST = 50  # modes beyond the telescope's cut-off that an estimate needs
LOUDEST = 1e30  # noise in the unit of the image, so that its error bars are finite in float32
# standard deviation, in input pixels, of a Gaussian about as wide as a squared row of the shipped
# networks' Jacobians (tests/prediction/test_noise.py)
MIXED = 0.7


class Noise(NamedTuple):
    sigma: float | np.ndarray  # in the unit of the image; (H, W) if it differs from pixel to pixel
    source: str  # "given", "its uncertainty", "HMI, 720 s", "estimated" or "at least HMI, 720 s"

    @property
    def typical(self) -> float:
        """The median."""
        return float(np.nanmedian(self.sigma))


def noise_of(
    frame: Frame, type: str, level: float, optics: Optics | None, given: float | None = None
) -> Noise | None:
    """The noise of an image; None if nothing tells it.

    level : the image's unit over the network's: intensity of the quiet Sun, or units in 1 kG.
    optics : of the image's pixels; None if they are not known.
    given : sigma in the image's unit.

    An uncertainty of the image comes next: of each pixel, mixed as the network mixes the pixels.
    HMI's cadence is that of the card CADENCE, its noise that of the training recipe of the type.
    Many images of HMI without that card were interpolated, after which an estimate is too low. Its
    least noise is then taken.
    """
    if given is not None:
        return Noise(float(given), "given")
    if (sigma := frame.sigma()) is not None:
        known = np.isfinite(frame.data) & (sigma <= LOUDEST)
        if known.any():
            return Noise(mixed(np.where(known, sigma, np.nan)), "its uncertainty")
    found = None if optics is None else estimated(frame.data, optics)
    if foreign_instrument(frame.header) is not None:
        return None if found is None else Noise(found, "estimated")
    known = {noise.cadence: noise.sigma * level for noise in read(type).noise}
    cadence = f"{card(frame.header, 'CADENCE')} s".replace(".0 s", " s")
    if cadence in known:
        return Noise(known[cadence], f"HMI, {cadence}")
    least = min(known, key=known.get)
    if found is None or found < known[least]:
        return Noise(known[least], f"at least HMI, {least}")
    return Noise(found, "estimated")


def mixed(sigma: np.ndarray) -> np.ndarray:
    """The noise (H, W) that reaches the output at each pixel, over the noise gain there.

    An output pixel has the noise of several input pixels: var y_i = sum_j J_ij^2 sigma_j^2. So this
    is the root of a weighted mean of the squares around a pixel. NaN is unknown: it is left out,
    and stays.
    """
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(sigma)
    square = np.where(known, sigma, 0) ** 2
    part, square = (gaussian_filter(a, MIXED) for a in (known.astype(np.float64), square))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, np.sqrt(square / part), np.nan)


def estimated(image: np.ndarray, optics: Optics) -> float | None:
    """Sigma of white noise, from the spatial frequencies that the telescope does not pass.

    image : (H, W), NaN where missing; the largest box without gaps is used, at most SIDE x SIDE.
    Pixels that were interpolated have less noise at these frequencies, and the estimate is too low.
    None if fewer than LEAST modes are beyond the cut-off D / lambda.

    Of white noise, the power of a mode is exponentially distributed, with the median ln 2 sigma^2.
    The median ignores the few modes into which edges leak.
    """
    y0, y1, x0, x1 = gap_free_box(np.isfinite(image))
    y0, x0 = max(y0, (y0 + y1 - SIDE) // 2), max(x0, (x0 + x1 - SIDE) // 2)
    part = image[y0 : min(y1, y0 + SIDE), x0 : min(x1, x0 + SIDE)].astype(np.float64)
    if min(part.shape) < 2:
        return None
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in part.shape))
    power = np.abs(np.fft.rfft2(window * (part - part.mean()))) ** 2 / (window**2).sum()
    rows, columns = np.fft.fftfreq(part.shape[0]), np.fft.rfftfreq(part.shape[1])
    frequency = np.hypot(rows[:, None], columns) / optics.hmi_scale  # cycles per arcsec
    beyond = frequency > optics.aperture / optics.wavelength * ARCSEC
    if np.count_nonzero(beyond) < LEAST:
        return None
    return float(np.sqrt(np.median(power[beyond]) / np.log(2)))
