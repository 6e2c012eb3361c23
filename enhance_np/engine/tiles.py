"""Cutting an image into tiles whose halo makes them give what the whole image gives.

And telling Winograd's tiles, of 4 x 4 pixels, that are needed for the valid part of an image.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np

from .. import params
from ..config import NetworkConfig
from .cpu.transforms import M

AFTER_UPSAMPLING = ("refine/conv", "head")


class Tile(NamedTuple):
    core: tuple[slice, slice]  # the input pixels whose output this tile gives
    seen: tuple[slice, slice]  # what it reads: core and a halo, cut at the image's edge
    inner: tuple[slice, slice]  # core within seen


def halo(config: NetworkConfig) -> int:
    """Input pixels on each side that can change an output pixel: 2 depth + 3.

    Each k x k convolution reaches (k - 1) / 2 pixels; those after the upsampling reach half as
    many input pixels, and part of a pixel needs the whole of it.
    """
    reach = 0.0
    for kind, name, shape in params.layers(config):
        if kind == "conv":
            reach += shape[0] // 2 / (2 if name in AFTER_UPSAMPLING else 1)
    return ceil(reach)


def needed(first: int, last: int, size: int, config: NetworkConfig) -> tuple[int, int]:
    """(low, high): the input lines that decide the bits of what lines first to last become.

    size : lines (or columns) of the image. A part of it from low to high, tiled from its own
    first line, gives the bits of the whole.

    That is more than `halo`: a tile of Winograd's is computed together, and where an output does
    not depend on an input, its rounding may. Of the lines -1 to 4 that the outputs 0 to 3 of a
    tile read, line -1 has a part in output 0 alone and line 4 in output 3 alone (the points 0
    and infinity, see `winograd`), the others in all four. So a 3x3 convolution reaches one line
    from the edge of a tile, and from within to its edge: two lines a layer on average.
    """
    high = last - 1
    low = first
    for kind, _, shape in params.layers(config):
        if kind == "conv" and shape[0] > 1:
            low = low - 1 if low % M == 0 else low - low % M
            high = high + 1 if high % M == M - 1 else high - high % M + M - 1
    low, high = low - low % M, high - high % M + M  # the tiles of the part are the image's
    return max(0, low), min(size, high)


def check(tile: int) -> None:
    """Raise ValueError unless tile is an integer >= 1."""
    if not isinstance(tile, int) or tile < 1:
        raise ValueError(f"tiles: needs 1 pixel or more, got tile={tile}")


def plan(shape: tuple[int, int], tile: int, reach: int) -> Iterator[Tile]:
    """Tiles of `tile` x `tile` input pixels that cover an image of `shape` = (H, W).

    A tile reads `reach` pixels more on each side but for the image's own edge: there, and only
    there, the reflection at a tile's edge is the image's own.
    """

    def cut(size):
        for first in range(0, size, tile):
            last = min(first + tile, size)
            low, high = max(0, first - reach), min(size, last + reach)
            yield slice(first, last), slice(low, high), slice(first - low, last - low)

    for rows in cut(shape[0]):
        for columns in cut(shape[1]):
            yield Tile(*zip(rows, columns, strict=True))


def wanted(valid: np.ndarray) -> np.ndarray:
    """(rows of tiles, 2): from the first Winograd tile with a valid pixel to behind the last.

    valid : (H, W) bool.  A row without any has first = last.
    """
    h, w = valid.shape
    rows = np.logical_or.reduceat(valid, np.arange(0, h, M), axis=0)
    tiles = np.logical_or.reduceat(rows, np.arange(0, w, M), axis=1)
    across = tiles.shape[1]
    spans = np.stack([tiles.argmax(axis=1), across - tiles[:, ::-1].argmax(axis=1)], axis=1)
    spans[~tiles.any(axis=1)] = 0
    return spans


def read_by(spans: np.ndarray, across: int) -> np.ndarray:
    """The tiles that a 3x3 convolution reads to make those of `spans`: one more on every side.

    Whole tiles, as the fused network makes no others, though at most the nearest line of each
    neighbour has a part in the result (`needed`).
    spans, result : see `wanted`, of `across` tiles a row.
    """
    empty = spans[:, 0] == spans[:, 1]
    first = np.pad(np.where(empty, across, spans[:, 0]), 1, constant_values=across)
    last = np.pad(np.where(empty, 0, spans[:, 1]), 1)
    first = np.minimum.reduce([first[:-2], first[1:-1], first[2:]])
    last = np.maximum.reduce([last[:-2], last[1:-1], last[2:]])
    grown = np.stack([(first - 1).clip(0), (last + 1).clip(max=across)], axis=1)
    grown[first >= last] = 0  # none in the rows above and below
    return grown


def numbered(spans: np.ndarray, first: int, last: int, across: int) -> list[tuple[int, int]]:
    """Those of the rows first <= i < last as ranges of tiles, numbered through all rows.

    Ranges that meet are joined: whole rows are cut into tasks as one.
    """
    found = []
    for start, stop in (np.arange(first, last)[:, None] * across + spans[first:last]).tolist():
        if found and found[-1][1] == start:
            start = found.pop()[0]
        if start < stop:
            found.append((start, stop))
    return found
