"""One scene, as an output of the network and as Hinode show it, with coordinates."""

from functools import cache

from astropy.io import fits

from enhance_np import Optics
from enhance_np.optics.degrade import HMI, HMI_SCALE, seen
from enhance_np.sun.scene import scene

HALF = HMI_SCALE / 2
FINE = 0.0662
SIZE = (390, 420)  # of the scene: 26 x 28 arcsec
NOISE = {"intensity": (0.01, 0.003), "blos": (10.0, 5.0)}  # of an output and of Hinode
UNIT = {"intensity": "DN/s", "blos": "Gauss"}
CORNER = (3.17, 2.53)  # arcsec (y, x) of the scene at which the other image begins


def sot(scale):
    return Optics("airy", aperture=0.5, wavelength=6302e-10, hmi_scale=scale)


@cache
def sun():
    """{type: image}: a pore, in Ic and G."""
    return dict(zip(("intensity", "blos"), scene(1_000_011, SIZE, FINE, "pore"), strict=True))


def seen_by_both(sun, scale, rng=None):
    """(out, other) on pixels of HALF and of scale; with noise if there is an rng.

    The other begins at CORNER, as far as it lies on a pixel of the scene.
    """
    y, x = (round(c / FINE) for c in CORNER)
    images = seen(sun, FINE, HMI.target()), seen(sun[y:-20, x:-10], FINE, sot(scale))
    if rng is None:
        return images
    kind = "blos" if sun.min() < 0 else "intensity"
    return [i + n * rng.standard_normal(i.shape) for i, n in zip(images, NOISE[kind], strict=True)]


def header(type, shape, scale, corner=(0.0, 0.0), **cards):
    """Coordinates in which the scene's corner is at (100, -200) arcsec."""
    return fits.Header(
        {
            **{"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"},
            **{"CRPIX1": 0.5, "CRPIX2": 0.5, "CDELT1": scale, "CDELT2": scale},
            **{"CRVAL1": 100.0 + corner[1], "CRVAL2": -200.0 + corner[0], "BUNIT": UNIT[type]},
            **cards,
        }
    )


def hdus(type, sun, scale, rng=None, error=(0.0, 0.0), level=1.0, **cards):
    """Two HDUs with headers; the coordinates of the second are wrong by `error` arcsec (y, x)."""
    out, other = (level * i for i in seen_by_both(sun[type], scale, rng))
    corner = [FINE * round(c / FINE) + e for c, e in zip(CORNER, error, strict=True)]
    first = header(type, out.shape, HALF, ENHMODEL="made")
    second = header(type, other.shape, scale, corner, TELESCOP="HINODE", INSTRUME="SOT/SP", **cards)
    return fits.PrimaryHDU(out, first), fits.PrimaryHDU(other, second)


HOW = {"other_averages": False}  # `seen` takes values at the centres of pixels
