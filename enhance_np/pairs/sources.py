"""The scenes from which patches are cut, and the parts of them for training, validation and test.

Patches of one field are not independent, because neighbours share granules. Therefore training,
validation and test take different fields, or disjoint boxes of a field that are GUARD arcsec or
more apart, or different seeds of synthetic scenes. Each box is degraded by itself and continued as
its mirror image, so that no light crosses from one side to another, even in the tail of the PSF.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ..observation.normalise import GAUSS_PER_KILOGAUSS
from ..optics.degrade import convolve_inverse, magnify
from ..optics.psf import airy
from ..sun.scene import TEST_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS, scene
from .frames import open_frames

GUARD = 3.0  # arcsec between two sides: three times HMI's core of 1.1 arcsec
KILOGAUSS = 1 / GAUSS_PER_KILOGAUSS  # kG per G
SEEDS = {"train": TRAINING_SEEDS, "validation": VALIDATION_SEEDS, "test": TEST_SEEDS}
SIDES = tuple(SEEDS)

# (y0, y1, x0, x1) in fractions of the field's sides
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Source:
    """A source of scenes.

    name : stored with the patches.
    load : seed -> (field, pixel_scale): (H, W), intensity over the quiet Sun's mean or field in kG;
        arcsec per pixel.
    weight : share of the patches, relative to the other sources.
    train, validation, test : boxes of the field, or None to leave the source out of that side.
    seeded : True if every seed gives another scene; the sides then differ by seed and each may take
        the whole field.
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
        """Boxes by side, for the sides that the source has."""
        return {side: box for side in SIDES if (box := getattr(self, side)) is not None}


def region(source: Source, side: str, seed: int = 0) -> tuple[np.ndarray, float]:
    """(field, pixel_scale) of a source for one of SIDES.

    seed : index from 0 of the scene of that side, or of the frame of a field with several frames.
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
    """The part of a field (H, W) in a box, whose edges are rounded to whole pixels."""
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
    """Scenes of `sun.scene.scene` of one kind and type, one for each seed."""

    kind: str
    type: str
    shape: tuple[int, int]
    pixel_scale: float

    def __call__(self, seed):
        intensity, bz = scene(seed, self.shape, self.pixel_scale, self.kind)
        return (intensity if self.type == "intensity" else bz * KILOGAUSS), self.pixel_scale


@dataclass(frozen=True)
class Field:
    """A field on disk, .npy or FITS, (H, W), or a cube; the frame is seed modulo their number.

    pixel_scale : arcsec.
    unit : divisor that gives intensity over the quiet Sun's mean, or kG; None is the frame's mean.
    seen_through : metres, aperture of the telescope that took the field; its blur is removed.
    finer : factor of finer sampling, applied first.
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
        """(y, x) in arcsec, from the shape in the file's header. Raises as `frames.open_frames`."""
        return np.array(open_frames(self.path, self.pixel_scale).shape) * self.pixel_scale

    def __call__(self, seed):
        file = open_frames(self.path, self.pixel_scale)
        field = file.read(seed % file.count)
        field = field / (field.mean() if self.unit is None else self.unit)
        field, pixel_scale = magnify(field, self.finer), self.pixel_scale / self.finer
        if self.seen_through is not None:
            seen = airy(pixel_scale, self.seen_through)
            # at the target's cut-off, 2.2 cycles per arcsec, a 50 cm aperture still passes a third
            field = convolve_inverse(field, seen, least=0.25)
        return field, pixel_scale
