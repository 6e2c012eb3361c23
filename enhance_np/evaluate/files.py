"""Evaluates and compares FITS files."""

import json
import logging
import os

import numpy as np

from .. import baselines
from .._atomic import write_all
from .._errors import avoidable
from ..baselines import linear
from ..observation import fits, normalise
from ..observation.disc import mu
from ..observation.kind import common_type, detect_type, in_gauss
from ..observation.pixels import pixel_area, pixel_scales
from ..observation.telescope import foreign_instrument
from ..optics.degrade import HMI, SAME_PIXELS, Optics, on_pixels
from ..prediction.file import OPTICS_CARDS, image_norm
from ..prediction.steps import without_fill
from . import table
from .compare import compared
from .quantities import averaged
from .report import Scene, report

log = logging.getLogger(__name__)

Path = str | os.PathLike
# pixels of each image along one pixel of the input; the first that is given tells their size
PIXELS_ALONG = {"input": 1, "truth": 2, "output": 2}
SAME_UNIT = 1.2  # largest ratio of the quiet-Sun levels of two files in one unit


def evaluate_files(
    out: Path,
    *,
    truth: Path | None = None,
    input: Path | None = None,
    companion: Path | None = None,
    type: str | None = None,
    norm: str | float = "quiet-sun",
    box: tuple[int, int, int, int] | None = None,
    with_baselines: bool = False,
    linear_filter: Path | None = None,
    optics: Optics | None = None,
    plot: Path | None = None,
    json_file: Path | None = None,
    overwrite: bool = False,
) -> str:
    """The table of `table.text` for the image `out`, against the truth, the input, or both.

    out, truth : FITS, (2H, 2W).  input : FITS, (H, W), from which `out` was made.
    companion : image of the same region and the other type, on either grid, for the classes.
    type : None detects it from the files.
    norm : intensity that counts as 1, of the input or else the truth; for a field, of the
        companion (`normalise.norm_value`). It is the level at disc centre if the header gives the
        place on the disc.
    box : y0, y1, x0, x1 in input pixels, in which to measure the granulation contrast; None is
        all quiet pixels.
    with_baselines : also score the outputs of other methods.
    linear_filter : file of `linear.LinearFilter.save`, to score as well.
    optics : None takes those of the weights, which the header of `out` stores, else HMI's. The
        pixel scale is that of the header of the input, else of the truth, else of `out`.
    plot, json_file : files to write as well, both or neither, whole or not at all.
    Raises ValueError for files that do not fit together, OSError for files that cannot be read or
    written. Output paths are checked before any work.
    """
    given = {"output": out, "truth": truth, "input": input, "companion": companion}
    given = {name: path for name, path in given.items() if path is not None}
    if truth is None and input is None:
        message = "evaluate: needs the truth or the input, got neither"
        raise avoidable(ValueError(message), "truth", "input")
    if (with_baselines or linear_filter) and input is None:
        raise avoidable(ValueError("evaluate: baselines need the input, got none"), "input")
    _check_written(plot, json_file, given.values(), overwrite, "evaluate")
    filter = None if linear_filter is None else linear.load(linear_filter)
    frames = {name: in_gauss(fits.read(path)) for name, path in given.items()}
    type = common_type([frames[name] for name in frames if name != "companion"], type, "evaluate")
    frames = {
        name: frame if name == "companion" else without_fill(frame, type)
        for name, frame in frames.items()
    }
    optics = _optics(frames, optics)
    scene, image = _scene(frames, type, norm, box, optics)
    outputs = {"output": image}
    if with_baselines or filter is not None:
        filled, gaps = normalise.fill(scene.input)
        unit = normalise.GAUSS_PER_KILOGAUSS if type == "blos" else 1.0
        for name, other in baselines.outputs(filled / unit, type, filter, optics):
            if with_baselines or name == "linear":
                outputs[name] = normalise.restore(unit * other, gaps)
    found = report(outputs, scene, optics)
    made = []
    if plot is not None:
        from . import figures

        made.append((plot, figures.page(outputs, scene, optics, _input_header(frames))))
    if json_file is not None:
        text = json.dumps({"file": os.fspath(out)} | found, indent=1, allow_nan=False)
        made.append((json_file, text.encode() + b"\n"))
    write_all(made)
    return table.text(found)


def compare_files(
    out: Path,
    other: Path,
    *,
    exts: tuple[int | str | None, int | str | None] = (None, None),
    plot: Path | None = None,
    json_file: Path | None = None,
    overwrite: bool = False,
    **how,
) -> str:
    """The table of `compare.compare` for two FITS files.

    exts : HDU of each to read; None is the first with an image.
    plot, json_file : files to write as well, both or neither, whole or not at all.
    how : see `compare.compared`.
    Raises as `compare.compare`, OSError for files that cannot be read or written. Output paths are
    checked before any work.
    """
    _check_written(plot, json_file, (out, other), overwrite, "compare")
    frames = [fits.read(path, ext) for path, ext in zip((out, other), exts, strict=True)]
    found = compared(frames, **how)
    made = []
    if plot is not None:
        made.append((plot, found.picture()))
    if json_file is not None:
        text = json.dumps(found.report, indent=1, allow_nan=False)
        made.append((json_file, text.encode() + b"\n"))
    write_all(made)
    return str(found)


def _optics(frames, given):
    """Optics of the telescope that took the input, with its pixel scale."""
    stored = {
        name: frames["output"].header[key]
        for name, (key, _) in OPTICS_CARDS.items()
        if key in frames["output"].header
    }
    optics = given or Optics.stored(stored) or HMI
    foreign = foreign_instrument(frames["output"].header)
    if given is None and not stored and foreign is not None:
        log.warning(
            "%s is not from HMI (%s) and does not store the optics of its weights: HMI's are used",
            frames["output"].path,
            foreign,
            extra={"parameters": ("optics",)},
        )
    found = {
        name: on_pixels(optics, frames[name].header, factor)
        for name, factor in PIXELS_ALONG.items()
        if name in frames and pixel_scales(frames[name].header)
    }
    if not found:
        return optics
    scales = {name: one.hmi_scale for name, one in found.items()}
    if max(scales.values()) > (1 + SAME_PIXELS) * min(scales.values()):
        told = ", ".join(f"{scale:.3g} of the {name}" for name, scale in scales.items())
        log.warning(
            "the headers must agree on the size of the input's pixels, got %s arcsec: that of the "
            "%s is used",
            told,
            next(iter(scales)),
        )
    chosen = next(iter(found.values()))
    if chosen != optics:
        log.warning(
            "the header gives pixels of %.3g arcsec, but the PSF is for pixels of %.3g",
            chosen.hmi_scale,
            optics.hmi_scale,
        )
    return chosen


def _scene(frames, type, norm, box, optics):
    """(Scene, output) in Ic or G."""
    reference = frames.get("input", frames.get("truth"))
    unit = 1.0 if type == "blos" else image_norm(reference, type, norm).level
    if type == "intensity":
        _check_unit([frames[name] for name in ("output", "truth", "input") if name in frames])
    images = {name: frame.data / np.float32(unit) for name, frame in frames.items()}
    out = images["output"]
    low = tuple(n // 2 for n in out.shape)
    if (image := images.get("companion")) is not None:
        other = "blos" if type == "intensity" else "intensity"
        found = detect_type(frames["companion"])
        if found == type:
            raise ValueError(f"evaluate: the companion must be of type {other}, got {found}")
        image = frames["companion"].data
        image = averaged(image) if image.shape == out.shape else image
        images["companion"] = (
            image if other == "blos" else image / normalise.norm_value(image, norm, other).level
        )
    angle = mu(reference.header, reference.data.shape)
    if angle is not None and "input" not in frames:
        angle = averaged(angle)
    if angle is not None and angle.shape != low:
        angle = None  # `report` raises an error for the wrong shape
    scene = Scene(type, images.get("input"), images.get("truth"), images.get("companion"))
    return scene._replace(mu=angle, box=box, pixel_area=_input_area(frames)), out


def _input_header(frames):
    """Header of the input's pixels: its own, or from another image."""
    name, factor = next((n, f) for n, f in PIXELS_ALONG.items() if n in frames)
    return fits.rescaled_header(frames[name].header, 1 / factor)


def _input_area(frames) -> float | None:
    """cm^2 of a pixel of the input, from the first header that gives it."""
    for name, factor in PIXELS_ALONG.items():
        if name in frames and (area := pixel_area(frames[name].header)) is not None:
            return area * factor**2
    return None


def _check_unit(frames):
    levels = [normalise.quiet_sun_level(frame.data) for frame in frames]
    if max(levels) > SAME_UNIT * min(levels):
        found = ", ".join(
            f"{level:.4g} in {frame.path!r}" for level, frame in zip(levels, frames, strict=True)
        )
        raise ValueError(f"evaluate: the files must be in one unit, got a quiet Sun of {found}")


def _check_written(plot, json_file, inputs, overwrite, name):
    outputs = [path for path in (plot, json_file) if path is not None]
    for path in outputs:
        for source in inputs:
            fits.check_output(path, overwrite, source)
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise OSError(f"{name}: the plot must not be the JSON file, got {os.fspath(plot)!r}")
    if plot is not None:
        from .._figures import check_plot

        check_plot(plot)
