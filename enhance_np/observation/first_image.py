"""The first image of any FITS file, and its scale: scenes and PSFs, not observations."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import damage


def read_image(function: str, path: str | Path):
    """(data, header) of the first image of a FITS file, float64. Errors begin with `function`.

    Raises OSError if the file is missing or damaged, ValueError if it has no image.
    """
    path = Path(path)
    check_file(function, path)
    with first_image(function, path) as hdu:
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
