"""A procedural Sun: intensity and vertical field of one scene, drawn by rule from a seed.

It is documented as what it is: a picture with the scales, contrasts and field strengths of the
photosphere, not a simulation and not an observation. It supplies what free data lack (the
field of sunspots), a demo that needs no download, and tests.
"""

import numpy as np

from .granulation import granulation, noise
from .sunspot import Sunspot, draw_sunspot

KINDS = ("active", "quiet", "plage", "spot")
# Seeds belong to one purpose each, so that no scene is on two sides
TRAINING_SEEDS = range(0, 100_000)
VALIDATION_SEEDS = range(500_000, 600_000)
DEMO_SEEDS = range(1_000_000, 1_100_000)

# kind: mean fraction of the area with kG field; how much of it gathers in patches
MAGNETISM = {
    "quiet": (0.006, 0.35),
    "plage": (0.12, 0.6),
    "spot": (0.015, 0.6),
    "active": (0.08, 0.7),
}


def scene(
    seed: int,
    shape: tuple[int, int] = (512, 512),
    pixel_scale: float = 0.0662,
    kind: str = "active",
) -> tuple[np.ndarray, np.ndarray]:
    """(intensity, bz) of a piece of the Sun at disc centre, on one grid.

    seed : 0 or more; the same arguments give the same scene.
    shape : (H, W) pixels.  pixel_scale : arcsec per pixel.
    kind : "quiet" (granulation, network and weak mixed polarity), "plage" (kG field in the lanes,
        bright points, pores), "spot" (a sunspot in quiet Sun), "active" (a bipolar region with
        plage, pores and, where they fit, two spots).
    Returns intensity (H, W) float32 over the quiet Sun's mean, bz (H, W) float32 in gauss.
    Raises ValueError for another kind, a negative seed, pixels above 0.25 arcsec, or a side
    below 4 arcsec.

    The granulation has the power spectrum and the histogram of a MURaM simulation (`granulation`).
    """
    if kind not in KINDS:
        raise ValueError(f"scene: kind must be one of {KINDS}, got kind={kind!r}")
    if seed < 0:
        raise ValueError(f"scene: seed must be 0 or more, got seed={seed}")
    if not 0 < pixel_scale <= 0.25:
        raise ValueError(f"scene: pixel_scale must be in (0, 0.25], got pixel_scale={pixel_scale}")
    if len(shape) != 2 or min(shape) * pixel_scale < 4:
        raise ValueError(f"scene: both sides must be 4 arcsec or more, got shape={shape}")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    quiet = granulation(rng, shape, pixel_scale)
    spots = _spots(rng, shape, pixel_scale, kind)
    polarity = _polarity(rng, shape, pixel_scale, kind, spots)
    intensity, bz = _magnetic_elements(rng, quiet, polarity, pixel_scale, kind)
    for spot in spots:
        intensity, bz = draw_sunspot(rng, spot, intensity, bz, pixel_scale)
    return intensity.astype(np.float32), bz.astype(np.float32)


def _spots(rng, shape, pixel_scale, kind):
    """Places and sizes (arcsec) of the sunspots of a scene."""
    size = np.array(shape) * pixel_scale
    sign = rng.choice([-1, 1])
    if kind == "spot":
        radius = rng.uniform(0.16, 0.36) * size.min()
        return [Sunspot(tuple(size * rng.uniform(0.4, 0.6, 2)), radius, sign)]
    if kind == "active":
        # along the diagonal, so that the larger of the two does not cover the other
        ends = np.array([rng.uniform(0.2, 0.3, 2), rng.uniform(0.7, 0.8, 2)])
        if rng.random() < 0.5:
            ends[:, 0] = 1 - ends[:, 0]
        radii = rng.uniform(0.07, 0.18, 2) * size.min()
        return [
            Sunspot(tuple(end * size), radius, s)
            for end, radius, s in zip(ends, radii, (sign, -sign), strict=True)
        ]
    return []


def _polarity(rng, shape, pixel_scale, kind, spots):
    """From -1 to 1, (H, W): salt and pepper in the quiet Sun, unipolar areas in plage.

    Between opposite polarities it passes through 0 within about 0.3 arcsec.
    """
    strays = noise(rng, shape, 1.2 / pixel_scale)
    if kind == "active":
        y, x = ((np.arange(n) + 0.5) * pixel_scale for n in shape)
        near, far = (np.hypot(y[:, None] - s.center[0], x - s.center[1]) for s in spots)
        boundary = (far - near) / 2 + 2 * noise(rng, shape, 3 / pixel_scale)
        return spots[0].polarity * np.tanh(3 * boundary) * np.tanh(6 * (2.0 - strays))
    if kind == "plage":
        return rng.choice([-1, 1]) * np.tanh(6 * (rng.uniform(1.8, 3.2) - strays))
    scale = rng.uniform(1.0, 4.0)
    return np.tanh(6 * scale * (noise(rng, shape, scale / pixel_scale) - rng.uniform(-0.7, 0.7)))


def _magnetic_elements(rng, quiet, polarity, pixel_scale, kind):
    """Field swept into lanes and vertices, and what it does to the intensity there.

    Thin elements are bright, seen into their hot walls; wide ones are pores: they stop the
    convection that would heat them.
    """
    from scipy.ndimage import gaussian_filter

    shape = polarity.shape
    fraction, gathering = MAGNETISM[kind]
    fraction *= rng.uniform(0.4, 1.6)
    patches = noise(rng, shape, rng.uniform(1.5, 3.5) / pixel_scale)
    ragged = noise(rng, shape, 0.1 / pixel_scale)
    # high where field gathers: in lanes, more so where lanes meet, and in patches of plage
    potential = (
        np.exp(-quiet.lane / 0.22)
        + 1.1 * np.exp(-quiet.vertex / 0.4)
        + gathering * patches
        + 0.4 * noise(rng, shape, 0.5 / pixel_scale)
        + 0.12 * ragged
    )
    excess = potential - np.quantile(potential, 1 - fraction)
    filling = 0.5 * (1 + np.tanh(excess / 0.15))
    # kG where the field has collapsed, hundreds of G elsewhere
    strength = 1350 + 180 * noise(rng, shape, 0.4 / pixel_scale)
    if kind == "quiet":
        strength *= np.clip(0.7 + 0.4 * noise(rng, shape, 2 / pixel_scale), 0.15, 1.1)

    weak = 3.0 * np.exp(-quiet.lane / 0.15) + 0.5
    turbulent = noise(rng, shape, 0.09 / pixel_scale) * noise(rng, shape, 0.5 / pixel_scale)
    bz = polarity * filling * strength + 22 * weak * turbulent * (1 - filling)

    width = gaussian_filter(filling, 0.35 / pixel_scale)  # near 1 only inside wide elements
    pore = _ramp(width, 0.72, 0.97)
    bright = 1.12 + 0.10 * noise(rng, shape, 0.15 / pixel_scale) + 0.25 * np.exp(-width / 0.3)
    dark = 0.32 + 0.06 * ragged
    inside = bright + (dark - bright) * pore
    weight = np.maximum(filling * np.clip(1.2 - quiet.lane, 0.45, 1), pore)
    intensity = quiet.intensity + weight * (inside - quiet.intensity)
    # where field stops them, granules are smaller and flatter
    abnormal = gaussian_filter(filling, 1.2 / pixel_scale)
    intensity -= 0.25 * abnormal * (1 - filling) * (quiet.intensity - 1)
    return intensity, bz * (1 + 0.35 * pore)


def _ramp(x, low, high):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
