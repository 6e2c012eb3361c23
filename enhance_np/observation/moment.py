"""When an image was taken, from its header."""

from datetime import datetime

from .header import card

MIDDLE = ("T_OBS", "DATE-AVG", "DATE_AVG")
BEGIN = ("DATE-OBS", "DATE_OBS", "DATE-BEG", "DATE_BEG", "T_REC")
END = ("DATE-END", "DATE_END")


def middle(header) -> datetime | None:
    """The middle of the observation in UTC, as far as the header tells it; else its begin.

    Times are those of FITS, or of JSOC: 2011.02.15_02:00:00_TAI. None without a readable one.
    """
    if (found := _first(header, MIDDLE)) is not None:
        return found
    begin, end = _first(header, BEGIN), _first(header, END)
    return begin + (end - begin) / 2 if begin and end else begin


def _first(header, keys) -> datetime | None:
    """The first of these cards that is a time."""
    from astropy.time import Time

    for key in keys:
        said = str(card(header, key) or "").strip().removesuffix("Z")
        scale = "tai" if said.endswith("_TAI") else "utc"
        said = said.removesuffix("_TAI").removesuffix("_UTC").replace("_", "T")
        if said[4:5] == ".":
            said = said.replace(".", "-", 2)
        try:
            return Time(said, scale=scale).utc.datetime
        except ValueError:
            continue
    return None
