from pathlib import Path

import numpy as np
import pytest

from enhance_np.pairs.frames import FrameFile
from enhance_np.pairs.sources import GUARD, check_apart
from enhance_np.pairs.split import split


def frames(shape, scale=0.1):
    return FrameFile(Path("run.npy"), 1, shape, scale)


@pytest.mark.parametrize(
    ("shape", "side", "train", "validation"),
    [
        ((400, 200), 5.0, (0, 0.675, 0, 1), (0.75, 1, 0, 1)),  # the last quarter of the rows
        ((400, 400), 5.0, (0, 0.675, 0, 1), (0.75, 1, 0, 1)),
        ((200, 400), 5.0, (0, 1, 0, 0.675), (0, 1, 0.75, 1)),
        ((400, 200), 16.0, (0, 0.525, 0, 1), (0.6, 1, 0, 1)),  # more, to hold a patch
    ],
)
def test_default(shape, side, train, validation):
    found = split(frames(shape), side)
    assert found == {"train": train, "validation": validation}


@pytest.mark.parametrize(
    ("region", "train"),
    [
        ((0, 0.5, 0, 1), (0.575, 1, 0, 1)),
        ((0.3, 1, 0, 1), (0, 0.225, 0, 1)),
        ((0, 1, 0, 0.5), (0, 1, 0.65, 1)),
        ((0, 1, 0.5, 1), (0, 1, 0, 0.35)),
        ((0.5, 0.75, 0.2, 0.6), (0, 0.425, 0, 1)),  # training is the largest of four boxes
    ],
)
def test_by_region(region, train):
    found = split(frames((400, 200)), 5.0, region)
    assert found["validation"] == region
    assert found["train"] == pytest.approx(train)
    check_apart("run", *found.values(), np.array([40, 20]) + 1e-9)


def test_the_gap_is_at_least_the_guard():
    for scale in (0.0662, 0.083, 0.11):
        found = split(frames((700, 500), scale), 8.0)
        assert (found["validation"][0] - found["train"][1]) * 700 * scale > GUARD - 1e-9


@pytest.mark.parametrize(
    ("shape", "region", "message"),
    [
        ((400, 40), None, "must have room for a patch"),
        ((120, 100), None, r"5\.00 arcsec.*120 x 100 pixels of 0\.1 arcsec.*run\.npy"),
        ((400, 200), (0.9, 1, 0, 1), "must have room for a patch"),
        ((400, 200), (0.02, 0.98, 0.02, 0.98), "must have room for a patch"),
        ((400, 200), (0.5, 0.2, 0, 1), "must be 0 <= y0"),
        ((400, 200), (0, 0.5, 0, 1.5), "must be 0 <= y0"),
        ((400, 200), (0, np.nan, 0, 1), "must be 0 <= y0"),
    ],
)
def test_refuses(shape, region, message):
    with pytest.raises(ValueError, match=message):
        split(frames(shape), 5.0, region)
