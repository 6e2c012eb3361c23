"""Prediction on a dask array: lazily, chunk by chunk, with the same bits as on the whole array."""

from math import ceil, sqrt
from threading import Lock
from typing import NamedTuple

import numpy as np

from ..config import NetworkConfig
from ..engine import select
from ..engine.cpu.transforms import M
from ..engine.predictor import Predictor
from ..engine.tiles import check, needed
from ..observation import normalise
from ..observation.holders import masked_like, unmasked
from ..weights import Weights
from .array import check_weights, in_units
from .ensemble import mean_and_spread


class Cut(NamedTuple):
    """Lines (or columns) for one chunk of the output."""

    read: slice  # of the image: for the network and for the filling of gaps
    core: slice  # of read: those whose output is wanted
    seen: slice  # of read: the input of the network
    inner: slice  # of the network's output: the wanted part


def predict_chunks(
    x,
    type: str,
    weights: Weights,
    norm: normalise.Norm,
    device: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
):
    """The result of `predict` on the whole array, as a dask array. Nothing is computed here.

    x : dask array (H, W), with chunks of known size, masked or not.
    norm : the divisor of the image, one for all chunks.  ensemble : see array.predict.
    Returns (2H, 2W) float32, masked if x is, with the chunks of x doubled. Narrow chunks, which
    would compute more than twice their pixels, are joined with their neighbours.

    A chunk computes all pixels that its bits depend on (`tiles.needed`: at most 28 more on each
    side at depth 5). It reads 80 pixels more, which may fill gaps in the former. On the CPU the
    result has the same bits as on the whole array. Other engines round differently for another
    shape, and so does the ensemble, because its turned chunks have other tiles.
    Raises ValueError for chunks of unknown size or weights of another type, RuntimeError for a
    missing GPU; other errors are raised when the result is computed.
    """
    import dask
    import dask.array as da

    check_sizes(x)
    check_weights(weights, type)
    if tile is not None:
        check(tile)
    select(device)  # raises for a missing device now
    blank = np.empty((0, 0), np.float32)
    common = {
        "dtype": blank.dtype,
        "meta": masked_like(blank, x._meta),
        # one node of the graph; a plain argument would be copied with every chunk
        "network": dask.delayed(_Network(weights, device), pure=True, traverse=False),
        "norm": norm,
        "tile": tile,
        "type": type,
        "ensemble": ensemble,
    }

    def chunk(rows, columns):
        size = tuple((2 * (cut.core.stop - cut.core.start),) for cut in (rows, columns))
        image = x[rows.read, columns.read].rechunk(-1)
        return image.map_blocks(_chunk, rows=rows, columns=columns, chunks=size, **common)

    rows, columns = (cuts(sizes, weights.config) for sizes in x.chunks)
    return da.block([[chunk(row, column) for column in columns] for row in rows])


def check_sizes(x) -> None:
    """Raise ValueError unless the dask array x has chunks of known sizes."""
    if not all(size >= 0 for sizes in x.chunks for size in sizes):  # False for NaN
        raise ValueError(f"predict_chunks: chunks must have a known size, got chunks={x.chunks}")


class _Network:
    """What all chunks of one graph share: the predictor, made when the first chunk needs it."""

    def __init__(self, weights: Weights, device: str):
        self.weights, self.device = weights, device
        self._lock, self._predictor = Lock(), None

    def predictor(self) -> Predictor:
        with self._lock:
            if self._predictor is None:
                self._predictor = select(self.device).predictor(self.weights)
            return self._predictor

    def __dask_tokenize__(self):
        from dask.base import normalize_token

        return normalize_token((self.__class__.__name__, self.weights, self.device))

    def __reduce__(self):  # to another process go the weights alone
        return _Network, (self.weights, self.device)


def cuts(sizes: tuple[int, ...], config: NetworkConfig) -> list[Cut]:
    """The Cut of every chunk along one axis.  sizes : of the chunks."""
    far = 1000 * M  # far from any edge
    reach = max(far + i - needed(far + i, far + M, 2 * far, config)[0] for i in range(M))
    # for a chunk of this side, the computed area is twice the wanted area
    sizes = _joined(sizes, ceil(2 * reach / (sqrt(2) - 1)))
    # the nearest valid pixel of a gap in the network's input is at most a diagonal away, and the
    # mirrored pixel that `normalise.fill` uses is twice as far
    margin = ceil(2 * sqrt(2) * reach)
    found, total, last = [], sum(sizes), 0
    for size in sizes:
        first, last = last, last + size
        low, high = needed(first, last, total, config)
        begin, end = max(0, low - margin), min(total, high + margin)
        found.append(
            Cut(
                read=slice(begin, end),
                core=slice(first - begin, last - begin),
                seen=slice(low - begin, high - begin),
                inner=slice(2 * (first - low), 2 * (last - low)),
            )
        )
    return found


def _joined(sizes: tuple[int, ...], least: int) -> list[int]:
    """Joins neighbours until each has at least `least` lines; a shorter rest joins the last."""
    out = [0]
    for size in sizes:
        if out[-1] >= least:
            out.append(0)
        out[-1] += size
    if len(out) > 1 and out[-1] < least:
        out[-2:] = [sum(out[-2:])]
    return out


def _chunk(
    image: np.ndarray,
    network: _Network,
    norm: normalise.Norm,
    tile: int | None,
    type: str,
    ensemble: bool,
    rows: Cut,
    columns: Cut,
) -> np.ndarray:
    """Output of one chunk.  image : the part of the image that it reads."""
    core, seen, inner = zip(rows[1:], columns[1:], strict=True)
    plain = unmasked(image)
    corner = rows.read.start, columns.read.start
    here = norm.part(*(at + cut.start for at, cut in zip(corner, core, strict=True)))
    if normalise.measured(plain[core], here).any():
        x, gaps = normalise.divided(plain, norm.part(*corner))
        x, predictor = np.ascontiguousarray(x[seen]), network.predictor()
        if ensemble:
            y, _ = mean_and_spread(lambda x, *_: predictor(x, tile), x, None, type)
        else:
            y = predictor(x, tile)
        output = in_units(np.ascontiguousarray(y[inner]), gaps[core], here)
    else:  # no valid pixel, for example off the limb: nothing to compute
        size = (cut.inner.stop - cut.inner.start for cut in (rows, columns))
        output = np.full(tuple(size), np.nan, np.float32)
    return masked_like(output, image[core])
