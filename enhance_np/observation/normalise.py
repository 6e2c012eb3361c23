"""Converts between file units and the network's units, and fills gaps.

The network is not scale-equivariant: it was trained on intensity divided by the quiet-Sun mean
and on magnetograms in kG, so its input must be in these units.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..config import TYPES
from .disc import Mu, limb_darkening
from .quiet_sun import quiet_sun, quiet_sun_level, sample_step

__all__ = ["Norm", "divided", "fill", "multiplied", "norm_value", "quiet_sun_level", "restore"]

GAUSS_PER_KILOGAUSS = 1000.0
LINES = 128  # processed at a time; the limb darkening of a full disk would take half a gigabyte


class Norm(NamedTuple):
    """The divisor of an image: level * limb_darkening(mu) ** strength."""

    level: float  # in the units of the image; at disc centre, if limb darkening is divided out
    strength: float = 0.0  # of the limb darkening; 0 leaves it in the image
    mu: Mu | None = None  # of the image's pixels, see `disc.locate`; for strength and disc_only
    disc_only: bool = False  # all pixels off the disc are gaps, whatever their values

    def part(self, row: int, column: int) -> "Norm":
        """The Norm of the part of the image that begins at (row, column)."""
        if self.mu is None:
            return self
        whole = self.mu
        return self._replace(mu=lambda rows, columns: whole(rows + row, columns + column))

    def lines(self, first: int, last: int, width: int, factor: int = 1):
        """Divisor of lines first <= i < last of the image, on pixels `factor` times smaller.

        A float; or, if it includes limb darkening, float32 (last - first, factor * width). Off
        the disc the law keeps its value at the limb.
        """
        if self.strength == 0:
            return self.level
        rows = (np.arange(factor * first, factor * last) + 0.5) / factor - 0.5
        columns = (np.arange(factor * width) + 0.5) / factor - 0.5
        law = limb_darkening(np.nan_to_num(self.mu(rows, columns))).astype(np.float32)
        return np.float32(self.level) * law ** np.float32(self.strength)


def norm_value(
    data: np.ndarray,
    norm: str | float,
    type: str,
    mu: Mu | None = None,
    usual: float | None = None,
) -> Norm:
    """The divisor of the input, which is also the factor of the output, in the units of `data`.

    norm : "quiet-sun", which includes the limb darkening if mu is given (`quiet_sun.quiet_sun`);
        "max" or "none" (1), to reproduce published pixels; or a level > 0. The last three leave
        the limb darkening in the image.
    type : "intensity"; or "blos", which is always divided by 1000 G, because the network's unit
        of field is the kG.
    mu : of the pixels of `data`, see `disc.locate`. HMI's magnetograms extend beyond the limb by
        45 arcsec, with noise of 50 G and values of up to 4800 G next to the limb. The latter
        would cause ringing far into the disc. These pixels measure nothing: if the image shows
        such noise, all pixels off the disc count as missing.
    usual : see `quiet_sun.quiet_sun`.
    Raises ValueError for another norm or type, or if the level is not finite and > 0.
    """
    if type not in TYPES:
        raise ValueError(f"norm_value: type must be one of {TYPES}, got type={type!r}")
    check_norm(norm)
    if type == "blos":
        return Norm(GAUSS_PER_KILOGAUSS, 0.0, mu, mu is not None and _noise_off_disc(data, mu))
    if norm == "quiet-sun":
        level, strength = quiet_sun(data, mu, usual)
        return Norm(_positive(level, norm), strength, mu)
    if norm == "max":
        level = _positive(np.nanmax(data), norm)
    elif norm == "none":
        level = 1.0
    else:
        level = float(norm)
    return Norm(level)


def check_norm(norm: str | float) -> None:
    """Raise ValueError unless `norm` is valid for `norm_value`."""
    if norm not in ("quiet-sun", "max", "none"):
        _positive(norm, norm)


def _noise_off_disc(data: np.ndarray, mu: Mu) -> bool:
    """Whether a magnetogram is noisier off the disc than on it; HMI's are, by a factor of 6.

    If it is not, the header is wrong or the pixels off the disc are quiet. The lower quartile of
    |B| measures the noise, unless strong field fills the image.
    """
    step = sample_step(data)
    off = np.isnan(mu(*(np.arange(0, n, step) for n in data.shape)))
    if not off.any():  # return before a dask array would be computed
        return False
    strength = np.abs(np.asarray(data[::step, ::step]))
    sides = [strength[side & np.isfinite(strength)] for side in (off, ~off)]
    if not all(side.size for side in sides):
        return False
    outside, inside = (np.percentile(side, 25) for side in sides)
    return bool(outside > 2 * inside)


def _positive(level, norm) -> float:
    try:
        level = float(level)
    except (TypeError, ValueError):
        level = math.nan
    with np.errstate(all="ignore"):
        rounded = np.float32(level)  # the output is multiplied by this
    if not 0 < rounded < math.inf:  # False for NaN
        raise ValueError(
            f"norm_value: norm must be quiet-sun, max, none or a level > 0, got norm={norm!r}"
            + (f" with maximum {level}" if norm == "max" else "")
        )
    return level


def measured(image: np.ndarray, norm: Norm) -> np.ndarray:
    """Where an image has no gap: (H, W) bool."""
    found = np.isfinite(image)
    return found & ~np.isnan(norm.mu(*map(np.arange, image.shape))) if norm.disc_only else found


def divided(image: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """(image / norm with gaps filled, mask of the gaps), float32 and bool, (H, W) as the image.

    Gaps are the NaN and infinite pixels, and those off the disc if norm.disc_only. They are
    filled after the division: limb darkening continued off the limb would add a gradient that is
    not on the Sun.
    Raises ValueError if no pixel is valid, or a quotient does not fit float32.
    """
    x = np.empty(image.shape, np.float32)
    gaps = 0
    for first, last in _cut(len(x)):
        lines = image[first:last]
        gaps += np.count_nonzero(~np.isfinite(lines))
        with np.errstate(over="ignore"):
            # divide before rounding to float32, which may not hold the range of the image
            x[first:last] = lines / norm.lines(first, last, x.shape[1])
    if np.count_nonzero(~np.isfinite(x)) != gaps:
        raise ValueError(f"divided: image / norm must fit float32, got norm={norm.level:g}")
    if norm.disc_only:
        for first, last in _cut(len(x)):
            at = norm.mu(np.arange(first, last), np.arange(x.shape[1]))
            x[first:last][np.isnan(at)] = np.nan
    return fill(x)


def multiplied(out: np.ndarray, mask: np.ndarray, norm: Norm) -> np.ndarray:
    """out * norm, NaN where the input had gaps; in place.

    out : (k H, k W) float32.  mask : (H, W), of `divided`.
    """
    k = len(out) // len(mask)
    for first, last in _cut(len(mask)):
        lines = out[k * first : k * last]
        lines[...] = restore(lines, mask[first:last])  # before the product: gaps hold any value
        lines *= np.float32(norm.lines(first, last, mask.shape[1], k))
    return out


def _cut(lines: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + LINES, lines)) for first in range(0, lines, LINES))


def fill(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(filled, mask): the image without gaps, and the mask of the gaps.

    data : (H, W); a gap is NaN or infinite.  filled : (H, W), dtype of data.
    mask : (H, W) bool, True in the gaps.

    Gaps are filled by odd reflection about the nearest valid pixel v: 2v minus the mirrored value,
    clipped to lie between 0 and v. If the mirrored pixel is a gap too, or outside the image, v is
    taken. The image thus continues across the limb with its value and, where it falls, with its
    slope: a limb that is cut at half its height falls on to zero. Zeros would make an edge sharper
    than any on the Sun, at which the network rings. The nearest pixel alone would make a step that
    acts like a limb, with 1.3 to 1.9 times the error in the last 1.5 arcsec (tests/test_limb.py).
    Raises ValueError if no pixel is valid.
    """
    mask = ~np.isfinite(data)
    if mask.all():
        raise ValueError(f"fill: needs one valid pixel or more, got none in shape={data.shape}")
    if not mask.any():
        return data, mask
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(mask, return_distances=False, return_indices=True)
    filled, size = data.copy(), np.array(data.shape)[:, None]
    for first, last in _cut(len(data)):
        gap = mask[first:last]
        at = nearest[:, first:last][:, gap]
        mirrored = 2 * at - np.argwhere(gap).T - [[first], [0]]
        inside = ((mirrored >= 0) & (mirrored < size)).all(axis=0)
        mirrored = np.where(inside, mirrored, at)
        value, across = data[tuple(at)], data[tuple(mirrored)]
        across = np.where(np.isfinite(across), across, value)
        filled[first:last][gap] = np.clip(
            2 * value - across, np.minimum(value, 0), np.maximum(value, 0)
        )
    return filled, mask


def restore(out: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of `out` with NaN where the input had gaps.

    out : (k H, k W), k = 2 for the network.  mask : (H, W) from `fill`.
    Each pixel of the mask covers k x k pixels of the output: edges are aligned.
    Raises ValueError if out.shape is not a multiple of mask.shape.
    """
    k = out.shape[0] // mask.shape[0]
    if k < 1 or out.shape != (k * mask.shape[0], k * mask.shape[1]):
        raise ValueError(
            f"restore: out must be k times as large as mask, got {out.shape} and {mask.shape}"
        )
    return np.where(mask.repeat(k, axis=0).repeat(k, axis=1), out.dtype.type(np.nan), out)
