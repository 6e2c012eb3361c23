"""sunpy Maps in and out. sunpy is not imported: the Map brings what is needed."""

import copy
import re
import sys

import numpy as np

from . import fits

# Of many lines, or sunpy's own; and the form of the array, as far as sunpy keeps it up to date
_NO_CARDS = ("keycomments", "comment", "history")
_FORM = ("simple", "extend", "bitpix", "naxis", "naxis1", "naxis2")
_KEY = re.compile(r"[a-z0-9_-]{1,8}")


def frame(map) -> fits.Frame:
    """What fits.read gives of a file; data : of the Map's kind, NaN where it is masked."""
    data = map.data
    if map.mask is not None:
        data = np.where(map.mask, np.float32(np.nan), data)  # dask's, if one of them is
    return fits.Frame(data, header(map.meta), type(map).__name__)


def header(meta):
    """An astropy Header of the cards of `meta`, without comments, history and the array's form.

    Values that a card cannot hold (NaN, a list) are there without a value.
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
    """A Map like `map` of the output.

    data : (2H, 2W).  changed : `header` of the Map after fits.enhanced_header.
    Its class, plot settings, nickname and mask are the Map's, the mask doubled. The meta are
    changed where the header was: what a FITS header cannot hold stays. An uncertainty is left
    behind, as it is the input's. Nothing is shared with `map`.
    """
    before, meta = header(map.meta), map.meta.copy()
    # first of all, for `pop` prunes the comments where they are
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
        if key in meta:  # else sunpy would write it in the wrong place
            meta[key] = value
    mask = map.mask
    if mask is not None:
        mask = np.broadcast_to(mask, map.data.shape)
        mask = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    # An HMIMap of a field looks for the largest value, which would compute a dask array
    quick = {"norm": None} if isinstance(map, sys.modules["sunpy.map"].sources.HMIMap) else None
    new = type(map)(data, meta, mask=mask, plot_settings=quick)
    new.plot_settings = copy.deepcopy(map.plot_settings)
    # sunpy 8 gives the norm of a field its limits when it is drawn, by what is drawn: the same grey
    # would be one field in the input and another in the output
    norm, field = new.plot_settings.get("norm"), frame(map).data
    if getattr(norm, "halfrange", 0) is None and isinstance(field, np.ndarray):
        norm.autoscale(field[np.isfinite(field)])
    new.nickname = map.nickname
    return new


def _text(lines) -> str:
    """sunpy reads text from a file; a Map made with a FITS header has astropy's cards there."""
    return lines if isinstance(lines, str) else "\n".join(map(str, lines))
