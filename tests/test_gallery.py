"""The page of the gallery is up to date with its scripts."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
SCRIPTS = sorted(GALLERY.glob("plot_*.py"))


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("gallery_build", GALLERY / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_example_from_end_to_end(tmp_path):
    pytest.importorskip("matplotlib")
    script = GALLERY / "plot_gradient.py"
    # also what this run ignores: with the oldest packages, deprecations among themselves. Python
    # drops an option that PYTHONWARNINGS has, and then "error" would be the last word
    also = [word for option in sys.warnoptions for word in ("-W", option)]
    command = [sys.executable, "-W", "error", *also, GALLERY / "build.py", script]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"}
    subprocess.run([*command, "--output", tmp_path], check=True, env=environment)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## What a pixel of the output looks at" in page
    assert "reaches from -5 to +4 pixels" in page
    assert (tmp_path / "gradient_1.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_the_scripts(build):
    """If a script changes, `make gallery` must be run again."""
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 3
    for script in SCRIPTS:
        title, introduction, parts = build.blocks(script.read_text(encoding="utf-8"))
        for piece in (f"## {title}\n", introduction, *(code for _, code in parts)):
            assert piece in page
    drawn = {name for name in page.replace("(", ")").split(")") if name.endswith(".png")}
    assert drawn == {path.name for path in GALLERY.glob("*.png")}
    assert all(path.stat().st_size < build.LARGEST for path in GALLERY.glob("*.png"))


def test_an_example_without_its_archive(build, tmp_path, monkeypatch):
    """It is shown with the reason; any other example must run."""
    script = tmp_path / "plot_fido.py"
    source = '"""Title\n\nText.\n"""\n\nraise ConnectionError("no mirror")\n\n# %%\n\nprint(1)\n'
    script.write_text(source, encoding="utf-8")
    page = build.section(script, tmp_path)
    assert "print(1)" in page
    assert "```text" not in page
    assert page.endswith("*Not run when this page was written: no mirror*\n")
    monkeypatch.setattr(build, "ONLINE", ())
    with pytest.raises(ConnectionError):
        build.section(script, tmp_path)


def test_blocks(build):
    source = '"""Title\n\nText.\n"""\n\na = 1\n\n# %%\n# Of many\n# lines.\n\nb = 2  # three\n'
    assert build.blocks(source) == (
        "Title",
        "Text.",
        [("", "a = 1"), ("Of many\nlines.", "b = 2  # three")],
    )
    with pytest.raises(ValueError, match="gallery: an example must begin with a docstring"):
        build.blocks("a = 1\n")
