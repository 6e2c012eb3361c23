"""Does the output, blurred once more, give back the input? Two ways to ask.

A perfect output is not the Sun but the Sun through the target's aperture. So

- "psf", PSF * out, the paper's figure, blurs twice: a perfect output misses the input by a fifth
  of its contrast;
- "consistent", K * out with OTF_K = OTF_PSF / OTF_target, takes the target's blur away first: a
  perfect output leaves only the noise of the input.
"""

import numpy as np

from ..data.degrade import HMI, Optics
from ..data.psf import ARCSEC
from .cosines import frequencies, halved, to_image, to_modes, transfers

BELOW = 0.95  # of the target's cut-off: beyond, OTF_target is under 0.014 and K is nothing


def reblurred(out: np.ndarray, optics: Optics = HMI) -> dict[str, np.ndarray]:
    """{"psf": PSF * out, "consistent": K * out}, (H, W) each, at the centres of the input's pixels.

    out : (2H, 2W) finite. Input pixel i covers output pixels 2i and 2i + 1, so its centre is
    between them: values are taken there, not averaged over the pixel, as in the training data.
    Raises ValueError for NaN or a PSF that is not symmetric.
    """
    scale = optics.hmi_scale / 2
    modes = to_modes(out)
    psf, target = transfers(modes.shape, scale, optics)
    cut_off = optics.target_aperture / optics.wavelength * ARCSEC  # cycles per arcsec
    passed = frequencies(modes.shape, scale) < BELOW * cut_off
    consistent = np.divide(psf, target, out=np.zeros_like(psf), where=passed)
    return {
        name: to_image(halved(modes * otf))
        for name, otf in (("psf", psf), ("consistent", consistent))
    }


def residual(again: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """mean |again - image| / mean |image| over the mask; NaN where that is empty or image is 0."""
    mask = np.ones(image.shape, bool) if mask is None else mask
    total = float(np.abs(image[mask], dtype=np.float64).sum())
    if total == 0:
        return np.nan
    return float(np.abs(np.subtract(again, image, dtype=np.float64)[mask]).sum()) / total
