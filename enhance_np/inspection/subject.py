"""The image, target and weights that `trace` and `inspect` run the network on, from files."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import models
from .._errors import avoidable
from ..baselines.bicubic import bicubic
from ..observation import normalise
from ..observation.fits import Frame
from ..observation.header import card
from ..observation.remarks import remark
from ..observation.telescope import require_hmi
from ..prediction.file import image_norm
from ..prediction.steps import read
from ..weights import Weights, digest, load

SIDE = 256  # a larger image is cut to this many pixels on a side
BICUBIC = "the input, enlarged by bicubic interpolation: no truth was given"


class Subject(NamedTuple):
    """What to run the network on. All arrays are normalised."""

    weights: Weights
    x: np.ndarray  # (H, W) float32, intensity over the quiet Sun's or kG; gaps are filled
    target: np.ndarray  # (2H, 2W) float32
    origin: tuple[int, int]  # row and column of x[0, 0] in the file, counted from 0
    at: tuple[int, int]  # row and column in x of the pixel to show first
    about: dict[str, str]  # what a reader wants to know, by title; values come from files


def subject(
    source: str | os.PathLike,
    *,
    target: str | os.PathLike | None = None,
    type: str | None = None,
    model: str = "default",
    weights: str | os.PathLike | None = None,
    activation: str | None = None,
    ext: int | str | None = None,
    at: tuple[int, int] | None = None,
) -> Subject:
    """Read and normalise a FITS image as `predict` does, with its target.

    target : FITS of (2H, 2W) in the same unit, for example a simulation's truth; None takes
    `bicubic` of the input.
    type, model, weights, activation, ext : as in prediction.file.enhancer.
    at : (x, y), a pixel of the file, counted from 0, that stays in the middle if the image is
    larger than SIDE x SIDE and is therefore cut; None takes the centre.
    Raises ValueError for an unsuitable image, target or place, OSError for unreadable files.
    """
    frame, its_type = read(source, ext, type)
    if weights is None:
        require_hmi(frame)
    path = models.path(its_type, model) if weights is None else Path(weights)
    loaded = load(path, activation)
    if (of := loaded.provenance.get("type", its_type)) != its_type:
        raise ValueError(f"inspect: the weights must be for {its_type}, got weights for {of}")
    remark(frame, its_type, expected=loaded.provenance.get("hmi_scale_arcsec"))
    norm = image_norm(frame, its_type)
    x, gaps = normalise.divided(frame.data, norm)
    truth, truth_is = bicubic(x), BICUBIC
    if target is not None:
        other, _ = read(target, None, its_type)
        if other.data.shape != (2 * len(x), 2 * x.shape[1]) or not np.isfinite(other.data).all():
            raise ValueError(
                f"inspect: the target must be {(2 * len(x), 2 * x.shape[1])} without missing "
                f"pixels, got {other.data.shape} in {os.fspath(target)!r}"
            )
        _check_unit(frame, other)
        truth = other.data / norm.lines(0, len(x), x.shape[1], 2)
        truth_is = os.path.basename(target)
    at = (x.shape[1] // 2, x.shape[0] // 2) if at is None else at
    rows, columns = _cut(x.shape, at)
    finer = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
    missing = np.count_nonzero(gaps[rows, columns])
    about = {
        "file": os.path.basename(source),
        "observed": _text(frame.header, "DATE-OBS", "T_OBS", "T_REC"),
        "instrument": _text(frame.header, "INSTRUME", "TELESCOP"),
        "type": "continuum intensity" if its_type == "intensity" else "line-of-sight field",
        "unit": "quiet Sun = 1" if its_type == "intensity" else "kG",
        "pixels": f"{frame.data.shape[1]} x {frame.data.shape[0]}",
        "missing": f"{missing} pixels, filled" if missing else "none",
        "network": f"{loaded.config}, {path.name}, sha256 {digest(path)[:12]}",
        "target": truth_is,
    }
    if x[rows, columns].shape != x.shape:
        about["cut"] = (
            f"columns {columns.start} to {columns.stop - 1}, rows {rows.start} to {rows.stop - 1}"
        )
    return Subject(
        loaded,
        np.ascontiguousarray(x[rows, columns]),
        np.ascontiguousarray(truth[finer], np.float32),
        (rows.start, columns.start),
        (at[1] - rows.start, at[0] - columns.start),
        {name: value for name, value in about.items() if value},
    )


def _check_unit(frame: Frame, target: Frame) -> None:
    units = [f.unit.lower() or "no unit" for f in (frame, target)]
    # the 90th percentile: most of a field is noise, of which a truth has none
    sizes = [float(np.nanpercentile(abs(f.data), 90)) for f in (frame, target)]
    if units[0] != units[1] or not 0.2 * sizes[0] <= sizes[1] <= 5 * sizes[0]:
        raise ValueError(
            f"inspect: the target must be in the unit of the input, {units[0]} with values up to "
            f"about {sizes[0]:.3g}, got {units[1]} and {sizes[1]:.3g} in {target.path!r}"
        )


def _cut(shape: tuple[int, int], at: tuple[int, int]) -> tuple[slice, slice]:
    """The part of at most SIDE x SIDE pixels with `at` near its middle."""
    if not (0 <= at[0] < shape[1] and 0 <= at[1] < shape[0]):
        message = (
            f"inspect: the pixel to show first must be within {shape[1]} x {shape[0]} pixels, "
            f"got {at[0]},{at[1]}"
        )
        raise avoidable(ValueError(message), "at")
    starts = (
        max(0, min(middle - SIDE // 2, size - SIDE))
        for middle, size in zip(reversed(at), shape, strict=True)
    )
    return tuple(slice(i, min(i + SIDE, n)) for i, n in zip(starts, shape, strict=True))


def _text(header, *keys: str) -> str:
    return next((str(value) for key in keys if (value := card(header, key))), "")
