"""Which of Winograd's tiles a part of an image needs, compared with sets of pixels."""

import numpy as np
import pytest

from enhance_np.engine.cpu.spans import numbered, read_by, wanted
from enhance_np.engine.cpu.transforms import M


def tiles_of(spans, across):
    """Which tiles hold a pixel that is set: (rows, across) bool."""
    columns = np.arange(across)
    return (columns >= spans[:, :1]) & (columns < spans[:, 1:])


@pytest.mark.parametrize("shape", [(4, 4), (2, 3), (17, 9), (40, 41), (33, 64)])
@pytest.mark.parametrize("share", [0, 0.005, 0.05, 1])
def test_wanted_and_read_by(shape, share, rng):
    rows, across = (-(-n // M) for n in shape)
    for _ in range(20):
        valid = rng.random(shape) < share
        spans = wanted(valid)
        for _ in range(4):
            for row in range(rows):
                # the tiles from the first to the last that holds a pixel, or none
                columns = np.flatnonzero(valid[row * M : row * M + M].any(axis=0)) // M
                first, last = (columns[0], columns[-1] + 1) if columns.size else (0, 0)
                assert tuple(spans[row]) == (first, last)
            spans = read_by(spans, across)
            # pixels that a 3x3 kernel reads for whole tiles
            tiles = tiles_of(wanted(valid), across)
            pixels = tiles.repeat(M, axis=0).repeat(M, axis=1)[: shape[0], : shape[1]]
            framed = np.pad(pixels, 1)
            valid = np.logical_or.reduce(
                [framed[i : i + shape[0], j : j + shape[1]] for i in range(3) for j in range(3)]
            )


def test_numbered_joins_what_meets():
    whole = np.tile((0, 5), (4, 1))
    assert numbered(whole, 0, 4, 5) == [(0, 20)]
    assert numbered(whole, 1, 3, 5) == [(5, 15)]
    spans = np.array([[0, 0], [2, 5], [0, 3], [1, 4], [0, 0]])
    assert numbered(spans, 0, 5, 5) == [(7, 13), (16, 19)]
    assert numbered(spans, 4, 5, 5) == []
