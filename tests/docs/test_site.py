"""What the site adds to the pages: commands, docstrings, their order; and where links lead."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#([\w-]+))?\)")


def extension(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_has_one_place():
    tree = extension("tree").TREE
    placed = [
        page for groups in tree.values() for pages in groups.values() for page in pages.split()
    ]
    notebooks = DOCS.glob("learn/notebooks/*.ipynb")  # shown as they were run
    found = (*PAGES, *notebooks)
    every = {p.relative_to(DOCS).with_suffix("").as_posix() for p in found} - {"index"}
    assert sorted(placed) == sorted(every)
    assert all(page == "index" or page in placed for page in tree)


def test_the_table_of_contents_is_added_and_hidden():
    added = extension("tree").appended("learn/layers/README")
    assert added.startswith("\n```{toctree}\n:hidden:\n")
    assert added.index("/learn/layers/padding\n") < added.index("/learn/layers/adam\n")
    assert extension("tree").appended("layout") == ""


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda p: str(p.relative_to(ROOT))
)
def test_links_lead_somewhere(page):
    """In any viewer of Markdown, so on files and not on the site's pages."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in LINK.findall(text):
        found = page.parent / target
        assert found.exists(), f"{target} is not there"
        if anchor and found.suffix == ".md":
            heads = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}


def test_every_command_and_option_is_in_the_reference():
    commands = extension("commands")
    page, found = commands.page(), commands.commands()
    assert re.findall(r"^## (.*)", page, re.MULTILINE) == [*found]
    assert len(found) > 10
    for name, section in zip(found, re.split(r"^## .*", page, flags=re.MULTILINE)[1:], strict=True):
        flags = [flag for action in found[name]._actions for flag in action.option_strings]
        for flag in {*flags} - {"-h", "--help"}:
            assert re.search(rf"^\| (?:`[^`]*`, )*`{flag}[ `]", section, re.MULTILINE), (name, flag)


def test_a_table_of_the_reference_keeps_its_columns():
    """A | or a newline in a help text would end a cell."""
    parser = argparse.ArgumentParser(description="does it")
    parser.add_argument("--to", metavar="A|B", help="one|two\nthree * four")
    *_, table = extension("commands").section("do", parser)
    assert table.splitlines()[-1] == "| `--to A\\|B` | one\\|two three \\* four |"


@pytest.mark.parametrize(
    ("docstring", "rest"),
    [
        ("a * b_ and |c|.", ["a \\* b\\_ and \\|c\\|.", ""]),
        ("Two\nlines.\n\nEnd.", ["Two lines.", "", "End.", ""]),
        ("x : (N,), in kG\n  and more.", ["- **x** : (N,), in kG and more.", ""]),
        ("x : (N,).\nMore.", ["- **x** : (N,).", "", "More.", ""]),
        ("x : (N,);  y : (M,)", ["- **x** : (N,);", "- **y** : (M,)", ""]),
        ("    a: one\n      more\n    b", ["::", "", "    a: one", "      more", "    b", ""]),
        ("x : (N,)\n  a\n    more\n  b", ["- **x** : (N,) a more", "", "b", ""]),
        ("x, y : alike.\nz : other.", ["- **x, y** : alike.", "- **z** : other.", ""]),
        ("Text.\nRaises ValueError.", ["Text.", "", "Raises ValueError.", ""]),
        ("As in `pad_conv`.", ["As in ``pad_conv``.", ""]),
        ("So\n\n    y = A^T b_,", ["So", "", "::", "", "    y = A^T b_,", ""]),
    ],
)  # fmt: skip
def test_docstrings(docstring, rest):
    assert extension("docstrings").rest(docstring.split("\n")) == rest


def test_fields_of_a_named_tuple():
    source = "class C(NamedTuple):\n    x: Array  # (N, H, W, C)\n    w: Array\n"
    assert extension("docstrings").fields(source) == ["x : (N, H, W, C)", "w : as above"]
