"""Prediction: on CPU cores through the fused network, on a GPU folded, else the page, in tiles."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from .. import models, network
from ..engine import Engine, select
from ..engine.fold import fold
from ..engine.tiles import Tile, check, halo, plan
from ..observation import normalise
from ..weights import Weights, load
from .ensemble import mean_and_spread

TILE = 512  # pixels; an activation of 64 channels then takes 67 MB
# Channels that are left when dead ones are taken out: whole register tiles, whole blocks
CPU_CHANNELS, GPU_CHANNELS = 16, 32


def predict(
    image: np.ndarray,
    type: str = "intensity",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    tile: int | None = None,
    ensemble: bool = False,
) -> np.ndarray:
    """Deconvolve an HMI image and double its sampling.

    image : (H, W), H and W >= 2, any real dtype; intensity in any unit, or field in G. NaN
    and the mask of a masked array mark missing pixels. Not changed.
    type : "intensity" or "blos" (line-of-sight field).
    weights : a file, loaded weights, or None for those that ship with the package.
    norm : intensity that the network takes for 1: "quiet-sun", "max", "none" or a number.
    Fields are always divided by 1000 G.
    device : "auto", "cpu" or "gpu".  tile : how much at a time, which decides the memory: input
    lines on the CPU, where any value gives the same bits; a square tile's side in pixels on a
    GPU, where sums of another order differ by their rounding.
    ensemble : the mean over the eight rotations and reflections of the image, in 8 times the time.

    Returns (2H, 2W) float32 in the units of the image, NaN where it was: input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises ValueError for what does not hold, OSError for weights that cannot be read,
    RuntimeError for a GPU that is not there.
    """
    weights = _loaded(weights, type)
    image = unmasked(image)
    check_image(image)
    divisor = normalise.norm_value(image, norm, type)
    return apply(image, type, weights, divisor, select(device), tile, ensemble=ensemble).output


def predict_all(
    images: Iterable[np.ndarray],
    type: str = "intensity",
    weights: Weights | str | os.PathLike | None = None,
    norm: str | float = "quiet-sun",
    device: str = "auto",
    tile: int | None = None,
) -> Iterator[np.ndarray]:
    """`predict` of each of many images, in their order: for an archive of cut-outs.

    images : of any sizes, taken one by one as they are needed: a generator that reads files will
    do. Each is divided by its own norm.  The rest is as in `predict`.

    The results are those of `predict`. On a GPU they come while it computes the next images, of
    which two tiles are under way: reading, dividing and writing then take none of its time. So an
    error that an image raises may come before the results of those just before it.
    Raises at once what `predict` raises for anything but an image.
    """
    weights, engine = _loaded(weights, type), select(device)
    check_weights(weights, type)
    check(TILE if tile is None else tile)
    divided = deque()

    def taken():
        for image in map(unmasked, images):
            check_image(image)
            norm_of_it = normalise.norm_value(image, norm, type)
            x, mask = normalise.divided(image, norm_of_it)
            divided.append((mask, norm_of_it))
            yield x, ~mask if mask.any() else None

    results = run_all(taken(), weights, engine, tile)
    return (in_units(y, *divided.popleft()) for y in results)


def _loaded(weights: Weights | str | os.PathLike | None, type: str) -> Weights:
    if type not in models.TYPES:
        raise ValueError(f"predict: type must be one of {models.TYPES}, got {type!r}")
    if isinstance(weights, Weights):
        return weights
    return load(models.path(type) if weights is None else weights)


def unmasked(image: np.ndarray) -> np.ndarray:
    """A plain array, of any other: NaN, in a floating dtype, where a masked array is masked."""
    if np.ma.isMaskedArray(image):
        image = np.ma.filled(image.astype(np.result_type(image, np.float32)), np.nan)
    return np.asarray(image)


def masked_like(output: np.ndarray, image: np.ndarray) -> np.ndarray:
    """output (2H, 2W); masked, if image (H, W) is a masked array, where that is."""
    if not np.ma.isMaskedArray(image):
        return output
    return np.ma.array(output, mask=np.ma.getmaskarray(image).repeat(2, axis=0).repeat(2, axis=1))


def check_image(image) -> None:
    """Raise ValueError unless image, an array of any kind, is (H, W), H and W >= 2, and real."""
    if image.ndim != 2 or min(image.shape) < 2 or image.dtype.kind not in "fiu":
        raise ValueError(
            "predict: image must be (H, W) with H, W >= 2 and real numbers, "
            f"got shape {image.shape}, dtype {image.dtype}"
        )


def check_weights(weights: Weights, type: str) -> None:
    """Raise ValueError if they were trained for the other type; those of Keras do not say."""
    trained_for = weights.provenance.get("type", type)
    if trained_for != type:
        raise ValueError(f"predict: the weights must be for {type}, got weights for {trained_for}")


class Enhanced(NamedTuple):
    output: np.ndarray  # (2H, 2W) float32, in the units of the image, NaN where it was
    spread: np.ndarray | None  # likewise: that of the ensemble; None without one


def apply(
    image: np.ndarray,
    type: str,
    weights: Weights,
    norm: normalise.Norm,
    engine: Engine,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    ensemble: bool = False,
) -> Enhanced:
    """What `predict` does once all is loaded; norm : what the image is divided by."""
    check_weights(weights, type)
    x, mask = normalise.divided(image, norm)
    valid = ~mask if mask.any() else None

    def forward(x, valid, progress):
        return run(x, weights, engine, tile, progress, valid)

    if not ensemble:
        return Enhanced(in_units(forward(x, valid, progress), mask, norm), None)
    mean, spread = mean_and_spread(forward, x, valid, type, progress)
    return Enhanced(in_units(mean, mask, norm), in_units(spread, mask, norm))


def in_units(y: np.ndarray, mask: np.ndarray, norm: normalise.Norm) -> np.ndarray:
    """normalise.multiplied, in place. Raises ValueError if a pixel that is no gap is not finite."""
    y = normalise.multiplied(y, mask, norm)
    if np.count_nonzero(~np.isfinite(y)) != 4 * np.count_nonzero(mask):
        raise ValueError(
            f"predict: the result must be finite, got NaN or infinity with norm={norm.level:g}: "
            "is the image in its units, and are the weights those of a trained network?"
        )
    return y


def run(
    x: np.ndarray,
    weights: Weights,
    engine: Engine,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """The network on one normalised image.

    x : (H, W) float32 without NaN;  result : (2H, 2W) float32.
    progress : called with (input pixels done, in all).
    valid : (H, W) bool, where the result is wanted, the same as without it; None is everywhere.
    What is far enough from such a pixel is not computed, and undefined.
    """
    return next(run_all([(x, valid)], weights, engine, tile, progress))


def run_all(
    images: Iterable[tuple[np.ndarray, np.ndarray | None]],
    weights: Weights,
    engine: Engine,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[np.ndarray]:
    """`run` of each (x, valid), in their order; progress : of each.

    On a GPU the next images are taken while one is computed, and while what has come of the last
    is used: their tiles are one queue.
    """
    size = TILE if tile is None else tile
    check(size)
    if engine.name == "cpu":
        from ..engine.cpu.fused import Fused

        forward = Fused(fold(weights, multiple=CPU_CHANNELS), weights.config)
        for x, valid in images:
            yield forward(x, tile, progress, valid)
    elif engine.name == "gpu":
        yield from _on_gpu(images, weights, engine.winograd, tile, progress)
    else:
        forward = partial(map, _page(weights, engine))
        yield from _tiled(forward, images, size, weights, progress)


class _Part(NamedTuple):
    y: np.ndarray  # result of an image
    tile: Tile | None  # of it; None behind its last
    wanted: bool  # else there is nothing to compute


def _tiled(forward, images, size, weights, progress):
    """The results of `run_all`, in tiles of size x size pixels with their halo.

    forward : iterable of tiles -> iterator of what the network makes of each, in their order; it
    may take tiles ahead.
    """
    parts = deque()  # of images that were taken, but for those that are done

    def taken():
        for x, valid in images:
            progress(0, x.size)
            y = np.empty((2 * x.shape[0], 2 * x.shape[1]), np.float32)
            for tile in plan(x.shape, size, halo(weights.config)):
                wanted = valid is None or bool(valid[tile.core].any())
                parts.append(_Part(y, tile, wanted))
                if wanted:
                    yield x[tile.seen]
            parts.append(_Part(y, None, False))

    done = 0
    for result in chain(forward(taken()), [None]):
        while parts and not (parts[0].wanted and result is None):
            y, tile, wanted = parts.popleft()
            if tile is None:
                done = 0
                yield y
                continue
            if wanted:
                y[_doubled(tile.core)] = result[_doubled(tile.inner)]
                result = None
            rows, columns = tile.core
            done += (rows.stop - rows.start) * (columns.stop - columns.start)
            progress(done, y.size // 4)


def _on_gpu(images, weights, winograd, tile, progress):
    """`run_all` by the folded network, in tiles of half the side as often as the card is full."""
    from ..engine.cuda import folded, streams

    forward = folded.Folded(fold(weights, multiple=GPU_CHANNELS), weights.config, winograd)
    size = forward.tile() if tile is None else tile
    images, under_way, ended_by = iter(images), deque(), []

    def taken():
        try:
            for image in images:
                under_way.append(image)
                yield image
        except Exception as error:  # a card that is full for `images` themselves, too
            ended_by.append(error)
            raise

    while True:
        again = chain(tuple(under_way), taken())
        try:
            for y in _tiled(partial(streams.through, forward), again, size, weights, progress):
                under_way.popleft()
                yield y
            return
        except folded.out_of_memory():
            size = min(size, max((max(x.shape) for x, _ in under_way), default=1))
            if size == 1 or ended_by:  # else the rest would be left out unsaid
                raise
        size //= 2
        folded.release()  # behind the except: the error held the arrays


def _doubled(slices):
    return tuple(slice(2 * s.start, 2 * s.stop) for s in slices)


def _page(weights: Weights, engine: Engine) -> Callable[[np.ndarray], np.ndarray]:
    """x (H, W) -> y (2H, 2W) of one tile."""
    p, moving = (
        {name: engine.asarray(a) for name, a in group.items()}
        for group in (weights.params, weights.moving)
    )

    def forward(x):
        x = engine.asarray(np.ascontiguousarray(x)[None, :, :, None])
        y, _ = network.forward(p, x, weights.config, engine.ops, moving)
        return engine.asnumpy(y)[0, :, :, 0]

    return forward
