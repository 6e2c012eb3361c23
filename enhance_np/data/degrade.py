"""From a scene as the Sun sends it to what HMI records, and to what the network is to predict.

A scene ends somewhere and the convolution must not wrap around, so a scene is continued as its
mirror image at all four borders. The cosine transform (DCT-II) is the Fourier transform of
just that continuation: there a convolution with a symmetric kernel is a product, and the
result, a finite sum of cosines, can be evaluated at any point, on the scene's grid or off it.
So the geometry is exact, whatever the ratio of the pixel scales. Both images of a pair show
the same mirrored scene and agree up to the border, hence nothing is cropped.
"""

import numpy as np

from .psf import MODIFIED, WACHTER, airy, hmi_psf

HMI_SCALE = 0.504302  # arcsec per pixel
TARGET_DIAMETER = 0.28  # metres
PSFS = {"modified": MODIFIED, "wachter": WACHTER}


def degrade(
    scene: np.ndarray,
    pixel_scale: float,
    *,
    psf: str | np.ndarray = "modified",
    support: float = 12.0,
    target_diameter: float = TARGET_DIAMETER,
    hmi_scale: float = HMI_SCALE,
    offset: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray]:
    """The pair (low, high): low = (PSF * scene) at HMI's pixels, high = (Airy * scene) at half.

    scene : (H, W), any unit; the mean is kept.  pixel_scale : arcsec per pixel of the scene.
    psf : "modified" or "wachter" (see `hmi_psf`), or a kernel on the scene's own grid: odd
        sides, symmetric under reversal of either axis; its sum is not touched.
    support : arcsec, half-width of both kernels.  target_diameter : metres.
    hmi_scale : arcsec per pixel of low.
    offset : arcsec (y, x), 0 or more, from the corner of the scene to the corner of both images.
    Returns low (h, w) and high (2h, 2w) in the dtype of the scene (float64 if it is not
    floating), h = floor((H pixel_scale - offset) / hmi_scale).
    Raises ValueError if a scene holds NaN, is too small for one pixel, or psf is unfit.

    Edges are aligned: the centre of low pixel i is i + 1/2 low pixels from the common corner,
    that of high pixel j is (j + 1/2) / 2, so low pixel i covers high pixels 2i and 2i + 1.
    Values are taken at the centres, not averaged over the pixel: the published model has
    pixel integration in its PSF.
    Source: Díaz Baso & Asensio Ramos 2018, A&A 614, A5, section 3.1.
    """
    scene = _checked("degrade", scene, pixel_scale)
    if not (np.isfinite(hmi_scale) and hmi_scale > 0):
        raise ValueError(f"degrade: hmi_scale must be positive and finite, got {hmi_scale=}")
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
    kernels = (
        hmi_kernel(psf, pixel_scale, support),
        airy(pixel_scale, target_diameter, support),
    )
    images = []
    for kernel, factor in zip(kernels, (1, 2), strict=True):
        step = hmi_scale / factor / pixel_scale
        rows, columns = (
            start / pixel_scale + (np.arange(factor * n) + 0.5) * step
            for start, n in zip(offset, (h, w), strict=True)
        )
        images.append(_sample(_convolved_modes(scene, kernel), rows, columns))
    dtype = scene.dtype if scene.dtype.kind == "f" else np.float64
    return tuple(image.astype(dtype) for image in images)


def hmi_kernel(psf: str | np.ndarray, pixel_scale: float, support: float = 12.0) -> np.ndarray:
    """The kernel that `psf` names, on a grid of `pixel_scale` arcsec; an array is returned as is.

    Raises ValueError for an unknown name.
    """
    if not isinstance(psf, str):
        return np.asarray(psf, np.float64)
    if psf not in PSFS:
        raise ValueError(f"degrade: psf must be one of {tuple(PSFS)} or an array, got psf={psf!r}")
    return hmi_psf(pixel_scale, support=support, **PSFS[psf])


def convolve(scene: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """kernel * scene on the scene's grid, mirror image beyond the borders.

    scene : (H, W).  kernel : odd sides, symmetric under reversal of either axis; it may be
    larger than the scene.  Returns float64 (H, W), whose mean is mean(scene) * sum(kernel).
    Raises ValueError for NaN in the scene or an unfit kernel.
    """
    from scipy.fft import idctn

    return idctn(_convolved_modes(_checked("convolve", scene, 1.0), kernel), norm="ortho")


def convolve_inverse(image: np.ndarray, kernel: np.ndarray, least: float) -> np.ndarray:
    """The scene whose convolution with the kernel is the image, where the kernel passes enough.

    Divides by the transfer function where that is above `least`; frequencies below it are
    left as they are divided by `least`. Shapes and errors as in `convolve`; 0 < least <= 1.
    """
    from scipy.fft import dctn, idctn

    if not 0 < least <= 1:
        raise ValueError(f"convolve_inverse: least must be in (0, 1], got least={least}")
    image = _checked("convolve_inverse", image, 1.0)
    modes = dctn(image.astype(np.float64), norm="ortho")
    return idctn(modes / np.maximum(_transfer(image.shape, kernel), least), norm="ortho")


def magnify(image: np.ndarray, factor: int) -> np.ndarray:
    """The same cosines on a grid `factor` times finer, edges aligned: (H, W) -> factor (H, W).

    For images sampled too coarsely to hold a kernel. Errors as in `convolve`; factor >= 1.
    """
    from scipy.fft import dctn

    image = _checked("magnify", image, 1.0)
    if factor < 1:
        raise ValueError(f"magnify: factor must be 1 or more, got factor={factor}")
    rows, columns = ((np.arange(factor * n) + 0.5) / factor for n in image.shape)
    return _sample(dctn(image.astype(np.float64), norm="ortho"), rows, columns)


def _convolved_modes(scene, kernel):
    """Orthonormal DCT-II coefficients of kernel * scene."""
    from scipy.fft import dctn

    return dctn(scene.astype(np.float64), norm="ortho") * _transfer(scene.shape, kernel)


def _transfer(shape, kernel):
    """Transfer function of a kernel at the frequencies k / (2N) of the cosine transform."""
    if kernel.ndim != 2 or not all(n % 2 for n in kernel.shape):
        raise ValueError(f"degrade: a PSF must have odd sides, got psf.shape={kernel.shape}")
    if not all(np.allclose(kernel, np.flip(kernel, a), atol=1e-12) for a in (0, 1)):
        raise ValueError("degrade: a PSF must be symmetric under reversal of either axis")
    # the sine terms vanish by symmetry
    rows, columns = (
        np.cos(np.pi / n * np.arange(n)[:, None] * (np.arange(m) - m // 2))
        for n, m in zip(shape, kernel.shape, strict=True)
    )
    return rows @ kernel @ columns.T


def _sample(modes, rows, columns):
    """The sum of cosines at every pair of rows and columns, in pixels from the corner."""

    def basis(n, u):
        cosines = np.cos(np.pi / n * u[:, None] * np.arange(n)) * np.sqrt(2 / n)
        cosines[:, 0] = np.sqrt(1 / n)
        return cosines

    return basis(modes.shape[0], rows) @ modes @ basis(modes.shape[1], columns).T


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
