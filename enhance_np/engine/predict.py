"""Prediction: the fused network on the CPU, the folded one on a GPU, else network.py, in tiles."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from .. import models, network, normalise
from ..weights import Weights, load
from . import Engine, select
from .ensemble import mean_and_spread
from .fold import fold
from .tiles import Tile, check, halo, plan

TILE = 512  # pixels, side of a tile; an activation of 64 channels then takes 67 MB
# Live channels are kept in multiples of these: whole register tiles, whole blocks
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

    image : (H, W), H and W >= 2, any real dtype; intensity in any unit, or field in G. NaN and
    masked pixels are missing. Not changed.
    type : "intensity" or "blos" (line-of-sight field).
    weights : a file, loaded weights, or None for the shipped default network.
    norm : intensity that becomes 1 in the network: "quiet-sun", "max", "none" or a number.
    Fields are always divided by 1000 G.
    device : "auto", "cpu" or "gpu".
    tile : amount to process at a time, which determines the memory. On the CPU it is a number of
    input lines, and any value gives the same bits. On a GPU it is the side of a square tile in
    pixels, and another value may change the rounding.
    ensemble : average over the eight rotations and reflections of the image; takes 8 times as long.

    Returns (2H, 2W) float32 in the units of the image, NaN where it is missing. Input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises ValueError for an invalid argument, OSError for weights that cannot be read,
    RuntimeError for a missing GPU.
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
    """`predict` for each of many images, in order, for example an archive of cut-outs.

    images : of any sizes, taken one by one when they are needed, so a generator that reads files
    can be used. Each is divided by its own norm.  The rest is as in `predict`.

    The results are those of `predict`. A GPU already computes the next images, with two tiles in
    progress, while a result is used, so that reading, dividing and writing cost it no time. An
    error of an image may therefore be raised before the results of the images just before it.
    Raises the errors of `predict` at once, except those of an image.
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
    """image as a plain array; masked pixels become NaN, in a floating dtype."""
    if np.ma.isMaskedArray(image):
        image = np.ma.filled(image.astype(np.result_type(image, np.float32)), np.nan)
    return np.asarray(image)


def masked_like(output: np.ndarray, image: np.ndarray) -> np.ndarray:
    """output (2H, 2W), masked like image (H, W) if the latter is a masked array."""
    if not np.ma.isMaskedArray(image):
        return output
    return np.ma.array(output, mask=np.ma.getmaskarray(image).repeat(2, axis=0).repeat(2, axis=1))


def check_image(image) -> None:
    """Raise ValueError unless image, an array of any kind, is real and (H, W), H and W >= 2."""
    if image.ndim != 2 or min(image.shape) < 2 or image.dtype.kind not in "fiu":
        raise ValueError(
            "predict: image must be (H, W) with H, W >= 2 and real numbers, "
            f"got shape {image.shape}, dtype {image.dtype}"
        )


def check_weights(weights: Weights, type: str) -> None:
    """Raise ValueError if the weights store another type; files of Keras store none."""
    trained_for = weights.provenance.get("type", type)
    if trained_for != type:
        raise ValueError(f"predict: the weights must be for {type}, got weights for {trained_for}")


class Enhanced(NamedTuple):
    output: np.ndarray  # (2H, 2W) float32, in the units of the image, NaN where it is missing
    spread: np.ndarray | None  # the same for the spread of the ensemble; None without one


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
    """`predict` with loaded weights and engine.  norm : the divisor of the image."""
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
    """normalise.multiplied, in place. Raises ValueError if a pixel outside gaps is not finite."""
    y = normalise.multiplied(y, mask, norm)
    if np.count_nonzero(~np.isfinite(y)) != 4 * np.count_nonzero(mask):
        raise ValueError(
            f"predict: the result must be finite, got NaN or infinity with norm={norm.level:g}: "
            "check the units of the image, and whether the weights are those of a trained network"
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
    """The network's output for one normalised image.

    x : (H, W) float32 without NaN.  result : (2H, 2W) float32.
    progress : called with (input pixels done, total).
    valid : (H, W) bool, where the result is wanted; None means everywhere. Wanted pixels do not
    depend on it; pixels far enough from them are not computed, and are undefined.
    """
    return next(run_all([(x, valid)], weights, engine, tile, progress))


def run_all(
    images: Iterable[tuple[np.ndarray, np.ndarray | None]],
    weights: Weights,
    engine: Engine,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[np.ndarray]:
    """`run` for each (x, valid), in order.  progress : called for each image.

    On a GPU the tiles of all images are one queue: the next images are taken while one is computed
    and while the last result is used.
    """
    size = TILE if tile is None else tile
    check(size)
    if engine.name == "cpu":
        from .fused import Fused

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
    tile: Tile | None  # a tile of it; None after its last tile
    wanted: bool  # whether the tile has to be computed


def _tiled(forward, images, size, weights, progress):
    """The results of `run_all`, in tiles of size x size pixels with their halo.

    forward : iterable of tiles -> iterator of the network's outputs, in order; it may take tiles
    ahead.
    """
    parts = deque()  # parts of the taken images that are not done

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
    """`run_all` by the folded network; the tile's side is halved whenever the memory is full."""
    from .cuda import folded, streams

    forward = folded.Folded(fold(weights, multiple=GPU_CHANNELS), weights.config, winograd)
    size = forward.tile() if tile is None else tile
    images, under_way, ended_by = iter(images), deque(), []

    def taken():
        try:
            for image in images:
                under_way.append(image)
                yield image
        except Exception as error:  # `images` may also raise that the memory is full
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
            if size == 1 or ended_by:  # after an error of `images`, the rest would be lost silently
                raise
        size //= 2
        folded.release()  # after the except clause, because the error refers to the arrays


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
