"""Only what writes tables: timings are not tested."""

import runpy
from pathlib import Path

import pytest

TABLE = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "table.py"))
replace, markdown = TABLE["replace"], TABLE["markdown"]
PAGE = "Å\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nb <!-- bench:b --><!-- /bench:b -->\n"


def test_replaces_only_what_is_between_the_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    replace(path, "a", r"new \1")
    once = path.read_text(encoding="utf-8")
    assert once == PAGE.replace("\nold\n", "\n\nnew \\1\n\n")
    replace(path, "a", r"new \1")
    assert path.read_text(encoding="utf-8") == once


@pytest.mark.parametrize(
    "text", ["", "<!-- bench:a -->", "<!-- /bench:a --><!-- bench:a -->", 2 * PAGE]
)
def test_markers_must_be_there_once_in_order(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md must hold <!-- bench:a -->"):
        replace(path, "a", "new")
    assert path.read_text(encoding="utf-8") == text


def test_markdown():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        markdown(["a", "b"], [["1"]])
