"""Training pairs from scenes that are turned, scaled and dimmed at random (layout: `pairs`)."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import pairs
from .degrade import HMI, Optics, convolve, degrade
from .sources import Source, region
from .streams import stream

PER_SCENE = 24  # patches of one augmented scene
SPLINE = 5  # order; at 0.16 arcsec per pixel the cubic one errs by 1 % near the target's cut-off


def build(
    out: str | Path,
    type: str,
    sources: list[Source],
    n_train: int,
    n_val: int,
    *,
    patch: int = 50,
    seed: int = 0,
    optics: Optics = HMI,
    progress: bool = False,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Writes `out` and <stem>_val.h5 beside it, and returns their paths.

    type : "intensity" or "blos".  sources : of that type, see `sources.sources`.
    n_train, n_val : numbers of patches.  patch : low-resolution pixels on a side.
    seed : the same arguments give the same values.  optics : with a round PSF, so no PsfImage.
    progress : shows a bar.  overwrite : replace files that exist.
    Raises ValueError for sizes below 1, a PsfImage, or a side for which no source has a region;
    OSError if the files cannot be written. Then neither file is changed.

    Each scene is drawn at random: angular scale from 0.85 to 1.2, sign and strength of the field
    or level and contrast of the intensity (`_augmented`); each patch of it has its own place,
    angle and mirror image, and with them its own sub-pixel offset. The PSF is round, so turning
    the pixel grid after the convolution is turning the Sun before it.
    """
    job = pairs.Job(out, type, n_train, n_val, patch, seed, progress, overwrite)
    if not isinstance(optics.psf, str):
        raise ValueError(
            f"build: scenes turned by any angle need a round PSF, a formula, got {optics.psf.name}"
        )
    for side in ("train", "validation"):
        if all(getattr(s, side) is None for s in sources):
            raise ValueError(f"build: one source must have a {side} region, got none")
    named = ("name", "weight", "train", "validation")
    listed = [{name: getattr(s, name) for name in named} for s in sources]
    attributes = {"sources": json.dumps(listed)} | optics.attributes()

    def draw(side, n, key):
        return _draw(side, n, key, job, sources, optics)

    return pairs.write(job, attributes, {"source": ("u1", ())}, draw)


def regions(
    sources: list[Source], *, scenes: int = 2, optics: Optics = HMI
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, low, high) of every validation region, whole and not augmented.

    low (h, w), high (2h, 2w) as `degrade` returns them.  scenes : how many of a seeded source.
    """
    for source in sources:
        if source.validation is None:
            continue
        for k in range(scenes if source.seeded else 1):
            field, pixel_scale = region(source, "validation", k)
            name = f"{source.name} {k}" if source.seeded else source.name
            yield name, *degrade(field, pixel_scale, optics)


def _draw(side, n, key, job, sources, optics):
    index = [i for i, s in enumerate(sources) if getattr(s, side) is not None]
    shares = _apportioned(n, np.array([sources[i].weight for i in index]))
    for i, share in zip(index, shares, strict=True):
        for group, first in enumerate(range(0, share, PER_SCENE)):
            rng = stream(*key, "patch", i, group)
            field, scale = region(sources[i], side, group)
            field = _augmented(rng, field, job.type)
            scale *= rng.uniform(0.85, 1.2)
            count = min(PER_SCENE, share - first)
            for pair in _cut(rng, field, scale, count, job.patch, optics):
                yield pairs.Pair(*pair, {"source": i})


def _apportioned(n, weights):
    """Integers that sum to n, as near to the weights as can be."""
    edges = np.round(n * np.concatenate([[0], np.cumsum(weights)]) / weights.sum())
    return np.diff(edges).astype(int)


def _augmented(rng, field, type):
    """Another Sun: what changes from region to region but not the shape of what is seen."""
    if type == "blos":
        return field * (rng.choice([-1, 1]) * rng.uniform(0.6, 1.3))
    if rng.random() < 0.35:
        # towards the limb, and in umbrae, the light is weaker and the granules flatter
        field = 1 + rng.uniform(0.5, 1.1) * (field - 1)
        return field * rng.uniform(0.2, 1.0)
    return field


def _cut(rng, field, pixel_scale, count, patch, optics):
    """`count` pairs (low, high) from one scene, each at its own place and angle."""
    from scipy.ndimage import map_coordinates, spline_filter

    splines = [
        spline_filter(convolve(field, kernel), SPLINE, mode="reflect")
        for kernel in optics.kernels(pixel_scale)
    ]
    step = optics.hmi_scale / pixel_scale
    for _ in range(count):
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turn[:, 1] *= rng.choice([-1, 1])
        reach = np.abs(turn).sum(axis=1) * (patch * optics.hmi_scale / pixel_scale / 2)
        center = np.array(
            [
                # a field smaller than the patch is met by its mirror images on all sides
                rng.uniform(r, n - r) if 2 * r < n else rng.uniform(0, n)
                for r, n in zip(reach, field.shape, strict=True)
            ]
        )
        pair = []
        for spline, factor in zip(splines, (1, 2), strict=True):
            u = (np.arange(factor * patch) + 0.5 - factor * patch / 2) / factor
            grid = np.stack(np.meshgrid(u, u, indexing="ij")) * step
            at = np.tensordot(turn, grid, axes=1) + (center - 0.5)[:, None, None]
            pair.append(map_coordinates(spline, at, order=SPLINE, mode="reflect", prefilter=False))
        yield pair
