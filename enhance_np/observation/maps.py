"""sunpy Maps in and out. sunpy is not imported: the Map brings what is needed."""

import copy
import re
import sys

import numpy as np

from .._array import covered, is_dask, to_dask
from . import fits

# Meta of many lines or sunpy's own; and the form of the array, as far as sunpy updates it itself
_NO_CARDS = ("keycomments", "comment", "history")
_FORM = ("simple", "extend", "bitpix", "naxis", "naxis1", "naxis2")
_KEY = re.compile(r"[a-z0-9_-]{1,8}")


def frame(map) -> fits.Frame:
    """The Map as a Frame, as fits.read gives a file; the data are dask if the Map's are.

    Masked pixels are NaN.
    """
    data = map.data
    if map.mask is not None:
        data = np.where(map.mask, np.float32(np.nan), data)  # dask's, if one of them is
    return fits.Frame(data, header(map.meta), type(map).__name__)


def header(meta):
    """An astropy Header of the cards of `meta`, without comments, history and the array's form.

    A value that a card cannot hold (NaN, a list) is left empty.
    """
    from astropy.io.fits import Header

    cards = Header()
    for key, value in meta.items():
        name = str(key).lower()
        if name in (*_NO_CARDS, *_FORM) or not _KEY.fullmatch(name):
            continue
        try:
            cards[key] = value
        except ValueError:
            cards[key] = None
    return cards


def history(header) -> list[str]:
    """The lines of HISTORY of an astropy Header."""
    return list(header["HISTORY"]) if "HISTORY" in header else []


def rebuilt(map, made, uncertainty=None):
    """A Map of the output, made like `map`.

    made : `holders.Made`; its header is `header` of the Map, changed.
    uncertainty : of the output, astropy NDUncertainty or None.
    Class, plot settings, nickname and mask (see `_array.covered`) are those of `map`. The meta
    change where the header changed; meta that a FITS header cannot hold stay. Nothing is shared
    with `map`.
    """
    data, changed = made.data, made.header
    before, meta = header(map.meta), map.meta.copy()
    # before any `pop`, which removes comments from this dictionary
    comments = meta["keycomments"] = dict(meta.get("keycomments", {}))
    for key in set(before) - set(changed):
        meta.pop(key)
    for key in changed:
        if key != "HISTORY" and (key not in before or before[key] != changed[key]):
            meta[key] = changed[key]
            comments[key] = changed.comments[key] or comments.get(key, "")
    for key in ("comment", "history"):
        if key in meta:
            meta[key] = _text(meta[key])
    if lines := history(changed):
        meta["history"] = "\n".join([*filter(None, [meta.get("history")]), *lines])
    height, width = data.shape
    bits = 8 if data.dtype == np.uint8 else -32
    for key, value in {"bitpix": bits, "naxis1": width, "naxis2": height}.items():
        if key in meta:  # a new key would be written in the wrong place by sunpy
            meta[key] = value
    mask = map.mask
    if mask is not None:
        mask = covered(np.broadcast_to(mask, map.data.shape), data.shape, made.factor)
    if is_dask(map.data) and not is_dask(data):
        data = to_dask(data)
    # An HMIMap of a field searches for the largest value, which would compute a dask array
    quick = {"norm": None} if isinstance(map, sys.modules["sunpy.map"].sources.HMIMap) else None
    new = type(map)(data, meta, mask=mask, uncertainty=uncertainty, plot_settings=quick)
    new.plot_settings = copy.deepcopy(map.plot_settings)
    # sunpy 8 sets the limits of a field's norm from the data when it draws them: one grey level
    # would mean different fields in the input and the output
    norm, field = new.plot_settings.get("norm"), frame(map).data
    if getattr(norm, "halfrange", 0) is None and isinstance(field, np.ndarray):
        norm.autoscale(field[np.isfinite(field)])
    new.nickname = map.nickname
    return new


def _text(lines) -> str:
    """The lines as text: a Map read from a file has text, one made from a Header has cards."""
    return lines if isinstance(lines, str) else "\n".join(map(str, lines))
