"""Finds the place of a pixel on the solar disc from the header, and the limb darkening there."""

from collections.abc import Callable

import numpy as np

from ..instrument import HMI

SUN_RADIUS = 960.0  # arcsec, at 1 au
_ARCSEC = {"arcsec": 1.0, "arcsecond": 1.0, "deg": 3600.0, "degree": 3600.0}

# mu(rows, columns) of pixel centres, counted from 0, fractions allowed: (H,), (W,) -> (H, W)
# float64, the cosine of the angle between the line of sight and the vertical; NaN off the disc
Mu = Callable[[np.ndarray, np.ndarray], np.ndarray]


def locate(header) -> Mu | None:
    """mu as a function of the pixel; None if the header does not give it.

    header : a mapping of FITS keywords, or None. Supported are

    - helioprojective images (CTYPE HPLN, HPLT; CUNIT arcsec or deg) with CDELT and CROTA2, PC or
      CD, full disks and cut-outs. The radius is RSUN_OBS (arcsec), else R_SUN (pixels). Distances
      are taken on the plane of the sky, where mu^2 = 1 - (r / radius)^2 to 1e-5.
    - cylindrical equal-area maps in Carrington coordinates (CRLN-CEA, CRLT-CEA; degrees; CRVAL is
      the centre of a SHARP's patch), with the observer in CRLN_OBS and CRLT_OBS. The observer is
      assumed to be at infinity, an error of 0.3 degrees at most.

    Source: Thompson 2006, A&A 449, 791; Calabretta & Greisen 2002, A&A 395, 1077 (CEA).
    """
    from astropy.io.fits import VerifyError

    if header is None:
        return None
    try:
        kind = _text(header, "CTYPE1") + _text(header, "CTYPE2")
        if kind[:4] == "HPLN" and "HPLT" in kind:
            return _helioprojective(header)
        if kind == "CRLN-CEACRLT-CEA":
            return _equal_area(header)
    except (KeyError, TypeError, ValueError, VerifyError):
        pass  # a card is missing, not a number, or unreadable
    return None


def mu(header, shape: tuple[int, int]) -> np.ndarray | None:
    """`locate` for all pixels of an image of `shape` = (H, W)."""
    found = locate(header)
    return None if found is None else found(*map(np.arange, shape))


def limb_darkening(mu: np.ndarray, wavelength: float = HMI.wavelength) -> np.ndarray:
    """Ratio of the quiet continuum to that at disc centre, for 422.57 to 1100 nm; 1 at mu = 1.

    wavelength : metres. Source: Neckel 2005, Solar Phys. 229, 13, table for that range.
    HMI's continuum follows it: medians of rings of an hmi.Ic_45s image lie within 1 % of it from
    mu = 0.99 to 0.13.
    """
    microns = wavelength * 1e6
    first, fifth = 1 / microns, 1 / microns**5
    coefficients = (
        0.75267 - 0.265577 * first,
        0.93874 + 0.265577 * first - 0.004095 * fifth,
        -1.89287 + 0.012582 * fifth,
        2.42234 - 0.017117 * fifth,
        -1.71150 + 0.011977 * fifth,
        0.49062 - 0.003347 * fifth,
    )
    return np.polynomial.polynomial.polyval(mu, coefficients)


def _helioprojective(header) -> Mu:
    scale = _ARCSEC[_text(header, "CUNIT1").lower()]
    matrix = _matrix(header) * scale  # arcsec per pixel
    if _given(header, "RSUN_OBS"):
        radius = _number(header, "RSUN_OBS")
    else:
        radius = _number(header, "R_SUN") * np.sqrt(abs(np.linalg.det(matrix)))
    if radius <= 0:
        raise ValueError("the Sun must have a radius")
    centre = np.array([_number(header, f"CRVAL{i}", 0.0) for i in (1, 2)]) * scale / radius
    matrix = matrix / radius
    reference = [_number(header, f"CRPIX{i}", 0.0) for i in (1, 2)]

    def mu(rows, columns):
        x, y = columns + 1 - reference[0], (rows + 1 - reference[1])[:, None]
        squared = 1.0 - (matrix[0, 0] * x + matrix[0, 1] * y + centre[0]) ** 2
        squared -= (matrix[1, 0] * x + matrix[1, 1] * y + centre[1]) ** 2
        return np.sqrt(np.where(squared >= 0, squared, np.nan))

    return mu


def _equal_area(header) -> Mu:
    """The equator of the cylinder goes through CRVAL, so the sphere is rotated there first."""
    (dx, across), (along, dy) = np.radians(_matrix(header))
    if across or along or any(_text(header, f"CUNIT{i}")[:3] != "deg" for i in (1, 2)):
        raise ValueError("the map must be in degrees and not rotated")
    reference = [_number(header, f"CRPIX{i}", 0.0) for i in (1, 2)]
    longitude, latitude, observer_longitude, observer_latitude = (
        np.radians(_number(header, key)) for key in ("CRVAL1", "CRVAL2", "CRLN_OBS", "CRLT_OBS")
    )
    # the observer's direction: x to the patch's centre, y west of it, z north
    sin_b0, cos_b0 = np.sin(observer_latitude), np.cos(observer_latitude)
    sin_b, cos_b = np.sin(latitude), np.cos(latitude)
    away = np.cos(observer_longitude - longitude)
    x0 = cos_b * cos_b0 * away + sin_b * sin_b0
    y0 = cos_b0 * np.sin(observer_longitude - longitude)
    z0 = cos_b * sin_b0 - sin_b * cos_b0 * away

    def mu(rows, columns):
        phi, z = dx * (columns + 1 - reference[0]), dy * (rows + 1 - reference[1])[:, None]
        inside = (abs(z) <= 1) & (abs(phi) <= np.pi)
        found = np.sqrt(np.clip(1 - z * z, 0, None)) * (x0 * np.cos(phi) + y0 * np.sin(phi))
        found += z0 * z
        return np.where(inside & (found >= 0), found, np.nan)

    return mu


def _matrix(header):
    """CUNIT per pixel, [[dx/dcolumn, dx/drow], [dy/dcolumn, dy/drow]]."""
    if _given(header, "CD1_1"):
        return np.array([[_number(header, f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    step = [_number(header, f"CDELT{i}") for i in (1, 2)]
    angle = np.radians(_number(header, "CROTA2", 0.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # CROTA2 rotates the scaled axes: for pixels that are not square, PC is not a rotation
    linear = turn * np.array(step)
    if any(_given(header, f"PC{i}_{j}") for i in (1, 2) for j in (1, 2)):
        pc = [[_number(header, f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)]
        linear = np.array(step)[:, None] * pc
    return linear


def _given(header, key: str) -> bool:
    return _text(header, key) != ""


def _text(header, key: str) -> str:
    value = header.get(key)
    return "" if value is None else str(value).strip()


def _number(header, key: str, default: float | None = None) -> float:
    """Finite value of a card, or the default if the card is missing; ValueError without both."""
    if not _given(header, key) and default is not None:
        return default
    value = float(header[key])
    if not np.isfinite(value):
        raise ValueError(f"{key} must be finite")
    return value
