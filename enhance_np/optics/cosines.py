"""Images as sums of cosines: the grid of the input, the grid of the output, and filters between.

As in `degrade`, an image is continued as its mirror image at all borders, and the cosine
transform (DCT-II) is the Fourier transform of just that. Pixel i of n has its centre at
(i + 1/2) / n of the side, on any grid: edges are aligned by themselves. So mode k of n pixels is
mode k of 2n pixels, and doubling the sampling, or halving it, only lengthens, or folds, the
array of modes. `degrade` evaluates the same cosines at any place, at the price of full matrices.

All arrays are float64; a full disk at double resolution takes 0.5 GB each.
"""

import os

import numpy as np
from scipy.fft import dctn, idctn

from .degrade import Optics

WORKERS = os.cpu_count()  # every transform is one thread's: the bits do not depend on it
FINER = 4  # the kernels' pixels per output pixel: their own spectra must not be folded


def to_modes(image: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """(H, W) -> (H, W), orthonormal. Raises ValueError for NaN: see `normalise.fill`.

    overwrite : the memory of the image, if it is float64, becomes that of the modes.
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
    # an orthonormal mode is sqrt(2) lower on twice the pixels along either axis
    out[:h, :w] = 2 * modes
    return out


def halved(modes: np.ndarray) -> np.ndarray:
    """Modes (2H, 2W) -> (H, W) of the continuous image's values at the centres of large pixels.

    At the centres of n large pixels, cos(pi (2n - k) (i + 1/2) / n) is -cos(pi k (i + 1/2) / n):
    what the large pixels cannot resolve is folded, as in any sampling. Nothing is averaged.
    In place: the result lies in the memory of `modes`, which is changed.
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
    """Spatial frequency of every mode, (H, W), cycles per unit of pixel_scale; or some lines."""
    fy, fx = (np.arange(n) / (2 * n * pixel_scale) for n in shape)
    return np.hypot(fy[lines, None], fx)


def transfers(
    shape: tuple[int, int], pixel_scale: float, optics: Optics, lines: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Of HMI's PSF and of the target's, at the frequencies of an image's modes: (H, W) each.

    pixel_scale : arcsec per pixel of that image. The kernels are those of the training data,
    but on pixels so fine that no sampling changes them.  lines : of the result, if not all.
    Raises ValueError for a PSF without mirror symmetry, whose transfer is not real.
    """
    scale = optics.hmi_scale / 2 / FINER
    found = []
    for kernel in optics.kernels(scale):
        if not all(np.allclose(kernel, np.flip(kernel, axis), atol=1e-12) for axis in (0, 1)):
            raise ValueError("transfers: the PSF must be symmetric under reversal of either axis")
        at = scale * (np.arange(len(kernel)) - len(kernel) // 2)
        rows, columns = (
            np.cos(np.pi / (n * pixel_scale) * np.arange(n)[:, None] * at) for n in shape
        )
        found.append(rows[lines] @ kernel @ columns.T)
    return tuple(found)
