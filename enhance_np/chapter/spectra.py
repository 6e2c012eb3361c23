"""The scales at which an output has more power than its input, and noise levels of a spectrum.

Frequencies are in cycles per output pixel, as in the chapter, up to 0.5.
"""

from typing import NamedTuple

import numpy as np

from ..baselines.bicubic import bicubic
from ..evaluate.spectrum import Spectrum, power_spectrum
from ..observation.gaps import gap_free_box
from ..observation.normalise import fill

RESOLVED = 0.25  # the Nyquist frequency of the input's pixels
NOISE_BAND = (0.25, 0.3)  # just above it, where a spectrum of the Sun has fallen to the noise
FIRST = 0.05  # below it are spots as a whole: scales above 20 pixels
SMOOTHING = 0.01  # sigma of the average over frequencies before a maximum is looked for


class Excess(NamedTuple):
    """Frequencies in cycles per output pixel."""

    variance: float  # where most variance is added per octave
    low: float  # from here ...
    high: float  # ... to there it is at least half of that
    ratio: float  # below RESOLVED, where the output's power over the input's is largest


def spectra(image: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, Spectrum]:
    """{"input": of the interpolated input, name: of the output} in the largest part without gaps.

    image : (H, W), NaN is missing.  outputs : {name: (2H, 2W)}.
    Power is in the unit squared: white noise of standard deviation s has s^2 at every frequency.
    """
    y0, y1, x0, x1 = gap_free_box(np.isfinite(image))
    part = (slice(2 * y0, 2 * y1), slice(2 * x0, 2 * x1))
    images = {"input": bicubic(fill(image)[0])} | outputs
    return {name: power_spectrum(image[part], 1.0) for name, image in images.items()}


def excess(image: Spectrum, out: Spectrum) -> Excess:
    """The scales at which `out` has more power than `image`; both of `spectra`, of one size.

    The variance per octave is 2 pi f^2 P(f) ln 2: a ring of the plane has 2 pi f df modes.
    NaN if nothing is added.
    """
    from scipy.ndimage import gaussian_filter1d

    f = out.frequency
    width = SMOOTHING / (f[1] - f[0])
    added = gaussian_filter1d(2 * np.pi * f**2 * (out.power - image.power), width, mode="nearest")
    ratio = gaussian_filter1d(np.log(out.power / image.power), width, mode="nearest")
    added, ratio = np.where(f >= FIRST, added, 0), np.where(f <= RESOLVED, ratio, -np.inf)
    peak = int(added.argmax())
    if not added[peak] > 0:
        return Excess(*[np.nan] * 4)
    less = added < added[peak] / 2
    low = peak - int(np.argmax(less[peak::-1])) + 1
    after = less[peak:]
    high = peak + (int(np.argmax(after)) if after.any() else after.size) - 1
    return Excess(*(float(f[at]) for at in (peak, low, high, int(ratio.argmax()))))


def noise_level(spectrum: Spectrum, band: tuple[float, float] = NOISE_BAND) -> float:
    """Standard deviation of the white noise that has the mean power of the band."""
    inside = (spectrum.frequency >= band[0]) & (spectrum.frequency < band[1])
    return float(np.sqrt(spectrum.power[inside].mean()))
