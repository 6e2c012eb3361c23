"""Makes the notebooks beside it of their scripts, and runs them.

    python docs/learn/notebooks/build.py [--output FOLDER]

A script is a docstring of title and text, then code; "# %%" begins a new cell, and the comment
below it is text, as in docs/gallery. Needs nbformat, nbclient and ipykernel.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = sorted(set(HERE.glob("*.py")) - {Path(__file__)})
sys.path.insert(0, str(HERE.parents[1] / "gallery"))

from build import blocks  # noqa: E402, of the gallery


def notebook(script: Path):
    """The notebook of a script, without outputs."""
    from nbformat import v4

    title, introduction, parts = blocks(script.read_text(encoding="utf-8"))
    cells = [v4.new_markdown_cell(f"# {title}\n\n{introduction}")]
    for text, code in parts:
        cells += [v4.new_markdown_cell(text)] if text else []
        cells += [v4.new_code_cell(code)] if code else []
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # random otherwise
    made = v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {
        "name": "python3", "language": "python", "display_name": "Python 3"
    }  # fmt: skip
    return made


def main() -> None:
    import nbformat
    from nbclient import NotebookClient

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=HERE, help="folder (default: this one)")
    output = parser.parse_args().output
    for script in SCRIPTS:
        made = notebook(script)
        NotebookClient(made, timeout=600, kernel_name="python3").execute()
        for cell in made.cells:
            cell.metadata.clear()  # times
            if "outputs" in cell:  # what is printed and drawn, not <Legend at 0x7f...>
                cell.outputs = [o for o in cell.outputs if o.output_type != "execute_result"]
        made.metadata.pop("language_info", None)  # the version of Python
        nbformat.write(made, output / f"{script.stem}.ipynb")


if __name__ == "__main__":
    main()
