"""The main job: from a FITS file to an enhanced FITS file."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import __version__, disc, engine, fits, models, normalise
from ._atomic import replacing
from .engine.predict import enhance
from .quiet_sun import usual_level
from .weights import load

log = logging.getLogger(__name__)


class Result(NamedTuple):
    input: np.ndarray  # (H, W) float32, in the file's units
    output: np.ndarray  # (2H, 2W) float32, the same units
    type: str  # "intensity" or "blos"
    norm: float  # what the input was divided by
    limb: float  # strength of the limb darkening that it was divided by too; 0 is none


def enhance_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    type: str | None = None,
    model: str = "default",
    weights: str | os.PathLike | None = None,
    activation: str | None = None,
    norm: str | float = "quiet-sun",
    norm_from: str | os.PathLike | None = None,
    device: str = "auto",
    ext: int | str | None = None,
    overwrite: bool = False,
    plot: str | os.PathLike | None = None,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Result:
    """Read the FITS image `source`, enhance it, write `target` (float32, units as in).

    type : "intensity" or "blos"; None reads it from the file.
    weights : a file; None takes those that ship for the type and `model` (default, small).
    activation : of weights that do not say, see weights.load.
    norm, norm_from : see `image_norm`.  device, tile : as in engine.predict.predict.
    ext : HDU to read.
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
    divisor = image_norm(frame, type, norm, norm_from)
    header = fits.enhanced_header(
        frame.header,
        version=__version__,
        model=f"{loaded.config.depth} blocks, {loaded.config.filters} filters",
        weights=hashlib.sha256(path.read_bytes()).hexdigest(),
        type=type,
        norm=divisor.level,
        limb=divisor.strength,
    )
    output = enhance(frame.data, type, loaded, divisor, chosen, tile, progress)
    write(frame, output, header, target, plot, type, overwrite)
    log.info(
        "%s: %s, %d x %d -> %d x %d, divided by %.6g%s%s, on the %s",
        os.fspath(target),
        type,
        *frame.data.shape,
        *output.shape,
        divisor.level,
        f" {frame.unit}" if frame.unit else "",
        f" and limb darkening (strength {divisor.strength:.3f})" if divisor.strength else "",
        chosen.name.upper(),
    )
    return Result(frame.data, output, type, divisor.level, divisor.strength)


def image_norm(
    frame: fits.Frame,
    type: str,
    norm: str | float = "quiet-sun",
    norm_from: str | os.PathLike | None = None,
) -> normalise.Norm:
    """What an image is divided by: its own `normalise.norm_value`, or that of another file.

    norm_from : FITS, of the same series and time and better with quiet Sun: a full disk for a
        cut-out. The level and the strength of limb darkening are its, the place on the disc is
        of the pixels of `frame`.
    Raises ValueError unless norm_from comes with intensities in one unit and norm "quiet-sun".
    """
    if norm_from is None:
        return _norm(frame, type, norm)
    if norm != "quiet-sun" or type != "intensity":
        raise ValueError(
            "image_norm: --norm-from is for the quiet-sun level of an intensity, "
            f"got norm={norm!r}, type={type!r}"
        )
    other = fits.read(norm_from)
    image_type(other, type)
    found = _norm(other, type, norm)
    # an umbra at the limb has 0.05 of the level of disc centre, a facula 1.3
    brightest = float(np.nanpercentile(frame.data, 99)) / found.level
    if not 0.03 < brightest < 2 or len({f.unit.lower() for f in (frame, other) if f.unit}) > 1:
        raise ValueError(
            f"image_norm: --norm-from must be in the unit of the input, got a level of "
            f"{found.level:.4g} {other.unit} in {other.path!r}, and {brightest:.3g} of it"
            f"{' in ' + frame.unit if frame.unit else ''} in {frame.path!r}"
        )
    mu = disc.locate(frame.header)
    if found.strength and mu is None:
        log.warning(
            "%s does not tell where on the disc it is: divided by the level of disc centre",
            frame.path,
        )
        return normalise.Norm(found.level)
    return found._replace(mu=mu)


def _norm(frame, type, norm):
    usual = usual_level(frame.unit, frame.year)
    return normalise.norm_value(frame.data, norm, type, disc.locate(frame.header), usual)


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
