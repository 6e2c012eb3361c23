"""The best linear filter, the baseline that shows the gain from a network's non-linearity.

Every output pixel is a weighted sum of the input pixels around it, plus a constant. There are
four sets of weights, one for each place (phase) of an output pixel in its input pixel. They are
the least-squares solution on the training pairs, from the normal equations: no other filter of
that size has a smaller error on them. A Wiener filter is the same with assumed instead of measured
statistics of the scene.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.signal import oaconvolve

from .._atomic import replacing
from .._hdf5 import open_file
from . import tuning

SIZE = 17  # input pixels, 8.6 arcsec: the core of HMI's PSF and most of the light in its tail
RIDGES = (0.0, *(float(r) for r in 10.0 ** np.arange(-8, -2.9, 0.5)))
CHUNK = 256  # pairs at a time: 25 MB of float64 for 50 x 50 pixels
TILE = 34  # neighbourhoods along a side, of 50 pixels: their products take 150 MB


@dataclass(frozen=True)
class LinearFilter:
    """out[2i + a, 2j + b] = bias[a, b] + sum_uv weights[a, b, u, v] in[i + u - r, j + v - r].

    weights : (2, 2, k, k), k = 2r + 1.  bias : (2, 2), in units of the network (Ic or kG).
    provenance : describes the fit; stored with the filter.
    """

    weights: np.ndarray
    bias: np.ndarray
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        w = self.weights.shape
        if len(w) != 4 or w[:2] != (2, 2) or w[2] != w[3] or w[2] % 2 == 0:
            raise ValueError(f"LinearFilter: weights must be (2, 2, k, k), k odd, got {w}")
        if self.bias.shape != (2, 2):
            raise ValueError(f"LinearFilter: bias must be (2, 2), got {self.bias.shape}")

    @property
    def size(self) -> int:
        return self.weights.shape[2]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W) finite, in Ic or kG -> (2H, 2W) float64; mirrored beyond the borders."""
        image = np.asarray(image, np.float64)
        if image.ndim != 2 or not np.isfinite(image).all():
            raise ValueError(f"linear: needs a finite (H, W) image, got shape={image.shape}")
        h, w = image.shape
        padded = np.pad(image, self.size // 2, mode="symmetric")
        out = np.empty((2 * h, 2 * w))
        for a, b in np.ndindex(2, 2):
            # reversed, because oaconvolve reverses its kernel and the sum above does not
            kernel = self.weights[a, b, ::-1, ::-1]
            out[a::2, b::2] = oaconvolve(padded, kernel, mode="valid") + self.bias[a, b]
        return out

    def save(self, path: str | os.PathLike) -> None:
        """Write an .npz file, whole or not at all."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, weights=self.weights, bias=self.bias, provenance=json.dumps(self.provenance)
            )


def load(path: str | os.PathLike) -> LinearFilter:
    """The filter in an .npz file.

    Raises OSError if the file is missing or of another kind, ValueError for wrong shapes.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"linear: the file must exist, got {path!r}")
    try:
        with np.load(path, allow_pickle=False) as file:
            weights, bias = (np.asarray(file[name], np.float64) for name in ("weights", "bias"))
            provenance = json.loads(str(file["provenance"]))
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise OSError(
            f"linear: needs an .npz with weights, bias and provenance, got {path!r} "
            f"({type(error).__name__})"
        ) from None
    return LinearFilter(weights, bias, provenance)


class Equations:
    """The normal equations of the fit, summed over all pairs that are added.

    They are the sums of 1, x, y, x x^T and x y^T over n input neighbourhoods x (k^2 values) and
    their four output pixels y. These sums suffice for any smaller k, any noise and any ridge.
    """

    def __init__(self, size: int = SIZE):
        if size < 1 or size % 2 == 0:
            raise ValueError(f"linear: size must be odd and 1 or more, got size={size}")
        self.size, self.n = size, 0
        self.x, self.y = np.zeros(size**2), np.zeros(4)
        self.xx, self.xy = np.zeros((size**2, size**2)), np.zeros((size**2, 4))

    def add(self, low: np.ndarray, high: np.ndarray) -> None:
        """Add low (n, h, w) without noise and high (n, 2h, 2w); uses whole neighbourhoods only."""
        n, h, w = low.shape
        r = self.size // 2
        if high.shape != (n, 2 * h, 2 * w) or min(h, w) < self.size:
            raise ValueError(
                f"linear: needs low (n, h, w), h and w of {self.size} or more, and high "
                f"(n, 2h, 2w), got {low.shape} and {high.shape}"
            )
        # Of a tile of T x T neighbourhoods, whose pixels are p, and p p^T summed over the images:
        # each neighbourhood's x x^T is a block of it. One product of matrices, instead of T^2 of
        # the same pixels.
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        high = high.reshape(n, h, 2, w, 2)[:, r : h - r, :, r : w - r]
        for i, j in np.ndindex(*(-(-(side - 2 * r) // TILE) for side in (h, w))):
            i, j = i * TILE, j * TILE
            y = high[:, i : i + TILE, :, j : j + TILE].transpose(0, 1, 3, 2, 4)
            th, tw = y.shape[1:3]
            p = low[:, i : i + th + 2 * r, j : j + tw + 2 * r]
            self._add_tile(p, y.reshape(n, th, tw, 4))

    def _add_tile(self, p, y):
        """p (n, th + k - 1, tw + k - 1), y (n, th, tw, 4)."""
        (n, th, tw, _), k = y.shape, self.size
        sides, flat = p.shape[1:], p.reshape(n, -1)
        pp = (flat.T @ flat).reshape(*sides, *sides)
        py = (flat.T @ y.reshape(n, -1)).reshape(*sides, th, tw, 4)
        px = flat.sum(axis=0).reshape(sides)
        self.n += n * th * tw
        self.y += y.sum(axis=(0, 1, 2))
        for i, j in np.ndindex(th, tw):
            rows, columns = slice(i, i + k), slice(j, j + k)
            self.x += px[rows, columns].reshape(-1)
            self.xx += pp[rows, columns, rows, columns].reshape(k * k, k * k)
            self.xy += py[rows, columns, i, j].reshape(-1, 4)

    def solve(self, noise: float, ridge: float = 0.0, size: int | None = None) -> LinearFilter:
        """The filter of the least mean squared error, with `size` or the whole neighbourhood.

        noise : sigma of white noise in the input. Its expectation, sigma^2 on the diagonal of the
            covariance of x, is used instead of drawn noise.
        ridge : also added to that diagonal; it keeps weights small that few pairs determine. It
            does not act on the constant, because means are subtracted first.
        Raises ValueError without pairs, for negative numbers, or for a larger size.
        """
        size = self.size if size is None else size
        if not (1 <= size <= self.size and size % 2):
            raise ValueError(f"linear: size must be odd, 1 to {self.size}, got size={size}")
        if self.n == 0 or not (noise >= 0 and ridge >= 0):
            raise ValueError(f"linear: needs pairs, got n={self.n}, noise={noise}, ridge={ridge}")
        edge = (self.size - size) // 2
        kept = np.zeros((self.size, self.size), bool)
        kept[edge : self.size - edge, edge : self.size - edge] = True
        kept = kept.ravel()
        x, y = self.x[kept] / self.n, self.y / self.n
        covariance = self.xx[np.ix_(kept, kept)] / self.n - np.outer(x, x)
        covariance.flat[:: size**2 + 1] += noise**2 + ridge
        weights = np.linalg.solve(covariance, self.xy[kept] / self.n - np.outer(x, y))
        return LinearFilter(
            weights.T.reshape(2, 2, size, size),
            (y - x @ weights).reshape(2, 2),
            {"size": size, "noise": noise, "ridge": ridge, "neighbourhoods": self.n},
        )


def equations(path: str | os.PathLike, size: int = SIZE) -> Equations:
    """Equations of a file of training pairs, imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1).

    The pairs have no noise. Raises OSError or ValueError for a file that training would refuse.
    """
    from ..training.batches import Pairs

    found = Equations(size)
    try:
        file = open_file(path)
    except (OSError, ValueError) as error:
        raise type(error)(
            f"linear: needs an HDF5 file of training pairs, got {path} ({error})"
        ) from None
    with file:
        pairs = Pairs(file, path)
        for start in range(0, len(pairs), CHUNK):
            low, high = pairs.read(slice(start, start + CHUNK))
            found.add(low[..., 0], high[..., 0])
    return found


class Choice(NamedTuple):
    size: int
    ridge: float


def tune(
    found: Equations,
    noise: float,
    pairs: Iterable[tuning.Pair],
    ridges: Iterable[float] = RIDGES,
    sizes: Iterable[int] | None = None,
) -> tuning.Tuned:
    """Size and ridge (a `Choice`) of the least mean squared error on validation pairs.

    found : of the training pairs.  sizes : odd, up to that of `found`; None tries only that.
    """
    choices = [Choice(size, ridge) for size in sizes or (found.size,) for ridge in ridges]
    filters = {choice: found.solve(noise, choice.ridge, choice.size) for choice in choices}
    return tuning.over(lambda low, choice: filters[choice](low), choices, pairs)
