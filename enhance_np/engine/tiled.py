"""Images computed in tiles, in one queue for all images."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

from ..config import NetworkConfig
from .tiles import Tile, halo, plan

TILE = 512  # pixels, side of a tile; an activation of 64 channels then takes 67 MB


class _Part(NamedTuple):
    y: np.ndarray  # result of an image
    tile: Tile | None  # a tile of it; None after its last tile
    wanted: bool  # whether the tile has to be computed


def tiled(
    forward: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]],
    images: Iterable[tuple[np.ndarray, np.ndarray | None]],
    size: int,
    config: NetworkConfig,
    progress: Callable[[int, int], None],
) -> Iterator[np.ndarray]:
    """`Predictor.each` of the images, in tiles of size x size pixels with their halo.

    forward : iterable of tiles -> iterator of the network's outputs, in order; it may take tiles
    ahead.
    """
    parts = deque()  # parts of the taken images that are not done

    def taken():
        for x, valid in images:
            progress(0, x.size)
            y = np.empty((2 * x.shape[0], 2 * x.shape[1]), np.float32)
            for tile in plan(x.shape, size, halo(config)):
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


def _doubled(slices):
    return tuple(slice(2 * s.start, 2 * s.stop) for s in slices)
