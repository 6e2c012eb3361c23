"""Richardson-Lucy on files, and on whatever holds an image: `observation.holders`."""

import logging

import numpy as np

from .. import __version__
from ..baselines import richardson_lucy
from ..baselines.richardson_lucy import ITERATIONS, check_iterations
from ..observation import fits, normalise, record
from ..observation.holders import Made, carried, has_header
from ..observation.kind import image_type
from ..observation.remarks import remark
from ..observation.telescope import foreign_instrument
from ..optics.degrade import HMI, Optics, check_optics, on_pixels
from .steps import Image, Progress, Result, Work, without_fill

log = logging.getLogger(__name__)


def deconvolve(
    x,
    type: str | None = None,
    *,
    iterations: int = ITERATIONS,
    damping: bool = False,
    as_target: bool = False,
    optics: Optics | None = None,
):
    """Deconvolve an image by Richardson-Lucy and double its sampling; of the same kind as x.

    x, type : as in `image.enhance`; a dask array is computed now.
    iterations, damping, as_target : see `richardson_lucy.deconvolve`.
    optics : of the telescope; None is HMI's. The pixel scale is that of the header, if it has one.

    Returns (2H, 2W) float32 in the units of x, NaN where pixels are missing. Input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises TypeError for another kind of x; ValueError for an invalid argument, or if neither the
    header nor the values give the type.
    """
    check_iterations(iterations)
    if optics is not None:
        check_optics(optics, "deconvolve")

    def one(frame, type):
        type = image_type(frame, type)
        frame = without_fill(frame, type)
        output, header, _ = _deconvolved(frame, type, iterations, damping, as_target, optics)
        return type, (Made(output, header, 2),)

    return carried(x, one, "deconvolve", type)[0]


def deconvolver(
    *,
    type: str | None = None,
    iterations: int = ITERATIONS,
    damping: bool = False,
    as_target: bool = False,
    optics: Optics | None = None,
    ext: int | str | None = None,
) -> Work:
    """`deconvolve` on FITS files, with a header as of predict.

    Other arguments and errors as in `prediction.file.enhancer`.
    """
    check_iterations(iterations)
    given = {
        "type": type,
        "iterations": iterations,
        "damping": damping or None,
        "as-target": as_target or None,
        "ext": ext,
        **(optics.attributes() if optics else {}),
    }
    options = {name: value for name, value in given.items() if value is not None}

    def compute(image: Image, progress: Progress) -> Result:
        frame, its_type, _ = image
        output, header, model = _deconvolved(
            frame, its_type, iterations, damping, as_target, optics, progress
        )
        record.add_history(header, frame.path, image.sha256, options)
        return Result(image, output, header, f"{its_type}, {model}")

    return Work(compute, options, type, ext)


def _deconvolved(
    frame: fits.Frame,
    type: str,
    iterations: int,
    damping: bool,
    as_target: bool,
    optics: Optics | None,
    progress: Progress = lambda done, total: None,
):
    """(output, its header, description of the method).

    Missing pixels are filled for the deconvolution and are missing again in the output.
    """
    foreign = foreign_instrument(frame.header)
    if foreign is not None and optics is None:
        log.warning(
            "%s is not from HMI (%s), but HMI's PSF is used",
            frame.path,
            foreign,
            extra={"parameters": ("optics",)},
        )
    used = optics or HMI
    remark(frame, type, "the PSF is on", used.hmi_scale)
    its_optics = on_pixels(used, frame.header)
    model = f"Richardson-Lucy, {iterations} iterations" + (", damped" if damping else "")
    model += f", {its_optics.target_aperture:g} m aperture" if as_target else ""
    header = None
    if has_header(frame):
        header = fits.enhanced_header(
            frame.header, version=__version__, model=model, weights=None, type=type, norm=1.0
        )
    filled, gaps = normalise.fill(frame.data)
    output = richardson_lucy.deconvolve(
        filled,
        type,
        iterations,
        damping=damping,
        as_target=as_target,
        optics=its_optics,
        progress=progress,
    )
    return normalise.restore(output.astype(np.float32), gaps), header, model
