"""Degrades a scene to the image that HMI records and to the target that the network predicts.

The convolution must not wrap around, so a scene is continued as its mirror image at all four
borders. The cosine transform (DCT-II) is the Fourier transform of this continuation. In it, a
convolution with a symmetric kernel is a product, and the result, a finite sum of cosines, can be
evaluated at any point, on the scene's grid or off it. A kernel without symmetry only adds products
with sines.
The geometry is therefore exact for any ratio of the pixel scales. Both images of a pair show the
same mirrored scene and agree up to the border, so nothing is cropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import instrument
from .._errors import avoidable
from ..observation.pixels import pixel_scales
from .psf import MODIFIED, WACHTER, airy, airy_lorentzian, five_gaussians, hmi_psf
from .psf_image import PsfImage, read_psf

HMI_SCALE = instrument.HMI.pixel_scale  # arcsec
TARGET_DIAMETER = 0.28  # metres
SAME_PIXELS = 0.01  # relative difference between headers of one telescope, HMI's CEA maps included
PSFS = ("modified", "wachter", "airy", "yeo", "norton")


# Names of `Optics.attributes`, in the order of its fields
STORED = ("psf", "support_arcsec", "hmi_diameter_m", "target_diameter_m", "wavelength_m")
STORED += ("hmi_scale_arcsec",)
# the same of the fields that not every PSF has
ALSO_STORED = ("lorentzian_arcsec", "rotation_degrees")


@dataclass(frozen=True)
class Optics:
    """The two telescopes of a pair.

    psf : HMI's PSF: "modified" or "wachter" (`psf.hmi_psf`), "airy", "yeo" (`psf.five_gaussians`),
        "norton" (`psf.airy_lorentzian`), or a PsfImage.
    support : arcsec, half-width of both kernels.
    aperture : metres, D in HMI's PSF if it is a formula.  target_aperture : metres, aperture of
        the target's Airy pattern.  wavelength : metres, of both.
    hmi_scale : arcsec per low-resolution pixel; pixels of the target have half that size.
    lorentzian : arcsec, the width of "norton", which must be given for it.
    rotation : degrees, of "yeo" (`psf.five_gaussians`); None is its mean over azimuth. With it, the
        PSF is not symmetric and serves `degrade` alone.
    Raises ValueError for an unknown psf, a number that is not positive and finite, or one that the
    PSF does not have.
    """

    psf: str | PsfImage = "modified"
    support: float = 12.0
    aperture: float = instrument.HMI.aperture
    target_aperture: float = TARGET_DIAMETER
    wavelength: float = instrument.HMI.wavelength
    hmi_scale: float = HMI_SCALE
    lorentzian: float | None = None
    rotation: float | None = None

    def __post_init__(self):
        if not isinstance(self.psf, PsfImage) and self.psf not in PSFS:
            raise ValueError(f"degrade: psf must be one of {PSFS} or a PSF image, got {self.psf!r}")
        if (self.lorentzian is None) == (self.psf == "norton"):
            message = "degrade: needs lorentzian, its width in arcsec, for psf norton and no other"
            message += f", got psf={self.psf!r}, lorentzian={self.lorentzian}"
            raise avoidable(ValueError(message), "lorentzian")
        if self.rotation is not None and not (self.psf == "yeo" and np.isfinite(self.rotation)):
            message = "degrade: rotation must be degrees, for psf yeo and no other"
            message += f", got psf={self.psf!r}, rotation={self.rotation}"
            raise avoidable(ValueError(message), "psf_rotation")
        for name in (
            "support",
            "aperture",
            "target_aperture",
            "wavelength",
            "hmi_scale",
            "lorentzian",
        ):
            value = getattr(self, name)
            if value is None:
                continue
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"degrade: {name} must be positive and finite, got {name}={value}")

    @classmethod
    def named(cls, psf: str, psf_scale: float | None = None, **rest) -> "Optics":
        """Optics whose PSF is given by a name in PSFS or by the path of a FITS file.

        psf_scale : arcsec per pixel of that file; None takes it from its header.
        Raises as `Optics` and `psf_image.read_psf`.
        """
        if psf in PSFS:
            if psf_scale is not None:
                raise ValueError(f"degrade: psf_scale is for a FITS file, got {psf=}, {psf_scale=}")
            return cls(psf, **rest)
        if not Path(psf).exists():
            raise FileNotFoundError(f"degrade: psf must be one of {PSFS} or a FITS file, got {psf}")
        return cls(read_psf(psf, psf_scale), **rest)

    @classmethod
    def stored(cls, attributes) -> "Optics | None":
        """The optics stored by `attributes` in a file of pairs or weights; None without them.

        Raises ValueError if their PSF came from a FITS file, because only its name is stored.
        """
        if "hmi_scale_arcsec" not in attributes:
            return None
        if (psf := str(attributes["psf"])) not in PSFS:
            message = f"optics: the PSF is stored only in the file {psf!r}, so it must be given"
            raise avoidable(ValueError(message), "psf")
        given = [float(attributes[name]) for name in STORED[1:]]
        also = [float(attributes[name]) if name in attributes else None for name in ALSO_STORED]
        return cls(psf, *given, *also)

    def target(self) -> "Optics":
        """Those of the target telescope alone."""
        return replace(
            self,
            psf="airy",
            aperture=self.target_aperture,
            hmi_scale=self.hmi_scale / 2,
            lorentzian=None,
            rotation=None,
        )

    def telescope(self) -> str:
        """The telescope in words, for a header."""
        psf = self.psf.name if isinstance(self.psf, PsfImage) else self.psf
        psf = Path(psf).name.encode("ascii", "backslashreplace").decode()
        return f"{psf}, {self.aperture:g} m, {self.hmi_scale:g} arcsec"

    def kernels(self, pixel_scale: float) -> tuple[np.ndarray, np.ndarray]:
        """HMI's kernel and the target's, of sum 1, on a grid of `pixel_scale` arcsec."""
        target = airy(pixel_scale, self.target_aperture, self.support, self.wavelength)
        return self.kernel(pixel_scale), target

    def kernel(self, pixel_scale: float) -> np.ndarray:
        """HMI's kernel alone."""
        if isinstance(self.psf, PsfImage):
            return self.psf.kernel(pixel_scale, self.support)
        if self.psf == "yeo":
            return five_gaussians(pixel_scale, self.support, self.rotation)
        if self.psf == "norton":
            at = (self.lorentzian, self.aperture, self.support, self.wavelength)
            return airy_lorentzian(pixel_scale, *at)
        if self.psf == "airy":
            return airy(pixel_scale, self.aperture, self.support, self.wavelength)
        shape = MODIFIED if self.psf == "modified" else WACHTER
        at_hmi = {
            "support": self.support,
            "diameter": self.aperture,
            "wavelength": self.wavelength,
        }
        return hmi_psf(pixel_scale, **at_hmi, **shape)

    def attributes(self) -> dict[str, str | float]:
        """The optics as attributes of a file; `stored` reads them."""
        found = {
            "psf": self.psf.name if isinstance(self.psf, PsfImage) else self.psf,
            "support_arcsec": self.support,
            "hmi_diameter_m": self.aperture,
            "target_diameter_m": self.target_aperture,
            "wavelength_m": self.wavelength,
            "hmi_scale_arcsec": self.hmi_scale,
        }
        if isinstance(self.psf, PsfImage):
            found["psf_scale_arcsec"] = self.psf.pixel_scale
        also = zip(ALSO_STORED, (self.lorentzian, self.rotation), strict=True)
        found |= {name: value for name, value in also if value is not None}
        return found


HMI = Optics()


def check_optics(optics, function: str) -> None:
    """Raise TypeError, in the name of a function, unless this is an Optics."""
    if not isinstance(optics, Optics):
        raise TypeError(f'{function}: optics must be an Optics, as Optics("airy"), got {optics!r}')


def on_pixels(optics: Optics, header, factor: int = 1) -> Optics:
    """The optics with the pixel scale of an image's header, if the header gives one.

    factor : pixels of that image along one pixel of the telescope, 2 for an output.
    A scale within SAME_PIXELS of that of the optics counts as the same, and changes nothing.
    """
    scales = pixel_scales(header)
    if not scales:
        return optics
    scale = factor * float(np.prod(scales) ** (1 / len(scales)))
    if abs(scale / optics.hmi_scale - 1) < SAME_PIXELS:
        return optics
    return replace(optics, hmi_scale=scale)


def degrade(
    scene: np.ndarray,
    pixel_scale: float,
    optics: Optics = HMI,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): low = PSF * scene on HMI's pixels, high = Airy * scene on pixels of half size.

    scene : (H, W), any unit; the mean is kept.  pixel_scale : arcsec per pixel of the scene.
    offset : arcsec (y, x), 0 or more, from the corner of the scene to the corner of both images.
    Returns low (h, w) and high (2h, 2w) in the dtype of the scene (float64 if it is not
    floating), h = floor((H pixel_scale - offset) / hmi_scale).
    Raises ValueError if the scene has NaN or is too small for one pixel, or the PSF is unsuitable.

    Edges are aligned: the centre of low pixel i is i + 1/2 low pixels from the common corner,
    that of high pixel j is (j + 1/2) / 2, so low pixel i covers high pixels 2i and 2i + 1.
    Values are taken at the centres of pixels and not averaged over them, because the PSF of the
    published model includes the pixel integration.
    Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, section 3.1.
    """
    return tuple(_images(scene, pixel_scale, optics, offset))


def seen(scene: np.ndarray, pixel_scale: float, optics: Optics = HMI) -> np.ndarray:
    """The first image of `degrade` alone, without the cost of the target."""
    return next(_images(scene, pixel_scale, optics, (0.0, 0.0)))


def _images(scene, pixel_scale, optics, offset) -> Iterator[np.ndarray]:
    from scipy.fft import dctn

    scene = _checked("degrade", scene, pixel_scale)
    hmi_scale = optics.hmi_scale
    offset = np.asarray(offset, float)
    if offset.shape != (2,) or not (offset >= 0).all():
        raise ValueError(f"degrade: offset must be two values of 0 or more, got {offset=}")
    # a scene that holds a whole number of pixels must not lose one to rounding
    h, w = np.floor((np.array(scene.shape) * pixel_scale - offset) / hmi_scale + 1e-9).astype(int)
    if min(h, w) < 1:
        raise ValueError(
            f"degrade: the scene must hold one pixel of {hmi_scale} arcsec or more, "
            f"got scene.shape={scene.shape}, pixel_scale={pixel_scale}, offset={offset}"
        )
    modes = dctn(scene.astype(np.float64), norm="ortho")
    dtype = scene.dtype if scene.dtype.kind == "f" else np.float64
    for kernel, factor in zip(optics.kernels(pixel_scale), (1, 2), strict=True):
        step = hmi_scale / factor / pixel_scale
        at = [
            start / pixel_scale + (np.arange(factor * n) + 0.5) * step
            for start, n in zip(offset, (h, w), strict=True)
        ]
        waves = [(np.cos, np.cos)]
        if not _symmetric(kernel):
            waves += [(np.cos, np.sin), (np.sin, np.cos), (np.sin, np.sin)]
        image = sum(_sample(modes * _transfer(scene.shape, kernel, p), *at, p) for p in waves)
        yield image.astype(dtype)


def convolve(scene: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """kernel * scene on the scene's grid; the scene is mirrored beyond its borders.

    scene : (H, W).  kernel : odd sides, symmetric under reversal of either axis; it may be
    larger than the scene.  Returns float64 (H, W), whose mean is mean(scene) * sum(kernel).
    Raises ValueError for NaN in the scene or an unsuitable kernel.
    """
    from scipy.fft import dctn, idctn

    scene = _checked("convolve", scene, 1.0)
    modes = dctn(scene.astype(np.float64), norm="ortho")
    return idctn(modes * _symmetric_transfer(scene.shape, kernel), norm="ortho")


def convolve_inverse(image: np.ndarray, kernel: np.ndarray, least: float) -> np.ndarray:
    """The scene whose convolution with the kernel gives the image, at well-passed frequencies.

    Divides by the transfer function where it is above `least`, and by `least` elsewhere. Shapes
    and errors as in `convolve`; 0 < least <= 1.
    """
    from scipy.fft import dctn, idctn

    if not 0 < least <= 1:
        raise ValueError(f"convolve_inverse: least must be in (0, 1], got least={least}")
    image = _checked("convolve_inverse", image, 1.0)
    modes = dctn(image.astype(np.float64), norm="ortho")
    return idctn(modes / np.maximum(_symmetric_transfer(image.shape, kernel), least), norm="ortho")


def magnify(image: np.ndarray, factor: int) -> np.ndarray:
    """The same sum of cosines on a grid `factor` times finer, edges aligned: (H, W) -> factor (H,
    W).

    For images whose pixels are too coarse to sample a kernel. Errors as in `convolve`; factor >= 1.
    """
    from scipy.fft import dctn

    image = _checked("magnify", image, 1.0)
    if factor < 1:
        raise ValueError(f"magnify: factor must be 1 or more, got factor={factor}")
    rows, columns = ((np.arange(factor * n) + 0.5) / factor for n in image.shape)
    return _sample(dctn(image.astype(np.float64), norm="ortho"), rows, columns)


def _symmetric(kernel):
    return all(np.allclose(kernel, np.flip(kernel, a), atol=1e-12) for a in (0, 1))


def _transfer(shape, kernel, waves=(np.cos, np.cos)):
    """Transfer function of a kernel at the frequencies k / (2N) of the cosine transform.

    Along either axis cos k(u - a) = cos ku cos ka + sin ku sin ka. The scene's cosine k thus
    becomes a cosine times the kernel's cosine sum plus a sine times its sine sum; the latter is 0
    if the kernel is symmetric.
    """
    if kernel.ndim != 2 or not all(n % 2 for n in kernel.shape):
        raise ValueError(f"degrade: a PSF must have odd sides, got psf.shape={kernel.shape}")
    rows, columns = (
        wave(np.pi / n * np.arange(n)[:, None] * (np.arange(m) - m // 2))
        for wave, n, m in zip(waves, shape, kernel.shape, strict=True)
    )
    return rows @ kernel @ columns.T


def _symmetric_transfer(shape, kernel):
    if kernel.ndim == 2 and not _symmetric(kernel):
        raise ValueError("degrade: a PSF must be symmetric under reversal of either axis")
    return _transfer(shape, kernel)


def _sample(modes, rows, columns, waves=(np.cos, np.cos)):
    """The sum of cosines or sines at all pairs of rows and columns, in pixels from the corner."""

    def basis(wave, n, u):
        values = wave(np.pi / n * u[:, None] * np.arange(n)) * np.sqrt(2 / n)
        values[:, 0] = wave(0.0) * np.sqrt(1 / n)
        return values

    along_y, along_x = (
        basis(wave, n, u) for wave, n, u in zip(waves, modes.shape, (rows, columns), strict=True)
    )
    return along_y @ modes @ along_x.T


def _checked(function, scene, pixel_scale):
    scene = np.asarray(scene)
    if not (np.isfinite(pixel_scale) and pixel_scale > 0):
        raise ValueError(
            f"{function}: pixel_scale must be positive and finite, got pixel_scale={pixel_scale}"
        )
    if scene.ndim != 2 or scene.size == 0:
        raise ValueError(f"{function}: scene must be (H, W), got scene.shape={scene.shape}")
    if not np.isfinite(scene).all():
        raise ValueError(f"{function}: scene must be finite, got NaN or infinity")
    return scene
