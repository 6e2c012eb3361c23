"""Cuts an image into tiles with a halo, which give the same output as the whole image."""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

from .. import params
from ..config import NetworkConfig
from .cpu.transforms import M

AFTER_UPSAMPLING = ("refine/conv", "head")


class Tile(NamedTuple):
    core: tuple[slice, slice]  # the input pixels whose output this tile gives
    seen: tuple[slice, slice]  # the pixels that it reads: core and a halo, within the image
    inner: tuple[slice, slice]  # core within seen


def halo(config: NetworkConfig) -> int:
    """Input pixels on each side that can change an output pixel: 2 depth + 3.

    Each k x k convolution reaches (k - 1) / 2 pixels. Convolutions after the upsampling reach half
    as many input pixels. The sum is rounded up, because a part of a pixel needs the whole pixel.
    """
    reach = 0.0
    for kind, name, shape in params.layers(config):
        if kind == "conv":
            reach += shape[0] // 2 / (2 if name in AFTER_UPSAMPLING else 1)
    return ceil(reach)


def needed(first: int, last: int, size: int, config: NetworkConfig) -> tuple[int, int]:
    """(low, high): the range of input lines on which the bits of lines first to last depend.

    size : lines (or columns) of the image. The part of it from low to high, with tiles counted from
    its own first line, gives the same bits as the whole.

    This is more than `halo`. The outputs of one of Winograd's tiles are computed together, so the
    rounding of an output may depend on an input on which the output itself does not. The outputs 0
    to 3 of a tile read the lines -1 to 4. Line -1 contributes only to output 0, and line 4 only to
    output 3 (the points 0 and infinity, see `winograd`); the others contribute to all four. A 3x3
    convolution therefore reaches one line beyond a tile from its edge, and the edge of the tile
    from within: two lines per layer on average.
    """
    high = last - 1
    low = first
    for kind, _, shape in params.layers(config):
        if kind == "conv" and shape[0] > 1:
            low = low - 1 if low % M == 0 else low - low % M
            high = high + 1 if high % M == M - 1 else high - high % M + M - 1
    low, high = low - low % M, high - high % M + M  # so that the part has tiles of the image
    return max(0, low), min(size, high)


def check(tile: int) -> None:
    """Raise ValueError unless tile is an integer >= 1."""
    if not isinstance(tile, int) or tile < 1:
        raise ValueError(f"tiles: needs 1 pixel or more, got tile={tile}")


def plan(shape: tuple[int, int], tile: int, reach: int) -> Iterator[Tile]:
    """Tiles of `tile` x `tile` input pixels that cover an image of `shape` = (H, W).

    A tile reads `reach` pixels more on each side, except beyond the edge of the image. Only there
    is the reflection at the edge of a tile that of the image.
    """

    def cut(size):
        for first in range(0, size, tile):
            last = min(first + tile, size)
            low, high = max(0, first - reach), min(size, last + reach)
            yield slice(first, last), slice(low, high), slice(first - low, last - low)

    for rows in cut(shape[0]):
        for columns in cut(shape[1]):
            yield Tile(*zip(rows, columns, strict=True))
