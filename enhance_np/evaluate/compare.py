"""Compares an image with that of another telescope: on the same pixels, at the same resolution."""

import logging
from typing import NamedTuple

import numpy as np

from .._errors import avoidable
from ..config import TYPES
from ..observation import moment, normalise
from ..observation.disc import locate
from ..observation.header import card
from ..observation.holders import computed, frame, has_header
from ..observation.kind import common_type, in_gauss
from ..observation.pixels import pixel_area, square_area
from ..observation.remarks import doubtful_unit
from ..optics.degrade import HMI, Optics
from ..prediction.steps import without_fill
from . import alignment
from .alignment import FARTHEST, LEAST_PIXELS, TRUSTED, Sampler, Shift
from .compare_report import NAMES, measured, text
from .report import plain
from .resolution import equalised, resolution

log = logging.getLogger(__name__)

MARGIN = 12.0  # arcsec kept around the common part, the half-width of the PSFs
EDGE = 1.0  # arcsec from borders and gaps that are left out: a blur mixes in what is beyond
APART = 5.0  # minutes between the images, from which on it is warned: the age of half a granule


class Comparison(NamedTuple):
    """Two images of the same part of the Sun on the same pixels; NaN where either is missing."""

    type: str  # "intensity" or "blos"
    out: np.ndarray  # (H, W) at its own resolution; Ic or G
    other: np.ndarray  # (H, W) aligned and at its own resolution
    out_alike: np.ndarray  # (H, W) at the resolution that both have
    other_alike: np.ndarray  # (H, W)
    header: object | None  # of these pixels; None without one
    sides: tuple[float, float]  # arcsec of a pixel, along a column and along a line
    report: dict  # all figures, ready for JSON
    spectra: dict  # {image: Spectrum}, as they are and alike

    def __str__(self) -> str:
        """The table that the command `compare` prints."""
        return text(self.report)

    def draw(self, figure) -> None:
        """Draws all of it into a matplotlib Figure, of about 13 x 10 inches."""
        from .compare_figure import draw

        draw(figure, self)

    def picture(self) -> bytes:
        """The same as a PNG. Raises ImportError without matplotlib."""
        from .compare_figure import page

        return page(self)


def compare(
    out,
    other,
    type: str | None = None,
    *,
    out_optics: Optics | str | None = None,
    other_optics: Optics | str | None = None,
    out_scale: float | tuple[float, float] | None = None,
    other_scale: float | tuple[float, float] | None = None,
    out_averages: bool | None = None,
    other_averages: bool | None = None,
    align: bool = True,
) -> Comparison:
    """Compare an image, such as an output of `enhance`, with that of another telescope.

    out, other : (H, W) and (h, w) of the kinds of `image.enhance`, both intensities or both
        line-of-sight fields; any units, pixels and orientations; NaN is missing. Not changed; dask
        arrays are computed now.
    type : "intensity" or "blos"; None detects it from both.
    out_optics, other_optics : whose PSF blurred the image: Optics("airy", aperture=0.5,
        wavelength=6302e-10), "deconvolved" (nothing left up to HMI's cut-off), "none" (a
        simulation). None takes it from the header (`resolution.resolution`); an `out` that is
        an array or a Quantity counts as an output of the shipped weights.
    out_scale, other_scale : arcsec, or (x, y), in place of the coordinates of the header.
    out_averages, other_averages : whether the values are means over the pixels, which blurs too;
        None see `resolution.resolution`.
    align : whether to correct the coordinates by cross-correlation.

    The coordinates of both headers bring `other` to the pixels of `out`; without those of both, the
    centres are put on each other. Cross-correlation of both at equal resolution then gives the
    remaining shift (`alignment.find_shift`). `other` is interpolated once, with it. The finer image
    is blurred to the resolution of the other (`resolution.equalised`). Intensities are divided by
    the level of the quiet Sun in the common part, each by its own; a missing header counts as
    solar north up. The rotation of the Sun between the images is corrected only as a shift.
    Raises TypeError for another kind of image; ValueError for images of two types, unknown
    telescopes or pixels, parts that do not overlap, or a correlation that is not significant.
    """
    frames = tuple(computed(frame(x, "compare")) for x in (out, other))
    return compared(
        frames,
        type=type,
        optics=(out_optics, other_optics),
        scales=(out_scale, other_scale),
        averages=(out_averages, other_averages),
        align=align,
    )


def compared(
    frames,
    *,
    type: str | None = None,
    optics: tuple = (None, None),
    scales: tuple = (None, None),
    averages: tuple = (None, None),
    align: bool = True,
) -> Comparison:
    """`compare` of two Frames (`fits.Frame`): each tuple is for the first and the second."""
    if type is not None and type not in TYPES:
        raise ValueError(f"compare: type must be one of {TYPES}, got type={type!r}")
    type = common_type(frames, type, "compare")
    for one in frames:
        if type == "blos" and (unit := doubtful_unit(one)) is not None:
            log.warning("%s %s", one.path, unit)
    frames = [without_fill(in_gauss(f), type) for f in frames]
    is_bare = set(frames[0].header) <= {"BUNIT"}  # an array or a Quantity
    defaults = HMI.target() if is_bare else None, None
    resolutions = [
        resolution(*given) for given in zip(frames, optics, averages, NAMES, defaults, strict=True)
    ]
    grids = [alignment.grid(*given) for given in zip(frames, scales, NAMES, strict=True)]
    found = _aligned(frames, grids, resolutions, align)
    levels = [1.0, 1.0]
    if type == "intensity":
        levels = [normalise.quiet_sun_level(image) for image in found.images[2:]]
    images = [
        (image / level).astype(np.float32)
        for image, level in zip(found.images, 2 * levels, strict=True)
    ]
    header, sides = _cut_header(frames[0], found.corner), grids[0].sides
    mu = locate(header)
    area = pixel_area(header) if header is not None and scales[0] is None else None
    report, spectra = measured(
        type,
        images,
        sides,
        own=(found.own / levels[1], grids[1].sides),
        mu=None if mu is None else mu(*map(np.arange, images[0].shape)),
        pixel_area=area or square_area(1.0) * np.prod(sides),
    )
    pixels = np.array(found.shift.pixels)[::-1]
    times = [moment.middle(f.header) for f in frames]
    said = {
        "files": dict(zip(NAMES, (f.path for f in frames), strict=True)),
        "times": dict(zip(NAMES, (t and t.isoformat(" ", "seconds") for t in times), strict=True)),
        "minutes": _minutes(times),
        "shift": {
            "after": "coordinates" if found.is_on_sky else "centres",
            "pixels": pixels.tolist(),
            "arcsec": (grids[0].axes @ pixels).tolist(),
            "correlation": found.shift.correlation,
            "significance": found.shift.significance,
        },
        "resolution": dict(zip(NAMES, map(str, resolutions), strict=True)),
        "other_pixel_scale": list(grids[1].sides[::-1]),
        "blurred": [name for name, b in zip(NAMES, found.is_blurred, strict=True) if b],
        "levels": dict(zip(NAMES, levels, strict=True)) if type == "intensity" else None,
    }
    return Comparison(type, *images, header, sides, plain(said | report), spectra)


class _Aligned(NamedTuple):
    """Both images on the pixels of the first, cut to what both show; NaN where one is missing."""

    images: list[np.ndarray]  # first, second as they are; first, second at one resolution
    corner: tuple[int, int]  # (row, column) of the first image at which they begin
    own: np.ndarray  # the same part of the second on its own pixels
    shift: Shift
    is_on_sky: bool  # whether the shift is after the coordinates of both
    is_blurred: tuple[bool, bool]


def _aligned(frames, grids, resolutions, align) -> _Aligned:
    there, back, is_on_sky = alignment.mapping(*grids)
    boxes = _boxes(grids, there, back, is_on_sky, align)
    first, second = (
        _Part(f.data[box], g.sides) for f, g, box in zip(frames, grids, boxes, strict=True)
    )
    alike, is_blurred = equalised(
        (first.filled, second.filled), [g.sides for g in grids], resolutions
    )
    corners = [tuple(s.start for s in box) for box in boxes]

    def place(rows, columns):
        return there(rows + corners[0][0], columns + corners[0][1])

    def sampler(image):
        return Sampler(image, second.valid, corners[1])

    shift = Shift((0.0, 0.0), np.nan, np.nan)
    if align:
        largest = max(side for g in grids for side in g.sides)
        details = [alignment.detail(i, g.sides, largest) for i, g in zip(alike, grids, strict=True)]
        details[0][~first.valid] = np.nan
        _check_structure(first, second)
        reach = _reach(grids, boxes, back, is_on_sky)
        shift = alignment.find_shift(details[0], sampler(details[1]), place, reach, is_on_sky)
        _check_trusted(shift, is_on_sky)
    rows, columns = (
        np.arange(n, dtype=float) + s for n, s in zip(alike[0].shape, shift.pixels, strict=True)
    )
    at = place(*np.meshgrid(rows, columns, indexing="ij"))
    images = [first.filled, sampler(second.filled)(*at), alike[0], sampler(alike[1])(*at)]
    common = first.valid & np.isfinite(images[3])
    if common.sum() < LEAST_PIXELS:
        raise alignment.too_few(common.sum())
    inner = tuple(
        slice(int(lines[0]), int(lines[-1]) + 1)
        for lines in (np.flatnonzero(common.any(axis=k)) for k in (1, 0))
    )
    images = [np.where(common, image, np.nan)[inner] for image in images]
    corner = tuple(c + s.start for c, s in zip(corners[0], inner, strict=True))
    box = []
    for places, start, n in zip(at, corners[1], second.filled.shape, strict=True):
        inside = places[common] - start
        low, high = int(np.floor(inside.min())), int(np.ceil(inside.max()))
        box.append(slice(max(low, 0), min(high + 1, n)))
    own = np.where(second.valid, second.filled, np.nan)[tuple(box)]
    return _Aligned(images, corner, own, shift, is_on_sky, is_blurred)


class _Part:
    """The part of an image that is used: without gaps, and where it is valid."""

    def __init__(self, data, sides):
        from scipy.ndimage import distance_transform_edt

        if not np.isfinite(data).any():
            raise ValueError("compare: needs pixels of both images, got only missing ones")
        self.filled, gaps = normalise.fill(np.asarray(data, np.float64))
        far = distance_transform_edt(np.pad(~gaps, 1), sampling=sides)[1:-1, 1:-1]
        self.valid = far > EDGE
        if not self.valid.any():
            raise alignment.too_few(0)


def _boxes(grids, there, back, is_on_sky, align):
    """The parts of both images that are used, as slices."""
    whole = [tuple(slice(0, n) for n in g.shape) for g in grids]
    if align and not is_on_sky:
        return whole  # any part of one may be the same as any part of the other
    around = (MARGIN + FARTHEST * align) / min(grids[0].sides)
    first = alignment.cut(grids[0].shape, whole[1], back, around)
    around = (MARGIN + FARTHEST * align) / min(grids[1].sides)
    return [first, alignment.cut(grids[1].shape, first, there, around)]


def _reach(grids, boxes, back, is_on_sky):
    """Pixels around the part of out in which other is looked at, (rows, columns)."""
    rows, columns = np.meshgrid(*([s.start, s.stop - 1] for s in boxes[1]), indexing="ij")
    found = []
    for at, box, side in zip(back(rows, columns), boxes[0], grids[0].sides, strict=True):
        beyond = max(0.0, box.start - at.min(), at.max() - box.stop + 1)
        found.append(int(np.ceil(FARTHEST / side if is_on_sky else beyond)))
    return tuple(found)


def _check_structure(*parts: _Part) -> None:
    """Before the correlation, which would be that of rounding errors."""
    for part in parts:
        values = part.filled[part.valid]
        if values.size and np.ptp(values) <= 1e-6 * np.abs(values).max():
            raise ValueError("compare: the images must have structure, got a constant one")


def _check_trusted(shift: Shift, is_on_sky: bool) -> None:
    if shift.significance < TRUSTED:
        message = (
            "compare: the images must show the same structures, got a correlation of "
            f"{shift.correlation:.2f} at the best shift, {shift.significance:.1f} times the rms at "
            f"other shifts where {TRUSTED:g} is needed"
        )
        raise avoidable(ValueError(message), *(("align",) if is_on_sky else ()))


def _cut_header(frame, corner):
    """The header of the pixels that are compared; None without one."""
    if not has_header(frame):
        return None
    header = frame.header.copy()
    for axis, first in zip((2, 1), corner, strict=True):
        if isinstance(found := card(header, f"CRPIX{axis}"), int | float):
            header[f"CRPIX{axis}"] = found - first
    return header


def _minutes(times) -> float | None:
    """From the first image to the second; None if either has no time."""
    if None in times:
        return None
    minutes = (times[1] - times[0]).total_seconds() / 60
    if abs(minutes) > APART:
        log.warning(
            "the images are %.0f minutes apart: granules live about 10 minutes, and the Sun turns "
            "by 0.16 arcsec a minute at disc centre, which only a shift corrects",
            abs(minutes),
        )
    return minutes
