"""The tiles of Winograd, of 4 x 4 outputs, that the valid part of an image needs."""

import numpy as np

from .transforms import M


def wanted(valid: np.ndarray) -> np.ndarray:
    """(rows of tiles, 2): the first tile with a valid pixel, and the one after the last.

    valid : (H, W) bool.  In a row without valid pixels the two are equal.
    """
    h, w = valid.shape
    rows = np.logical_or.reduceat(valid, np.arange(0, h, M), axis=0)
    tiles = np.logical_or.reduceat(rows, np.arange(0, w, M), axis=1)
    across = tiles.shape[1]
    spans = np.stack([tiles.argmax(axis=1), across - tiles[:, ::-1].argmax(axis=1)], axis=1)
    spans[~tiles.any(axis=1)] = 0
    return spans


def read_by(spans: np.ndarray, across: int) -> np.ndarray:
    """The tiles that a 3x3 convolution reads for those of `spans`: one more on every side.

    They are whole tiles, because the fused network computes only whole ones, although at most the
    nearest line of each neighbour contributes to the result (`engine.tiles.needed`).
    spans, result : see `wanted`.  across : tiles in a row.
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
    """The spans of rows first <= i < last as ranges of tiles, numbered through all rows.

    Adjacent ranges are joined, so that whole rows are divided into tasks together.
    """
    found = []
    for start, stop in (np.arange(first, last)[:, None] * across + spans[first:last]).tolist():
        if found and found[-1][1] == start:
            start = found.pop()[0]
        if start < stop:
            found.append((start, stop))
    return found
