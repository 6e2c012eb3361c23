"""Prediction: on CPU cores through the fused network, on a GPU folded, else the page, in tiles."""

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import models, network, normalise
from ..weights import Weights, load
from . import Engine, select
from .ensemble import mean_and_spread
from .fold import fold
from .tiles import check, halo, plan

TILE = 512  # pixels; an activation of 64 channels then takes 67 MB


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
    if type not in models.TYPES:
        raise ValueError(f"predict: type must be one of {models.TYPES}, got {type!r}")
    if not isinstance(weights, Weights):
        weights = load(models.path(type) if weights is None else weights)
    image = unmasked(image)
    check_image(image)
    divisor = normalise.norm_value(image, norm, type)
    return apply(image, type, weights, divisor, select(device), tile, ensemble=ensemble).output


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
    size = TILE if tile is None else tile
    check(size)
    if engine.name == "cpu":
        from .fused import Fused

        return Fused(fold(weights), weights.config)(x, tile, progress, valid)
    if engine.name == "gpu":
        return _on_gpu(x, weights, tile, progress, valid)
    forward = partial(map, _page(weights, engine))
    return _tiled(forward, x, size, weights, progress, valid)


def _tiled(forward, x, size, weights, progress, valid):
    """The result of `run`, in tiles of size x size pixels with their halo.

    forward : iterable of tiles -> iterator of what the network makes of each, in their order; it
    may take tiles ahead.
    """

    def cut():
        return plan(x.shape, size, halo(weights.config))

    def wanted(tile):
        return valid is None or valid[tile.core].any()

    results = forward(x[tile.seen] for tile in cut() if wanted(tile))
    y = np.empty((2 * x.shape[0], 2 * x.shape[1]), np.float32)
    done = 0
    progress(done, x.size)
    for tile in cut():
        if wanted(tile):
            y[_doubled(tile.core)] = next(results)[_doubled(tile.inner)]
        done += x[tile.core].size
        progress(done, x.size)
    return y


def _on_gpu(x, weights, tile, progress, valid):
    """`run` by the folded network, in tiles of half the side as often as the card is full."""
    from .cuda import folded, streams

    folded_network = folded.Folded(fold(weights), weights.config)
    forward = partial(streams.through, folded_network)
    size = min(folded_network.tile() if tile is None else tile, max(x.shape))
    while True:
        try:
            return _tiled(forward, x, size, weights, progress, valid)
        except folded.out_of_memory():
            if size == 1:
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
