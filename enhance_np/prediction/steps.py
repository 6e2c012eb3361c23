"""The way of a file through `predict` and `deconvolve`: read, compute, write.

The steps are apart, so that an archive can be read and written while another image is computed.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._atomic import replacing
from ..config import TYPES
from ..observation import disc, fits, missing, record
from ..observation.kind import image_type
from ..weights import digest

log = logging.getLogger(__name__)

Path = str | os.PathLike
Progress = Callable[[int, int], None]  # called with (done, total)


class Image(NamedTuple):
    """An input file."""

    frame: fits.Frame
    type: str  # "intensity" or "blos"
    sha256: str  # of the file


class Result(NamedTuple):
    """An output, and what is recorded of it."""

    image: Image
    output: np.ndarray  # (2H, 2W) float32, in the units of the image
    header: Any  # astropy.io.fits.Header
    summary: str  # for the log
    norm: float = 1.0  # level that the input was divided by
    limb: float = 0.0  # strength of the limb darkening that was also divided out; 0 is none
    weights: str | None = None  # sha256 of the weights file
    extensions: Sequence[fits.Extension] = ()

    @property
    def input(self) -> np.ndarray:
        """(H, W) float32, NaN where missing."""
        return self.image.frame.data

    @property
    def type(self) -> str:
        return self.image.type

    def figures(self) -> dict[str, str | int | float | list | None]:
        """What a manifest tells of it, ready for JSON."""
        return {
            "type": self.type,
            "unit": self.image.frame.unit,
            "pixels": list(self.output.shape),
            "missing": int(np.count_nonzero(np.isnan(self.input))),
            "norm": float(self.norm),
            "limb": float(self.limb),
            "weights": self.weights,
        }


@dataclass(frozen=True)
class Work:
    """What a command does to each of its files, in three steps.

    compute : (image, progress) -> Result.
    options : those that decide the result, by name; they are recorded.
    type : of the images; None detects it from each file.
    ext : HDU to read; None is the first with an image.
    weights : type -> sha256 of the weights for it; None if there are none.
    """

    compute: Callable[[Image, Progress], Result]
    options: dict[str, str | int | float | bool]
    type: str | None = None
    ext: int | str | None = None
    weights: Callable[[str], str | None] = lambda type: None

    def would_make(self, output: Path) -> bool:
        """Whether an existing output was made by the same options and weights.

        True if its header does not tell. The input is not compared: it would have to be read.
        """
        made = record.made(output)
        if not made.options:
            return True
        known = made.weights and made.type in TYPES
        weights = self.weights(made.type) if known else None
        same = weights is None or weights.startswith(made.weights)
        return same and made.options == record.said(self.options)

    def read(self, source: Path) -> Image:
        """Raises as fits.read and image_type."""
        return Image(*read(source, self.ext, self.type), digest(source))

    def write(
        self, result: Result, target: Path, plot: Path | None = None, overwrite: bool = False
    ) -> None:
        """Write the FITS file and, if wanted, the picture of input and output: both or neither."""
        if plot is None:
            fits.write(target, result.output, result.header, overwrite, result.extensions)
        else:
            _write_both(result, target, plot, overwrite)
        log.info("%s: %s", os.fspath(target), result.summary)

    def __call__(
        self,
        source: Path,
        target: Path,
        *,
        overwrite: bool = False,
        plot: Path | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Result:
        """All steps for one file, after the outputs have been checked."""
        check_outputs(target, plot, overwrite, source)
        result = self.compute(self.read(source), progress)
        self.write(result, target, plot, overwrite)
        return result


def read(
    path: Path, ext: int | str | None = None, type: str | None = None
) -> tuple[fits.Frame, str]:
    """(frame, type): the image with NaN for each fill value, and its type.

    Raises as fits.read and image_type.
    """
    frame = fits.read(path, ext)
    type = image_type(frame, type)
    return without_fill(frame, type), type


def without_fill(frame: fits.Frame, type: str) -> fits.Frame:
    """`missing.without_fill` of a frame. Raises ValueError if no valid pixel is left."""
    data = missing.without_fill(frame.data, type, disc.locate(frame.header), frame.path)
    if not np.isfinite(data).any():
        raise ValueError(
            f"read: needs one valid pixel or more, got only fill values in {frame.path!r}"
        )
    return frame._replace(data=data)


def check_outputs(target: Path, plot: Path | None, overwrite: bool, source: Path) -> None:
    """Checks the outputs before the work, because `Work.write` would fail only after it.

    Raises ValueError for a name that is not a FITS file's, or not a PNG's, OSError for a path that
    cannot be written, ImportError if a plot is wanted and matplotlib is missing.
    """
    fits.check_name(target)
    fits.check_output(target, overwrite, source)
    if plot is not None:
        from .._figures import check_plot

        fits.check_output(plot, overwrite, source)
        if os.path.realpath(plot) == os.path.realpath(target):
            raise OSError(
                f"check_outputs: the plot must not be the output, got {os.fspath(plot)!r}"
            )
        check_plot(plot)


def _write_both(result: Result, target: Path, plot: Path, overwrite: bool) -> None:
    from .picture import caption, side_by_side

    frame = result.image.frame
    extras = {extension.name.lower(): extension.data for extension in result.extensions}
    png = side_by_side(
        frame.data,
        result.output,
        result.type,
        units=frame.unit,
        header=frame.header,
        title=caption(frame, str(result.header["ENHMODEL"])),
        **extras,
    )
    fits.check_output(target, overwrite)
    # the picture is renamed first: once the FITS file exists, everything is done
    with replacing(target) as image, replacing(plot) as picture:
        picture.write_bytes(png)
        fits.write(image, result.output, result.header, extensions=result.extensions)
