"""What a telescope left of the Sun in an image, and two images blurred to one resolution."""

import re
from typing import NamedTuple

import numpy as np

from .._errors import avoidable
from ..instrument import HMI as HMI_CAMERA
from ..observation.header import card, number
from ..observation.telescope import SEENBY, foreign_instrument
from ..optics.cosines import FINER, to_image, to_modes, transfer
from ..optics.degrade import HMI, PSFS, Optics
from ..optics.psf import ARCSEC
from ..prediction.file import OPTICS_CARDS

DECONVOLVED = "deconvolved"  # in place of Optics: no blur is left, up to HMI's cut-off
SHARP = "none"  # the same for an image that no telescope saw, such as a simulation
LEAST = 1e-3  # of the transfer function that both have; beyond, an image has only noise
NOTICED = 0.99  # a filter that passes this much everywhere does not count as a blur
NARROWEST = 0.004  # arcsec, lambda / 4 D, below that of any telescope; its kernel takes gigabytes
FINEST = HMI_CAMERA.pixel_scale / 2 / FINER  # arcsec between pixels of a kernel, as in `transfers`

# Hinode/SOT: Tsuneta et al. 2008, Solar Phys. 249, 167 (50 cm). Its central obscuration, defocus
# and stray light are not in the default: a PSF that was measured can be given.
HINODE_APERTURE = 0.5  # metres
HINODE_SP = 6302e-10  # metres, of the spectropolarimeter
# a magnetogram of the filtergraphs, and their continua, have the wavelength in angstrom in WAVE
_WAVE = re.compile(r"(?<!\d)(\d{4})(\.\d+)?(?!\d)")
_DECONVOLVED = re.compile(r"_dcons?(?![a-z])", re.IGNORECASE)  # JSOC's deconvolved series
_SEEN = re.compile(r"(\w+), ([\d.e-]+) m, ([\d.e-]+) arcsec")  # of Optics.telescope


class Resolution(NamedTuple):
    """The blur in an image."""

    optics: Optics | str  # whose PSF (`Optics.kernel`) blurred it; DECONVOLVED, SHARP
    averages: bool  # the values are means over the pixels, not values at their centres

    def __str__(self) -> str:
        if isinstance(self.optics, str):
            return "deconvolved" if self.optics == DECONVOLVED else "not blurred"
        return f"{self.optics.telescope().rsplit(',', 1)[0]}, {self.optics.wavelength * 1e10:.0f} Å"

    def transfer(self, shape: tuple[int, int], sides: tuple[float, float], pixel) -> np.ndarray:
        """Share of each mode that is left, (H, W), 0 to 1.

        shape, sides : of the image whose modes they are: pixels, and arcsec along a column and
            along a line.
        pixel : the same sides of the pixels that took the averages; their axes are taken as
            parallel to those of the image.
        """
        if isinstance(self.optics, str):
            found = np.ones(shape)
            if self.optics == DECONVOLVED:
                fy, fx = (np.arange(n) / (2 * n * s) for n, s in zip(shape, sides, strict=True))
                cut_off = HMI_CAMERA.aperture / HMI_CAMERA.wavelength * ARCSEC
                found = (np.hypot(fy[:, None], fx) < cut_off).astype(float)
        else:
            step = min(FINEST, _core(self.optics))  # finer for apertures above half a metre
            found = transfer(shape, sides, self.optics.kernel(step), step)
        if self.averages:
            for axis, (n, side, p) in enumerate(zip(shape, sides, pixel, strict=True)):
                # the mean of a wave over a pixel: np.sinc(x) is sin(pi x) / (pi x)
                through = np.sinc(p * np.arange(n) / (2 * n * side))
                found = found * np.expand_dims(through, 1 - axis)
        return np.maximum(found, 0)  # a kernel that ends has slightly negative values


def _core(optics: Optics) -> float:
    """A fourth of lambda / D in arcsec, the largest step of a kernel that shows the core."""
    return optics.wavelength / (4 * optics.aperture) / ARCSEC


def equalised(
    images: tuple[np.ndarray, np.ndarray],
    sides: tuple[tuple[float, float], tuple[float, float]],
    resolutions: tuple[Resolution, Resolution],
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[bool, bool]]:
    """Both images at the resolution that both have, and which of them that has blurred.

    Where T_a and T_b are the transfer functions in the two images, a becomes

        a' = F^-1 [ F[a] min(T_a, T_b) / T_a ],

    and b in the same way, so no frequency is amplified. If a is finer at every frequency, this is
    the product with OTF_coarse / OTF_fine, and b stays as it is. Frequencies of which both
    telescopes pass less than LEAST of the amplitude are removed from both, as they hold only noise.

    images : (H, W) and (h, w), finite, of the same part of the sky, on any pixels.
    sides : of the pixels of each, in arcsec along a column and along a line.
    The images are continued as their mirror images, as in `degrade`.
    Raises ValueError for NaN, or a PSF without mirror symmetry.
    """
    found, is_blurred = [], []
    for image, side, (own, its), (other, others) in zip(
        images,
        sides,
        zip(resolutions, sides, strict=True),
        zip(resolutions[::-1], sides[::-1], strict=True),
        strict=True,
    ):
        has = own.transfer(image.shape, side, its)
        common = np.minimum(has, other.transfer(image.shape, side, others))
        kept = np.divide(common, has, out=np.zeros_like(has), where=common >= LEAST)
        found.append(to_image(to_modes(image) * kept))
        is_blurred.append(bool((kept < NOTICED)[has >= 0.05].any()))
    return tuple(found), tuple(is_blurred)


def resolution(
    frame,
    given: Optics | str | None,
    averages: bool | None,
    name: str,
    default: Optics | None = None,
) -> Resolution:
    """The blur in an image, from what is given, else from its header.

    given : Optics whose PSF it is, "deconvolved", "none", or None: of an output of this package the
        target that the header stores; of an image of this package's `degrade` what it names; of HMI
        the PSF of the training; of HMI's deconvolved series "deconvolved"; of Hinode/SOT an Airy
        pattern.
    averages : None is True for an Airy pattern or a PSF from a file, unless the header says that
        the image is of HMI or of this package: the PSF of HMI includes the average over a pixel,
        and `degrade` takes values at their centres.
    name : of the image, for errors.  default : if the header names no telescope.
    Raises ValueError if nothing tells the telescope, or if its PSF is narrower than that of any,
    TypeError for another kind of optics.
    """
    if given is not None and not isinstance(given, Optics) and given not in (DECONVOLVED, SHARP):
        raise TypeError(
            f'compare: the optics of {name} must be an Optics, "{DECONVOLVED}" or "{SHARP}", '
            f"got {given!r}"
        )
    if isinstance(given, Optics) and _core(given) < NARROWEST:
        message = (
            f"compare: the aperture of {name} must be in metres and its wavelength that of light, "
            f"got {given.aperture:g} m and {given.wavelength * 1e10:g} angstrom"
        )
        raise avoidable(ValueError(message), f"{name}_optics")
    found = _known(frame)
    if given is not None:
        sampled = found is not None and not found.averages
        pattern = isinstance(given, Optics) and not (
            isinstance(given.psf, str) and given.psf != "airy"
        )
        found = Resolution(given, pattern and not sampled)
    elif found is None and default is not None:
        found = Resolution(default, False)
    if found is None:
        said = foreign_instrument(frame.header) or "none of them"
        message = (
            f"compare: the telescope of {name} must be HMI or Hinode/SOT, or its aperture or PSF "
            f"must be given, got {said} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), f"{name}_optics")
    return found if averages is None else found._replace(averages=averages)


def _known(frame) -> Resolution | None:
    """The blur that the header tells of."""
    header = frame.header
    if (model := card(header, "ENHMODEL")) is not None:
        cards = {n: header[key] for n, (key, _) in OPTICS_CARDS.items() if key in header}
        if str(model).startswith("Richardson-Lucy") and "aperture" not in str(model):
            return Resolution(DECONVOLVED, False)
        return Resolution((Optics.stored(cards) or HMI).target(), False)
    if (seen := card(header, SEENBY)) is not None:
        optics = HMI if seen == "HMI" else _named(str(seen))
        return optics and Resolution(optics, False)
    words = " ".join(str(card(header, key) or "") for key in ("TELESCOP", "INSTRUME")).upper()
    if "HINODE" in words or "SOT" in words.split():
        wavelength = _hinode(header, words)
        return wavelength and Resolution(
            Optics("airy", aperture=HINODE_APERTURE, wavelength=wavelength), True
        )
    texts = (frame.path, card(header, "DRMS_ID"), card(header, "SOURCE"))
    if "HMI" in words or any("hmi." in str(text).lower() for text in texts):
        deconvolved = any(_DECONVOLVED.search(str(text)) for text in texts)
        return Resolution(DECONVOLVED if deconvolved else HMI, False)
    return None


def _hinode(header, words: str) -> float | None:
    """metres."""
    if "SP" in re.split(r"\W+", words):
        return HINODE_SP
    wave = _WAVE.search(str(card(header, "WAVE") or ""))
    if wave:
        return float(wave[0]) / 1e10
    try:
        return number(header, "WAVELNTH") / 1e10
    except ValueError:
        return None


def _named(telescope: str) -> Optics | None:
    """The optics of `Optics.telescope`, at HMI's wavelength."""
    said = _SEEN.fullmatch(telescope)
    if said is None or said[1] not in PSFS or said[1] == "norton":
        return None
    return Optics(said[1], aperture=float(said[2]), hmi_scale=float(said[3]))
