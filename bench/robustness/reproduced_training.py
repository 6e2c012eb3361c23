"""Do the trainings of the shipped weights start with the same bits as when they were made?

    python -m bench.robustness.reproduced_training --pairs DIR [--type TYPE] [--write]

Starts each training of the shipped weights again, with the options stored in the weights file, on
the pairs in DIR (`degrade --recipe`). It compares the losses of the first STEPS steps with those in
docs/models/first_steps.csv; --write stores them there. Weights from which a training continued are
not shipped: they must be in DIR too, where `make retrain` leaves them. The losses have the same
bits on one kind of processor, with any number of threads. On others they differ by rounding; the
largest relative deviation is then printed. --type selects one type. Exit status 1 if a bit differs.
"""

import argparse
import csv
import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import product
from pathlib import Path

from bench import ROOT
from bench.shared import table
from enhance_np import models, weights
from enhance_np._atomic import write_bytes
from enhance_np.engine import select
from enhance_np.training.loop import train
from enhance_np.training.options import STARTS, TrainOptions
from enhance_np.weights import Weights

STEPS = 200
CURVES = ROOT / "docs" / "models" / "first_steps.csv"


class _Enough(Exception):
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--write", action="store_true", help=f"write {CURVES.name}")
    parser.add_argument("--type", choices=models.TYPES, help="trainings of this type alone")
    options = parser.parse_args()
    types = (options.type,) if options.type else models.TYPES
    before = _read(CURVES) if CURVES.exists() else {}
    made = dict(trainings(options.pairs, types))
    missing = [name for name in made if name not in before]
    if missing and not options.write:
        raise SystemExit(
            f"reproduced_training: {CURVES.name} must hold {', '.join(missing)}: --write"
        )
    found = {name: losses(*training) for name, training in made.items()}
    if options.write:
        others = {k: v for k, v in before.items() if not k.startswith(types)}
        write_bytes(CURVES, _text(others | found).encode())
        return
    before = {name: before[name] for name in found}
    rows = [[name, *compared(found[name], before[name])] for name in found]
    print(table.markdown(["training", f"first {STEPS} losses", "largest deviation"], rows))
    sys.exit(int(found != before))


def trainings(folder: Path, types: Iterable[str]) -> Iterator[tuple[str, tuple]]:
    """(name, arguments of `losses`) of each; if one continued another, the last one is first."""
    for type, model in product(types, models.MODELS):
        path, name = models.path(type, model), f"{type}_{model}"
        while path is not None:
            given = weights.load(path)
            before = _begun(given.provenance["start"], folder)
            if before is not None:
                name += f" from {before.stem}"
            yield name, (folder / f"{type}.h5", given, before)
            path, name = before, before and before.stem


def _begun(start: str, folder: Path) -> Path | None:
    """The file in `folder` of the weights from which a training continued, if it did."""
    if start in STARTS:
        return None
    name, _, sha256 = start.rpartition(", sha256 ")
    path = folder / name
    found = weights.digest(path) if path.exists() else "no file"
    if found != sha256:
        raise SystemExit(f"reproduced_training: {path} must have sha256 {sha256}, got {found}")
    return path


def losses(data: Path, given: Weights, before: Path | None) -> list[float]:
    """Losses of the first STEPS steps of the training that made these weights.

    before : the weights from which it continued.
    """
    names = {field.name for field in fields(TrainOptions)}
    told = {name: v for name, v in given.provenance.items() if name in names}
    if before is not None:
        told["start"] = str(before)
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
    raise SystemExit(f"reproduced_training: {data.name} must give {STEPS} steps, got {len(found)}")


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
