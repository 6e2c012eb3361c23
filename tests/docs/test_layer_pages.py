"""The layers' pages: their parts, their drawings, and what they name.

`test_learn.py` runs their examples.
"""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from enhance_np.exercises.grade import NAMES

LAYERS = Path(__file__).parents[2] / "docs" / "learn" / "layers"
PAGES = sorted(path for path in LAYERS.glob("*.md") if path.name != "README.md")
PARTS = ("Backward, step by step", "The code", "Common mistakes, and their size", "Exercises")


def text(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def drawings():
    spec = importlib.util.spec_from_file_location("drawings", LAYERS / "drawings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_drawings_are_what_the_script_draws(drawings):
    made = {f"{name}.svg": drawings.svg(*parts()) for name, parts in drawings.DRAWINGS.items()}
    assert made.keys() == {path.name for path in LAYERS.glob("*.svg")}
    for name, svg in made.items():
        assert svg == text(LAYERS / name), f"{name}: run python docs/learn/layers/drawings.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_parts(page):
    found = re.findall(r"^## (.*)", text(page), re.MULTILINE)
    missing = {*PARTS} - {*found}
    if page.stem in ("adam", "network"):  # Adam has no backward pass, the network's is its own
        missing -= {"Backward, step by step"}
    assert not missing
    assert re.search(r"^!\[.+\]\(\w+\.svg\)$", text(page), re.MULTILINE)
    assert re.search(r"\]\(\.\./\.\./\.\./tests/.*\.py\)", text(page))


def test_every_exercise_has_a_page_and_every_page_names_exercises_that_exist():
    named = {name for page in PAGES for name in re.findall(r"--only (\w+)", text(page))}
    assert named | {"network"} == {*NAMES}


@pytest.mark.parametrize("page", [*PAGES, LAYERS.parent / "optics.md"], ids=lambda p: p.stem)
def test_the_code_shown_exists(page):
    shown = re.findall(r"```{literalinclude} (\S+)\n((?::.*\n)+)", text(page))
    assert shown
    for path, options in shown:
        source = (page.parent / path).read_text(encoding="utf-8")
        options = dict(re.findall(r":([\w-]+): (.*)", options))
        if "pyobject" in options:
            names = {node.name for node in ast.parse(source).body if hasattr(node, "name")}
            assert options["pyobject"] in names
        for key in ("start-at", "end-before"):
            assert options.get(key, "") in source
