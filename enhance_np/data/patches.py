"""HDF5 files of training pairs: patches as HMI sees them, and as the network should return them.

    out             imHMI (n, p, p, 1), imSST (n, 2p, 2p, 1), float32; source (n,), uint8
    <stem>_val.h5   the same names, from other regions, fields or seeds

Intensity over the quiet Sun's mean, or field in kG. Names as in the original Enhance. Patches stand
in random order; source[i] counts the attribute `sources`. Inputs have no noise: the training
loop draws it anew for every batch.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .._atomic import replacing
from .degrade import HMI_SCALE, TARGET_DIAMETER, convolve, degrade, hmi_kernel
from .psf import airy
from .sources import TYPES, Source, region

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
    psf: str = "modified",
    support: float = 12.0,
    progress: bool = False,
) -> tuple[Path, Path]:
    """Writes `out` and <stem>_val.h5 beside it, and returns their paths.

    type : "intensity" or "blos".  sources : of that type, see `sources.sources`.
    n_train, n_val : numbers of patches.  patch : low-resolution pixels on a side.
    seed : the same arguments give the same values.  psf, support : see `degrade`.
    progress : shows a bar.
    Raises ValueError for sizes below 1, or a side for which no source has a region.

    Each scene is drawn at random: angular scale from 0.85 to 1.2, sign and strength of the field
    or level and contrast of the intensity (`_augmented`); each patch of it has its own place,
    angle and mirror image, and with them its own sub-pixel offset. The PSF is round, so turning
    the pixel grid after the convolution is turning the Sun before it.
    """
    if type not in TYPES:
        raise ValueError(f"build: type must be one of {TYPES}, got type={type!r}")
    for name, value in (("n_train", n_train), ("n_val", n_val), ("patch", patch)):
        if value < 1:
            raise ValueError(f"build: {name} must be 1 or more, got {name}={value}")
    out = Path(out)
    paths = (out, out.with_name(f"{out.stem}_val.h5"))
    attributes = {
        "type": type,
        "unit": "intensity over quiet Sun" if type == "intensity" else "kG",
        "sources": json.dumps(
            [
                {"name": s.name, "weight": s.weight, "train": s.train, "validation": s.validation}
                for s in sources
            ]
        ),
        "seed": seed,
        "psf": psf,
        "support_arcsec": support,
        "target_diameter_m": TARGET_DIAMETER,
        "hmi_scale_arcsec": HMI_SCALE,
    }
    for path, side, n in zip(paths, ("train", "validation"), (n_train, n_val), strict=True):
        _write(path, side, n, patch, type, sources, seed, psf, support, attributes, progress)
    return paths


def regions(
    sources: list[Source], *, scenes: int = 2, psf: str = "modified", support: float = 12.0
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
            yield name, *degrade(field, pixel_scale, psf=psf, support=support)


def _write(path, side, n, patch, type, sources, seed, psf, support, attributes, progress):
    import h5py
    from tqdm import tqdm

    index = [i for i, s in enumerate(sources) if getattr(s, side) is not None]
    if not index:
        raise ValueError(f"build: one source must have a {side} region, got none")
    shares = _apportioned(n, np.array([sources[i].weight for i in index]))
    key = [seed, side == "validation"]
    place = iter(np.random.default_rng(key).permutation(n))
    with (
        replacing(path) as temporary,
        h5py.File(temporary, "w") as f,
        tqdm(total=n, disable=not progress) as bar,
    ):
        f.attrs.update(attributes, side=side)
        low = f.create_dataset("imHMI", (n, patch, patch, 1), "f4")
        high = f.create_dataset("imSST", (n, 2 * patch, 2 * patch, 1), "f4")
        origin = f.create_dataset("source", (n,), "u1")
        for i, share in zip(index, shares, strict=True):
            bar.set_description(sources[i].name)
            for group, first in enumerate(range(0, share, PER_SCENE)):
                rng = np.random.default_rng([*key, i, group])
                field, scale = region(sources[i], side, group)
                field = _augmented(rng, field, type)
                scale *= rng.uniform(0.85, 1.2)
                count = min(PER_SCENE, share - first)
                for pair in _cut(rng, field, scale, count, patch, psf, support):
                    k = next(place)
                    low[k, :, :, 0], high[k, :, :, 0] = pair
                    origin[k] = i
                    bar.update()


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


def _cut(rng, field, pixel_scale, count, patch, psf, support):
    """`count` pairs (low, high) from one scene, each at its own place and angle."""
    from scipy.ndimage import map_coordinates, spline_filter

    kernels = hmi_kernel(psf, pixel_scale, support), airy(pixel_scale, support=support)
    splines = [spline_filter(convolve(field, k), SPLINE, mode="reflect") for k in kernels]
    for _ in range(count):
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turn[:, 1] *= rng.choice([-1, 1])
        reach = np.abs(turn).sum(axis=1) * (patch * HMI_SCALE / pixel_scale / 2)
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
            grid = np.stack(np.meshgrid(u, u, indexing="ij")) * (HMI_SCALE / pixel_scale)
            at = np.tensordot(turn, grid, axes=1) + (center - 0.5)[:, None, None]
            pair.append(map_coordinates(spline, at, order=SPLINE, mode="reflect", prefilter=False))
        yield pair
