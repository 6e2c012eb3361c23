"""The first image of any FITS file, and its scale: scenes and PSFs, not observations."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .._errors import avoidable
from . import damage
from .header import ANGLES
from .pixels import pixel_sides


def read_image(function: str, path: str | Path):
    """(data, header) of the first image of a FITS file, float64. Errors begin with `function`.

    Raises OSError if the file is missing or damaged, ValueError if it has no image.
    """
    path = Path(path)
    check_file(function, path)
    with first_image(function, path) as hdu:
        return np.array(hdu.data, np.float64), hdu.header.copy()


def angular_scale(function: str, header, path, parameter: str) -> float | None:
    """arcsec per pixel, from the steps of `pixels.pixel_matrix`; None if the header has none.

    CUNIT may be any angle; a scene or a PSF without CUNIT and without a celestial CTYPE is in
    arcsec, which most such headers mean.
    parameter : the name of the caller's that sets the scale instead, see `_errors.avoidable`.
    Raises ValueError for another unit, pixels that are not square, or values that are not numbers.
    """
    keys = [(f"CD{j}_{j}", f"CD{3 - j}_{j}", f"CDELT{j}") for j in (1, 2)]
    if not all(any(key in header for key in axis) for axis in keys):
        return None
    scales = pixel_sides(header, unnamed=ANGLES["arcsec"])
    for axis, scale in enumerate(scales, 1):
        if scale is None:
            key = next(key for key in keys[axis - 1] if key in header)
            unit = header.get(f"CUNIT{axis}", "")
            message = (
                f"{function}: {key} must be arcsec or degrees per pixel, unless the scale is "
                f"given, got {header.get(key)} {unit} in {path}"
            )
            raise avoidable(ValueError(message), parameter)
    if abs(scales[0] - scales[1]) > 1e-3 * scales[0]:
        message = (
            f"{function}: pixels must be square, unless the scale is given, "
            f"got {scales[0]} and {scales[1]} arcsec in {path}"
        )
        raise avoidable(ValueError(message), parameter)
    return scales[0]


def check_file(function, path):
    if not path.exists():
        raise FileNotFoundError(f"{function}: the file must exist, got {path}")
    if not path.is_file():
        raise OSError(f"{function}: needs a file, got {path}")


@contextmanager
def first_image(function, path):
    """The first HDU with an image; errors of astropy become an OSError that names the file."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # harmless faults, as in `fits.read`
            # no memmap: scaled integers cannot be mapped, and a section reads only itself anyway
            size = damage.check_file(path)
            with fits.open(path, memmap=False) as hdus:
                for hdu in hdus:
                    if hdu.is_image and hdu.shape:
                        damage.check_hdu(hdus, hdu, path, size)
                        yield hdu
                        return
    except Exception as error:  # of many kinds
        message = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{function}: needs a whole FITS file, got {path} ({message})") from None
    raise ValueError(f"{function}: needs a FITS file with an image, got none in {path}")
