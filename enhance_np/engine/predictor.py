"""The network prepared for prediction by an engine, once for any number of images."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from .. import network
from ..weights import Weights
from .tiled import TILE, tiled
from .tiles import check

Progress = Callable[[int, int], None]  # called with (input pixels done, total) of an image


def silent(done: int, total: int) -> None:
    pass


class Predictor:
    """The result of `Engine.predictor`.

    each : (images, tile, progress) -> results, see the method.
    """

    def __init__(self, weights: Weights, each: Callable):
        self.weights, self._each = weights, each

    def __call__(
        self,
        x: np.ndarray,
        tile: int | None = None,
        progress: Progress = silent,
        valid: np.ndarray | None = None,
    ) -> np.ndarray:
        """The network's output for one normalised image.

        x : (H, W) float32 without NaN.  result : (2H, 2W) float32.
        tile : how much at a time: lines on the CPU, else the side of a square tile in pixels.
        progress : called with (input pixels done, total).
        valid : (H, W) bool, where the result is wanted; None means everywhere. Wanted pixels do not
        depend on it; pixels far enough from them are not computed, and are undefined.
        """
        return next(self.each([(x, valid)], tile, progress))

    def each(
        self,
        images: Iterable[tuple[np.ndarray, np.ndarray | None]],
        tile: int | None = None,
        progress: Progress = silent,
    ) -> Iterator[np.ndarray]:
        """The output for each (x, valid), in order.  progress : called for each image.

        On a GPU the tiles of all images are one queue: the next images are taken while one is
        computed and while the last result is used.  Raises ValueError if tile is below 1.
        """
        check(TILE if tile is None else tile)
        return self._each(images, tile, progress)


def by_the_page(weights: Weights, engine) -> Callable:
    """Prediction by `network.forward`, for an engine without a way of its own."""
    p, moving = (
        {name: engine.asarray(a) for name, a in group.items()}
        for group in (weights.params, weights.moving)
    )

    def forward(x):
        x = engine.asarray(np.ascontiguousarray(x)[None, :, :, None])
        y, _ = network.forward(p, x, weights.config, engine.ops, moving)
        return engine.asnumpy(y)[0, :, :, 0]

    def each(images, tile, progress):
        size = TILE if tile is None else tile
        return tiled(partial(map, forward), images, size, weights.config, progress)

    return each
