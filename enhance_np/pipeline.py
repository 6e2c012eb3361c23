"""The main job: from a FITS file to an enhanced FITS file."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import __version__, engine, fits, models, normalise
from ._atomic import replacing
from .engine.predict import enhance
from .observation import gauss, image_type, remark, require_hmi
from .weights import load

log = logging.getLogger(__name__)


class Result(NamedTuple):
    input: np.ndarray  # (H, W) float32, in the file's units
    output: np.ndarray  # (2H, 2W) float32, the same units
    type: str  # "intensity" or "blos"
    norm: float  # what the input was divided by


def enhance_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    type: str | None = None,
    model: str = "default",
    weights: str | os.PathLike | None = None,
    activation: str | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    ext: int | str | None = None,
    overwrite: bool = False,
    plot: str | os.PathLike | None = None,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Read the FITS image `source`, enhance it, write `target` (float32, units as in).

    type : "intensity" or "blos"; None reads it from the file (`observation.image_type`).
    weights : a file; None takes those that ship for the type and `model` (default, small):
    they are for HMI alone.
    activation : of weights that do not say, see weights.load.
    norm, device, tile : as in engine.predict.predict.  ext : HDU to read.
    plot : PNG to draw beside it.  progress : called with (input pixels done, in all).
    Each file appears whole or not at all, the plot only with the output, and existing ones only
    go with `overwrite`.

    Raises ValueError for what the input does not hold, OSError for files that cannot be read
    or written, RuntimeError for a device that is not there. Every output is checked before
    the work begins.
    """
    check_outputs(target, plot, overwrite, source)
    frame = fits.read(source, ext)
    type = image_type(frame, type)
    if weights is None:
        require_hmi(frame)
    remark(frame, type)
    path = models.path(type, model) if weights is None else Path(weights)
    loaded = load(path, activation)
    chosen = engine.select(device)
    value = normalise.norm_value(frame.data, norm, type)
    if type == "blos":
        value /= gauss(frame.unit)
    header = fits.enhanced_header(
        frame.header,
        version=__version__,
        model=f"{loaded.config.depth} blocks, {loaded.config.filters} filters",
        weights=hashlib.sha256(path.read_bytes()).hexdigest(),
        type=type,
        norm=value,
    )
    output = enhance(frame.data, type, loaded, value, chosen, tile, progress)
    write(frame, output, header, target, plot, type, overwrite)
    log.info(
        "%s: %s, %d x %d -> %d x %d, divided by %.6g%s, on the %s",
        os.fspath(target),
        type,
        *frame.data.shape,
        *output.shape,
        value,
        f" {frame.unit}" if frame.unit else "",
        chosen.name.upper(),
    )
    return Result(frame.data, output, type, value)


def check_outputs(
    target: str | os.PathLike,
    plot: str | os.PathLike | None,
    overwrite: bool,
    source: str | os.PathLike,
) -> None:
    """Raise what `write` would find too late: OSError, or ImportError without matplotlib."""
    fits.check_output(target, overwrite, source)
    if plot is not None:
        from .plot import require_matplotlib

        require_matplotlib()
        fits.check_output(plot, overwrite, source)
        if os.path.realpath(plot) == os.path.realpath(target):
            raise OSError(
                f"check_outputs: the plot must not be the output, got {os.fspath(plot)!r}"
            )


def write(
    frame: fits.Frame,
    output: np.ndarray,
    header,
    target: str | os.PathLike,
    plot: str | os.PathLike | None,
    type: str,
    overwrite: bool,
) -> None:
    """The FITS file and, if asked for, its picture beside the input: both or neither."""
    if plot is None:
        fits.write(target, output, header, overwrite)
        return
    from .plot import side_by_side

    png = side_by_side(frame.data, output, type, units=frame.unit, header=frame.header)
    with replacing(plot) as temporary:
        temporary.write_bytes(png)
        fits.write(target, output, header, overwrite)
