"""sunpy Maps in and out. sunpy is not imported: the Map brings what is needed."""

import copy
import re
import sys

import numpy as np

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
        if key in (*_NO_CARDS, *_FORM) or not _KEY.fullmatch(key):
            continue
        try:
            cards[key] = value
        except ValueError:
            cards[key] = None
    return cards


def rebuilt(map, data, changed):
    """A Map of the output, made like `map`.

    data : (2H, 2W).  changed : `header` of the Map after fits.enhanced_header.
    Class, plot settings, nickname and mask (doubled) are those of `map`. The meta change where
    the header changed; meta that a FITS header cannot hold stay. An uncertainty is dropped, because
    it belongs to the input. Nothing is shared with `map`.
    """
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
    meta["history"] = "\n".join([*filter(None, [meta.get("history")]), *changed["HISTORY"]])
    height, width = data.shape
    for key, value in {"bitpix": -32, "naxis1": width, "naxis2": height}.items():
        if key in meta:  # a new key would be written in the wrong place by sunpy
            meta[key] = value
    mask = map.mask
    if mask is not None:
        mask = np.broadcast_to(mask, map.data.shape)
        mask = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    # An HMIMap of a field searches for the largest value, which would compute a dask array
    quick = {"norm": None} if isinstance(map, sys.modules["sunpy.map"].sources.HMIMap) else None
    new = type(map)(data, meta, mask=mask, plot_settings=quick)
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
