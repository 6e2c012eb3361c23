"""Do the trainings of the weights that ship begin bit for bit as they did?

    python bench/first_steps.py --pairs DIR [--write]

Starts each of the four trainings anew, with what its weights file says of it, on the pairs in DIR
(`degrade --recipe`), and holds the losses of the first STEPS steps against those in
docs/models/first_steps.csv; --write puts them there. On one kind of processor, with any
number of threads, they are the same bits; on others they drift apart by rounding: then
the largest relative deviation is what to look at. Exit status 1 if a bit differs.
"""

import argparse
import csv
import io
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import table

from enhance_np import models, weights
from enhance_np._atomic import write_bytes
from enhance_np.engine import select
from enhance_np.train_options import TrainOptions
from enhance_np.training import train

STEPS = 200
CURVES = Path(__file__).parents[1] / "docs" / "models" / "first_steps.csv"
EACH = [(type, model) for type in models.TYPES for model in models.MODELS]


class _Enough(Exception):
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--write", action="store_true", help=f"write {CURVES.name}")
    options = parser.parse_args()
    before = None if options.write else _read(CURVES)
    found = {f"{t}_{m}": losses(options.pairs / f"{t}.h5", models.path(t, m)) for t, m in EACH}
    if options.write:
        write_bytes(CURVES, _text(found).encode())
        return
    rows = [[name, *compared(found[name], before[name])] for name in found]
    print(table.markdown(["training", f"first {STEPS} losses", "largest deviation"], rows))
    sys.exit(int(found != before))


def losses(data: Path, path: Path) -> list[float]:
    """Of the first STEPS steps of the training that a weights file tells of."""
    given = weights.load(path)
    names = {field.name for field in fields(TrainOptions)}
    told = {name: v for name, v in given.provenance.items() if name in names}
    if told.get("noise") == "of each patch":
        del told["noise"]
    found = []

    def report(row):
        if "step" in row:  # not an epoch's
            found.append(row["loss"])
        if len(found) == STEPS:
            raise _Enough

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "weights.h5"
        try:
            train(data, output, given.config, TrainOptions(**told), select("cpu"), report=report)
        except _Enough:
            return found
    raise SystemExit(f"first_steps: {path.name} must have {STEPS} steps, got {len(found)}")


def compared(found: list[float], before: list[float]) -> tuple[str, str]:
    deviation = max(abs(a - b) / b for a, b in zip(found, before, strict=True))
    return "the same bits" if found == before else "differ", f"{deviation:.1e}"


def _text(found):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["step", *found])
    writer.writerows(
        [i, *map(repr, row)] for i, row in enumerate(zip(*found.values(), strict=True))
    )
    return text.getvalue()


def _read(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "step"}


if __name__ == "__main__":
    main()
