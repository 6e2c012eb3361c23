"""One call for whatever holds an image or a series of them: see `observation.holders`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .._array import is_dask
from ..config import TYPES
from ..engine import select
from ..engine.predictor import Predictor
from ..observation import disc, fits, missing
from ..observation.holders import Made, carried, has_header, unmasked
from ..observation.kind import detect_type, image_type
from ..observation.remarks import remark
from ..observation.telescope import require_hmi
from ..weights import Weights
from .array import apply, chosen
from .chunks import check_sizes, predict_chunks
from .confidence import check_calibration, check_noise, confidence_images
from .file import check_norm_from, image_norm, output_header, reference


@dataclass(frozen=True)
class Confidence:
    """An enhanced image, its error bars, and where to doubt them; each of the kind of the input.

    A Map or an NDData `image` also carries the error bars, as its `uncertainty`. The spread is not
    an error bar (docs/confidence.md).
    """

    image: Any  # (2H, 2W), the mean of the eight outputs
    spread: Any  # (2H, 2W), their standard deviation
    residual: Any  # (H, W), the image blurred again minus the input; None if the PSF is not known
    # (2H, 2W), one sigma of the error of `image`; None if the weights have no calibration
    uncertainty: Any
    doubt: Any  # (2H, 2W) uint8, the bits of `doubt.Doubt`; None without `uncertainty`


def enhance(
    x,
    type: str | None = None,
    *,
    model: str = "default",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    norm_from=None,
    device: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
    confidence: bool = False,
    noise: float | None = None,
):
    """Deconvolve an HMI image and double its sampling; the result is of the same kind as x.

    x : (H, W), H and W >= 2; intensity in any unit, or line-of-sight field in G or its own unit.
        Not changed. NaN and masked pixels are missing pixels.

        NumPy array: the result is masked if x is. A cube (t, H, W) gives (t, 2H, 2W); without a
            given type, the first image decides that of all.
        Quantity: the result has the unit of x.
        NDData, CCDData: the result has the unit, mask, meta and coordinates of x. An uncertainty
            goes through the network with `confidence`; otherwise it is dropped with a warning.
        sunpy Map: the result is a Map of the same class, with the mask, plot settings and meta of
            x. Meta that count pixels are updated as `enhance-np predict` updates a FITS header.
            The sky coordinates stay. An uncertainty as for NDData.
        sunpy MapSequence: one of the results, in the same order.
        HDU, or the name of a FITS file: the result is a PrimaryHDU.
        dask array (H, W), or a Map of one: only what `type` and `norm` need is computed now. For a
            magnetogram whose header says that it reaches off the disc, this includes some pixels,
            to test whether those off the disc are noise. The result does not depend on the
            chunks: see chunks.
        Each image of a series is divided by its own norm, as if it were given alone.
    type : "intensity" or "blos"; None detects it from the header, the unit or the values.
    model : "default" or "small", a shipped network.
    weights : a file or loaded weights, instead of a shipped network.
    norm : intensity that becomes 1 in the network: "quiet-sun", "max", "none" or a number. The
        first two need the whole image. Fields are always divided by 1000 G.
    norm_from : another image of the same series and time, of any kind above but a series: gives the
        quiet-Sun level, for a cut-out without quiet Sun.
    device, tile, ensemble : see array.predict.
    confidence : return a `Confidence` of the image, its error bars, doubts, spread and residual,
        which takes 8 times as long; a dask array is then computed now.
    noise : sigma of the noise of x in its units, for the error bars; None takes the uncertainty of
        x, else HMI's of the header's cadence, or estimates it (`noise.noise_of`).

    Returns (2H, 2W) float32 in the units of x, NaN where pixels are missing. Input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises TypeError for another kind of x; ValueError for an invalid argument, or if neither the
    header nor the values give the type; OSError for weights that cannot be read; RuntimeError for
    a missing GPU.
    """
    if type not in (None, *TYPES):
        raise ValueError(f"enhance: type must be one of {TYPES} or None, got type={type!r}")
    if norm_from is not None:
        check_norm_from(norm, type or "intensity")
        norm_from = reference(norm_from)
    check_noise(noise, confidence)
    network = _Network(model, weights, device)

    def one(frame, type):
        return _enhance(frame, type, network, norm, norm_from, tile, ensemble, confidence, noise)

    found = carried(x, one, "enhance", type, lazy=not confidence)
    if not confidence:
        return found[0]
    return Confidence(*found)


class _Network:
    """The network of each type, read and folded when the first image of the type needs it."""

    def __init__(self, model: str, weights: Weights | str | os.PathLike | None, device: str):
        self.model, self.given, self.device = model, weights, device
        self.load, self.predictor = cache(self._load), cache(self._predictor)

    def _load(self, type: str) -> tuple[Weights, str | None]:
        """The weights, and the sha256 of their file."""
        return chosen(self.given, type, self.model)

    def _predictor(self, type: str) -> Predictor:
        return select(self.device).predictor(self.load(type)[0])


def _enhance(frame, type, network, norm, norm_from, tile, ensemble, confidence, noise):
    """(type, results) of one image: the output; with `confidence` the others of `Confidence`."""
    if is_dask(frame.data):
        check_sizes(frame.data)

    @cache
    def read():
        return unmasked(frame.data.compute()) if is_dask(frame.data) else frame.data

    type = _type(frame, type, read)
    # pixels of a dask array off the disc are examined only if some are computed anyway
    looks = type == "intensity" and norm in ("quiet-sun", "max")
    image = missing.without_fill(
        frame.data,
        type,
        disc.locate(frame.header or None),
        frame.path,
        looks or type == "blos" or not is_dask(frame.data),
    )
    frame = frame._replace(data=image)
    if network.given is None:
        require_hmi(frame)
    weights, content = network.load(type)
    if confidence:
        check_calibration(weights)
    # no remark on the values of a dask array: it would compute them
    unseen = frame._replace(data=np.empty((0, 0), np.float32))
    seen = unseen if is_dask(image) else frame
    remark(seen, type, expected=weights.provenance.get("hmi_scale_arcsec"))
    values = unmasked(image.compute()) if looks and is_dask(image) else image
    divisor = image_norm(frame._replace(data=values), type, norm, norm_from)
    header = None
    if has_header(frame):
        header = output_header(
            frame.header, weights, content, type, divisor, ensemble or confidence
        )
    if is_dask(image):
        output = predict_chunks(image, type, weights, divisor, network.device, tile, ensemble)
        return type, (Made(output, header, 2),)
    predictor = network.predictor(type)
    output, spread = apply(image, type, predictor, divisor, tile, ensemble=ensemble or confidence)
    if not confidence:
        return type, (Made(output, header, 2),)
    others = confidence_images(frame, type, output, spread, header, weights, divisor, noise)
    error = others["ERROR"].data if "ERROR" in others else None
    made = [Made(output, header, 2, error=error)]
    for name in ("SPREAD", "RESIDUAL", "ERROR", "DOUBT"):
        other, of = others.get(name), {"bits": name == "DOUBT", "about": True}
        made.append(other and Made(other.data, other.header, len(other.data) / len(image), **of))
    return type, tuple(made)


def _type(frame: fits.Frame, asked: str | None, values: Callable[[], np.ndarray]) -> str:
    """The type, decided as for a file. A type given for a bare array is never refused; if the
    values differ from it, a warning is logged.

    values : gives the values of frame.data; called if those are dask and nothing else gives the
        type.
    """
    if asked is not None and not frame.header and is_dask(frame.data):
        return asked
    if is_dask(frame.data):
        # NaN in place of the values: they are no evidence
        header = frame._replace(data=np.broadcast_to(np.float32(np.nan), frame.data.shape))
        silent = asked is None and detect_type(header) is None
        frame = frame._replace(data=values()) if silent else header
    return image_type(frame, asked)
