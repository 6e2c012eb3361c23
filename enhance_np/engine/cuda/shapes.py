"""How images are divided into blocks of threads, by a small model of the time.

A card has some multiprocessors. Each takes the same share of the blocks, up to one, so the time is
that of ceil(blocks / multiprocessors) blocks, one after another; it does not matter here how many
of them run at once, because one multiprocessor does their arithmetic. Blocks at the edge of an
image are as slow as others, but less of their work is of use. Both losses are large for patches of
50 x 50, and small for large images.

The tile of a convolution does not change any bit, so it is chosen for the card at hand. The runs of
a gradient are partial sums: they are chosen by the shape alone, for a mean of CARDS, so that every
card gives the same bits. Nothing was timed.
"""

from functools import cache, lru_cache
from typing import NamedTuple

CARDS = 108, 128, 132  # multiprocessors of A100, RTX 4090, and H100 or H200
BLOCKS = 1024  # most blocks of a gradient, whose parts all lie in memory


class Tile(NamedTuple):
    """Pixels of a block of conv3x3.cu with 64 output channels."""

    suffix: str  # of the kernel's name
    rows: int
    columns: int
    multiply_adds: float  # share among the instructions of its loop (tests/kernels/test_proofs.py)

    def blocks(self, n: int, h: int, w: int) -> int:
        return n * -(-h // self.rows) * -(-w // self.columns)


TILES = Tile("", 4, 32, 0.92), Tile("_wide", 2, 52, 0.86)
STRIPS = 32, 26  # pixels of a strip of conv3x3_gradient.cu with 64 output channels


@lru_cache(maxsize=256)
def tile(n: int, h: int, w: int, groups: int, processors: int, tiles=TILES) -> Tile:
    """The fastest tile for n images of h x w pixels and groups of 64 channels."""
    return min(tiles, key=lambda one: tile_time(one, n, h, w, groups, processors))


def tile_time(one: Tile, n: int, h: int, w: int, groups: int, processors: int) -> float:
    """Time of a convolution, in that of one pixel without loss on one multiprocessor."""
    waves = -(-one.blocks(n, h, w) * groups // processors)
    return waves * one.rows * one.columns / one.multiply_adds


def strip(w: int, strips=STRIPS) -> int:
    """Width of the strips that cover lines of w pixels with the least waste."""
    return min(strips, key=lambda one: -(-w // one) * one)


@lru_cache(maxsize=256)
def runs(count: int, tiles: int, least: int, most: int = BLOCKS) -> tuple[int, int]:
    """(number of runs, length of a run): `count` strips or lines divided for a gradient.

    tiles : blocks of a run, which limit the number of runs to most // tiles.
    least : a run of less is not worth its part in memory; a quarter less if it fits the cards.
    """
    first = max(1, 3 * least // 4, -(-count // max(1, most // tiles)))
    per = min(
        range(first, 2 * max(first, least) + 1), key=lambda per: runs_time(count, tiles, per, CARDS)
    )
    return -(-count // per), per


def runs_time(count: int, tiles: int, per: int, cards=CARDS) -> float:
    """Time over that of a card without loss, summed over cards with these multiprocessors."""
    blocks = -(-count // per) * tiles
    return sum(-(-blocks // processors) * per * processors for processors in cards) / count / tiles


@cache
def processors() -> int:
    """Multiprocessors of the card that is used first."""
    import cupy

    return cupy.cuda.Device().attributes["MultiProcessorCount"]
