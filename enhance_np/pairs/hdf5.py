"""HDF5 files of training pairs: patches as HMI sees them, and as the network should return them.

    out             imHMI (n, p, p, 1), imSST (n, 2p, 2p, 1), float32; columns (n, ...)
    <stem>_val.h5   the same datasets, from other regions, fields or seeds
    <stem>_test.h5  the same from yet others, if there are test pairs

The unit is the quiet Sun's mean intensity, or kG. Names are those of the original Enhance. Patches
are in random order; source[i] is an index into the attribute `sources`. Inputs have no noise: the
training loop draws new noise for every batch, with the standard deviation noise[i] in the file's
unit if there is such a column. The attributes symmetries and polarity select what else it draws.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import __version__
from .._atomic import replacing
from .._hdf5 import open_file
from .._random import stream
from ..config import TYPES
from ..observation.fits import check_output


class Pair(NamedTuple):
    low: np.ndarray  # (p, p)
    high: np.ndarray  # (2p, 2p)
    columns: dict  # name -> value of this patch


@dataclass(frozen=True)
class Job:
    """The files to write.

    n_train, n_val, n_test : numbers of patches of each side; without n_test there is no third file.
    patch : side of a patch in low-resolution pixels.
    type : "intensity" or "blos".  seed : of all random numbers.  progress : shows a bar.
    overwrite : replace existing files.
    Raises ValueError for another type, sizes below 1 or a negative seed; OSError if a file cannot
    be written.
    """

    out: str | Path
    type: str
    n_train: int
    n_val: int
    patch: int = 50
    seed: int = 0
    progress: bool = False
    overwrite: bool = False
    n_test: int = 0

    def __post_init__(self):
        if self.type not in TYPES:
            raise ValueError(f"build: type must be one of {TYPES}, got type={self.type!r}")
        for name in ("n_train", "n_val", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"build: {name} must be 1 or more, got {getattr(self, name)}")
        if self.n_test < 0:
            raise ValueError(f"build: n_test must be 0 or more, got {self.n_test}")
        if self.seed < 0:
            raise ValueError(f"build: seed must be 0 or more, got seed={self.seed}")
        for path in self.paths:
            check_output(path, self.overwrite)

    @property
    def sides(self) -> dict[str, int]:
        """Number of patches of each side, by name, in the order of `paths`."""
        found = {"train": self.n_train, "validation": self.n_val, "test": self.n_test}
        return {side: n for side, n in found.items() if n}

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of the training, the validation and, if there are any, the test pairs."""
        out = Path(self.out)
        ends = ("_val", "_test") if self.n_test else ("_val",)
        return out, *(out.with_name(f"{out.stem}{end}.h5") for end in ends)


def write(
    job: Job,
    attributes: dict,
    columns: dict[str, tuple],
    draw: Callable[[str, int, list[int]], Iterator[Pair]],
    lists: dict[str, list[str]] | None = None,
) -> tuple[Path, ...]:
    """Writes all files or none, and returns their paths.

    attributes : of all files; type, unit, seed, version and side are added.
    columns : name -> (dtype, shape) of the value of a patch.  lists : name -> texts, for all files.
    draw : (side, n, key) -> n pairs; key = (seed, side) is for streams.stream.
    """
    import h5py

    attributes = attributes | {
        "type": job.type,
        "unit": "intensity over quiet Sun" if job.type == "intensity" else "kG",
        "seed": job.seed,
        "version": __version__,
    }
    # check the space first: when a disk is full, HDF5 crashes at the end of the process
    needed = 20 * job.patch**2 * sum(job.sides.values())
    if (free := shutil.disk_usage(job.paths[0].absolute().parent).free) < 1.1 * needed:
        raise OSError(
            f"degrade: {job.out} needs {1.1 * needed / 1e6:.3g} MB free, got {free / 1e6:.3g}"
        )
    with ExitStack() as stack:
        paths = [stack.enter_context(replacing(path)) for path in job.paths]
        for path, (side, n) in zip(paths, job.sides.items(), strict=True):
            key = (job.seed, side)
            with h5py.File(path, "w") as f:
                f.attrs.update(attributes, side=side)
                for name, texts in (lists or {}).items():
                    f.create_dataset(name, data=texts, dtype=h5py.string_dtype())
                _write(f, n, job, key, columns, draw(side, n, key))
    return job.paths


def written(job: Job, attributes: dict) -> bool:
    """Whether the files exist, whole, as `write` of this version would write them."""
    wanted = attributes | {"type": job.type, "seed": job.seed, "version": __version__}
    return all(
        _as_wanted(path, n, job.patch, wanted | {"side": side})
        for path, (side, n) in zip(job.paths, job.sides.items(), strict=True)
    )


def _as_wanted(path, n, patch, wanted):
    try:
        with open_file(path) as f:
            size = f["imSST"].shape
            return size[:2] == (n, 2 * patch) and all(f.attrs.get(k) == wanted[k] for k in wanted)
    except (OSError, KeyError, ValueError):
        return False


def _write(f, n, job, key, columns, pairs):
    from tqdm import tqdm

    place = stream(*key, "place").permutation(n)
    low = f.create_dataset("imHMI", (n, job.patch, job.patch, 1), "f4")
    high = f.create_dataset("imSST", (n, 2 * job.patch, 2 * job.patch, 1), "f4")
    for name, (dtype, shape) in columns.items():
        f.create_dataset(name, (n, *shape), dtype)
    with tqdm(total=n, disable=not job.progress, desc=f.attrs["side"]) as bar:
        for k, pair in zip(place, pairs, strict=True):
            low[k, :, :, 0], high[k, :, :, 0] = pair.low, pair.high
            for name, value in pair.columns.items():
                f[name][k] = value
            bar.update()
