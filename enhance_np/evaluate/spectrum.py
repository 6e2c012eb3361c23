"""Power spectra: the structure of an image by size, and patterns of its pixel grid."""

from typing import NamedTuple

import numpy as np
from scipy.fft import fft2, fftfreq

from ..optics.cosines import WORKERS

# cycles per arcsec. HMI's pixels end at 0.99, the output's at 1.98.
BANDS = ((0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.5), (1.5, 2.0))
# bins from the Nyquist line; the window spreads the line over 2 bins
NEIGHBOURS = np.arange(3, 13)


class Spectrum(NamedTuple):
    frequency: np.ndarray  # (n,) cycles per arcsec, middles of the rings
    power: np.ndarray  # (n,) per (cycle / arcsec)^2, in unit^2; NaN for an empty ring


def power_spectrum(image: np.ndarray, pixel_scale: float) -> Spectrum:
    """Radial average of |F|^2 of the image without its mean, under a Hann window.

    image : (H, W) finite.  pixel_scale : arcsec.
    Rings are 1 / (longest side) wide, up to the Nyquist frequency of a row. The window prevents
    leakage into all frequencies from the step between opposite borders. The power is divided by
    the window's mean square and by the area, so that white noise of variance s^2 gives
    s^2 pixel_scale^2 at every frequency, for any grid or size of the image.
    """
    h, w = image.shape
    power = _windowed_power(image) * pixel_scale**2
    f = np.hypot(fftfreq(h, pixel_scale)[:, None], fftfreq(w, pixel_scale))
    width = 1 / (max(h, w) * pixel_scale)
    n = int(np.floor(0.5 / pixel_scale / width + 1e-9))
    ring = np.floor(f / width + 0.5).astype(int).ravel()
    count = np.bincount(ring, minlength=n + 1)[1 : n + 1]
    total = np.bincount(ring, power.ravel(), n + 1)[1 : n + 1]
    with np.errstate(invalid="ignore"):
        return Spectrum(np.arange(1, n + 1) * width, total / count)


def band_powers(image: np.ndarray, pixel_scale: float, bands=BANDS) -> np.ndarray:
    """Mean power of the modes in each band, (len(bands),), as in `power_spectrum`.

    A band is low <= |f| < high; NaN if the pixels do not resolve all of it along the axes.
    """
    h, w = image.shape
    power = _windowed_power(image) * pixel_scale**2
    f = np.hypot(fftfreq(h, pixel_scale)[:, None], fftfreq(w, pixel_scale))
    found = []
    for low, high in bands:
        inside = (f >= low) & (f < high)
        resolved = high <= 0.5 / pixel_scale * 1.02  # the last band ends close to Nyquist
        found.append(power[inside].mean() if resolved and inside.any() else np.nan)
    return np.array(found)


class NyquistLine(NamedTuple):
    ratio: float  # power on the line over the power expected from its neighbourhood
    scatter: float  # standard deviation of that ratio without a pattern


def nyquist_lines(image: np.ndarray) -> dict[str, NyquistLine]:
    """Power of alternating columns ("columns") and rows ("rows") relative to their neighbourhood.

    image : (H, W) finite, sides of 32 pixels or more.

    An upsampling by 2 may treat even and odd pixels differently. The resulting pattern alternates
    from pixel to pixel, so it has the frequency 1/2 per pixel along one axis, which is a line of
    the two-dimensional spectrum. A scene does not depend on the pixel grid: across the line its
    power is smooth, and symmetric about it, because higher frequencies are folded back. The power
    expected on the line is therefore extrapolated by a + b d^2 from log(power) at 3 to 12 bins
    from the line, averaged along it. The scatter follows from the number of modes that have the
    power: with few of them, as in a small or a smooth image, a ratio far from 1 is not significant.
    Only an excess indicates a pattern: a filter that treats left and right alike has no power on
    the line.
    Raises ValueError for a smaller image.
    """
    if min(image.shape) < 32:
        raise ValueError(f"nyquist_lines: needs 32 x 32 pixels or more, got {image.shape}")
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    power = _windowed_power(even)
    return {"columns": _line(power), "rows": _line(power.T)}


def _line(power):
    middle = power.shape[1] // 2
    across = (power[:, middle - NEIGHBOURS] + power[:, middle + NEIGHBOURS]) / 2
    line = power[:, middle]
    if not line.any() and not across.any():
        return NyquistLine(np.nan, np.nan)
    _, expected = np.polyfit(NEIGHBOURS**2, np.log(across.mean(axis=0)), 1)
    # Every mode has exponential statistics, so its scatter is its mean. For a real image, half of
    # the modes on the line repeat the other half (factor 2). The window correlates neighbours, with
    # squared correlations of 4/9 and 1/36 (factor 1 + 2 (4/9 + 1/36) = 1.94). The scatter of the
    # fit adds a factor of 1.27.
    weights = across.mean(axis=1)
    scatter = np.sqrt(2 * 1.94 * 1.27 * (weights**2).sum()) / weights.sum()
    return NyquistLine(float(line.mean() / np.exp(expected)), float(scatter))


def phase_amplitude(image: np.ndarray) -> float:
    """Amplitude of the largest pattern that alternates by columns, by rows or as a chessboard.

    image : (H, W) finite. The result is in its unit: a pattern of +a and -a gives a. A Hann window
    is applied.
    """
    w = _hann(image.shape)
    rows, columns = ((-1.0) ** np.arange(n) for n in image.shape)
    flat = (image - image.mean()) * w
    patterns = (flat @ columns, rows @ flat)
    both = rows @ flat @ columns
    return float(max(*(abs(p.sum()) for p in patterns), abs(both)) / w.sum())


def _hann(shape):
    rows, columns = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n) for n in shape)
    return rows[:, None] * columns


def _windowed_power(image):
    """|F|^2 per pixel, (H, W); for white noise its mean is the variance."""
    window = _hann(image.shape)
    flat = (image - np.mean(image, dtype=np.float64)) * window
    return np.abs(fft2(flat, workers=WORKERS)) ** 2 / (window**2).sum()
