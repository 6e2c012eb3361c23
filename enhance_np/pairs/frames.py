"""Frames of a simulation on disk, read one at a time: .npy and FITS, images and cubes (t, h, w)."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
            with _image("frames", self.path) as hdu:
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
    _check_file("frames", path)
    header = None
    if path.suffix == ".npy":
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # NumPy raises many kinds for a damaged file
            raise OSError(f"frames: needs a whole .npy array, got {path} ({error})") from None
        shape, kind = array.shape, array.dtype.kind
    else:
        with _image("frames", path) as hdu:
            shape, kind, header = hdu.shape, "f", hdu.header.copy()
    if kind not in "fiu":
        raise ValueError(f"frames: needs real numbers, got dtype={array.dtype} in {path}")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(
            f"frames: needs an image (h, w) or a cube (t, h, w), got {shape} in {path}"
        )
    if pixel_scale is None and header is not None:
        pixel_scale = angular_scale("frames", header, path, "--pixel-scale")
    if pixel_scale is None:
        pixel_scale = DEFAULT_SCALE
    if not (np.isfinite(pixel_scale) and pixel_scale > 0):
        raise ValueError(f"frames: the pixel scale must be positive, got {pixel_scale} for {path}")
    return FrameFile(path, 1 if len(shape) == 2 else shape[0], tuple(shape[-2:]), pixel_scale)


def read_image(function: str, path: str | Path):
    """(data, header) of the first image of a FITS file, float64. Errors begin with `function`.

    Raises OSError if the file is missing or damaged, ValueError if it has no image.
    """
    path = Path(path)
    _check_file(function, path)
    with _image(function, path) as hdu:
        return np.array(hdu.data, np.float64), hdu.header.copy()


def angular_scale(function: str, header, path, option: str) -> float | None:
    """arcsec per pixel from CDELT1 and CDELT2, else from CDi_j; None if the header has neither.

    CUNITi may be arcsec or deg; if it is missing, arcsec is assumed, which most such headers mean.
    option : name of the option that sets the scale, for the messages.
    Raises ValueError for another unit, pixels that are not square, or values that are not numbers.
    """
    keys = [[f"CDELT{i}"] for i in (1, 2)]
    if not all(key in header for (key,) in keys):
        # a column of the matrix is the step along one axis of pixels
        keys = [[f"CD{i}_{j}" for i in (1, 2)] for j in (1, 2)]
        if not all(column[j] in header for j, column in enumerate(keys)):
            return None
    scales = []
    for i, column in enumerate(keys, 1):
        unit = str(header.get(f"CUNIT{i}") or "arcsec").strip().lower()
        factor = {"arcsec": 1.0, "deg": 3600.0, "degree": 3600.0}.get(unit)
        try:
            scale = float(np.hypot.reduce([float(header.get(key, 0.0)) for key in column]))
        except (TypeError, ValueError):
            scale = np.nan
        if factor is None or not (np.isfinite(scale) and scale > 0):
            raise ValueError(
                f"{function}: {column[0]} must be arcsec or degrees per pixel (or pass {option}), "
                f"got {header.get(column[0])} {unit} in {path}"
            )
        scales.append(scale * factor)
    if abs(scales[0] - scales[1]) > 1e-3 * scales[0]:
        raise ValueError(
            f"{function}: pixels must be square (or pass {option}), "
            f"got {scales[0]} and {scales[1]} arcsec in {path}"
        )
    return scales[0]


def _check_file(function, path):
    if not path.exists():
        raise FileNotFoundError(f"{function}: the file must exist, got {path}")
    if not path.is_file():
        raise OSError(f"{function}: needs a file, got {path}")


@contextmanager
def _image(function, path):
    """The first HDU with an image; errors of astropy become an OSError that names the file."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # harmless faults, as in `fits.read`
            # no memmap: scaled integers cannot be mapped, and a section reads only itself anyway
            with fits.open(path, memmap=False) as hdus:
                for hdu in hdus:
                    if hdu.is_image and hdu.shape:
                        yield hdu
                        return
    except Exception as error:  # of many kinds
        raise OSError(f"{function}: needs a whole FITS file, got {path} ({error})") from None
    raise ValueError(f"{function}: needs a FITS file with an image, got none in {path}")
