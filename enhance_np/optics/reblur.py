"""Does the output, blurred once more, give back the input? Two ways to ask.

A perfect output is not the Sun but the Sun through the target's aperture. So

- "psf", PSF * out, the paper's figure, blurs twice: a perfect output misses the input by a fifth
  of its contrast;
- "consistent", K * out with OTF_K = OTF_PSF / OTF_target, takes the target's blur away first: a
  perfect output leaves only the noise of the input.
"""

import numpy as np

from ..evaluate.quantities import repeated
from ..observation.normalise import fill
from .cosines import frequencies, halved, to_image, to_modes, transfers
from .degrade import HMI, Optics
from .psf import ARCSEC

BELOW = 0.95  # of the target's cut-off: beyond, OTF_target is under 0.014 and K is nothing
LINES = 256  # of modes at a time: a full disk's transfer functions would take 0.5 GB each


def reblurred(out: np.ndarray, optics: Optics = HMI) -> dict[str, np.ndarray]:
    """{"psf": PSF * out, "consistent": K * out}, (H, W) each, at the centres of the input's pixels.

    out : (2H, 2W) finite. Input pixel i covers output pixels 2i and 2i + 1, so its centre is
    between them: values are taken there, not averaged over the pixel, as in the training data.
    Raises ValueError for NaN or a PSF that is not symmetric.
    """
    return {
        "psf": _blurred(to_modes(out), optics, consistent=False),
        "consistent": _blurred(to_modes(out), optics, consistent=True),
    }


def residual_map(out: np.ndarray, image: np.ndarray, optics: Optics = HMI) -> np.ndarray:
    """K * out - image, (H, W) float32: what the output does not explain of its input.

    image : (H, W), where NaN is missing.  out : (2H, 2W), made of it, NaN there or not: `fill`'s
    values take its place, as the network saw them. Missing again in the result.
    Raises ValueError for NaN elsewhere, or a PSF that is not symmetric.
    """
    filled, gaps = fill(image)
    # the transform takes place in one array: beside a full disk's output and spread there is no
    # room within 2 GiB for more
    whole = np.empty(out.shape)
    whole.reshape(len(filled), 2, -1, 2)[...] = filled[:, None, :, None]
    np.copyto(whole, out, where=repeated(~gaps))
    modes = to_modes(whole, overwrite=True)
    found = (_blurred(modes, optics, consistent=True) - filled).astype(np.float32)
    found[gaps] = np.nan
    return found


def _blurred(modes, optics, consistent):
    """K, or PSF, times the image of these modes, which are changed."""
    scale = optics.hmi_scale / 2
    cut_off = optics.target_aperture / optics.wavelength * ARCSEC  # cycles per arcsec
    for first in range(0, len(modes), LINES):
        lines = slice(first, first + LINES)
        transfer, target = transfers(modes.shape, scale, optics, lines)
        if consistent:
            passed = frequencies(modes.shape, scale, lines) < BELOW * cut_off
            transfer = np.divide(transfer, target, out=np.zeros_like(target), where=passed)
        modes[lines] *= transfer
    return to_image(halved(modes))


def residual(again: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """mean |again - image| / mean |image| over the mask; NaN where that is empty or image is 0."""
    mask = np.ones(image.shape, bool) if mask is None else mask
    total = float(np.abs(image[mask], dtype=np.float64).sum())
    if total == 0:
        return np.nan
    return float(np.abs(np.subtract(again, image, dtype=np.float64)[mask]).sum()) / total
