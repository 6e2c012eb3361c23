"""One call for any image or series in memory: array, sunpy Map or MapSequence, dask array."""

import os
from collections.abc import Callable
from functools import cache

import numpy as np

from .._array import is_dask, is_map, is_map_sequence
from ..config import TYPES
from ..engine import select
from ..engine.predictor import Predictor
from ..observation import disc, fits, maps, missing
from ..observation.kind import detect_type, image_type
from ..observation.remarks import remark
from ..observation.telescope import require_hmi
from ..weights import Weights
from .array import apply, check_image, chosen, masked_like, unmasked
from .chunks import check_sizes, predict_chunks
from .file import image_norm, output_header


def enhance(
    x,
    type: str | None = None,
    *,
    model: str = "default",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
):
    """Deconvolve an HMI image and double its sampling; the result is of the same kind as x.

    x : (H, W), H and W >= 2; intensity in any unit, or line-of-sight field in G. Not changed.
        NaN and masked pixels are missing pixels.

        NumPy array: the result is masked if x is. A cube (t, H, W) gives (t, 2H, 2W); without a
            given type, the first image decides that of all.
        sunpy Map: the result is a Map of the same class, with the mask, plot settings and meta of
            x. Meta that count pixels are updated as `enhance-np predict` updates a FITS header.
            The sky coordinates stay; an uncertainty is dropped.
        sunpy MapSequence: one of the results, in the same order.
        dask array (H, W), or a Map of one: only what `type` and `norm` need is computed now. For a
            magnetogram whose header says that it reaches off the disc, this includes some pixels,
            to test whether those off the disc are noise. The result does not depend on the
            chunks: see chunks.
        Each image of a series is divided by its own norm, as if it were given alone.
    type : "intensity" or "blos"; None detects it from the Map's header or the values.
    model : "default" or "small", a shipped network.
    weights : a file or loaded weights, instead of a shipped network.
    norm : intensity that becomes 1 in the network: "quiet-sun", "max", "none" or a number. The
        first two need the whole image. Fields are always divided by 1000 G.
    device, tile, ensemble : see array.predict.

    Returns (2H, 2W) float32 in the units of x, NaN where pixels are missing. Input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises TypeError for another kind of x; ValueError for an invalid argument, or if neither the
    header nor the values give the type; OSError for weights that cannot be read; RuntimeError for
    a missing GPU.
    """
    if type not in (None, *TYPES):
        raise ValueError(f"enhance: type must be one of {TYPES} or None, got type={type!r}")
    network = _Network(model, weights, device)

    def one(image, type=type):
        return _enhance(image, type, network, norm, tile, ensemble)[0]

    if is_map_sequence(x):
        return x.__class__([one(image) for image in x], sortby=None)
    if isinstance(x, np.ndarray) and x.ndim == 3 and len(x) and not hasattr(x, "unit"):
        first, type = _enhance(x[0], type, network, norm, tile, ensemble)
        empty = np.ma.empty if np.ma.isMaskedArray(x) else np.empty
        cube = empty((len(x), *first.shape), first.dtype)
        cube[0] = first
        for number in range(1, len(x)):
            cube[number] = one(x[number], type)
        return cube
    return one(x)


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


def _enhance(x, type, network, norm, tile, ensemble):
    """(output, type) of one image; see `enhance`."""
    frame = _frame(x)
    if is_dask(frame.data):
        check_sizes(frame.data)
    check_image(frame.data)
    frame = frame._replace(data=missing.without_sentinels(frame.data, frame.path))

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
    # no remark on the values of a dask array: it would compute them
    unseen = frame._replace(data=np.empty((0, 0), np.float32))
    seen = unseen if is_dask(image) else frame
    remark(seen, type, expected=weights.provenance.get("hmi_scale_arcsec"))
    values = unmasked(image.compute()) if looks and is_dask(image) else image
    divisor = image_norm(frame._replace(data=values), type, norm)
    header = None
    if is_map(x):
        header = output_header(frame.header, weights, content, type, divisor, ensemble)
    if is_dask(image):
        output = predict_chunks(image, type, weights, divisor, network.device, tile, ensemble)
    else:
        predictor = network.predictor(type)
        output = apply(image, type, predictor, divisor, tile, ensemble=ensemble).output
    return maps.rebuilt(x, output, header) if is_map(x) else masked_like(output, x), type


def _frame(x) -> fits.Frame:
    """x as a Frame, as if read from a file; its data are dask for a dask array, else NumPy."""
    if is_map(x):
        return maps.frame(x)
    if is_dask(x):
        return fits.Frame(x, {}, "the dask array")
    # a Quantity is refused: it is an array, but would lose its unit
    if isinstance(x, np.ndarray) and not hasattr(x, "unit"):
        return fits.Frame(unmasked(x), {}, "the array")
    raise TypeError(
        f"enhance: x must be a NumPy array, a sunpy Map or a dask array, got {x.__class__.__name__}"
    )


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
