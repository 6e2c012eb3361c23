"""Point spread functions of the telescopes, on square grids of odd size.

Angles are in arcsec, lengths in metres. Every kernel has its centre on the middle pixel, is
symmetric in both axes, and has the sum 1, so that a convolution keeps the mean intensity or flux.
"""

import numpy as np

from ..instrument import HMI

ARCSEC = np.pi / (180 * 3600)  # in radians
MODIFIED = {"w": 2.0, "W": 3.4}  # used for the training of the published weights
WACHTER = {"w": 1.8, "W": 3.0}  # published values, from the calibration before launch


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


def _reduced_radius(function, pixel_scale, support, diameter, wavelength):
    """pi D theta / lambda at every pixel of a kernel of half-width `support` arcsec."""
    named = {
        "pixel_scale": pixel_scale,
        "support": support,
        "diameter": diameter,
        "wavelength": wavelength,
    }
    for name, value in named.items():
        _check_positive(function, name, value)
    n = round(support / pixel_scale)
    if n < 1:
        raise ValueError(
            f"{function}: support must be one pixel or more, "
            f"got support={support}, pixel_scale={pixel_scale}"
        )
    theta = np.arange(-n, n + 1) * (pixel_scale * ARCSEC)
    return np.pi * diameter / wavelength * np.hypot(theta[:, None], theta)


def _check_positive(function, name, value):
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{function}: {name} must be positive and finite, got {name}={value}")
