"""Where on the solar disc a pixel is: from the header, or from where the Sun ends in the image."""

import numpy as np

from ..data.psf import HMI_WAVELENGTH

SUN_RADIUS = 960.0  # arcsec, at 1 au


def mu(header, shape: tuple[int, int]) -> np.ndarray | None:
    """cos(angle between the line of sight and the vertical), (H, W); NaN off the disc.

    header : of a helioprojective image (CTYPE HPLN, HPLT; CUNIT arcsec or deg) with RSUN_OBS in
        arcsec; anything else gives None. Distances are taken on the plane of the sky.
    Source: Thompson 2006, A&A 449, 791.
    """
    if header is None or not all(
        str(header.get(f"CTYPE{i}") or "").startswith(name)
        for i, name in ((1, "HPLN"), (2, "HPLT"))
    ):
        return None
    factor = {"arcsec": 1.0, "deg": 3600.0, "degree": 3600.0}.get(
        str(header.get("CUNIT1") or "").strip().lower()
    )
    try:
        radius = float(header["RSUN_OBS"])
        reference = np.array([float(header.get(f"CRPIX{i}", 0.0)) for i in (1, 2)])
        value = np.array([float(header.get(f"CRVAL{i}", 0.0)) for i in (1, 2)]) * factor
        matrix = _matrix(header) * factor
    except (KeyError, TypeError, ValueError):
        return None
    if not (radius > 0 and np.isfinite(matrix).all()):
        return None
    x, y = (np.arange(1, n + 1) - r for n, r in zip(shape[::-1], reference, strict=True))
    along_x, along_y = (matrix[i, 0] * x + matrix[i, 1] * y[:, None] + value[i] for i in (0, 1))
    squared = 1 - (along_x**2 + along_y**2) / radius**2
    return np.sqrt(np.where(squared >= 0, squared, np.nan))


def _matrix(header):
    """Degrees or arcsec per pixel, [[dx/dcolumn, dx/drow], [dy/dcolumn, dy/drow]]."""
    if "CD1_1" in header:
        return np.array([[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)])
    step = [float(header[f"CDELT{i}"]) for i in (1, 2)]
    angle = np.radians(float(header.get("CROTA2", 0.0)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # CROTA2 turns the scaled axes: PC is not the rotation itself if pixels are not square
    linear = turn * np.array(step)
    if any(f"PC{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        pc = [[float(header.get(f"PC{i}_{j}", float(i == j))) for j in (1, 2)] for i in (1, 2)]
        linear = np.array(step)[:, None] * pc
    return linear


def limb_darkening(mu: np.ndarray, wavelength: float = HMI_WAVELENGTH) -> np.ndarray:
    """Quiet continuum over that of disc centre, for 422.57 to 1100 nm; 1 at mu = 1.

    wavelength : metres. Source: Neckel 2005, Solar Phys. 229, 13, table for that range.
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


def beyond_limb(valid: np.ndarray, dark: np.ndarray | None = None) -> np.ndarray:
    """Gaps that are the sky, not bad pixels: those of 1 % of the image that reach its border.

    valid : (H, W) bool.  result : (H, W) bool.
    dark : (H, W) bool, pixels that belong to the sky too if they adjoin it.
    """
    from scipy.ndimage import label

    labels, n = label(~valid)
    size = np.bincount(labels.ravel(), minlength=n + 1)
    border = np.zeros(n + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[edge] = True
    large = border & (size >= 0.01 * valid.size)
    large[0] = False
    sky = large[labels]
    if dark is None or not sky.any():
        return sky
    labels, n = label(sky | dark)
    adjoining = np.zeros(n + 1, bool)
    adjoining[labels[sky]] = True
    return adjoining[labels]
