"""Training pairs on disk: checked once, then read in batches while the network works."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .._array import Array
from .._errors import one_line
from .._symmetry import TURNS, turned
from ..engine import Engine
from .workers import ALONE, Workers, part

NAMES = ("imHMI", "imSST")  # as in the original Enhance
DRAWN = ("symmetries", "polarity")  # attributes of a file: what the training loop draws
CHUNK = 256  # patches that `check` reads at a time: 16 MB of 50 x 50 pairs


class Pairs:
    """An HDF5 file with imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1), or a range of its pairs.

    len() is the number of pairs. The whole file is never in memory.
    noise : (n,) float32, sigma of each pair's input in its unit; None if the file has no such
    column.  symmetries, polarity : bool, attributes of the file; what `augmented` draws.
    """

    def __init__(self, file, path: str | os.PathLike, first: int = 0, last: int | None = None):
        """file : open h5py.File.  path : its name in errors.  first, last : the range of pairs.

        Raises ValueError, with the dataset and what it must be, if one is missing, empty, not
        floating point or of a wrong shape.
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
        self.noise = _noise(file, path, len(low))
        if self.noise is not None:
            self.noise = self.noise[first:last]
        self.symmetries, self.polarity = (bool(file.attrs.get(name)) for name in DRAWN)
        if self.symmetries and low.shape[1] != low.shape[2]:
            raise ValueError(
                f"train: imHMI must be (n, h, h, 1) in {path}, which has symmetries, "
                f"got {low.shape}"
            )

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
            with np.errstate(over="ignore"):  # `check` finds values that become infinite
                return tuple(dataset[indices].astype(np.float32) for dataset in self.datasets)
        except OSError as error:
            raise OSError(f"train: {self.path} cannot be read ({one_line(error)})") from None

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
        if self.noise is not None:
            digest.update(self.noise.data)
        for name in DRAWN:
            digest.update(name.encode() if getattr(self, name) else b"")
        return digest.hexdigest()

    def sigma(self, indices, otherwise: float) -> float | np.ndarray:
        """Sigma of the noise of the pairs at `indices`, (n,) float32; `otherwise` if unknown."""
        return otherwise if self.noise is None else self.noise[indices]

    def augmented(self, x, target, rng) -> tuple[np.ndarray, np.ndarray]:
        """A batch of `read` with a random symmetry of the square and a random sign for each pair.

        The attributes of the file select which of the two apply. If neither does, rng is not used.
        """
        if self.symmetries:
            turns = rng.integers(len(TURNS), size=len(x))
            x, target = (_turned(images, turns) for images in (x, target))
        if self.polarity:
            signs = rng.choice(np.array([-1, 1], np.float32), len(x))[:, None, None, None]
            x, target = x * signs, target * signs
        return x, target


def _turned(images, turns):
    """Each image (h, h, 1) by its own turn, see `_symmetry`."""
    found = np.empty_like(images)
    for turn in TURNS:
        found[turns == turn] = turned(images[turns == turn], turn, axes=(1, 2))
    return found


def noisy(x: np.ndarray, sigma: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x + sigma * N(0, 1), drawn anew in each call.

    x : (n, h, w, 1) float32, in Ic or kG.  sigma : a number, or (n,) float32, one of each patch.
    It is drawn by NumPy for every engine, so that all of them get the same noise, and added before
    a batch is copied to a device.
    """
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    return x + np.asarray(sigma, np.float32).reshape(-1, 1, 1, 1) * noise


def _noise(file, path, n):
    if "noise" not in file:
        return None
    noise = file["noise"]
    shape, dtype = getattr(noise, "shape", None), getattr(noise, "dtype", None)
    # checked before reading, because a dataset of another shape or type may be large
    fits = shape == (n,) and dtype.kind == "f"
    noise = noise[()] if fits else None
    if not fits or not (noise >= 0).all():
        raise ValueError(
            f"train: noise must be ({n},) floating point, 0 or more, in {path}, "
            f"got {shape} of {dtype}" + (f" from {noise.min()}" if fits else "")
        )
    if not np.isfinite(noise).all():
        raise ValueError(f"train: noise must be finite in {path}, got infinity")
    return noise.astype(np.float32)


def split(file, path: str | os.PathLike, fraction: float) -> tuple[Pairs, Pairs]:
    """(training pairs, validation pairs): the last `fraction` of all pairs is for validation.

    Raises ValueError as Pairs does, or if a side would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"train: the validation fraction must be in (0, 1), got {fraction}")
    n = len(Pairs(file, path))
    edge = n - max(1, round(fraction * n))
    if edge < 1:
        raise ValueError(
            f"train: a validation fraction of {fraction} must leave a patch for training in "
            f"{path}, got {n} patches"
        )
    return Pairs(file, path, 0, edge), Pairs(file, path, edge, n)


def drawn(
    pairs: Pairs,
    batches: Iterable,
    otherwise: float,
    engine: Engine,
    rng: np.random.Generator,
    augment: bool = True,
    workers: Workers = ALONE,
) -> Iterator[tuple[Array, Array]]:
    """(x, target) of each batch of indices: read, augmented, with noise, on the engine.

    otherwise : sigma of the noise of pairs that store none.  augment : see `Pairs.augmented`.
    workers : each gets its part of every batch, which is empty if there are too few patches. It
    draws the random numbers of the whole batch, so they do not depend on the number of workers.
    A thread reads one batch ahead. rng is used for a batch only when that batch is asked for, so
    its state between two batches is all that is needed to continue.
    """
    for batch, (x, target) in _read_ahead(pairs, batches):
        if augment:
            x, target = pairs.augmented(x, target, rng)
        x = noisy(x, pairs.sigma(batch, otherwise), rng)
        own = part(workers, len(x))
        yield engine.asarray(x[own]), engine.asarray(target[own])


def _read_ahead(pairs, batches):
    """(batch, pairs.read(batch)) of each batch."""
    with ThreadPoolExecutor(1, thread_name_prefix="enhance_np_reader") as reader:
        waiting = None
        for batch in batches:
            following = batch, reader.submit(pairs.read, batch)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()
