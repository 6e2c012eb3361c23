"""A synthetic Sun: intensity and vertical field of one scene, made by rules from a seed.

A scene consists of a toy model of convection (`convection`), of flux that it sweeps into its lanes
(`flux`), of intensities that MURaM simulations have on average (`granulation`), and of textbook
spots (`sunspot`). It is neither a simulation of magnetohydrodynamics nor an observation. It serves
where free data are lacking (the field of sunspots, any number of scenes), for a demo without a
download, and for tests.
"""

import numpy as np

from .._random import stream
from . import flux
from .convection import SPACING, convection
from .granulation import granulation, with_field
from .plane import FLOAT, Plane
from .sunspot import anatomy, draw, draw_delta, draw_spot

KINDS = ("quiet", "network", "plage", "pore", "spot", "delta", "active")
# Each seed belongs to one purpose, so that no scene is on two sides
TRAINING_SEEDS = range(0, 100_000)
VALIDATION_SEEDS = range(500_000, 600_000)
TEST_SEEDS = range(700_000, 800_000)
DEMO_SEEDS = range(1_000_000, 1_100_000)

MARGIN = 4.0  # arcsec added on every side and then cut off, because a plane is periodic
LARGEST = 50_000_000  # pixels, about 12 GB of memory
DARKEST = 0.03  # lowest intensity on the disc


def scene(
    seed: int,
    shape: tuple[int, int] = (512, 512),
    pixel_scale: float = SPACING,
    kind: str = "active",
) -> tuple[np.ndarray, np.ndarray]:
    """(intensity, bz) of a region of the Sun at disc centre, on one grid.

    seed : 0 or more; the same arguments give the same scene.
    shape : (H, W) pixels.  pixel_scale : arcsec per pixel.
    kind : "quiet" (granulation and mixed polarities of zero net flux), "network" (also kG elements
        along the borders of supergranules), "plage" (unipolar kG field in the lanes), "pore"
        (plage with pores), "spot" (a sunspot in the network), "delta" (a spot of both
        polarities, in plage), "active" (two spots of opposite polarity with plage and pores).
    Returns intensity (H, W) float32 over the quiet Sun's mean, bz (H, W) float32 in gauss.
    Raises ValueError for another kind, a negative seed, pixels above 0.25 arcsec, a side below 4
    arcsec, or a scene too large for memory.

    The scene is made on pixels of 0.0662 arcsec: finer pixels are interpolated and show no more
    detail, coarser ones are smoothed first. Sizes are those on the Sun, so a small scene shows only
    a part of a spot.
    """
    check(seed, shape, pixel_scale, kind)
    size = np.array(shape) * pixel_scale

    def rng(*names):
        return stream(seed, kind, *names)

    coarse, fine = _planes(size)
    spots = _spots(rng("spots"), kind, size)
    found = [anatomy(rng("anatomy", i), spot, fine) for i, spot in enumerate(spots)]
    still = np.zeros(fine.shape, FLOAT)
    for spot in found:
        still[spot.window] = np.maximum(still[spot.window], 0.5 - 0.5 * np.tanh(8 * spot.depth - 8))
    still = still.reshape(coarse.shape[0], 2, coarse.shape[1], 2).mean(axis=(1, 3))
    field = (1 - still) * _flux(rng, kind, coarse, size, spots)
    fine, state = convection(rng("convection"), coarse, field, still)
    intensity, bz = with_field(rng("elements"), fine, state, granulation(fine, state))
    for i, (spot, where) in enumerate(zip(spots, found, strict=True)):
        draw(rng("draw", i), spot, where, fine, intensity, bz)
    intensity, bz = (_sampled(fine, a, shape, pixel_scale) for a in (intensity, bz))
    if kind == "quiet":
        bz = _balanced(bz)
    return np.maximum(intensity, FLOAT(DARKEST)), bz


def check(seed: int, shape: tuple[int, int], pixel_scale: float, kind: str) -> None:
    """Raises ValueError for arguments that `scene` does not accept."""
    if kind not in KINDS:
        raise ValueError(f"scene: kind must be one of {KINDS}, got kind={kind!r}")
    if seed < 0:
        raise ValueError(f"scene: seed must be 0 or more, got seed={seed}")
    if not 0 < pixel_scale <= 0.25:
        raise ValueError(f"scene: pixel_scale must be in (0, 0.25], got pixel_scale={pixel_scale}")
    if len(shape) != 2 or not min(shape) * pixel_scale >= 4:
        raise ValueError(
            f"scene: both sides must be 4 arcsec or more, "
            f"got shape={shape} and pixel_scale={pixel_scale}"
        )
    if np.prod(np.array(shape, float)) * (pixel_scale / SPACING) ** 2 > LARGEST:
        raise ValueError(
            f"scene: must fit on {LARGEST} pixels of {SPACING} arcsec, "
            f"got shape={shape} and pixel_scale={pixel_scale}"
        )


def _planes(size):
    """The plane on which cells grow and the finished one, for a scene of `size` (y, x) arcsec."""
    from scipy.fft import next_fast_len

    count = np.ceil((size + 2 * MARGIN) / (2 * SPACING)).astype(int)
    shape = tuple(next_fast_len(int(n), real=True) for n in count)
    return Plane(shape, 2 * SPACING), Plane(tuple(2 * n for n in shape), SPACING)


def _spots(rng, kind, size):
    """The sunspots of a scene; arcsec from the corner of the plane."""
    sign = int(rng.choice([-1, 1]))
    side = min(size)
    if kind in ("spot", "delta"):
        center = MARGIN + size * rng.uniform(0.42, 0.58, 2)
        if kind == "spot":
            return [draw_spot(rng, center, np.clip(rng.uniform(0.18, 0.4) * side, 6, 25), sign)]
        return [draw_delta(rng, center, np.clip(rng.uniform(0.2, 0.38) * side, 8, 25), sign)]
    if kind == "active":
        # along the diagonal, so that the larger of the two does not cover the other
        ends = np.array([rng.uniform(0.2, 0.3, 2), rng.uniform(0.7, 0.8, 2)])
        if rng.random() < 0.5:
            ends[:, 0] = 1 - ends[:, 0]
        radii = np.clip(rng.uniform(0.09, 0.19, 2) * side, 4, 22)
        return [
            draw_spot(rng, MARGIN + end * size, radius, s)
            for end, radius, s in zip(ends, radii, (sign, -sign), strict=True)
        ]
    return []


def _flux(rng, kind, plane, size, spots):
    """Field in gauss, (H, W), before the granules sweep it."""
    field = flux.salt_and_pepper(rng("salt and pepper"), plane)
    if kind in ("network", "spot"):
        field += flux.network(rng("network"), plane)
    if kind in ("plage", "pore", "delta", "active"):
        polarity = flux.polarity(rng("polarity"), plane, spots)
        field += flux.plage(rng("plage"), plane, polarity)
        if kind in ("pore", "active"):
            places = _pores(rng("pores"), size)
            field = flux.with_pores(rng("frayed"), plane, field, places, polarity)
    return field


def _pores(rng, size):
    """(y, x, radius) in arcsec of a few pores; at least one, and more on larger scenes."""
    count = 1 + rng.poisson(min(np.prod(size) / 900, 12))
    return [
        (*(MARGIN + size * rng.uniform(0.08, 0.92, 2)), rng.uniform(1.2, 3.6)) for _ in range(count)
    ]


def _sampled(plane, field, shape, pixel_scale):
    """The field inside the margin at the pixels of the scene, (H, W) float32."""
    from scipy.ndimage import affine_transform

    margin = round(MARGIN / plane.spacing)
    ratio = pixel_scale / plane.spacing
    if abs(ratio - 1) < 1e-6:
        return field[margin : margin + shape[0], margin : margin + shape[1]].astype(FLOAT)
    if ratio > 1:
        field = plane.smooth(field, 0.35 * np.sqrt(pixel_scale**2 - plane.spacing**2))
    first = margin + ratio / 2 - 0.5  # edges aligned
    return affine_transform(
        field, [ratio, ratio], offset=first, output_shape=shape, order=3, mode="nearest"
    ).astype(FLOAT)


def _balanced(bz):
    """Each polarity scaled so that the net flux is zero, (H, W) float32."""
    positive, negative = (np.clip(s * bz, 0, None).sum(dtype=float) for s in (1, -1))
    factor = np.sqrt(negative / positive)
    return np.where(bz > 0, bz * factor, bz / factor).astype(FLOAT)
