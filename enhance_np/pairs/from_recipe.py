"""Training pairs by recipe, from scenes that are rotated, scaled and dimmed (layout: `hdf5`)."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np

from .._random import stream
from .._threads import cut, parallel
from ..observation.fits import check_output
from ..optics.degrade import HMI, Optics, convolve, degrade
from . import hdf5
from .recipe import Augmentation, Recipe
from .sources import Source, region

PER_SCENE = 24  # patches of one scene at one zoom
AT_ONCE = 16  # scenes whose patches are held in memory, 20 MB
SPLINE = 5  # order; at 0.16 arcsec per pixel a cubic spline errs by 1 % near the target's cut-off


def build(
    out: str | Path,
    recipe: Recipe,
    *,
    progress: bool = False,
    overwrite: bool = False,
    keep: bool = False,
) -> tuple[Path, ...]:
    """Writes `out`, <stem>_val.h5 and, if the recipe has test patches, <stem>_test.h5; returns the
    paths.

    recipe : with the folder of its fields, see `Recipe.on`. The same recipe gives the same values
        with any number of threads.
    progress : shows a bar.  overwrite : replace existing files.
    keep : keep existing files that this version wrote with this recipe and these fields, and
        replace others.
    Raises ValueError for sizes below 1, a PSF that is not round, or a side that no source has;
    OSError if the files cannot be written. Then no file is changed.

    Each scene has its own zoom. Each patch has its own place, angle and mirroring, and thus its own
    sub-pixel offset; it also has its own brightness or strength of field, and its own noise. The
    PSF is round, so rotating the pixel grid after the convolution equals rotating the Sun before.
    """
    numbers = (recipe.train, recipe.validation, recipe.patch, recipe.seed)
    job = hdf5.Job(out, recipe.type, *numbers, progress, overwrite or keep, recipe.test)
    attributes = recipe.attributes()
    if keep and hdf5.written(job, attributes):
        return job.paths
    for path in job.paths:
        check_output(path, overwrite)
    if not isinstance(recipe.optics.psf, str):
        raise ValueError(
            f"build: scenes rotated by any angle need a round PSF, given by a formula, "
            f"got {recipe.optics.psf.name}"
        )
    for side in job.sides:
        if not any(side in s.boxes for s in recipe.sources):
            raise ValueError(f"build: one source must have a {side} region, got none")
    columns = {"source": ("u1", ())}
    if recipe.noise:
        columns["noise"] = ("f4", ())
    load = lru_cache(maxsize=4)(region)  # reads a field once and not for each of its visits
    frames = [getattr(source.load, "count", 1) for source in recipe.sources]

    def draw(side, n, key):
        work = list(_visits(recipe.sources, side, n))

        def visit(task):
            i, group, count = task
            source = recipe.sources[i]
            field, scale = load(source, side, group if source.seeded else group % frames[i])
            return list(_drawn(stream(*key, "patch", i, group), field, scale, i, count, recipe))

        chunks = (parallel(visit, work[a:b]) for a, b in cut(len(work), AT_ONCE))
        return chain.from_iterable(chain.from_iterable(chunks))

    return hdf5.write(job, attributes, columns, draw)


def regions(
    sources: tuple[Source, ...],
    *,
    side: str = "validation",
    scenes: int = 2,
    first: int = 0,
    optics: Optics = HMI,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, low, high) of every whole region of a side, without augmentation.

    low (h, w), high (2h, 2w) as `degrade` returns them.
    scenes, first : number per seeded source, and the first of them.
    """
    for source in sources:
        if side not in source.boxes:
            continue
        for k in range(first, first + scenes) if source.seeded else (0,):
            field, pixel_scale = region(source, side, k)
            name = f"{source.name} {k}" if source.seeded else source.name
            yield name, *degrade(field, pixel_scale, optics)


def _visits(sources, side, n):
    """(source, visit, patches) of each visit: n patches in total, PER_SCENE in a visit."""
    index = [i for i, s in enumerate(sources) if side in s.boxes]
    shares = _apportioned(n, np.array([sources[i].weight for i in index]))
    for i, share in zip(index, shares, strict=True):
        for group, first in enumerate(range(0, share, PER_SCENE)):
            yield i, group, min(PER_SCENE, share - first)


def _apportioned(n, weights):
    """Integers with the sum n, in proportion to the weights up to rounding."""
    edges = np.round(n * np.concatenate([[0], np.cumsum(weights)]) / weights.sum())
    return np.diff(edges).astype(int)


def _drawn(rng, field, scale, source, count, recipe):
    """`count` pairs of one visit to a field."""
    augmentation, noise = recipe.augmentation, recipe.noise
    scale *= rng.uniform(*augmentation.zoom)
    shares = np.array([n.share for n in noise])
    for pair in _cut(rng, field, scale, count, recipe.patch, recipe.optics, augmentation.rotation):
        pair = _dimmed(rng, pair, augmentation)
        columns = {"source": source}
        if noise:
            columns["noise"] = noise[rng.choice(len(noise), p=shares / shares.sum())].sigma
        yield hdf5.Pair(*pair, columns)


def _dimmed(rng, pair, augmentation: Augmentation):
    """The pair with another brightness and contrast, or strength of field, but the same shapes.

    Both kernels have the sum 1, so this may be done after the degradation.
    """
    if augmentation.strength != (1.0, 1.0):
        strength = rng.uniform(*augmentation.strength)
        return [strength * image for image in pair]
    if rng.random() < augmentation.brightness:
        contrast, factor = rng.uniform(*augmentation.contrast), rng.uniform(*augmentation.factor)
        return [factor * (1 + contrast * (image - 1)) for image in pair]
    return pair


def _cut(rng, field, pixel_scale, count, patch, optics, rotation=True):
    """`count` pairs (low, high) from one scene, each at its own place and angle."""
    from scipy.ndimage import map_coordinates, spline_filter

    splines = [
        spline_filter(convolve(field, kernel), SPLINE, mode="reflect")
        for kernel in optics.kernels(pixel_scale)
    ]
    step = optics.hmi_scale / pixel_scale
    for _ in range(count):
        turn = np.eye(2)
        if rotation:
            angle = rng.uniform(0, 2 * np.pi)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            turn[:, 1] *= rng.choice([-1, 1])
        reach = np.abs(turn).sum(axis=1) * (patch * optics.hmi_scale / pixel_scale / 2)
        center = np.array(
            [
                # a field smaller than the patch is continued by its mirror images
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
