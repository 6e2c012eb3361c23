"""The error bar of each output pixel: noise of the input through the network, and a floor.

    sigma^2 = (noise * gain)^2 + floor^2

noise is that of the input, gain the noise gain of the network (`jacobian`), and floor the error
that the network has without noise. Gain and floor differ from place to place. Both are tables over
two features of the output that need no truth: its mean in a small box, and its standard deviation
there. The floor has a second table for the limb, where structure is foreshortened. `calibration`
fills the tables on pairs of known truth, so that 68.3 % of the errors are within one sigma. The
errors are not normal: two sigma hold fewer than 95 %.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from .._array import repeated
from ..observation.normalise import Norm
from ..pairs import limb

BOX = 5  # output pixels, 1.26 arcsec for HMI: the scale of a granule or a thread of penumbra
LINES = 64  # input lines at a time, so that no array of float64 is as large as a full disk
WITHIN = 0.683  # of the errors, the share within one sigma of a normal distribution


class Features(NamedTuple):
    """(h, w) float64 each, normalised: intensity over the quiet Sun's, or kG; NaN is missing."""

    value: np.ndarray  # mean in the box; of a field its modulus
    contrast: np.ndarray  # standard deviation in the box


def features(y: np.ndarray, type: str) -> Features:
    """The features of an output (h, w). Missing pixels are left out of the boxes around them."""
    from scipy.ndimage import uniform_filter

    valid = np.isfinite(y)
    y = np.where(valid, y, 0).astype(np.float64)
    share = uniform_filter(valid.astype(np.float64), BOX)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = (np.where(valid, uniform_filter(a, BOX) / share, np.nan) for a in (y, y * y))
    contrast = np.sqrt(np.maximum(square - mean**2, 0))
    return Features(mean if type == "intensity" else np.abs(mean), contrast)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The tables of a network, stored with its weights.

    values : (V,), contrasts : (C,), increasing: where the tables are given. Between them they are
        interpolated linearly, beyond them they keep their last value.
    gain : (V, C), noise in the error over noise in the input.
    floor, floor_at_limb : (V, C), Ic or kG, at disc centre and at mu = limb.MU; between them the
        floor changes linearly with mu, and beyond limb.MU it no longer does.
    value_range, contrast_range : (low, high) of what the calibration data hold.
    misfit : Ic or kG, what the residual has beside noise.
    data : the pairs, in words.
    """

    values: tuple[float, ...]
    contrasts: tuple[float, ...]
    gain: np.ndarray
    floor: np.ndarray
    floor_at_limb: np.ndarray
    value_range: tuple[float, float]
    contrast_range: tuple[float, float]
    misfit: float
    data: str = ""

    def sigma(
        self, found: Features, noise: float | np.ndarray, mu: float | np.ndarray = 1.0
    ) -> np.ndarray:
        """One sigma of the error at pixels of these features.

        noise : of the input.  mu : of the pixels; NaN is unknown and counts as disc centre.
        """
        gain, floor, there = self.at(found)
        toward = np.clip((1 - np.nan_to_num(mu, nan=1.0)) / (1 - limb.MU), 0, 1)
        return np.hypot(noise * gain, floor + (there - floor) * toward)

    def at(self, found: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(gain, floor, floor_at_limb) at pixels of these features; NaN where they are."""
        from scipy.ndimage import map_coordinates

        places = np.stack(
            [
                np.interp(feature, nodes, np.arange(len(nodes)))
                for feature, nodes in zip(found, (self.values, self.contrasts), strict=True)
            ]
        )
        missing = np.isnan(places).any(axis=0)
        places[:, missing] = 0
        return tuple(
            np.where(missing, np.nan, map_coordinates(table, places, order=1, mode="nearest"))
            for table in (getattr(self, name) for name in _TABLES)
        )

    def unlike(self, found: Features, type: str) -> tuple[np.ndarray, np.ndarray]:
        """(value, contrast): where each is outside of what the calibration data hold; bool.

        The modulus of a field is never too small: between the polarities it is zero everywhere.
        """
        least = 0.0 if type == "blos" else self.value_range[0]
        ranges = (least, self.value_range[1]), self.contrast_range
        return tuple(
            (feature < low) | (feature > high)
            for feature, (low, high) in zip(found, ranges, strict=True)
        )

    def attributes(self) -> dict:
        """What `stored` reads, for JSON; numbers keep four digits."""
        own = asdict(self)
        return {name: _rounded(value) for name, value in own.items()}

    @classmethod
    def stored(cls, attributes: dict | None) -> "Calibration | None":
        """The calibration in a file of weights; None without one.

        Raises ValueError if a table is missing, of a wrong shape or not finite.
        """
        if attributes is None:
            return None
        try:
            made = {name: np.asarray(attributes[name], np.float64) for name in _ARRAYS}
            misfit = float(attributes["misfit"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"calibration of the weights: must have every table, got {error!r}; an earlier "
                "calibration must be made again by enhance-np calibrate"
            ) from None
        size = made["values"].shape + made["contrasts"].shape
        wanted = dict.fromkeys(_TABLES, size) | {"value_range": (2,), "contrast_range": (2,)}
        shapes = {name: made[name].shape for name in wanted}
        sorts = all((np.diff(made[name]) > 0).all() for name in ("values", "contrasts"))
        sorts = sorts and all((np.diff(made[f"{n}_range"]) >= 0).all() for n in Features._fields)
        finite = all(np.isfinite(table).all() for table in (*made.values(), misfit))
        positive = all(np.all(a >= 0) for a in (*(made[name] for name in _TABLES), misfit))
        if shapes != wanted or len(size) != 2 or not (sorts and finite and positive):
            raise ValueError(
                "calibration of the weights: needs tables of finite numbers, 0 or more, over "
                f"increasing values and contrasts, got shapes {shapes}"
            )
        lists = {name: tuple(made[name].tolist()) for name in _ARRAYS if name not in _TABLES}
        tables = {name: made[name] for name in _TABLES}
        return cls(**lists, **tables, misfit=misfit, data=str(attributes.get("data", "")))


_TABLES = ("gain", "floor", "floor_at_limb")
_ARRAYS = ("values", "contrasts", *_TABLES, "value_range", "contrast_range")


def _rounded(value):
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return [_rounded(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]


class Judged(NamedTuple):
    error: np.ndarray  # (2H, 2W) float32, one sigma in the units of the output
    value: np.ndarray  # (2H, 2W) bool, where it is outside of what the calibration data hold
    contrast: np.ndarray  # the same for the contrast


def judged(
    output: np.ndarray,
    type: str,
    calibration: Calibration,
    norm: Norm,
    noise: float | np.ndarray,
) -> Judged:
    """The error bars of an output, computed in bands of lines.

    output : (2H, 2W) in the units of the image, NaN where it is missing.
    norm : the divisor of the image.  noise : of the input, in its units; a number or (H, W).
    """
    noise = np.broadcast_to(noise, (len(output) // 2, output.shape[1] // 2))
    error = np.empty(output.shape, np.float32)
    value, contrast = (np.empty(output.shape, bool) for _ in range(2))
    for lines, found, divisor, mu in _bands(output, type, norm):
        own = repeated(noise[lines.start // 2 : lines.stop // 2])
        error[lines] = divisor * calibration.sigma(found, own / divisor, mu)
        value[lines], contrast[lines] = calibration.unlike(found, type)
    return Judged(error, value, contrast)


def _bands(output, type, norm) -> Iterator[tuple]:
    """(output lines, their features, their divisor, their mu) of each band."""
    height, width = (n // 2 for n in output.shape)
    reach = BOX // 4 + 1  # input lines
    for first in range(0, height, LINES):
        last = min(first + LINES, height)
        low, high = max(0, first - reach), min(height, last + reach)
        y = output[2 * low : 2 * high] / norm.lines(low, high, width, 2)
        inner = slice(2 * (first - low), 2 * (last - low))
        found = Features(*(feature[inner] for feature in features(y, type)))
        mu = 1.0
        if norm.mu is not None:
            places = np.arange(2 * first, 2 * last), np.arange(2 * width)
            mu = norm.mu(*((at + 0.5) / 2 - 0.5 for at in places))
        yield slice(2 * first, 2 * last), found, norm.lines(first, last, width, 2), mu
