"""docs/compare.md explains every row that the table can have, and has the numbers of the code."""

import re
from pathlib import Path

import pytest

from enhance_np.config import TYPES
from enhance_np.evaluate import alignment, compare, compare_report

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")
SAID = {
    "files": {"out": "a", "other": "b"},
    "minutes": 1.0,
    "shift": {"after": "centres", "pixels": [1, 2], "arcsec": [1, 2], "correlation": 0.5},
    "resolution": {"out": "sharp", "other": "airy"},
    "other_pixel_scale": [0.2, 0.3],
    "blurred": ["out", "other"],
}


@pytest.mark.parametrize("type", TYPES)
def test_every_row(type, rng):
    size = {"intensity": (1.0, 0.01), "blos": (0.0, 12.0)}[type]
    images = [rng.normal(*size, (60, 70)) for _ in range(4)]
    report, _ = compare_report.measured(
        type, images, (0.25, 0.25), (images[0], (0.2, 0.2)), None, 1e15
    )
    text = compare_report.text(SAID | report)
    labels = [re.split(r"  |,| \(", line)[0] for line in text.splitlines()]
    classes = {"all", "quiet", "plage", "pore", "umbra", "penumbra", "limb"}
    headings = {"as they are", "at the same resolution", f"{type} in {report['unit']}", "OUT"}
    headings |= {"OTHER", "", "power at the same resolution", "|B| of OUT over that of OTHER"}
    rows = {label for label in labels if not label[:1].isdigit()} - classes - headings
    assert len(rows) >= 5
    for label in rows:
        assert f"`{label.removesuffix(' at the same resolution')}`" in PAGE, label


def test_its_numbers():
    for words in (
        f"a search over {alignment.FARTHEST:g} arcsec",
        f"is below {alignment.TRUSTED:g} times the rms",
        f"between a pixel and {alignment.DETAIL:g} arcsec",
        f"within {compare.EDGE:g} arcsec of a border",
        f"Above {compare.APART:g} minutes",
    ):
        assert words in re.sub(r"\s+", " ", PAGE)
