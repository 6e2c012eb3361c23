"""Frames of a simulation on disk, read one at a time: .npy and FITS, images and cubes (t, h, w)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..observation.first_image import angular_scale, check_file, first_image

DEFAULT_SCALE = 0.0662  # arcsec per pixel: 48 km at 1 au, the published weights' simulations


@dataclass(frozen=True)
class FrameFile:
    """`count` frames of shape (h, w) in one file; pixel_scale in arcsec, equal along both axes."""

    path: Path
    count: int
    shape: tuple[int, int]
    pixel_scale: float

    def read(self, index: int) -> np.ndarray:
        """Frame `index`, from 0, as float64 (h, w) in the file's unit. Reads only this frame.

        Raises ValueError if it has NaN or infinity.
        """
        if self.path.suffix == ".npy":
            array = np.lib.format.open_memmap(self.path, mode="r")
            frame = np.array(array if array.ndim == 2 else array[index], np.float64)
        else:
            with first_image("frames", self.path) as hdu:
                at = np.s_[:, :] if len(hdu.shape) == 2 else np.s_[index, :, :]
                frame = np.array(hdu.section[at], np.float64)
        if not np.isfinite(frame).all():
            raise ValueError(
                f"frames: values must be finite, got NaN or infinity in frame {index} "
                f"of {self.path}"
            )
        return frame


def open_frames(path: str | Path, pixel_scale: float | None = None) -> FrameFile:
    """The frames of a file; only its header is read.

    pixel_scale : arcsec; None takes it from a FITS header, or DEFAULT_SCALE without one.
    Raises OSError if the file is missing or damaged; ValueError if it has no real numbers of
    shape (h, w) or (t, h, w), or if the scale is invalid.
    """
    path = Path(path)
    check_file("frames", path)
    header = None
    if path.suffix == ".npy":
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # NumPy raises many kinds for a damaged file
            raise OSError(f"frames: needs a whole .npy array, got {path} ({error})") from None
        shape, kind = array.shape, array.dtype.kind
    else:
        with first_image("frames", path) as hdu:
            shape, kind, header = hdu.shape, "f", hdu.header.copy()
    if kind not in "fiu":
        raise ValueError(f"frames: needs real numbers, got dtype={array.dtype} in {path}")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(
            f"frames: needs an image (h, w) or a cube (t, h, w), got {shape} in {path}"
        )
    if pixel_scale is None and header is not None:
        pixel_scale = angular_scale("frames", header, path, "pixel_scale")
    if pixel_scale is None:
        pixel_scale = DEFAULT_SCALE
    if not (np.isfinite(pixel_scale) and pixel_scale > 0):
        raise ValueError(f"frames: the pixel scale must be positive, got {pixel_scale} for {path}")
    return FrameFile(path, 1 if len(shape) == 2 else shape[0], tuple(shape[-2:]), pixel_scale)
