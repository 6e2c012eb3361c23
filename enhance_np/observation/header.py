"""Reads the cards of a FITS header: values, numbers and units of angle."""

import re

import numpy as np

# arcsec per unit: the angles of the FITS standard 4.0, table 3, and longer spellings of them
ANGLES = {
    **dict.fromkeys(("deg", "degree", "degrees"), 3600.0),
    **dict.fromkeys(("arcmin", "arcminute", "arcminutes"), 60.0),
    **dict.fromkeys(("arcsec", "arcsecond", "arcseconds"), 1.0),
    **dict.fromkeys(("rad", "radian", "radians"), 3600 * 180 / np.pi),
    "mas": 1e-3,
}
# CTYPE of a celestial axis, such as HPLN-TAN, CRLT-CEA, RA---TAN or GLON-CAR
CELESTIAL = re.compile(r"(RA--|DEC-|[A-Z]LON|[A-Z]LAT|[A-Z]{2}L[NT])(-|$)")


def card(header, key: str):
    """Value of a card, None if it is missing, empty or cannot be parsed."""
    from astropy.io.fits import VerifyError

    try:
        value = header.get(key)
    except VerifyError:
        return None
    return None if str(value).strip() == "" else value


def number(header, key: str, default: float | None = None) -> float:
    """Finite value of a card; the default if there is no such card or it is empty.

    Raises ValueError for any other value, and if there is neither a card nor a default.
    """
    from astropy.io.fits import VerifyError

    try:
        value = header.get(key)
    except VerifyError:
        value = "what cannot be parsed"
    if default is not None and (value is None or str(value).strip() == ""):
        return default
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise ValueError(f"{key} must be a number, got {value!r}")
    return found


def integer(header, key: str) -> int | None:
    """The value of a card of bits: a number, or text such as "0x00000400"; None without one."""
    value = card(header, key)
    try:
        return int(value, 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def angle_unit(header, axis: int, unnamed: float | None = None) -> float | None:
    """arcsec per CUNIT of an axis (1 or 2); None if that is not a unit of angle.

    If CUNIT is missing, it is degrees on a celestial axis, as the FITS standard has it. On an axis
    without a celestial CTYPE the standard names no unit, and it is `unnamed`.
    Source: Calabretta & Greisen 2002, A&A 395, 1077, section 2.2.
    """
    name = str(card(header, f"CUNIT{axis}") or "").strip().lower()
    if name:
        return ANGLES.get(name)
    celestial = CELESTIAL.match(str(card(header, f"CTYPE{axis}") or ""))
    return ANGLES["deg"] if celestial else unnamed
