"""The main job: from a FITS file to an enhanced FITS file."""

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from .. import __version__, engine
from .._errors import avoidable
from ..engine import tiles
from ..observation import disc, fits, holders, normalise, record
from ..observation.holders import computed
from ..observation.kind import gauss, image_type
from ..observation.quiet_sun import usual_level
from ..observation.remarks import remark
from ..observation.telescope import require_hmi
from ..optics.degrade import HMI
from ..weights import Weights, digest
from .array import apply, chosen
from .confidence import check_calibration, check_noise, confidence_images
from .ensemble import ORIENTATIONS
from .steps import Image, Progress, Result, Work, without_fill

log = logging.getLogger(__name__)

# Cards that keep the optics of the weights in the header of an output, to re-blur it later
OPTICS_CARDS = {
    "psf": ("ENHPSF", "PSF that the weights undo"),
    "support_arcsec": ("ENHSUPP", "[arcsec] half-width of its kernel"),
    "hmi_diameter_m": ("ENHAPER", "[m] aperture of the telescope"),
    "target_diameter_m": ("ENHTAPER", "[m] aperture of the target"),
    "wavelength_m": ("ENHWAVE", "[m] wavelength"),
    "hmi_scale_arcsec": ("ENHPIXEL", "[arcsec] pixel of the telescope"),
    "lorentzian_arcsec": ("ENHLOREN", "[arcsec] width of the Lorentzian in the PSF"),
    "rotation_degrees": ("ENHROTAT", "[deg] rotation of the PSF"),
}


def enhance_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    overwrite: bool = False,
    plot: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options,
) -> Result:
    """Read the FITS image `source`, enhance it, write `target` (float32, in the input's unit).

    plot : PNG to draw as well.  progress : called with (input pixels done, total).
    options : see `enhancer`, which serves more than one file.
    Each file is written whole or not at all, and the plot only together with the output. Existing
    files are replaced only with `overwrite`.

    Raises ValueError for an unsuitable input, OSError for files that cannot be read or written,
    RuntimeError for a missing device. Every output path is checked before the work begins.
    """
    return enhancer(**options)(source, target, overwrite=overwrite, plot=plot, progress=progress)


def enhancer(
    *,
    type: str | None = None,
    model: str = "default",
    weights: str | os.PathLike | None = None,
    activation: str | None = None,
    norm: str | float = "quiet-sun",
    norm_from: str | os.PathLike | None = None,
    device: str = "auto",
    ext: int | str | None = None,
    tile: int | None = None,
    ensemble: bool = False,
    confidence: bool = False,
    noise: float | None = None,
) -> Work:
    """`enhance_file` with these options, which are checked, and whose files are read, only once.

    The network is folded once for each type.

    type : "intensity" or "blos"; None detects it from the file (`kind.image_type`).
    weights : a file; None takes the shipped weights of the type and `model` (default, small),
    which are for HMI only.
    activation : of weights that do not store it, see weights.load.
    norm : see `image_norm`.  norm_from : FITS, see `reference`.
    device, tile : as in array.predict.  ext : HDU to read.
    ensemble : write the mean over the eight rotations and reflections of the image, which takes 8
    times as long.
    confidence : as ensemble, with four more HDUs: ERROR, one sigma in the image's unit
    (`error_bar`); DOUBT, the bits of `doubt.Doubt`; SPREAD, the standard deviation over the
    eight outputs, which is not an error bar; and RESIDUAL, `reblur.residual_map` on the input's
    pixels. The first two need weights with a calibration.
    noise : sigma of the input's noise in its unit, for ERROR and DOUBT; None takes HMI's of the
    header's cadence, or estimates it (`noise.noise_of`).
    """
    check_noise(noise, confidence)
    its_engine = engine.select(device)
    if tile is not None:
        tiles.check(tile)
    normalise.check_norm(norm)
    of_another = None
    if norm_from is not None:
        check_norm_from(norm, type or "intensity")
        of_another = reference(norm_from)
    ensemble = ensemble or confidence

    @cache
    def predictor_of(type):
        loaded, content = chosen(weights, type, model, activation)
        if confidence:
            check_calibration(loaded)
        return its_engine.predictor(loaded), content

    def key(type):
        return type if weights is None else None

    if weights is not None:
        predictor_of(None)
    given = {
        "type": type,
        **({"model": model} if weights is None else {"weights": os.path.basename(weights)}),
        "activation": activation,
        "norm": norm,
        "norm-from": norm_from and f"{os.path.basename(norm_from)} (sha256 {digest(norm_from)})",
        "device": its_engine.name,
        "ext": ext,
        "tile": tile,
        "ensemble": ensemble or None,
        "confidence": confidence or None,
        "noise": noise,
    }
    options = {name: value for name, value in given.items() if value is not None}

    def compute(image: Image, progress: Progress) -> Result:
        frame, its_type, _ = image
        if weights is None:
            require_hmi(frame)
        predictor, content = predictor_of(key(its_type))
        loaded = predictor.weights
        remark(frame, its_type, expected=loaded.provenance.get("hmi_scale_arcsec"))
        divisor = image_norm(frame, its_type, norm, of_another)
        header = output_header(frame.header, loaded, content, its_type, divisor, ensemble)
        record.add_history(header, frame.path, image.sha256, options)
        output, spread = apply(frame.data, its_type, predictor, divisor, tile, progress, ensemble)
        extensions = ()
        if confidence:
            extensions = tuple(
                confidence_images(
                    frame, its_type, output, spread, header, loaded, divisor, noise
                ).values()
            )
        summary = "{}, {} x {} -> {} x {}, norm {:.6g}{}{}{}, on the {}".format(
            its_type,
            *frame.data.shape,
            *output.shape,
            divisor.level,
            f" {frame.unit}" if frame.unit else "",
            f" with limb darkening (strength {divisor.strength:.3f})" if divisor.strength else "",
            f", mean of {ORIENTATIONS} orientations" if ensemble else "",
            its_engine.name.upper(),
        )
        level = float(divisor.level), float(divisor.strength)
        return Result(image, output, header, summary, *level, content, extensions)

    return Work(compute, options, type, ext, lambda type: predictor_of(key(type))[1])


class Reference(NamedTuple):
    path: str
    unit: str
    norm: normalise.Norm


def reference(x) -> Reference:
    """The quiet-Sun level of another image, for images of the same series and time.

    x : the name of a FITS file, or any image that `holders.frame` reads. It should show quiet Sun:
        for a cut-out, the full disk.
    Raises as `holders.frame`, and ValueError for a magnetogram.
    """
    frame = computed(holders.frame(x, "reference"))
    frame = without_fill(frame, image_type(frame, "intensity"))
    return Reference(frame.path, frame.unit, _norm(frame, "intensity", "quiet-sun"))


def image_norm(
    frame: fits.Frame,
    type: str,
    norm: str | float = "quiet-sun",
    other: Reference | None = None,
) -> normalise.Norm:
    """The divisor of an image: its own `normalise.norm_value`, or that of another file.

    other : gives the level and the strength of limb darkening; the place on the disc is that of
        the pixels of `frame`.
    Raises ValueError if `other` is given, unless both images are intensities in one unit and norm
    is "quiet-sun".
    """
    if other is None:
        return _norm(frame, type, norm)
    check_norm_from(norm, type)
    found = other.norm
    # an umbra at the limb has 0.05 of the level of disc centre, a facula 1.3
    brightest = float(np.nanpercentile(frame.data, 99)) / found.level
    if not 0.03 < brightest < 2 or len({f.unit.lower() for f in (frame, other) if f.unit}) > 1:
        message = (
            f"image_norm: norm_from must be in the unit of the input, got a level of "
            f"{found.level:.4g} {other.unit} in {other.path!r}, and {brightest:.3g} of it"
            f"{' in ' + frame.unit if frame.unit else ''} in {frame.path!r}"
        )
        raise avoidable(ValueError(message), "norm_from")
    mu = disc.locate(frame.header)
    if found.strength and mu is None:
        log.warning(
            "%s does not give its place on the disc: divided by the level at disc centre",
            frame.path,
        )
        return normalise.Norm(found.level)
    return found._replace(mu=mu)


def check_norm_from(norm, type):
    if norm != "quiet-sun" or type != "intensity":
        message = (
            "image_norm: norm_from needs norm quiet-sun and type intensity, "
            f"got norm={norm!r}, type={type!r}"
        )
        raise avoidable(ValueError(message), "norm_from")


def _norm(frame, type, norm):
    usual = usual_level(frame.unit, frame.year)
    found = normalise.norm_value(frame.data, norm, type, disc.locate(frame.header), usual)
    return found._replace(level=found.level / (gauss(frame.unit) if type == "blos" else 1))


def output_header(
    header,
    loaded: Weights,
    content: str | None,
    type: str,
    divisor: normalise.Norm,
    ensemble: bool = False,
):
    """The header of the output.  content : `weights.digest` of the weights file, or None."""
    own = {name: loaded.provenance[name] for name in OPTICS_CARDS if name in loaded.provenance}
    enhanced = fits.enhanced_header(
        header,
        version=__version__,
        model=str(loaded.config),
        weights=content,
        type=type,
        norm=divisor.level,
        limb=divisor.strength,
    )
    # HMI's optics are not written: they are the default
    foreign = own not in ({}, HMI.attributes())
    for name, (key, comment) in OPTICS_CARDS.items():
        enhanced.remove(key, ignore_missing=True)
        if foreign and name in own:
            value = own[name]
            if isinstance(value, str):  # the name of a file may have any letters, a card may not
                value = value.encode("ascii", "backslashreplace").decode()
            enhanced[key] = (value, comment)
    if ensemble:
        enhanced["ENHMEAN"] = (ORIENTATIONS, "orientations of the input, averaged over")
    return enhanced
