"""The steps, sides and area of an image's pixels, from its header."""

import numpy as np

from .header import ANGLES, angle_unit, card, number

SUN_RADIUS = 960.0  # arcsec, at 1 au
EQUAL_AREA = ("CRLN-CEA", "HGLN-CEA")


def pixel_matrix(header) -> np.ndarray:
    """CUNIT per pixel, [[dx/dcolumn, dx/drow], [dy/dcolumn, dy/drow]]; NaN where it is not given.

    From CDi_j; else from CDELTi with PCi_j, or with CROTA2, which rotates the scaled axes: for
    pixels that are not square, PC is not a rotation.
    astropy.wcs gives the same up to rounding. It is not used, because it takes a missing step for
    1 and refuses a step of 0, and here each axis is read for itself.
    Source: Greisen & Calabretta 2002, A&A 395, 1061, sections 2.1.2 and 6.1.
    """

    def value(key, default):
        try:
            return number(header, key, default)
        except ValueError:
            return np.nan

    def square(name, default):
        return np.array([[value(f"{name}{i}_{j}", default(i, j)) for j in (1, 2)] for i in (1, 2)])

    def has(name):
        return any(card(header, f"{name}{i}_{j}") is not None for i in (1, 2) for j in (1, 2))

    if has("CD"):
        matrix = square("CD", lambda i, j: 0.0)
        matrix[:, ~matrix.any(axis=0)] = np.nan
        return matrix
    step = np.array([value(f"CDELT{i}", np.nan) for i in (1, 2)])
    if has("PC"):
        turn = square("PC", lambda i, j: float(i == j))
        return np.where(turn == 0, 0.0, step[:, None] * turn)
    angle = np.radians(value("CROTA2", 0.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn * step


def pixel_sides(header, unnamed: float | None = None) -> tuple[float | None, float | None]:
    """arcsec along a line and along a column; None for an axis that is not given or is 0.

    unnamed : see `header.angle_unit`.
    """
    lengths = np.hypot(*pixel_matrix(header))
    units = [angle_unit(header, axis, unnamed) for axis in (1, 2)]
    found = [unit and unit * float(side) for unit, side in zip(units, lengths, strict=True)]
    return tuple(side if side and np.isfinite(side) else None for side in found)


def pixel_scales(header) -> tuple[float, ...]:
    """Sides of a pixel in arcsec, along lines and columns; an axis without a scale is left out.

    Defined for helioprojective images and for cylindrical equal-area maps. For a map they are the
    sides of a pixel at disc centre, that is, its length on the Sun; all pixels of such a map have
    the same area.
    """
    kind = str(card(header, "CTYPE1") or "HPLN")
    scale = 1.0
    if kind.startswith(EQUAL_AREA):
        scale = (_length(header, "RSUN_OBS") or SUN_RADIUS) / ANGLES["rad"]
    elif not kind.startswith(("HPLN", "SOLAR")):
        return ()
    return tuple(scale * side for side in pixel_sides(header) if side)


def pixel_area(header) -> float | None:
    """Area on the Sun that a pixel covers, in cm^2; None if the header does not give it.

    Of a helioprojective image it is the area on the plane of the sky through the Sun's centre, as
    in the fluxes of SHARPs: foreshortening is not corrected, and disc centre, nearer by one solar
    radius, is taken 0.9 % too large. The distance is DSUN_OBS (m), or follows from RSUN_OBS, or is
    1 au, which is wrong by up to 1.7 % (3.4 % of the area).
    Of a cylindrical equal-area map it is the area on the sphere of RSUN_REF (m) or of the nominal
    solar radius, the same for all pixels at any distance.
    Sources: Bobra et al. 2014, Solar Phys. 289, 3549, table 3 (USFLUX); Thompson 2006, A&A 449, 791
    (DSUN_OBS, RSUN_REF).
    """
    kind = str(card(header, "CTYPE1") or "HPLN")
    units = [angle_unit(header, axis) for axis in (1, 2)]
    matrix = pixel_matrix(header)
    if None in units or not np.isfinite(matrix).all():
        return None
    steradians = abs(np.linalg.det(matrix)) * units[0] * units[1] / ANGLES["rad"] ** 2
    if kind.startswith(EQUAL_AREA):
        radius = _length(header, "RSUN_REF") or solar_radius()
    elif kind.startswith(("HPLN", "SOLAR")):
        radius = _distance(header)
    else:
        return None
    return float(steradians * (100 * radius) ** 2) or None


def square_area(side: float) -> float:
    """`pixel_area` of a square pixel of `side` arcsec at 1 au."""
    return (100 * astronomical_unit() * side / ANGLES["rad"]) ** 2


def solar_radius() -> float:
    """The nominal solar radius in m (IAU 2015, resolution B3)."""
    from astropy.constants import R_sun

    return R_sun.value


def astronomical_unit() -> float:
    """m."""
    from astropy.constants import au

    return au.value


def _distance(header) -> float:
    """m, from the observer to the Sun's centre."""
    if (found := _length(header, "DSUN_OBS")) is not None:
        return found
    if (radius := _length(header, "RSUN_OBS")) is not None:
        return solar_radius() / np.sin(radius / ANGLES["rad"])
    return astronomical_unit()


def _length(header, key: str) -> float | None:
    """A card that must be a positive number; None for any other."""
    try:
        found = number(header, key)
    except ValueError:
        return None
    return found if found > 0 else None
