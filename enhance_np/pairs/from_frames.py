"""Training pairs from the frames of a simulation (layout: `hdf5`).

Every visit to a frame takes one region of it, rotates and mirrors it at random, and degrades it at
a random sub-pixel offset. Patches are cut from the pair of images on whole pixels. The geometry is
exact for any PSF: quarter turns are exact, `degrade` evaluates the convolved scene at the centres
of the pixels, and the PSF is not rotated with the scene.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .._errors import avoidable
from .._random import stream
from .._symmetry import TURNS, point_before, turned
from ..observation.normalise import GAUSS_PER_KILOGAUSS, quiet_sun_level
from ..optics.degrade import HMI, Optics, degrade
from . import hdf5
from .frames import FrameFile, open_frames
from .sources import GUARD, Box, crop
from .split import split

PER_VISIT = 8  # patches of one turn and one sub-pixel offset
LEVEL_FRAMES = 16  # largest number of frames for norm="quiet-sun"
COLUMNS = {
    "source": ("u1", ()),
    "file": ("u4", ()),
    "frame": ("u4", ()),
    "turn": ("u1", ()),
    "centre": ("f8", (2,)),
}


def build(
    out: str | Path,
    type: str,
    files: Sequence[str | Path],
    n_train: int,
    n_val: int,
    *,
    patch: int = 50,
    seed: int = 0,
    optics: Optics = HMI,
    pixel_scale: float | None = None,
    norm: str | float | None = None,
    validation_region: Box | None = None,
    progress: bool = False,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Writes `out` and <stem>_val.h5 beside it, and returns their paths.

    type : "intensity", all frames in one unit, or "blos", in gauss.
    files : .npy or FITS, images (h, w) or cubes (t, h, w).
    n_train, n_val : numbers of patches, spread evenly over all frames of all files.
    patch : low-resolution pixels on a side.  seed : the same arguments give the same values.
    pixel_scale : arcsec per pixel of all frames; None takes each file's own (`open_frames`).
    norm : the intensity that becomes 1, see `level`; None is "mean" for intensity.
    validation_region : see `split`.  progress : shows bars.
    overwrite : replace existing files.
    Raises ValueError for unsuitable arguments or frames, OSError for files that cannot be read or
    written. Then neither file is changed.

    Columns besides `source`: file, an index into the dataset `files`; frame, from 0; turn, as in
    `_symmetry`; centre (y, x), arcsec from the corner of the frame to the middle of the patch.
    """
    job = hdf5.Job(out, type, n_train, n_val, patch, seed, progress, overwrite)
    if not files:
        raise ValueError("simulation: needs one file or more, got none")
    if type == "blos" and norm is not None:
        raise ValueError(f"simulation: norm is only for intensity, got norm={norm!r} for blos")
    frames = [open_frames(file, pixel_scale) for file in files]
    if {path.resolve() for path in job.paths} & {f.path.resolve() for f in frames}:
        raise OSError(f"simulation: the output must not be one of the frames, got {out}")
    kinds = {}  # files by shape and scale of their frames
    for file in frames:
        kinds.setdefault((file.shape, file.pixel_scale), []).append(file)
    if len(kinds) > 256:
        raise ValueError(f"simulation: frames must be of 256 shapes at most, got {len(kinds)}")
    total = sum(file.count for file in frames)
    sources = []
    for (shape, scale), members in kinds.items():
        _check_sampling(members[0], optics)
        boxes = split(members[0], patch * optics.hmi_scale, validation_region)
        count = sum(file.count for file in members)
        name = f"{count} frames of {shape[0]} x {shape[1]} pixels of {scale:g} arcsec"
        sources.append({"name": name, "weight": count / total} | boxes)
    norm = "1000 G" if type == "blos" else "mean" if norm is None else norm
    unit = GAUSS_PER_KILOGAUSS if type == "blos" else level(frames, norm, optics, progress)
    attributes = optics.attributes() | {
        "sources": json.dumps(sources),
        "norm": str(norm),
        "norm_level": unit,
        "guard_arcsec": GUARD,
    }
    index = {kind: i for i, kind in enumerate(kinds)}
    origin = [index[file.shape, file.pixel_scale] for file in frames]

    def draw(side, n, key):
        boxes = [sources[i][side] for i in origin]
        for f, i, pair in _visits(frames, boxes, n, key, job, unit, optics):
            yield pair._replace(columns=pair.columns | {"source": origin[f], "file": f, "frame": i})

    names = [str(file.path) for file in frames]
    return hdf5.write(job, attributes, COLUMNS, draw, {"files": names})


def _visits(frames, boxes, n, key, job, unit, optics):
    """(file, frame, pair) of n pairs, from the box of each file."""
    for f, i, share in _shares(frames, n, key):
        file, box = frames[f], boxes[f]
        corner = np.round(np.multiply(box[::2], file.shape)) * file.pixel_scale
        for visit, first in enumerate(range(0, share, PER_VISIT)):
            # a purpose of its own: `hdf5` and `_shares` use other ones
            rng = stream(*key, "visit", f, i, visit)
            field = crop(_read(file, i, job.type), box) / unit
            count = min(PER_VISIT, share - first)
            for pair in cut(rng, field, file.pixel_scale, count, job.patch, optics):
                pair.columns["centre"] += corner
                yield f, i, pair


def level(
    frames: Sequence[FrameFile], norm: str | float, optics: Optics = HMI, progress: bool = False
) -> float:
    """The intensity that becomes 1, in the frames' unit.

    norm : "mean" of all pixels of all frames; "quiet-sun", the mean of
        `normalise.quiet_sun_level`, which prediction uses, over up to LEVEL_FRAMES frames; or a
        number.
    Raises ValueError for another norm or a level that is not positive.

    quiet_sun_level is applied to the frame as HMI sees it. At full resolution its mode is on the
    dark side of granulation: 0.88 of the mean in MURaM's quiet Sun, but 1.000 when degraded
    (measured).
    """
    from tqdm import tqdm

    places = [(file, i) for file in frames for i in range(file.count)]
    if norm == "mean":
        total = size = 0
        for file, i in tqdm(places, desc="mean", disable=not progress):
            field = _read(file, i, "intensity")
            total, size = total + field.sum(), size + field.size
        found = total / size
    elif norm == "quiet-sun":
        chosen = np.unique(np.linspace(0, len(places) - 1, LEVEL_FRAMES).round().astype(int))
        levels = []
        for k in tqdm(chosen, desc="quiet Sun", disable=not progress):
            file, i = places[k]
            low, _ = degrade(_read(file, i, "intensity"), file.pixel_scale, optics)
            if not low.max() > 0:
                raise ValueError(
                    f"simulation: intensity must be positive somewhere for norm=quiet-sun, "
                    f"got frame {i} of {file.path}"
                )
            levels.append(quiet_sun_level(low))
        found = np.mean(levels)
    else:
        try:
            found = float(norm)
        except ValueError:
            raise ValueError(
                f"simulation: norm must be mean, quiet-sun or a level > 0, got norm={norm!r}"
            ) from None
    if not 0 < found < np.inf:  # False for NaN
        raise ValueError(f"simulation: the level must be positive, got {found} with {norm=}")
    return float(found)


def cut(
    rng, field: np.ndarray, pixel_scale: float, count: int, patch: int, optics: Optics
) -> Iterator[hdf5.Pair]:
    """`count` pairs from one visit to a region (H, W).

    They show the region `turned` by the column turn. The column centre (y, x) is that of the patch
    in arcsec from the corner of the region before it was turned.
    """
    turn = int(rng.integers(len(TURNS)))
    scene = turned(field, turn)
    size = np.array(scene.shape) * pixel_scale
    room = np.clip(size - patch * optics.hmi_scale, 0, optics.hmi_scale)
    offset = rng.uniform(0, room)
    low, high = degrade(scene, pixel_scale, optics, offset=offset)
    for _ in range(count):
        y, x = (int(rng.integers(n - patch + 1)) for n in low.shape)
        centre = offset + (np.array([y, x]) + patch / 2) * optics.hmi_scale
        yield hdf5.Pair(
            low[y : y + patch, x : x + patch],
            high[2 * y : 2 * (y + patch), 2 * x : 2 * (x + patch)],
            {"turn": turn, "centre": point_before(centre, size, turn)},
        )


def _read(file, index, type):
    field = file.read(index)
    if type == "intensity" and field.min() < 0:
        message = (
            f"simulation: intensity must be 0 or more, unless the type is blos, "
            f"got {field.min():g} in frame {index} of {file.path}"
        )
        raise avoidable(ValueError(message), "type")
    return field


def _shares(frames, n, key):
    """(file, frame, patches) of each frame that has patches: equal shares, the rest at random."""
    places = [(f, i) for f, file in enumerate(frames) for i in range(file.count)]
    shares = np.full(len(places), n // len(places))
    rng = stream(*key, "shares")
    shares[rng.choice(len(places), n % len(places), replace=False)] += 1
    for (f, i), share in zip(places, shares, strict=True):
        if share:
            yield f, i, share


def _check_sampling(file, optics):
    if not file.pixel_scale <= optics.hmi_scale / 2:
        raise ValueError(
            f"simulation: pixels of the frames must be at most half as large as HMI's, "
            f"{optics.hmi_scale / 2:g} arcsec, got {file.pixel_scale:g} in {file.path}"
        )
    optics.kernels(file.pixel_scale)  # raises for an unsuitable PSF before the work
