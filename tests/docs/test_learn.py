"""The pages for learners: their examples give what they print, their script what they show."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.inspection import drawing

LEARN = Path(__file__).parents[2] / "docs" / "learn"
PAGES = sorted(p for p in LEARN.rglob("*.md") if ">>>" in p.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_examples(page):
    found = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert found.attempted > 5
    assert found.failed == 0


def same(got, want):
    """Whether two words are equal, or numbers that differ by rounding only."""
    try:
        return float(got) == pytest.approx(float(want), rel=1e-2, abs=2e-5)
    except ValueError:
        return got == want


def test_the_first_script_prints_what_the_page_shows():
    script = LEARN / "first_steps.py"
    ran = subprocess.run(
        [sys.executable, "-W", "error", script], check=True, capture_output=True, text=True
    )
    page = (LEARN / "README.md").read_text(encoding="utf-8")
    shown = page.split("<!-- first_steps -->\n```\n")[1].split("```\n<!-- /first_steps -->")[0]
    for got, want in zip(ran.stdout.split(), shown.split(), strict=True):
        assert same(got, want)


def test_the_first_script_is_short():
    assert len((LEARN / "first_steps.py").read_text(encoding="utf-8").splitlines()) <= 45


def test_the_drawing_is_up_to_date():
    """If inspection/drawing.py changes, docs/learn/drawing.py must be run again."""
    assert (LEARN / "network.svg").read_text(encoding="utf-8") == drawing.drawing()


def test_the_drawing_has_the_layers_of_the_network():
    layers = params.layers(NetworkConfig(depth=1))
    assert [name for name, *_ in drawing.LAYERS] == [
        "x", *(name.removeprefix("block0/") for _, name, _ in layers)
    ]  # fmt: skip
