"""Finds the place of a pixel on the solar disc from the header, and the limb darkening there."""

from collections.abc import Callable

import numpy as np

from ..instrument import HMI
from .header import ANGLES, angle_unit, card, number
from .pixels import pixel_matrix

# mu(rows, columns) of pixel centres, counted from 0, fractions allowed: (H,), (W,) -> (H, W)
# float64, the cosine of the angle between the line of sight and the vertical; NaN off the disc
Mu = Callable[[np.ndarray, np.ndarray], np.ndarray]


def locate(header) -> Mu | None:
    """mu as a function of the pixel; None if the header does not give it.

    header : a mapping of FITS keywords, or None. Supported are

    - helioprojective images (CTYPE HPLN, HPLT; CUNIT any angle) with CDELT and CROTA2, PC or
      CD, full disks and cut-outs. The radius is RSUN_OBS (arcsec), else R_SUN (pixels). Distances
      are taken on the plane of the sky, where mu^2 = 1 - (r / radius)^2 to 1e-5.
    - cylindrical equal-area maps in Carrington coordinates (CRLN-CEA, CRLT-CEA; degrees; CRVAL is
      the centre of a SHARP's patch), with the observer in CRLN_OBS and CRLT_OBS. The observer is
      assumed to be at infinity, an error of 0.3 degrees at most.

    Source: Thompson 2006, A&A 449, 791; Calabretta & Greisen 2002, A&A 395, 1077 (CEA).
    """
    if header is None:
        return None
    kind = "".join(str(card(header, f"CTYPE{i}") or "").strip() for i in (1, 2))
    try:
        if kind[:4] == "HPLN" and "HPLT" in kind:
            return _helioprojective(header)
        if kind == "CRLN-CEACRLT-CEA":
            return _equal_area(header)
    except ValueError:
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
    scale = angle_unit(header, 1)
    matrix = pixel_matrix(header)
    if scale is None or not np.isfinite(matrix).all():
        raise ValueError("the steps must be angles")
    matrix = matrix * scale  # arcsec per pixel
    pixel = np.sqrt(abs(np.linalg.det(matrix)))
    if card(header, "RSUN_OBS") is not None:
        radius = number(header, "RSUN_OBS")
    else:
        radius = number(header, "R_SUN") * pixel
    if not 0 < pixel < radius:  # a larger one is arcsec without CUNIT, read as degrees
        raise ValueError("the Sun must be larger than a pixel")
    centre = np.array([number(header, f"CRVAL{i}", 0.0) for i in (1, 2)]) * scale / radius
    matrix = matrix / radius
    reference = [number(header, f"CRPIX{i}", 0.0) for i in (1, 2)]

    def mu(rows, columns):
        x, y = columns + 1 - reference[0], (rows + 1 - reference[1])[:, None]
        squared = 1.0 - (matrix[0, 0] * x + matrix[0, 1] * y + centre[0]) ** 2
        squared -= (matrix[1, 0] * x + matrix[1, 1] * y + centre[1]) ** 2
        return np.sqrt(np.where(squared >= 0, squared, np.nan))

    return mu


def _equal_area(header) -> Mu:
    """The equator of the cylinder goes through CRVAL, so the sphere is rotated there first."""
    scales = [angle_unit(header, axis) for axis in (1, 2)]
    matrix = np.radians(pixel_matrix(header))
    (dx, across), (along, dy) = matrix
    if not np.isfinite(matrix).all() or across or along or scales != [ANGLES["deg"]] * 2:
        raise ValueError("the map must be in degrees and not rotated")
    reference = [number(header, f"CRPIX{i}", 0.0) for i in (1, 2)]
    longitude, latitude, observer_longitude, observer_latitude = (
        np.radians(number(header, key)) for key in ("CRVAL1", "CRVAL2", "CRLN_OBS", "CRLT_OBS")
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
