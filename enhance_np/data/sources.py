"""The scenes that patches are cut from, and which part of each is kept for validation.

One field is one scene: whatever the number of patches, neighbours share granules. So training and
validation take disjoint boxes of a field, GUARD arcsec or more apart, or different fields,
or, for synthetic scenes, different seeds. A box is degraded by itself, continued as its mirror
image: no light crosses from one side to the other, not even in the tail of the PSF.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import TYPES
from .degrade import convolve_inverse, magnify
from .psf import airy
from .synthetic import TRAINING_SEEDS, VALIDATION_SEEDS, scene

GUARD = 3.0  # arcsec between training and validation: three times HMI's core of 1.1 arcsec
KILOGAUSS = 1e-3

# (y0, y1, x0, x1) in fractions of the field's sides
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 1.0, 0.0, 1.0)

SYNTHETIC_SCALE = 0.09  # arcsec per pixel: five per period at the target's cut-off
SYNTHETIC_SHAPE = (448, 448)  # 40 arcsec: a patch of 25 arcsec fits at any angle


@dataclass(frozen=True)
class Source:
    """Where scenes come from.

    name : stored with the patches.
    load : seed -> (field, pixel_scale): (H, W), intensity over the quiet Sun's mean or field in kG;
        arcsec per pixel.
    weight : share of the patches, relative to the other sources.
    train, validation : boxes of the field, or None to leave the source out of that side.
    seeded : True if every seed gives another scene; then training and validation differ by seed
        and both may take the whole.
    """

    name: str
    load: Callable[[int], tuple[np.ndarray, float]]
    weight: float
    train: Box | None = WHOLE
    validation: Box | None = None
    seeded: bool = False

    def __post_init__(self):
        if not self.weight > 0:
            raise ValueError(f"Source: weight must be positive, got weight={self.weight}")
        for side in ("train", "validation"):
            box = getattr(self, side)
            if box is not None and not (0 <= box[0] < box[1] <= 1 and 0 <= box[2] < box[3] <= 1):
                raise ValueError(f"Source: {side} must lie within 0 to 1, got {side}={box}")


def region(source: Source, side: str, seed: int = 0) -> tuple[np.ndarray, float]:
    """(field, pixel_scale) of one side, "train" or "validation", of a source.

    seed : counts the scenes of that side, from 0; ignored unless the source is seeded.
    Raises ValueError if the source has no such side, if the seeds run out, or if the two boxes of
    a field are less than GUARD arcsec apart.
    """
    box = getattr(source, side)
    if box is None:
        raise ValueError(f"region: {source.name} must have a {side} box, got None")
    if source.seeded:
        seeds = TRAINING_SEEDS if side == "train" else VALIDATION_SEEDS
        if not 0 <= seed < len(seeds):
            raise ValueError(f"region: seed must be below {len(seeds)}, got seed={seed}")
        seed = seeds[seed]
    field, pixel_scale = source.load(seed)
    boxes = (source.train, source.validation)
    if not source.seeded and None not in boxes:
        check_apart(source.name, *boxes, np.array(field.shape) * pixel_scale)
    return crop(field, box), pixel_scale


def crop(field: np.ndarray, box: Box) -> np.ndarray:
    """The part of a field (H, W) in a box, edges at the nearest pixel's."""
    h, w = field.shape
    y0, y1, x0, x1 = box
    return field[round(y0 * h) : round(y1 * h), round(x0 * w) : round(x1 * w)]


def check_apart(name: str, a: Box, b: Box, size: np.ndarray) -> None:
    """Raises ValueError unless a gap of GUARD arcsec separates the boxes; size: (y, x) arcsec."""
    gaps = [max(a[2 * i] - b[2 * i + 1], b[2 * i] - a[2 * i + 1]) * size[i] for i in (0, 1)]
    if not max(gaps) >= GUARD:
        raise ValueError(
            f"region: training and validation must be {GUARD} arcsec apart in {name}, "
            f"got {max(gaps):.2f}"
        )


def sources(type: str, data_dir: str | Path | None = None) -> list[Source]:
    """Where patches of a type come from: synthetic scenes, and real fields if there are any.

    type : "intensity" or "blos".
    data_dir : directory with the files that `_real` names; None means synthetic scenes alone.
    Raises ValueError for another type, FileNotFoundError if a file is missing.
    """
    if type not in TYPES:
        raise ValueError(f"sources: type must be one of {TYPES}, got type={type!r}")
    shares = {
        "intensity": {
            "spot": 0.11,
            "active": 0.06,
            "delta": 0.05,
            "plage": 0.04,
            "pore": 0.03,
            "quiet": 0.03,
        },
        "blos": {
            "plage": 0.13,
            "active": 0.12,
            "spot": 0.10,
            "network": 0.06,
            "quiet": 0.06,
            "delta": 0.05,
            "pore": 0.03,
        },
    }[type]
    found = [
        Source(f"synthetic {kind}", _Synthetic(kind, type), share, WHOLE, WHOLE, seeded=True)
        for kind, share in shares.items()
    ]
    if data_dir is None:
        return found
    real = _real(type, Path(data_dir))
    for source in real:
        if not source.load.path.is_file():
            raise FileNotFoundError(f"sources: no such file: {source.load.path}")
    return real + found


@dataclass(frozen=True)
class _Synthetic:
    kind: str
    type: str

    def __call__(self, seed):
        intensity, bz = scene(seed, SYNTHETIC_SHAPE, SYNTHETIC_SCALE, self.kind)
        return (intensity if self.type == "intensity" else bz * KILOGAUSS), SYNTHETIC_SCALE


@dataclass(frozen=True)
class _File:
    """A field on disk; values / unit are intensity over quiet Sun or kG. unit None: the mean."""

    path: Path
    pixel_scale: float
    unit: float | None
    seen_through: float | None = None  # metres: aperture of the telescope that took it
    finer: int = 1  # sampled so many times finer before anything else

    def __call__(self, seed):
        field = _read(self.path)
        field = field / (field.mean() if self.unit is None else self.unit)
        field, pixel_scale = magnify(field, self.finer), self.pixel_scale / self.finer
        if self.seen_through is not None:
            seen = airy(pixel_scale, self.seen_through)
            # at the target's cut-off, 2.2 cycles per arcsec, 50 cm still pass a third
            field = convolve_inverse(field, seen, least=0.25)
        return field, pixel_scale


def _read(path):
    if path.suffix == ".npy":
        return np.load(path).astype(np.float64)
    from astropy.io import fits

    return fits.getdata(path).astype(np.float64)


def _real(type, root):
    """The fields of the project's data collection, with their boxes.

    The MURaM plage is 8 arcsec wide, less than a patch: a patch of it is a mosaic of mirror
    images. No guard gap fits in it, so the 30 G run is for validation, the others for training.

    The Hinode spot is said to have pixels of 0.16 arcsec. Its granules are then half the size
    they should be; with 0.32, the instrument's other common scale, the ratio of its spectrum to the
    simulation's is flat (0.5 to 0.8 in amplitude from 0.1 to 1.5 cycles per arcsec; 0.23 to 1.04
    with 0.16). So 0.32 it is.
    """
    muram = 20.833 / 725.3  # km per pixel over km per arcsec at 1 au
    if type == "intensity":
        quiet = _File(root / "muram_quiet_continuum.npy", 0.0662, None)
        spot = _File(root / "hinode_sp_sunspot_continuum.fits", 0.32, 188.0, 0.5, finer=2)
        found = [
            Source("MURaM quiet", quiet, 0.45, (0, 0.674, 0, 1), (0.722, 1, 0, 1)),
            Source("Hinode spot", spot, 0.13, (0.33, 1, 0, 1), (0, 0.30, 0, 1)),
        ]
        share, suffix, unit = 0.10, "ic", 1.0
    else:
        active = _File(root / "gst_bz_20170713.fits", 0.083, 1000.0)
        found = [Source("GST plage", active, 0.30, (0.34, 1, 0, 1), (0, 0.28, 0, 1))]
        share, suffix, unit = 0.15, "bz", 1000.0
    for gauss, train, validation in ((30, None, WHOLE), (100, WHOLE, None), (200, WHOLE, None)):
        file = _File(root / f"muram_{gauss:03d}G_{suffix}.fits", muram, unit)
        weight = share if train is None else share / 2
        found.append(Source(f"MURaM {gauss} G", file, weight, train, validation))
    return found
