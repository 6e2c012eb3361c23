"""Training pairs on disk: checked once, then read batch by batch while the network works."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

NAMES = ("imHMI", "imSST")  # as in the original Enhance
CHUNK = 256  # patches read at a time by the check: 16 MB of 50 x 50 pairs


class Pairs:
    """An HDF5 file with imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1), or a stretch of it.

    len() is the number of pairs. The file is never read whole.
    """

    def __init__(self, file, path: str | os.PathLike, first: int = 0, last: int | None = None):
        """file : open h5py.File; path names it in errors; first, last : the stretch.

        Raises ValueError, naming the dataset and what it must be, if one is missing, not
        floating point, misshapen or empty.
        """
        for name in NAMES:
            if not hasattr(file.get(name), "dtype"):
                raise ValueError(f"train: {path} must hold the dataset {name}, got {list(file)}")
            if file[name].dtype.kind != "f":
                raise ValueError(
                    f"train: {name} must be floating point in {path}, got {file[name].dtype}"
                )
        low, high = (file[name] for name in NAMES)
        if low.ndim != 4 or low.shape[3] != 1 or min(low.shape[1:3]) < 2:
            raise ValueError(
                f"train: imHMI must be (n, h, w, 1), h, w >= 2, in {path}, got {low.shape}"
            )
        if high.shape != (expected := (len(low), 2 * low.shape[1], 2 * low.shape[2], 1)):
            raise ValueError(f"train: imSST must be {expected} in {path}, got {high.shape}")
        last = len(low) if last is None else last
        if not 0 <= first < last <= len(low):
            raise ValueError(
                f"train: imHMI must hold one patch or more in {path}, got {len(low)} in all"
            )
        self.datasets, self.path, self.first, self.last = (low, high), path, first, last

    def __len__(self):
        return self.last - self.first

    def read(self, indices) -> tuple[np.ndarray, np.ndarray]:
        """Pairs at `indices` (increasing, or a slice), float32. Raises OSError for bad blocks."""
        if isinstance(indices, slice):
            start, stop, _ = indices.indices(len(self))
            indices = slice(self.first + start, self.first + stop)
        else:
            indices = self.first + indices
        try:
            with np.errstate(over="ignore"):  # `check` finds what becomes infinite
                return tuple(dataset[indices].astype(np.float32) for dataset in self.datasets)
        except OSError as error:
            message = " ".join(str(error).split())
            raise OSError(f"train: {self.path} cannot be read ({message})") from None

    def check(self) -> str:
        """sha256 of the values, in hexadecimal; reads everything once, a chunk at a time.

        Raises ValueError if a value is NaN or infinite, OSError if the file cannot be read.
        """
        digest = hashlib.sha256()
        for start in range(0, len(self), CHUNK):
            for name, values in zip(NAMES, self.read(slice(start, start + CHUNK)), strict=True):
                if not np.isfinite(values).all():
                    bad = int(np.argmin(np.isfinite(values).all(axis=(1, 2, 3))))
                    raise ValueError(
                        f"train: {name} must be finite in {self.path}, "
                        f"got NaN or infinity in patch {self.first + start + bad}"
                    )
                digest.update(values.data)
        return digest.hexdigest()


def split(file, path: str | os.PathLike, fraction: float) -> tuple[Pairs, Pairs]:
    """All pairs but the last `fraction` of them, and those. Raises ValueError as Pairs does."""
    if not 0 < fraction < 1:
        raise ValueError(f"train: the validation fraction must be in (0, 1), got {fraction}")
    n = len(Pairs(file, path))
    edge = n - max(1, round(fraction * n))
    if edge < 1:
        raise ValueError(
            f"train: a validation fraction of {fraction} must leave a patch to train on in {path}, "
            f"got {n} in all"
        )
    return Pairs(file, path, 0, edge), Pairs(file, path, edge, n)


def prefetched(pairs: Pairs, batches: Iterable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """pairs.read of each batch of indices, one batch ahead of the caller, in a thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="enhance_np_reader") as reader:
        waiting = None
        for indices in batches:
            following = reader.submit(pairs.read, indices)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
