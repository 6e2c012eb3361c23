"""Result tables: Markdown between markers in a hand-written text."""

from collections.abc import Iterable, Sequence
from pathlib import Path


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every row as long as the header."""
    lines = [header, ["---"] * len(header), *rows]
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"table: every row needs {len(header)} cells, as the header has")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows(path: Path, name: str) -> list[list[str]]:
    """Cells of the first table between the markers of `name` in the file `path`, header first."""
    shown = path.read_text(encoding="utf-8").split(f"<!-- bench:{name} -->")[1].strip()
    lines = shown.split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]  # without the line of dashes


def replace(path: Path, name: str, text: str) -> None:
    """Put `text` between <!-- bench:name --> and <!-- /bench:name --> in the file `path`.

    The rest of the file stays as it is. Raises ValueError unless each marker is there once,
    in this order.
    """
    first, last = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    old = path.read_text(encoding="utf-8")
    before, _, rest = old.partition(first)
    _, _, after = rest.partition(last)
    if old.count(first) != 1 or old.count(last) != 1 or last not in rest:
        raise ValueError(f"table: {path.name} must hold {first} and {last}, once, in this order")
    new = f"{before}{first}\n\n{text}\n\n{last}{after}"
    path.write_text(new, encoding="utf-8")
