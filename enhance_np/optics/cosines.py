"""Images as sums of cosines, on the grids of input and output, and filters between them.

As in `degrade`, an image is continued as its mirror image at all borders, and the cosine
transform (DCT-II) is the Fourier transform of this continuation. Pixel i of n has its centre at
(i + 1/2) / n of the side on any grid, so edges are aligned. Mode k of n pixels is therefore also
mode k of 2n pixels: doubling the sampling only lengthens the array of modes, and halving it only
folds it. `degrade` evaluates the same cosines at any place, but needs full matrices for that.

All arrays are float64; a full disk at double resolution takes 0.5 GB each.
"""

import os

import numpy as np
from scipy.fft import dctn, idctn

from .degrade import Optics

WORKERS = os.cpu_count()  # one thread per transform, so the bits do not depend on their number
FINER = 4  # pixels of the kernels per output pixel, so that the kernels' spectra do not fold


def to_modes(image: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """(H, W) -> (H, W), orthonormal. Raises ValueError for NaN: see `normalise.fill`.

    overwrite : store the modes in the memory of the image, if it is float64.
    """
    image = np.asarray(image, np.float64) if overwrite else np.array(image, np.float64)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise ValueError(f"to_modes: needs a finite (H, W) image, got shape={image.shape}")
    return dctn(image, norm="ortho", overwrite_x=True, workers=WORKERS)


def to_image(modes: np.ndarray) -> np.ndarray:
    return idctn(modes, norm="ortho", workers=WORKERS)


def doubled(modes: np.ndarray) -> np.ndarray:
    """Modes (H, W) -> (2H, 2W) of the same continuous image on pixels of half the size."""
    h, w = modes.shape
    out = np.zeros((2 * h, 2 * w))
    # an orthonormal mode is lower by sqrt(2) for each axis whose number of pixels doubles
    out[:h, :w] = 2 * modes
    return out


def halved(modes: np.ndarray) -> np.ndarray:
    """Modes (2H, 2W) -> (H, W) of the continuous image's values at the centres of large pixels.

    At the centres of n large pixels, cos(pi (2n - k) (i + 1/2) / n) is -cos(pi k (i + 1/2) / n):
    frequencies that the large pixels cannot resolve are folded, as in any sampling. Nothing is
    averaged. The result is stored in the memory of `modes`, which is changed.
    """
    if any(n % 2 for n in modes.shape):
        raise ValueError(f"halved: needs sides of even length, got shape={modes.shape}")
    for _ in (0, 1):
        n = len(modes) // 2
        low = modes[:n]
        low[1:] -= modes[:n:-1]
        low /= np.sqrt(2)
        modes = low.T
    return modes


def double(image: np.ndarray) -> np.ndarray:
    """(H, W) -> (2H, 2W): input pixel i covers output pixels 2i and 2i + 1."""
    return to_image(doubled(to_modes(image)))


def frequencies(
    shape: tuple[int, int], pixel_scale: float, lines: slice = slice(None)
) -> np.ndarray:
    """Spatial frequency of every mode, (H, W), in cycles per unit of pixel_scale.

    lines : of the result, if not all.
    """
    fy, fx = (np.arange(n) / (2 * n * pixel_scale) for n in shape)
    return np.hypot(fy[lines, None], fx)


def transfers(
    shape: tuple[int, int], pixel_scale: float, optics: Optics, lines: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Transfer functions of HMI's PSF and of the target's at an image's modes: (H, W) each.

    pixel_scale : arcsec per pixel of that image. The kernels are those of the training data, but
    on pixels so fine that the sampling does not change them.  lines : of the result, if not all.
    Raises ValueError for a PSF without mirror symmetry, whose transfer function is not real.
    """
    step = optics.hmi_scale / 2 / FINER
    scales = (pixel_scale, pixel_scale)
    return tuple(transfer(shape, scales, kernel, step, lines) for kernel in optics.kernels(step))


def transfer(
    shape: tuple[int, int],
    pixel_scales: tuple[float, float],
    kernel: np.ndarray,
    step: float,
    lines: slice = slice(None),
) -> np.ndarray:
    """Transfer function of a kernel at an image's modes, (H, W).

    pixel_scales : of that image, along a column and along a line.  kernel : (n, n), odd, of sum 1.
    step : between its pixels, in the same unit.  lines : of the result, if not all.
    Raises ValueError for a kernel without mirror symmetry, whose transfer function is not real.
    """
    if not all(np.allclose(kernel, np.flip(kernel, axis), atol=1e-12) for axis in (0, 1)):
        raise ValueError("transfers: the PSF must be symmetric under reversal of either axis")
    at = step * (np.arange(len(kernel)) - len(kernel) // 2)
    rows, columns = (
        np.cos(np.pi / (n * side) * np.arange(n)[:, None] * at)
        for n, side in zip(shape, pixel_scales, strict=True)
    )
    return rows[lines] @ kernel @ columns.T
