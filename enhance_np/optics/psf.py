"""Point spread functions of the telescopes, on square grids of odd size.

Angles are in arcsec, lengths in metres. Every kernel has its centre on the middle pixel, is
symmetric in both axes, and has the sum 1, so that a convolution keeps the mean intensity or flux.
"""

import numpy as np

from ..instrument import HMI

ARCSEC = np.pi / (180 * 3600)  # in radians
MODIFIED = {"w": 2.0, "W": 3.4}  # used for the training of the published weights
WACHTER = {"w": 1.8, "W": 3.0}  # published values, from the calibration before launch
# (weight, sigma in arcsec, amplitude in azimuth, cycles around, phase in radians) of the five
# Gaussians of Yeo et al. 2014, A&A 561, A22, fitted to the transit of Venus. The table was not at
# hand: these are the numbers of two programs of different groups. They agree but for the fourth
# weight, 0.00467 in one of them, with which the sum would be 0.958 instead of 1.000.
YEO = (
    (0.641, 0.470, 0.131, 1, -1.85),
    (0.211, 1.155, 0.371, 1, 2.62),
    (0.066, 2.09, 0.540, 2, -2.34),
    (0.0467, 4.42, 0.781, 1, 1.255),
    (0.035, 25.77, 0.115, 1, 2.58),
)


def hmi_psf(
    pixel_scale: float,
    *,
    w: float = MODIFIED["w"],
    W: float = MODIFIED["W"],
    epsilon: float = 0.1,
    k: float = 3.0,
    support: float = 12.0,
    diameter: float = HMI.aperture,
    wavelength: float = HMI.wavelength,
) -> np.ndarray:
    """PSF(r) = (1 - epsilon) exp(-(r / w)^2) + epsilon / (1 + (r / W)^k),  r = pi D theta / lambda.

    The first term is the core (diffraction and defocus), the second the tail of scattered light.
    theta is the angle from the centre in radians, so r, w and W have no unit.

    pixel_scale : arcsec per pixel.  support : arcsec from the centre to the edge of the kernel.
    diameter, wavelength : D and lambda, in metres.
    Returns float64 (n, n), n = 2 round(support / pixel_scale) + 1, of sum 1.
    Raises ValueError unless pixel_scale, w, W, k, support, diameter, wavelength are positive,
    support is at least one pixel, and 0 <= epsilon <= 1.

    The support is part of the model, because the tail falls as theta^-k: simulated quiet Sun gets
    a contrast of 4.19 % with a support of 4.4 arcsec, 4.00 % with 12 and 3.95 % with 20 (measured).
    Sources: Wachter et al. 2012, Solar Phys. 275, 261 (w = 1.8, W = 3.0); Díaz Baso & Asensio
    Ramos 2018, A&A 614, A5, equation 6 (w = 2, W = 3.4: the observed power spectrum).
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"hmi_psf: epsilon must be from 0 to 1, got epsilon={epsilon}")
    for name, value in {"w": w, "W": W, "k": k}.items():
        _check_positive("hmi_psf", name, value)
    r = _reduced_radius("hmi_psf", pixel_scale, support, diameter, wavelength)
    psf = (1 - epsilon) * np.exp(-((r / w) ** 2)) + epsilon / (1 + (r / W) ** k)
    return psf / psf.sum()


def airy(
    pixel_scale: float,
    diameter: float = 0.28,
    support: float = 12.0,
    wavelength: float = HMI.wavelength,
) -> np.ndarray:
    """[2 J1(x) / x]^2,  x = pi D theta / lambda: diffraction by a clear circular aperture.

    The first dark ring is at 1.22 lambda / D, 0.55 arcsec for the default. The default is a
    telescope of twice HMI's diameter; its image is the target of the network.

    pixel_scale : arcsec per pixel.  support : arcsec from the centre to the edge of the kernel.
    diameter, wavelength : D and lambda, in metres.
    Returns float64 (n, n), n = 2 round(support / pixel_scale) + 1, of sum 1.
    Raises ValueError unless all four are positive and support is at least one pixel.
    Source: Born & Wolf, Principles of Optics, section 8.5.2, equation 14.
    """
    from scipy.special import j1

    x = _reduced_radius("airy", pixel_scale, support, diameter, wavelength)
    middle = x.shape[0] // 2
    x[middle, middle] = 1.0  # avoids 0/0; the limit is 1
    psf = (2 * j1(x) / x) ** 2
    psf[middle, middle] = 1.0
    return psf / psf.sum()


def five_gaussians(
    pixel_scale: float, support: float = 12.0, rotation: float | None = None
) -> np.ndarray:
    """Sum of w (1 + a cos(u phi + v)) exp(-r^2 / (2 sigma^2)) / (2 pi sigma^2), see YEO.

    HMI's PSF in flight, from the transit of Venus. The last Gaussian is wider than a support of 12
    arcsec, which cuts 3 % of the light; the sum is 1 all the same.

    pixel_scale : arcsec per pixel.  support : arcsec from the centre to the edge of the kernel.
    rotation : degrees from the direction of increasing columns to that of phi = 0, towards
        increasing rows. It depends on the camera and on CROTA2, and the zero of the paper was not
        verified, so there is no default. None is the mean over azimuth, where the cosines vanish.
        With it the centroid is 0.1 arcsec off the middle, by which an image is displaced.
    Returns float64 (n, n), n = 2 round(support / pixel_scale) + 1, of sum 1; not symmetric if it
    is rotated.
    Raises ValueError unless the first two are positive and support is at least one pixel.
    Source: Yeo et al. 2014, A&A 561, A22, arXiv:1310.4972.
    """
    x, y = _offsets("five_gaussians", pixel_scale, support)
    r_squared = x**2 + y**2
    psf = np.zeros(r_squared.shape)
    for weight, sigma, amplitude, cycles, phase in YEO:
        part = weight * np.exp(-r_squared / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        if rotation is not None:
            phi = np.arctan2(y, x) - np.radians(rotation)
            around = amplitude * np.cos(cycles * phi + phase)
            part *= 1 + np.where(r_squared > 0, around, 0)  # the middle has no azimuth
        psf += part
    return psf / psf.sum()


def airy_lorentzian(
    pixel_scale: float,
    width: float,
    diameter: float = HMI.aperture,
    support: float = 12.0,
    wavelength: float = HMI.wavelength,
) -> np.ndarray:
    """The Airy pattern convolved with a Lorentzian of two dimensions.

    The Lorentzian is width / (2 pi (r^2 + width^2)^(3/2)), whose integral is 1, and which gives a
    Lorentzian of half width at half maximum `width` when it is projected on a line. Its transfer
    function is exp(-2 pi width f), so that of the result is

        OTF(f) = 2 / pi (arccos q - q sqrt(1 - q^2)) exp(-2 pi width f),  q = f lambda / D,

    and the PSF is its Hankel transform.

    pixel_scale, width : arcsec; the width has no default: the published one was not verified.
    support : arcsec from the centre to the edge of the kernel.
    diameter, wavelength : D and lambda, in metres.
    Returns float64 (n, n), n = 2 round(support / pixel_scale) + 1, of sum 1.
    Raises ValueError unless all five are positive and support is at least one pixel.
    Sources: Norton et al. 2025, arXiv:2511.13348, of which only the abstract was at hand: a
    Lorentzian convolved with an Airy function. Whether it is this Lorentzian was not verified.
    Goodman, Introduction to Fourier Optics, section 6.3 (the OTF of a circular aperture).
    """
    from scipy.interpolate import CubicSpline
    from scipy.special import j0

    for name, value in {"width": width, "diameter": diameter, "wavelength": wavelength}.items():
        _check_positive("airy_lorentzian", name, value)
    x, y = _offsets("airy_lorentzian", pixel_scale, support)
    cut_off = diameter / wavelength * ARCSEC  # cycles per arcsec
    farthest = np.hypot(x.max(), y.max())
    # j0 oscillates cut_off * farthest times over the integral
    nodes, weights = np.polynomial.legendre.leggauss(64 + int(8 * cut_off * farthest))
    q = (nodes + 1) / 2
    f = cut_off * q
    transfer = 2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2)) * np.exp(-2 * np.pi * width * f)
    radii = np.linspace(0, farthest, 64 + int(40 * cut_off * farthest))
    profile = j0(2 * np.pi * np.outer(radii, f)) @ (weights * transfer * f)
    psf = CubicSpline(radii, profile)(np.hypot(x, y))
    return psf / psf.sum()


def _offsets(function, pixel_scale, support):
    """(x, y) of every pixel of a kernel of half-width `support`, in arcsec from its middle."""
    for name, value in {"pixel_scale": pixel_scale, "support": support}.items():
        _check_positive(function, name, value)
    n = round(support / pixel_scale)
    if n < 1:
        raise ValueError(
            f"{function}: support must be one pixel or more, "
            f"got support={support}, pixel_scale={pixel_scale}"
        )
    at = np.arange(-n, n + 1) * pixel_scale
    return np.meshgrid(at, at)


def _reduced_radius(function, pixel_scale, support, diameter, wavelength):
    """pi D theta / lambda at every pixel of a kernel of half-width `support` arcsec."""
    for name, value in {"diameter": diameter, "wavelength": wavelength}.items():
        _check_positive(function, name, value)
    return (
        np.pi * diameter / wavelength * ARCSEC * np.hypot(*_offsets(function, pixel_scale, support))
    )


def _check_positive(function, name, value):
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{function}: {name} must be positive and finite, got {name}={value}")
