"""An image as a telescope would see it: of whatever holds an image, and of a FITS file."""

import logging
import os
from collections.abc import Iterator

import numpy as np

from .. import __version__
from .._array import covered
from .._atomic import replacing
from .._errors import avoidable
from ..observation import fits, missing, record
from ..observation.disc import locate
from ..observation.holders import Made, carried, has_header
from ..observation.kind import detect_type
from ..observation.normalise import fill
from ..observation.pixels import pixel_scales
from ..observation.telescope import SEENBY
from ..optics import degrade as arrays
from ..optics.degrade import HMI, SAME_PIXELS, Optics, check_optics
from ..weights import digest

log = logging.getLogger(__name__)

Path = str | os.PathLike


def degrade(x, *, optics: Optics = HMI, pixel_scale: float | None = None):
    """An image as a telescope would see it, HMI by default; the result is of the same kind as x.

    x : (H, W), any quantity and unit, of the kinds of `image.enhance`, sharper than the telescope:
        a simulation, or an image of a larger telescope, whose own blur stays in it. Not changed; a
        dask array is computed now.
    optics : psf, support, aperture, wavelength and hmi_scale, the side of the telescope's pixels in
        arcsec, are used: Optics("airy", aperture=0.5, hmi_scale=0.1) is a telescope of 50 cm.
    pixel_scale : arcsec per pixel of x; None takes it from the header.

    Returns (h, w) float32 in the units of x, with h = floor(H pixel_scale / hmi_scale) and w in the
    same way. The first edges of x and the result are aligned; a rest at the far edges that does not
    fill a pixel is dropped. A pixel that touches a missing one is missing. No noise is added. A
    header names the telescope (SEENBY), and sky coordinates do not move.
    Raises TypeError for another kind of x; ValueError without a pixel scale, for pixels that are
    not square, or an image smaller than a pixel of the telescope.
    """
    check_optics(optics, "degrade")

    def one(frame, type):
        return type, tuple(_seen(frame, optics, pixel_scale))

    return carried(x, one, "degrade")[0]


def degrade_file(
    source: Path,
    target: Path,
    *,
    truth: Path | None = None,
    optics: Optics = HMI,
    pixel_scale: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
    ext: int | str | None = None,
    overwrite: bool = False,
) -> None:
    """`degrade` from the FITS file `source` to `target`.

    truth : FITS file to write as well: the image through target_aperture on pixels of half the
        side, (2h, 2w), with which `evaluate` compares what a network makes of `target`.
    noise : standard deviation of normal noise added to `target`, in its unit.  seed : of it.
    Both files are written or neither, each whole. Raises as `degrade`, fits.read and fits.write.
    """
    written = [path for path in (target, truth) if path is not None]
    if len({os.path.realpath(path) for path in written}) < len(written):
        raise OSError(f"degrade: the truth must not be the output, got {os.fspath(target)!r}")
    for path in written:
        fits.check_name(path)
        fits.check_output(path, overwrite, source)
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"degrade: noise must be 0 or more, got noise={noise}")
    frame = fits.read(source, ext)
    made = list(_seen(frame, optics, pixel_scale, with_target=truth is not None))
    if noise:
        low = made[0].data
        low += np.float32(noise) * np.random.default_rng(seed).standard_normal(
            low.shape, np.float32
        )
    options = optics.attributes() | ({"noise": noise, "seed": seed} if noise else {})
    for image in made:
        record.add_history(image.header, source, digest(source), options)
    _write(list(zip(written, made, strict=True)), overwrite)
    for path, image in zip(written, made, strict=True):
        log.info("%s: %d x %d -> %d x %d", path, *frame.data.shape, *image.data.shape)


def _write(images, overwrite):
    """All (path, image) or none."""
    (path, image), *rest = images
    fits.check_output(path, overwrite)
    with replacing(path) as temporary:
        fits.write(temporary, image.data, image.header)
        if rest:
            _write(rest, overwrite)


def _seen(frame, optics, pixel_scale, with_target=False) -> Iterator[Made]:
    """The image as the telescope sees it; then, if asked for, as the target does."""
    if pixel_scale is None:
        pixel_scale = _pixel_scale(frame)
    if pixel_scale > optics.hmi_scale * (1 + SAME_PIXELS):
        log.warning(
            "%s has pixels of %.3g arcsec, larger than the telescope's %.3g",
            frame.path,
            pixel_scale,
            optics.hmi_scale,
        )
    data = frame.data
    if (type := detect_type(frame)) is not None:
        data = missing.without_fill(data, type, locate(frame.header or None), frame.path)
    filled, gaps = fill(np.asarray(data, np.float64))
    if with_target:
        images = arrays.degrade(filled, pixel_scale, optics)
    else:
        images = (arrays.seen(filled, pixel_scale, optics),)
    for number, image in enumerate(images):
        telescope = optics if number == 0 else optics.target()
        factor = pixel_scale / telescope.hmi_scale
        out = image.astype(np.float32)
        if gaps.any():
            out[covered(gaps, out.shape, factor)] = np.nan
        header = None
        if has_header(frame):
            name = "HMI" if telescope == HMI else telescope.telescope()
            header = fits.rescaled_header(frame.header, factor)
            for key in [key for key in header if key.startswith("ENH") and key != "ENHFLAT"]:
                del header[key]  # if it was enhanced before, it is not any more; HISTORY tells
            header[SEENBY] = (name, "degraded to this telescope")
            header.add_history(f"enhance_np {__version__}: degraded to {name}")
        yield Made(out, header, factor)


def _pixel_scale(frame) -> float:
    """arcsec per pixel of the frame, whose pixels must be square."""
    scales = pixel_scales(frame.header)
    if len(scales) < 2 or max(scales) > (1 + SAME_PIXELS) * min(scales):
        got = " x ".join(f"{scale:.4g}" for scale in scales) or "none"
        message = (
            "degrade: needs square pixels of known size in arcsec, unless their scale is given, "
            f"got {got} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), "pixel_scale")
    return float(np.prod(scales) ** 0.5)
