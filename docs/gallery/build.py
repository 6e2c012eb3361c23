"""Runs the examples beside it and writes their page: text, code, printed output and figures.

    python docs/gallery/build.py [plot_map.py ...] [--output FOLDER]

An example is a script plot_*.py: a docstring of title and text, then code; a line "# %%" begins
a new block, and the comment below it is text. The open figures of a block are its pictures.
"""

import argparse
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
LARGEST = 300_000  # bytes of a picture
ONLINE = ("plot_fido.py",)  # not run where the archive, or what reaches it, is missing
HEAD = """# Gallery

Written by `make gallery`, which runs the scripts beside this page. Their images are made by
`enhance_np.sun.scene`, so they need no data; only one of them takes a real image from the archive.
For files at hand, begin with `sunpy.map.Map("hmi.Ic_45s.….fits")`.
"""


def blocks(source: str) -> tuple[str, str, list[tuple[str, str]]]:
    """title, introduction, and the (text, code) of each block of an example."""
    head = re.match(r'"""(.*?)\n\n?(.*?)"""\n', source, re.DOTALL)
    if head is None:
        raise ValueError("gallery: an example must begin with a docstring: title, blank line, text")
    found = []
    for part in re.split(r"^# %%\n", source[head.end() :], flags=re.MULTILINE):
        lines = part.splitlines()
        count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:count])
        found.append((text, "\n".join(lines[count:]).strip()))
    return head[1].strip(), head[2].strip(), found


def section(script: Path, folder: Path) -> str:
    """Markdown of one example, run here; its pictures are written to `folder`.

    An example of ONLINE that fails for want of a package or a connection is shown with the reason.
    Raises what any other example raises, and ValueError for a picture of more than LARGEST bytes.
    """
    import matplotlib

    matplotlib.use("Agg")
    title, introduction, parts = blocks(script.read_text(encoding="utf-8"))
    page, names = [f"## {title}", introduction], {"__name__": "__main__"}
    pictures, skipped = _names(script), None
    for number, (text, code) in enumerate(parts, 1):
        printed = io.StringIO()
        if skipped is None:
            try:
                with contextlib.redirect_stdout(printed):
                    exec(compile(code, f"{script.name}, block {number}", "exec"), names)
            except (ImportError, OSError) as error:
                if script.name not in ONLINE:
                    raise
                skipped = " ".join(str(error).split()) or type(error).__name__
        page += filter(None, [text, code and f"```python\n{code}\n```"])
        if printed.getvalue():
            page.append(f"```text\n{printed.getvalue().rstrip()}\n```")
        page += [_drawn(figure, folder / next(pictures), title) for figure in _open_figures()]
    if skipped is not None:
        page.append(f"*Not run when this page was written: {skipped}*")
    return "\n\n".join(page) + "\n"


def _names(script: Path) -> Iterator[str]:
    yield from (f"{script.stem.removeprefix('plot_')}_{i}.png" for i in range(1, 100))


def _open_figures():
    from matplotlib import pyplot

    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    pyplot.close("all")
    return figures


def _drawn(figure, path: Path, title: str) -> str:
    # without the version of matplotlib: the same pictures are the same bytes
    figure.savefig(path, dpi=80, bbox_inches="tight", metadata={"Software": None})
    if path.stat().st_size > LARGEST:
        raise ValueError(f"gallery: a picture must be under {LARGEST} bytes, got {path.name}")
    return f"![{title}]({path.name})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("scripts", nargs="*", type=Path, help="default: all")
    parser.add_argument("--output", type=Path, default=HERE, help="folder (default: this one)")
    options = parser.parse_args()
    scripts = options.scripts or sorted(HERE.glob("plot_*.py"))
    page = "\n".join([HEAD, *(section(script, options.output) for script in scripts)])
    (options.output / "README.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
