"""Whatever holds an image or a series of them: reads it, and puts a result into the same kind.

Kinds: NumPy array, masked or not, and a cube of them; astropy Quantity, NDData, CCDData, HDU; sunpy
Map, MapSequence; dask array; the name of a FITS file, whose results are HDUs. sunpy and dask are
not imported: an object of theirs brings what is needed.
"""

import copy
import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._array import covered, is_dask, is_map, is_map_sequence, to_dask
from . import fits, maps, missing
from .kind import names_gauss

log = logging.getLogger(__name__)

_COORDINATES = re.compile(r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[12]|(CD|PC)[12]_[12]")


class Made(NamedTuple):
    """An image made from one that was held."""

    data: Any  # (h, w), NumPy or dask
    header: Any = None  # astropy Header of it; None if the frame has none
    factor: float = 1.0  # pixels of it along one pixel of the input; edges are aligned
    scaling: np.ndarray | None = None  # (H, W), if each pixel was only multiplied by this
    error: np.ndarray | None = None  # (h, w), one sigma of the data, in their unit
    bits: bool = False  # the data are bits without a unit
    about: bool = False  # the data tell of another result, and have no uncertainty


# power of sigma in each kind of uncertainty; for others no rule is known
_POWERS = {"std": 1, "var": 2, "ivar": -2}
One = Callable[[fits.Frame, str | None], tuple[str | None, tuple[Made | None, ...]]]


def carried(x, one: One, name: str, type: str | None = None, lazy: bool = False) -> tuple[Any, ...]:
    """The images that `one` makes of every image in x, each in the kind of x.

    one(frame, type) : (type, results). The type of the first image of a cube is given with the
        others. A result of None stays None; of a series, it is None for all.
    name : of the function, for errors.
    lazy : `one` takes dask data; otherwise a dask array is computed now, and the result wrapped.
    Raises TypeError for another kind of x, and what `one` raises; a note tells which image of a
    series it was.
    """
    if is_map_sequence(x):
        if not len(x.maps):
            raise ValueError(f"{name}: the MapSequence must hold an image or more, got none")
        series = []
        for number, image in enumerate(x):
            with _numbered(number, len(x.maps)):
                series.append(carried(image, one, name, type, lazy))
        return tuple(
            None if any(i is None for i in images) else x.__class__(list(images), sortby=None)
            for images in zip(*series, strict=True)
        )
    if isinstance(x, np.ndarray) and x.ndim == 3 and len(x):
        cubes = None
        for number, image in enumerate(x):
            with _numbered(number, len(x)):
                type, found = one(frame(image, name), type)
                images = [made and rebuilt(image, made) for made in found]
            if cubes is None:
                cubes = [i if i is None else _empty(len(x), i) for i in images]
            for k, made in enumerate(images):
                if made is None:
                    cubes[k] = None
                elif cubes[k] is not None:
                    cubes[k][number] = made
        return tuple(cubes)
    if is_dask(x) and not lazy:
        check_image(x, name)  # before it is computed
        found = carried(x.compute(), one, name, type)
        return tuple(image if image is None else to_dask(image) for image in found)
    held = frame(x, name)
    _, found = one(held if lazy else computed(held), type)
    return tuple(made and rebuilt(x, made) for made in found)


@contextmanager
def _numbered(number: int, total: int):
    try:
        yield
    except Exception as error:
        error.add_note(f"in image {number} (counted from 0) of a series of {total}")
        raise


def frame(x, name: str) -> fits.Frame:
    """x as a Frame, as if read from a file; its data are dask for a dask array, else NumPy.

    Masked pixels and the fill values of every type are NaN. Raises TypeError for another kind of
    x, as check_image, and for the name of a file as fits.read.
    """
    if isinstance(x, str | os.PathLike):
        return fits.read(x)
    found = _frame(x)
    if found is None:
        raise TypeError(
            f"{name}: x must be a NumPy array, a Quantity, NDData, a sunpy Map, a dask array, an "
            f"HDU or the name of a FITS file, got {x.__class__.__name__}"
        )
    check_image(found.data, name)
    return found._replace(data=missing.without_sentinels(found.data, found.path))


def computed(frame: fits.Frame) -> fits.Frame:
    """The frame with its data in memory."""
    return frame._replace(data=unmasked(frame.data.compute())) if is_dask(frame.data) else frame


def has_header(frame: fits.Frame) -> bool:
    """Whether what holds the image has a place for a header."""
    return not isinstance(frame.header, dict)


def rebuilt(x, made: Made):
    """The image in the kind of x, which is not changed; nothing is shared with it."""
    if is_map(x):
        return maps.rebuilt(x, made, _uncertainty(x, made))
    if _is_nddata(x):
        return _nddata(x, made)
    if _is_quantity(x):
        return made.data if made.bits else x.__class__(made.data, x.unit)
    if _is_hdu(x) or isinstance(x, str | os.PathLike):
        from astropy.io.fits import PrimaryHDU

        return PrimaryHDU(made.data, made.header)
    return masked_like(made.data, x, made.factor)


def unmasked(image: np.ndarray) -> np.ndarray:
    """image as a plain array; masked pixels become NaN, in a floating dtype."""
    if np.ma.isMaskedArray(image):
        image = np.ma.filled(image.astype(np.result_type(image, np.float32)), np.nan)
    return np.asarray(image)


def masked_like(output, image, factor: float = 2):
    """output (h, w), masked like image (H, W) if the latter is a masked array.

    factor : see `_array.covered`.
    """
    if not np.ma.isMaskedArray(image):
        return output
    mask = np.ma.getmaskarray(image)
    return np.ma.array(output, mask=covered(mask, output.shape, factor))


def check_image(image, name: str = "predict") -> None:
    """Raise ValueError unless image, an array of any kind, is real and (H, W), H and W >= 2."""
    if image.ndim != 2 or min(image.shape) < 2 or image.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: image must be (H, W) with H, W >= 2 and real numbers, "
            f"got shape {image.shape}, dtype {image.dtype}"
        )


def _frame(x) -> fits.Frame | None:
    if _is(x, "astropy.utils.masked", "Masked"):
        return None  # its mask would be lost; the message names the kinds that keep one
    if is_map(x):
        return maps.frame(x)._replace(sigma=partial(_sigma, x))
    if is_dask(x):
        return fits.Frame(x, {}, "the dask array")
    if _is_nddata(x):
        name = f"the {x.__class__.__name__}"
        return fits.Frame(_plain(x), _nddata_header(x), name, partial(_sigma, x))
    if _is_quantity(x):
        from astropy.io.fits import Header

        return fits.Frame(x.value, Header({"BUNIT": _bunit(x.unit)}), "the Quantity")
    if _is_hdu(x):
        # with BSCALE and BZERO, astropy scales the data when they are read, and then the header
        return fits.Frame(np.asarray(x.data), x.header.copy(), f"the {x.__class__.__name__}")
    if isinstance(x, np.ndarray):
        return fits.Frame(unmasked(x), {}, "the array")
    return None


def _is(x, module: str, *names: str) -> bool:
    kinds = tuple(filter(None, (getattr(sys.modules.get(module), name, None) for name in names)))
    return isinstance(x, kinds)


def _is_quantity(x) -> bool:
    return _is(x, "astropy.units", "Quantity")


def _is_nddata(x) -> bool:
    return _is(x, "astropy.nddata", "NDData")


def _is_hdu(x) -> bool:
    return _is(x, "astropy.io.fits", "PrimaryHDU", "ImageHDU", "CompImageHDU")


def _bunit(unit) -> str:
    """The unit as a BUNIT. Raises ValueError for a unit of field that `kind` does not know."""
    name = str(unit)
    if not names_gauss(name) and str(unit.physical_type) == "magnetic flux density":
        raise ValueError(f"frame: a field must be in G, kG, mT, T or Mx / cm2, got unit={name!r}")
    return name


def _empty(n: int, image: np.ndarray) -> np.ndarray:
    """An array of n such images: masked, or with the unit, as they are."""
    shape = (n, *image.shape)
    if np.ma.isMaskedArray(image):
        return np.ma.empty(shape, image.dtype)
    return np.empty_like(image, shape=shape)


# --- NDData and CCDData


def _plain(x) -> np.ndarray:
    data = np.asarray(x.data)
    if x.mask is None:
        return data
    dtype = np.result_type(data, np.float32)
    return np.where(x.mask, dtype.type(np.nan), data.astype(dtype, copy=False))


def _nddata_header(x):
    """Header of the meta, with the coordinates of `wcs` and the unit in place of its own."""
    header = maps.header(x.meta)
    if x.wcs is not None:  # the meta may be that of an image of which this is a part
        for key in [key for key in header if _COORDINATES.fullmatch(key)]:
            del header[key]
    if (wcs := _fits_wcs(x)) is not None:
        header.update(wcs.to_header(relax=True))
    if x.unit is not None:
        header["BUNIT"] = _bunit(x.unit)
    return header


def _fits_wcs(x):
    """The wcs if a FITS header can hold it; else None. A slice of an NDData has a sliced one."""
    from astropy.wcs import WCS
    from astropy.wcs.wcsapi import SlicedLowLevelWCS

    wcs = getattr(x.wcs, "low_level_wcs", x.wcs)
    if isinstance(wcs, SlicedLowLevelWCS) and isinstance(wcs._wcs, WCS):
        parts, whole = wcs._slices_array, wcs._wcs
        wcs = whole.slice(parts) if all(isinstance(part, slice) for part in parts) else None
    whole = isinstance(wcs, WCS) and wcs.naxis == 2 and not wcs.has_distortion
    return wcs if whole else None


def _nddata(x, made: Made):
    mask = x.mask
    if mask is not None:
        mask = covered(np.broadcast_to(mask, x.data.shape), made.data.shape, made.factor)
    return x.__class__(
        made.data,
        unit="" if made.bits else x.unit,
        mask=mask,
        uncertainty=_uncertainty(x, made),
        wcs=_scaled_wcs(x, made),
        meta=_changed_meta(x, made),
    )


def _scaled_wcs(x, made: Made):
    """The wcs of the result, by the equations of `fits.rescaled_header`."""
    if x.wcs is None or made.factor == 1:
        return copy.deepcopy(x.wcs)
    wcs = _fits_wcs(x)
    if wcs is None:
        log.warning(
            "the wcs of the %s is dropped: it must be an astropy WCS of two axes, not distorted",
            x.__class__.__name__,
        )
        return None
    wcs = wcs.deepcopy()
    wcs.wcs.crpix = made.factor * (wcs.wcs.crpix - 0.5) + 0.5
    if wcs.wcs.has_cd():
        wcs.wcs.cd = wcs.wcs.cd / made.factor
    else:
        wcs.wcs.cdelt = wcs.wcs.cdelt / made.factor
    wcs.wcs.set()
    wcs.array_shape = made.data.shape
    return wcs


def _changed_meta(x, made: Made):
    """The meta of the result: a copy, with what changed in the header. Coordinates stay in wcs."""
    meta, before = copy.deepcopy(x.meta), _nddata_header(x)
    names = {str(key).upper(): key for key in meta}
    for key in set(names) & (set(before) - set(made.header)):
        del meta[names[key]]
    for key in made.header:
        new = key not in before or (key in names and before[key] != made.header[key])
        if new and key not in ("HISTORY", "COMMENT", ""):
            meta[names.get(key, key)] = made.header[key]
    lines = maps.history(made.header)
    if hasattr(meta, "add_history"):
        for line in lines:
            meta.add_history(line)
    elif lines:
        key = names.get("HISTORY", "HISTORY")
        meta[key] = "\n".join([*filter(None, [str(meta.get(key, ""))]), *lines])
    return meta


def _sigma(x) -> np.ndarray | None:
    """The uncertainty of a Map or an NDData as one sigma in its unit; None if its kind has no rule.

    NaN where it is negative or not finite. Raises ValueError for another shape or unit.
    """
    from astropy.nddata import StdDevUncertainty
    from astropy.units import UnitConversionError

    given = x.uncertainty
    if given is None or given.uncertainty_type not in _POWERS:
        return None
    try:
        found = given
        if given.uncertainty_type != "std":  # astropy would square, and lose the sign
            with np.errstate(all="ignore"):  # what is not finite is NaN in the end
                found = given.represent_as(StdDevUncertainty)
        sigma = found.array if found.unit is None else found.quantity.to_value(x.unit)
        sigma = np.broadcast_to(np.asarray(sigma, np.float64), x.data.shape)
    except (ValueError, TypeError, UnitConversionError) as error:
        raise ValueError(
            f"the uncertainty of the {x.__class__.__name__}: must have the shape and the unit of "
            f"the image, got {error}"
        ) from None
    return np.where((sigma >= 0) & np.isfinite(sigma), sigma, np.nan)


def _uncertainty(x, made: Made):
    """That of the result: its own, or that of x if each pixel was only multiplied.

    Otherwise an uncertainty of x is dropped, with a warning, unless the result only tells of
    another one.
    """
    if made.error is not None:
        from astropy.nddata import StdDevUncertainty

        return StdDevUncertainty(made.error)
    given = x.uncertainty
    if given is None or made.about:
        return None
    power = _POWERS.get(given.uncertainty_type)
    if made.scaling is None or power is None:
        log.warning(
            "the uncertainty of the %s is dropped: %s",
            x.__class__.__name__,
            "no rule is known for its kind"
            if power is None
            else "every pixel of the result mixes many pixels, whose errors it does not tell apart",
        )
        return None
    return given.__class__(given.array * made.scaling**power, unit=given.unit)
