"""What do the two tables of the README say?

    python -m bench.readme

Draws together what other scripts wrote: the records of `bench.speed.predict` and
`bench.speed.train`, and the card of `bench.quality.model_card`. Nothing is measured here. Run it
after any of these.
"""

import argparse
import json
from math import sqrt
from pathlib import Path

from bench import ROOT
from bench.shared import table

SIZE = 400  # pixels a side
CARD = ROOT / "enhance_np/models/README.md"
CLASSES = ("quiet", "plage", "pore", "penumbra", "umbra")
METHODS = {  # names of the card's columns: headings
    "bicubic": "bicubic",
    "RL": "Richardson-Lucy",
    "linear": "best linear filter",
    "default": "default network",
    "small": "small network",
}


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name, text in (("speed", speed(ROOT / "bench/results")), ("quality", quality(CARD))):
        print(text, end="\n\n")
        table.replace(ROOT / "README.md", name, text)


def speed(results: Path) -> str:
    """One row a processor: our time, and how many times as long the fastest peer takes."""
    rows = []
    for path in sorted(results.glob("predict-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        image = next(r for r in record["results"] if r["size"] == SIZE)
        trained = path.with_name(path.name.replace("predict", "train"))
        step = json.loads(trained.read_text(encoding="utf-8")) if trained.exists() else None
        cells = _beside(image) + (_beside(step) if step else ["–", "–"])
        rows.append([record["environment"]["cpu"], *cells])
    header = [f"{SIZE} x {SIZE} image", "fastest peer", "training step", "fastest peer"]
    return table.markdown(["processor", *header], rows)


def _beside(found: dict) -> list[str]:
    peer, ratio = found["fastest peer"]
    return [f"{found['summary']['enhance_np']['seconds']:.3g} s", f"{peer}, {ratio:.2f} times that"]


def quality(card: Path) -> str:
    """Root mean square errors by class, in % of the quiet Sun and in G."""
    rows = []
    for type, unit, scale in (("intensity", "% of Ic", 100), ("blos", "G", 1000)):
        header, *lines = table.rows(card, type)
        # of Richardson-Lucy that seen through the target's aperture, which is nearer to the truth
        columns = {
            method: next(i for i, name in enumerate(header) if _is(name, method))
            for method in METHODS
        }
        errors = {line[0].strip("*"): line for line in lines}
        for name in CLASSES:
            squares = (float(errors[name][i].split()[0]) for i in columns.values())
            rows.append([f"{name}, {unit}", *(f"{scale * sqrt(square):.3g}" for square in squares)])
    return table.markdown(["rms error", *METHODS.values()], rows)


def _is(column: str, method: str) -> bool:
    return column == method or (method == "RL" and column.startswith("RL") and "28 cm" in column)


if __name__ == "__main__":
    main()
