"""Small, smooth scenes with a known truth, for the tests of evaluate."""

import numpy as np
from scipy.fft import idctn

from enhance_np.optics.degrade import HMI_SCALE, degrade

FINE = HMI_SCALE / 8  # `cosines.transfers` samples the kernels on the same pixels


def smooth_scene(rng, pixels=(24, 32), highest=0.9):
    """(8h, 8w) at FINE: random cosines below `highest` cycles per arcsec, about a mean of 1."""
    shape = tuple(8 * n for n in pixels)
    fy, fx = (np.arange(n) / (2 * n * FINE) for n in shape)
    kept = np.hypot(fy[:, None], fx) < highest
    modes = np.where(kept, rng.standard_normal(shape), 0)
    modes[0, 0] = 0
    scene = idctn(modes, norm="ortho")
    return 1 + 0.1 * scene / scene.std()


def pair(scene):
    """(low, high) without noise."""
    return degrade(scene, FINE)


def spot(shape, centre, sigma):
    """A Gaussian of height 1 at `centre` (y, x) pixels from the corner; sigma in pixels."""
    y, x = ((np.arange(n) + 0.5 - c) / sigma for n, c in zip(shape, centre, strict=True))
    return np.exp(-(y[:, None] ** 2 + x**2) / 2)


def centroid(image):
    """Centroid (y, x) in pixels from the corner."""
    y, x = (np.arange(n) + 0.5 for n in image.shape)
    return np.array([y @ image.sum(axis=1), image.sum(axis=0) @ x]) / image.sum()
