"""A PSF given as an image with a pixel scale, and its interpolation to the grid of a scene."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._errors import avoidable
from ..observation.first_image import angular_scale, read_image

SPLINE = 5  # order; reproduces the modified PSF on pixels of 0.16 arcsec to 2e-5 of its peak
SETTLED = 1e-7  # pixels; largest distance of the kernel's centroid from its middle
MOST_SHIFTS = 100


class PsfImage(NamedTuple):
    data: np.ndarray  # (h, w), any unit, any sides, not necessarily symmetric
    pixel_scale: float  # arcsec per pixel
    name: str

    def kernel(self, pixel_scale: float, support: float) -> np.ndarray:
        """The PSF on a grid of pixel_scale arcsec, float64 (n, n), of sum 1.

        support : arcsec from the centre to the edge, n = 2 round(support / pixel_scale) + 1; the
            kernel is 0 beyond the image.

        Rows and columns have the directions of the scene's, and a point source becomes the image
        itself, not its mirror image. The centroid of the kernel is its middle pixel, whatever the
        position of the PSF in its image, so that the degraded scene is not displaced against the
        target. The image is interpolated by a spline: its pixels must resolve the PSF, and the
        scene's pixels must be small compared with it.
        Raises ValueError if the support is below one pixel or the kernel has no positive sum.
        """
        from scipy.ndimage import map_coordinates, spline_filter

        reach = round(support / pixel_scale)
        if reach < 1:
            raise ValueError(
                f"psf: support must be one pixel or more, got {support=}, {pixel_scale=}"
            )
        spline = spline_filter(np.asarray(self.data, np.float64), SPLINE)
        u = np.arange(-reach, reach + 1)
        step = pixel_scale / self.pixel_scale
        centre = np.array(np.unravel_index(np.argmax(self.data), self.data.shape), float)
        for _ in range(MOST_SHIFTS):
            at = np.meshgrid(*(c + u * step for c in centre), indexing="ij")
            kernel = map_coordinates(spline, at, order=SPLINE, mode="constant", prefilter=False)
            total = kernel.sum()
            if not total > 0:
                break
            kernel /= total
            off = np.array([u @ kernel.sum(axis=1), u @ kernel.sum(axis=0)])
            if np.abs(off).max() < SETTLED:
                return kernel
            centre += off * step
        raise ValueError(
            f"psf: needs a point spread function with a positive sum and a centroid within "
            f"{support} arcsec of its peak, got {self.name}"
        )


def read_psf(path: str | Path, pixel_scale: float | None = None) -> PsfImage:
    """The PSF in the first image of a FITS file.

    pixel_scale : arcsec per pixel; None takes it from the header (`first_image.angular_scale`).
    Raises OSError if the file is missing or not FITS; ValueError if its first image is not 2-D,
    has NaN, or has no scale.
    """
    data, header = read_image("psf", path)
    if data.ndim != 2 or not np.isfinite(data).all():
        raise ValueError(f"psf: needs a finite 2-D image, got shape={data.shape} in {path}")
    if pixel_scale is None:
        pixel_scale = angular_scale("psf", header, path, "psf_scale")
    if pixel_scale is None:
        message = f"psf: {path} must have CDELT1 and CDELT2, unless its scale is given, got neither"
        raise avoidable(ValueError(message), "psf_scale")
    if not (np.isfinite(pixel_scale) and pixel_scale > 0):
        raise ValueError(f"psf: the pixel scale must be positive, got {pixel_scale} for {path}")
    return PsfImage(data, pixel_scale, str(path))
