"""The steps, sides and area of an image's pixels, from its header."""

import numpy as np

from .header import ANGLES, angle_unit, card, number

SUN_RADIUS = 960.0  # arcsec, at 1 au
_EQUAL_AREA = ("CRLN-CEA", "HGLN-CEA")


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
    if kind.startswith(_EQUAL_AREA):
        radius = card(header, "RSUN_OBS")
        radius = radius if isinstance(radius, int | float) and radius > 0 else SUN_RADIUS
        scale = radius / ANGLES["rad"]
    elif not kind.startswith(("HPLN", "SOLAR")):
        return ()
    return tuple(scale * side for side in pixel_sides(header) if side)
