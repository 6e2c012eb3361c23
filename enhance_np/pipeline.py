"""The main job: from a FITS file to an enhanced FITS file."""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import __version__, engine, fits, models, normalise
from ._atomic import replacing
from .engine.ensemble import ORIENTATIONS
from .engine.predict import enhance
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
    ensemble: bool = False,
    confidence: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Read the FITS image `source`, enhance it, write `target` (float32, units as in).

    type : "intensity" or "blos"; None reads it from the file.
    weights : a file; None takes those that ship for the type and `model` (default, small).
    activation : of weights that do not say, see weights.load.
    norm, device, tile : as in engine.predict.predict.  ext : HDU to read.
    ensemble : write the mean over the eight rotations and reflections of the image, in 8 times
    the time.  confidence : the same, and two more HDUs, in the image's units: SPREAD, the standard
    deviation over the eight, and on the input's pixels RESIDUAL, `reblur.residual_map`.
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
    fits.warn_of_scale(frame)
    path = models.path(type, model) if weights is None else Path(weights)
    loaded = load(path, activation)
    chosen = engine.select(device)
    value = normalise.norm_value(frame.data, norm, type)
    header = fits.enhanced_header(
        frame.header,
        version=__version__,
        model=f"{loaded.config.depth} blocks, {loaded.config.filters} filters",
        weights=hashlib.sha256(path.read_bytes()).hexdigest(),
        type=type,
        norm=value,
    )
    ensemble = ensemble or confidence
    output, spread = enhance(frame.data, type, loaded, value, chosen, tile, progress, ensemble)
    averaged = ORIENTATIONS if ensemble else 1
    header["ENHMEAN"] = (averaged, "orientations of the input, averaged over")
    extensions = _confidence(frame, output, spread, header) if confidence else ()
    write(frame, output, header, target, plot, type, overwrite, extensions)
    log.info(
        "%s: %s, %d x %d -> %d x %d, divided by %.6g%s%s, on the %s",
        os.fspath(target),
        type,
        *frame.data.shape,
        *output.shape,
        value,
        f" {frame.unit}" if frame.unit else "",
        f", mean of {averaged} orientations" if ensemble else "",
        chosen.name.upper(),
    )
    return Result(frame.data, output, type, value)


def _confidence(frame, output, spread, header) -> tuple[fits.Extension, ...]:
    """SPREAD, on the grid of the output, whose header is given, and RESIDUAL on the input's."""
    from .evaluate.reblur import residual_map

    of_spread, of_residual = header.copy(), fits.without_storage(frame.header)
    of_spread["CONTENT"] = "SPREAD OVER ORIENTATIONS"
    of_residual["CONTENT"] = "RESIDUAL OF THE RE-BLURRED OUTPUT"
    return (
        fits.Extension("SPREAD", spread, of_spread),
        fits.Extension("RESIDUAL", residual_map(output, frame.data), of_residual),
    )


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
    extensions: Sequence[fits.Extension] = (),
) -> None:
    """The FITS file and, if asked for, its picture beside the input: both or neither."""
    if plot is None:
        fits.write(target, output, header, overwrite, extensions)
        return
    from .plot import side_by_side

    png = side_by_side(frame.data, output, type, units=frame.unit, header=frame.header)
    with replacing(plot) as temporary:
        temporary.write_bytes(png)
        fits.write(target, output, header, overwrite, extensions)


def image_type(frame: fits.Frame, asked: str | None) -> str:
    """What was asked for, or what the file tells; ValueError if neither is, or they differ."""
    found = fits.detect_type(frame)
    if asked is None and found is None:
        raise ValueError(
            f"image_type: the file must tell its type without contradiction, or --type intensity "
            f"or blos be given, got neither for {frame.path!r}"
        )
    if asked is not None and found is not None and asked != found:
        raise ValueError(
            f"image_type: --type must be what the file holds, got {asked} for {frame.path!r}, "
            f"which looks like {found}"
        )
    return asked or found
