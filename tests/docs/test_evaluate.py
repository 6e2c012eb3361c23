"""docs/evaluate.md explains every row and column that the table can have."""

import re
from pathlib import Path

import numpy as np
import pytest

from enhance_np import baselines
from enhance_np.baselines.richardson_lucy import ITERATIONS
from enhance_np.config import TYPES
from enhance_np.evaluate import table
from enhance_np.evaluate.classes import NAMES, THRESHOLDS
from enhance_np.evaluate.report import Scene, report

PAGE = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("type", TYPES)
def test_every_row(type, rng):
    size = {"intensity": (1.0, 0.1), "blos": (0.0, 900.0)}[type]
    truth = rng.normal(*size, (80, 80))
    low = truth.reshape(40, 2, 40, 2).mean(axis=(1, 3))
    found = report({"out": truth + 0.01}, Scene(type, low, truth, np.abs(low)))
    heading = ""
    for label, _, cells in table.rows(found):
        if cells is None:
            heading = re.sub(r"(,| \(| over|:).*", "", label)
            assert heading in PAGE
        elif heading != "power":  # its rows are the frequencies
            assert f"`{re.sub(r'[,(].*', '', label).strip()}`" in PAGE


def test_every_class_and_method_with_its_numbers():
    for name in NAMES:
        assert re.search(rf"^\|[^|]*\b{name}\b", PAGE, re.MULTILINE)
    for name in [name for type in TYPES for name in baselines.methods(type)]:
        assert f"`{name}`" in PAGE
    assert f"`deconvolve` takes {ITERATIONS}," in PAGE
    for name in ("spot", "core", "umbra", "plage", "quiet", "strong"):
        assert f"{THRESHOLDS[name].value:g}" in PAGE
