"""The Wiener filter: the inverse of the blur, damped where noise would dominate.

In Fourier space, with P and A the transfer functions of HMI and of the target,

    out = in * A P / (P^2 + nsr)

is the best linear estimate of the target if scene and noise are stationary and nsr is the ratio
of their power at each frequency. Here nsr is one number for all frequencies.
Source: Wiener 1949, Extrapolation, Interpolation and Smoothing of Stationary Time Series.
"""

from collections.abc import Iterable

import numpy as np

from ..optics.cosines import doubled, to_image, to_modes, transfers
from ..optics.degrade import HMI, Optics
from . import tuning

CANDIDATES = tuple(float(nsr) for nsr in 10.0 ** np.arange(-6, -0.49, 0.25))


def wiener(image: np.ndarray, nsr: float, optics: Optics = HMI) -> np.ndarray:
    """(H, W) finite -> (2H, 2W) float64, edges aligned, towards the target's aperture.

    nsr : 0 or more, power of the noise over that of the scene. 0 is the inverse filter, which is
        exact for a noise-free scene that the input's pixels resolve.
    The mean is not changed, because it has no noise. Nothing is added beyond the input's Nyquist
    frequency.
    Raises ValueError for a negative or infinite nsr, NaN or an unsymmetric PSF.
    """
    modes = to_modes(image)
    return _filtered(modes, transfers(modes.shape, optics.hmi_scale, optics), nsr)


def tune(
    pairs: Iterable[tuning.Pair],
    candidates: Iterable[float] = CANDIDATES,
    optics: Optics = HMI,
) -> tuning.Tuned:
    """The nsr of the least mean squared error on validation pairs."""
    candidates = tuple(candidates)
    total, pixels = np.zeros(len(candidates)), 0
    for low, high in pairs:
        modes = to_modes(low)
        otf = transfers(modes.shape, optics.hmi_scale, optics)
        total += [tuning.squared_error(_filtered(modes, otf, nsr), high) for nsr in candidates]
        pixels += high.size
    return tuning.Tuned.of(candidates, total, pixels)


def _filtered(modes, otf, nsr):
    if not 0 <= nsr < np.inf:
        raise ValueError(f"wiener: nsr must be 0 or more and finite, got nsr={nsr}")
    psf, target = otf
    gain = target * psf / (psf**2 + nsr)
    gain[0, 0] = 1.0  # both kernels have sum 1
    return to_image(doubled(modes * gain))
