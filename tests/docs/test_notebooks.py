"""The notebooks run from end to end, and are those of their scripts."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "learn" / "notebooks"
SCRIPTS = sorted(set(NOTEBOOKS.glob("*.py")) - {NOTEBOOKS / "build.py"})


def sources(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells]


def pictures(notebook):
    """How many pictures each cell has."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))
        for cell in cells
    ]


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The folder of the notebooks, run here by Jupyter."""
    for package in ("nbclient", "nbformat", "ipykernel", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f'needs {package}: pip install "enhance_np[docs]"')
    folder = tmp_path_factory.mktemp("notebooks")
    ran = subprocess.run(
        [sys.executable, NOTEBOOKS / "build.py", "--output", folder], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_notebook_runs_and_is_that_of_its_script(script, rebuilt):
    """If a script changes, docs/learn/notebooks/build.py must be run again."""
    kept, made = (folder / f"{script.stem}.ipynb" for folder in (NOTEBOOKS, rebuilt))
    assert sources(kept) == sources(made)
    assert pictures(kept) == pictures(made)
    assert sum(pictures(made)) >= 6


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_every_line_of_a_script_is_in_its_notebook(script):
    """Without Jupyter too."""
    text = "\n".join(sources(script.with_suffix(".ipynb")))
    for line in script.read_text(encoding="utf-8").splitlines():
        assert line in ("# %%", '"""') or line.removeprefix('"""').removeprefix("# ") in text


def test_there_are_two():
    assert len(SCRIPTS) == 2
