"""When an image was taken, from its header."""

from datetime import datetime

from .header import card

MIDDLE = ("T_OBS", "DATE-AVG", "DATE_AVG")
BEGIN = ("DATE-OBS", "DATE_OBS", "DATE-BEG", "DATE_BEG", "T_REC")
END = ("DATE-END", "DATE_END")
TIMES = ("TIME-OBS", "TIME_OBS")  # beside a begin that is only a date, as GONG and MDI write it
# values of TIMESYS (FITS 4.0, table 30) that are not UTC by more than a second, for astropy
SCALES = {name: name.lower() for name in ("TAI", "TT", "TDB", "TCG", "TCB")}
SCALES |= {"TDT": "tt", "ET": "tt", "IAT": "tai"}


def middle(header) -> datetime | None:
    """The middle of the observation in UTC, as far as the header tells it; else its begin.

    Times are those of FITS, in the scale of TIMESYS, or of JSOC, which name their own:
    2011.02.15_02:00:00_TAI. None without a readable one; a date alone is none, unless TIME-OBS
    gives its time.
    """
    if (found := _first(header, MIDDLE)) is not None:
        return found
    begin, end = _first(header, BEGIN, TIMES), _first(header, END)
    return begin + (end - begin) / 2 if begin and end else begin


def _first(header, keys, times=()) -> datetime | None:
    """The first of these cards that is a time.  times : cards with the time of a date alone."""
    from astropy.time import Time

    of_day = next((str(found).strip() for key in times if (found := card(header, key))), "")
    for key in keys:
        said = str(card(header, key) or "").strip()
        if ":" not in said:  # astropy would take midnight
            said = f"{said}T{of_day}"
        said, scale = _scale(said, header)
        said = said.replace("_", "T")
        if said[4:5] == ".":
            said = said.replace(".", "-", 2)
        try:
            return Time(said, scale=scale).utc.datetime
        except ValueError:
            continue
    return None


def _scale(said: str, header) -> tuple[str, str]:
    """(the time without its scale, the scale)."""
    for suffix, scale in (("_TAI", "tai"), ("_UTC", "utc"), ("Z", "utc")):
        if said.endswith(suffix):
            return said.removesuffix(suffix), scale
    return said, SCALES.get(str(card(header, "TIMESYS") or "").strip().upper(), "utc")
