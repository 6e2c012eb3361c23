"""The pages name scripts that run, and show what these wrote."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from bench import ROOT, readme
from bench.shared import table, timing
from enhance_np.config import TYPES

RECORDED = ("predict", "scaling", "train")  # in docs/speed.md
CARD = ("files", "sources", "intensity", "blos", "known", "real")
SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "bench").rglob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    done = subprocess.run(
        [sys.executable, "-m", script, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_list_has_every_script(script):
    if not script.startswith("bench.shared."):
        page = (ROOT / "bench/README.md").read_text(encoding="utf-8")
        assert f"`python -m {script}" in page


def test_what_the_pages_name_exists():
    """Scripts by command and by path, wherever in the checkout they are named."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]
    for folder in ("bench", "docs", "enhance_np", "tests"):
        pages += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".md", ".py")]
    commands, paths = set(), set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        commands.update(re.findall(r"python\s-m (bench\.[\w.]*\w)\b(?!\.\$)", text))
        paths.update(re.findall(r"(?<![\w/])bench/[\w/]+\.(?:py|md)\b", text))
    assert commands <= {*SCRIPTS}
    assert [path for path in paths if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize(
    ("name", "page"),
    [
        *((name, "docs/speed.md") for name in RECORDED),
        *((name, "README.md") for name in ("speed", "quality")),
        ("layers", "bench/README.md"),
        *((name, "enhance_np/models/README.md") for name in CARD),
        *((f"reliability_{type}", "docs/confidence.md") for type in TYPES),
        *((f"reliability_later_{type}", "docs/confidence.md") for type in TYPES),
    ],
)
def test_the_pages_have_the_markers(name, page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count(f"<!-- bench:{name} -->") == text.count(f"<!-- /bench:{name} -->") == 1


@pytest.mark.parametrize(
    ("name", "page"), [(n, "docs/speed.md") for n in RECORDED] + [("layers", "bench/README.md")]
)
def test_the_pages_show_the_records(name, page):
    """Every processor's, and nothing else."""
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = text.split(f"<!-- bench:{name} -->")[1].split(f"<!-- /bench:{name} -->")[0]
    made = timing.processors(
        name, import_module(f"bench.speed.{name}").text, ROOT / "bench/results"
    )
    assert made
    assert shown == f"\n\n{made}\n\n"


def test_the_readme_shows_the_records_and_the_card():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = {"speed": readme.speed(ROOT / "bench/results"), "quality": readme.quality(readme.CARD)}
    for name, rows in made.items():
        shown = text.split(f"<!-- bench:{name} -->")[1].split(f"<!-- /bench:{name} -->")[0]
        assert shown == f"\n\n{rows}\n\n"


def test_rows_are_read_back(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:a -->\n<!-- /bench:a -->\n", encoding="utf-8")
    table.replace(page, "a", table.markdown(["x", "y"], [["1", "-2"], ["3", "4"]]) + "\n\nmore")
    assert table.rows(page, "a") == [["x", "y"], ["1", "-2"], ["3", "4"]]
