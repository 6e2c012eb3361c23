"""Prediction: on CPU cores through the fused network, else the page, tile by tile."""

import os
from collections.abc import Callable

import numpy as np

from .. import models, network, normalise
from ..weights import Weights, load
from . import Engine, select
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

    Returns (2H, 2W) float32 in the units of the image, NaN where it was: input pixel (i, j)
    covers output pixels 2i, 2i+1 and 2j, 2j+1.
    Raises ValueError for what does not hold, OSError for weights that cannot be read,
    RuntimeError for a GPU that is not there.
    """
    if type not in models.TYPES:
        raise ValueError(f"predict: type must be one of {models.TYPES}, got {type!r}")
    if not isinstance(weights, Weights):
        weights = load(models.path(type) if weights is None else weights)
    if np.ma.isMaskedArray(image):
        image = np.ma.filled(image.astype(np.result_type(image, np.float32)), np.nan)
    image = np.asarray(image)
    if image.ndim != 2 or min(image.shape) < 2 or image.dtype.kind not in "fiu":
        raise ValueError(
            "predict: image must be (H, W) with H, W >= 2 and real numbers, "
            f"got shape {image.shape}, dtype {image.dtype}"
        )
    return enhance(
        image, type, weights, normalise.norm_value(image, norm, type), select(device), tile
    )


def enhance(
    image: np.ndarray,
    type: str,
    weights: Weights,
    norm: normalise.Norm,
    engine: Engine,
    tile: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """What `predict` does once all is loaded; norm : what the image is divided by."""
    trained_for = weights.provenance.get("type", type)
    if trained_for != type:
        raise ValueError(f"predict: the weights must be for {type}, got weights for {trained_for}")
    x, mask = normalise.divided(image, norm)
    valid = ~mask if mask.any() else None
    enhanced = normalise.multiplied(run(x, weights, engine, tile, progress, valid), mask, norm)
    if np.count_nonzero(~np.isfinite(enhanced)) != 4 * np.count_nonzero(mask):
        raise ValueError(
            f"predict: the result must be finite, got NaN or infinity with norm={norm.level:g}: "
            "is the image in its units, and are the weights those of a trained network?"
        )
    return enhanced


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
    forward = _page(weights, engine)
    y = np.empty((2 * x.shape[0], 2 * x.shape[1]), np.float32)
    done = 0
    progress(done, x.size)
    for core, seen, inner in plan(x.shape, size, halo(weights.config)):
        if valid is None or valid[core].any():
            y[_doubled(core)] = forward(np.ascontiguousarray(x[seen]))[_doubled(inner)]
        done += x[core].size
        progress(done, x.size)
    return y


def _doubled(slices):
    return tuple(slice(2 * s.start, 2 * s.stop) for s in slices)


def _page(weights: Weights, engine: Engine) -> Callable[[np.ndarray], np.ndarray]:
    """x (H, W) -> y (2H, 2W) of one tile."""
    p, moving = (
        {name: engine.asarray(a) for name, a in group.items()}
        for group in (weights.params, weights.moving)
    )

    def forward(x):
        x = engine.asarray(x[None, :, :, None])
        y, _ = network.forward(p, x, weights.config, engine.ops, moving)
        return engine.asnumpy(y)[0, :, :, 0]

    return forward
