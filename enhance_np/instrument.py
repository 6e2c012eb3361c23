"""The numbers of a telescope that the package needs, one record for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """A telescope and its camera.

    aperture, wavelength : metres.  pixel_scale : arcsec.
    """

    name: str
    aperture: float
    wavelength: float
    pixel_scale: float


# Schou et al. 2012, Solar Phys. 275, 229; the pixel scale is the mean CDELT of hmi.M_720s
HMI = Instrument("HMI", 0.14, 6173e-10, 0.504302)
