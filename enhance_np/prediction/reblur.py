"""Blurs the output again and compares it with the input, in two ways.

A perfect output is not the Sun itself but the Sun seen through the target's aperture. Therefore

- "psf", PSF * out, which is the paper's figure, blurs twice: a perfect output differs from the
  input by a fifth of its contrast;
- "consistent", K * out with OTF_K = OTF_PSF / OTF_target, removes the target's blur first: a
  perfect output leaves only the noise of the input.
"""

import numpy as np

from .._array import repeated
from ..observation.normalise import fill
from ..optics.cosines import frequencies, halved, to_image, to_modes, transfers
from ..optics.degrade import HMI, Optics
from ..optics.psf import ARCSEC

BELOW = 0.95  # share of the target's cut-off; beyond it OTF_target < 0.014, and K is set to 0
LINES = 256  # lines of modes at a time: a full disk's transfer functions would take 0.5 GB each


def reblurred(out: np.ndarray, optics: Optics = HMI) -> dict[str, np.ndarray]:
    """{"psf": PSF * out, "consistent": K * out}, (H, W) each, at the centres of the input's pixels.

    out : (2H, 2W) finite. Input pixel i covers output pixels 2i and 2i + 1, and its centre is
    between them. Values are taken there and not averaged over the pixel, as in the training data.
    Raises ValueError for NaN or a PSF that is not symmetric.
    """
    return {
        "psf": _blurred(to_modes(out), optics, consistent=False),
        "consistent": _blurred(to_modes(out), optics, consistent=True),
    }


def residual_map(out: np.ndarray, image: np.ndarray, optics: Optics = HMI) -> np.ndarray:
    """K * out - image, (H, W) float32: the difference of the re-blurred output from its input.

    image : (H, W), NaN where missing.  out : (2H, 2W), made from it. Missing pixels are replaced
    by those of `fill`, which the network saw, and are NaN in the result.
    Raises ValueError for NaN in other pixels of `out`, or a PSF that is not symmetric.
    """
    filled, gaps = fill(image)
    # one array for the transform: beside a full disk's output and spread, 2 GiB have no room for
    # another
    whole = np.empty(out.shape)
    whole.reshape(len(filled), 2, -1, 2)[...] = filled[:, None, :, None]
    np.copyto(whole, out, where=repeated(~gaps))
    modes = to_modes(whole, overwrite=True)
    found = (_blurred(modes, optics, consistent=True) - filled).astype(np.float32)
    found[gaps] = np.nan
    return found


def _blurred(modes, optics, consistent):
    """The image of these modes convolved with K or the PSF; the modes are changed."""
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
    """mean |again - image| / mean |image| over the mask; NaN if the mask is empty or image is 0."""
    mask = np.ones(image.shape, bool) if mask is None else mask
    total = float(np.abs(image[mask], dtype=np.float64).sum())
    if total == 0:
        return np.nan
    return float(np.abs(np.subtract(again, image, dtype=np.float64)[mask]).sum()) / total
