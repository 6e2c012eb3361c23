"""The scenes that patches are cut from, and which part of each is kept from training.

One field is one scene: whatever the number of patches, neighbours share granules. So training,
validation and test take disjoint boxes of a field, GUARD arcsec or more apart, or different
fields, or, for synthetic scenes, different seeds. A box is degraded by itself, continued as its
mirror image: no light crosses from one side to another, not even in the tail of the PSF.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ..optics.degrade import convolve_inverse, magnify
from ..optics.psf import airy
from ..sun.scene import TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, scene
from .frames import open_frames

GUARD = 3.0  # arcsec between two sides: three times HMI's core of 1.1 arcsec
KILOGAUSS = 1e-3
SEEDS = {"train": TRAINING_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}
SIDES = tuple(SEEDS)

# (y0, y1, x0, x1) in fractions of the field's sides
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Source:
    """Where scenes come from.

    name : stored with the patches.
    load : seed -> (field, pixel_scale): (H, W), intensity over the quiet Sun's mean or field in kG;
        arcsec per pixel.
    weight : share of the patches, relative to the other sources.
    train, validation, test : boxes of the field, or None to leave the source out of that side.
    seeded : True if every seed gives another scene; then the sides differ by seed and each may take
        the whole.
    """

    name: str
    load: Callable[[int], tuple[np.ndarray, float]]
    weight: float
    train: Box | None = WHOLE
    validation: Box | None = None
    test: Box | None = None
    seeded: bool = False

    def __post_init__(self):
        if not self.weight > 0:
            raise ValueError(f"Source: weight must be positive, got weight={self.weight}")
        for side, box in self.boxes.items():
            if not (0 <= box[0] < box[1] <= 1 and 0 <= box[2] < box[3] <= 1):
                raise ValueError(f"Source: {side} must lie within 0 to 1, got {side}={box}")

    @property
    def boxes(self) -> dict[str, Box]:
        """By side, of the sides that it has."""
        return {side: box for side in SIDES if (box := getattr(self, side)) is not None}


def region(source: Source, side: str, seed: int = 0) -> tuple[np.ndarray, float]:
    """(field, pixel_scale) of one of SIDES of a source.

    seed : counts the scenes of that side, or the frames of a field that has many, from 0.
    Raises ValueError if the source has no such side, if the seeds run out, or if two boxes of a
    field are less than GUARD arcsec apart.
    """
    box = getattr(source, side)
    if box is None:
        raise ValueError(f"region: {source.name} must have a {side} box, got None")
    if source.seeded:
        seeds = SEEDS[side]
        if not 0 <= seed < len(seeds):
            raise ValueError(f"region: seed must be below {len(seeds)}, got seed={seed}")
        seed = seeds[seed]
    field, pixel_scale = source.load(seed)
    if not source.seeded:
        check_sides(source, np.array(field.shape) * pixel_scale)
    return crop(field, box), pixel_scale


def crop(field: np.ndarray, box: Box) -> np.ndarray:
    """The part of a field (H, W) in a box, edges at the nearest pixel's."""
    h, w = field.shape
    y0, y1, x0, x1 = box
    return field[round(y0 * h) : round(y1 * h), round(x0 * w) : round(x1 * w)]


def check_sides(source: Source, size: np.ndarray) -> None:
    """Raises ValueError as `check_apart` for any two sides of a source; size: (y, x) arcsec."""
    for (one, a), (other, b) in combinations(source.boxes.items(), 2):
        check_apart(source.name, a, b, size, (one, other))


def check_apart(
    name: str, a: Box, b: Box, size: np.ndarray, sides: tuple[str, str] = ("training", "validation")
) -> None:
    """Raises ValueError unless a gap of GUARD arcsec separates the boxes; size: (y, x) arcsec."""
    gaps = [max(a[2 * i] - b[2 * i + 1], b[2 * i] - a[2 * i + 1]) * size[i] for i in (0, 1)]
    if not max(gaps) >= GUARD:
        raise ValueError(
            f"region: {sides[0]} and {sides[1]} must be {GUARD} arcsec apart in {name}, "
            f"got {max(gaps):.2f}"
        )


@dataclass(frozen=True)
class Synthetic:
    """Scenes of `synthetic.scene`, of one kind and type, another for each seed."""

    kind: str
    type: str
    shape: tuple[int, int]
    pixel_scale: float

    def __call__(self, seed):
        intensity, bz = scene(seed, self.shape, self.pixel_scale, self.kind)
        return (intensity if self.type == "intensity" else bz * KILOGAUSS), self.pixel_scale


@dataclass(frozen=True)
class Field:
    """A field on disk, .npy or FITS, (H, W), or a cube; a seed counts its frames round and round.

    pixel_scale : arcsec.  unit : values over it are intensity over quiet Sun, or kG; None is the
    mean of the frame.  seen_through : metres, aperture of the telescope that took it.
    finer : sampled so many times finer before anything else.
    """

    path: Path
    pixel_scale: float
    unit: float | None
    seen_through: float | None = None
    finer: int = 1

    @property
    def count(self) -> int:
        """Frames in the file. Raises as `frames.open_frames`."""
        return open_frames(self.path, self.pixel_scale).count

    @property
    def size(self) -> np.ndarray:
        """Arcsec (y, x), by the file's header. Raises as `frames.open_frames`."""
        return np.array(open_frames(self.path, self.pixel_scale).shape) * self.pixel_scale

    def __call__(self, seed):
        file = open_frames(self.path, self.pixel_scale)
        field = file.read(seed % file.count)
        field = field / (field.mean() if self.unit is None else self.unit)
        field, pixel_scale = magnify(field, self.finer), self.pixel_scale / self.finer
        if self.seen_through is not None:
            seen = airy(pixel_scale, self.seen_through)
            # at the target's cut-off, 2.2 cycles per arcsec, 50 cm still pass a third
            field = convolve_inverse(field, seen, least=0.25)
        return field, pixel_scale
