"""What does a larger network gain, and what does it cost?

    python -m bench.quality.cost_curve --pairs DIR --out DIR [--type intensity] [--depths 1 3 5]
                                       [--filters 16 32 64] [--epochs 1] [--threads N] [--write]

Trains a network of every depth and number of filters from fresh weights, all with the same options,
data and number of steps, and draws the validation loss over the multiply-adds of a prediction, in
which dead filters do not count. --pairs is the folder of intensity.h5 and intensity_val.h5, as
`degrade --recipe` writes them. The runs stay in --out: the same command goes on where it was
stopped, and adds to what is there. The cheapest network is trained first.

Writes docs/models/cost_TYPE.png; with --write also the table in bench/TRIALS.md.
"""

import argparse
import csv
from pathlib import Path

from bench import ROOT
from bench.shared import table, timing
from enhance_np import models, weights
from enhance_np._atomic import write_bytes
from enhance_np._figures import png
from enhance_np._threads import set_threads
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.engine.fold import live_filters
from enhance_np.inspection.summary import living_work
from enhance_np.training.loop import train
from enhance_np.training.options import TrainOptions

# those of the networks that ship, at one rate for all sizes
OPTIONS = {
    "batch_size": 4,
    "lr": 1.5e-3,
    "schedule": "cosine",
    "warmup": 500,
    "clip": 0.1,
    "start": "contrast",
    "freeze": 0,
    "l2": 0.0,
    "seed": 1,
}
UNIT = {"intensity": "Ic^2", "blos": "kG^2"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--type", choices=models.TYPES, default="intensity", help="(%(default)s)")
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--filters", type=timing.positive, nargs="+", default=[16, 32, 64])
    parser.add_argument("--epochs", type=timing.positive, default=1, help="(%(default)s)")
    parser.add_argument("--threads", type=timing.positive, default=1, help="(%(default)s)")
    parser.add_argument("--write", action="store_true", help="write the table into TRIALS.md")
    options = parser.parse_args()
    set_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = [
        NetworkConfig(depth, filters) for depth in options.depths for filters in options.filters
    ]
    for config in sorted(sizes, key=lambda config: (config.depth + 2) * config.filters**2):
        path = options.out / f"{options.type}_{config.depth}x{config.filters}.h5"
        trained(path, config, options)
        print(f"{config}: validation loss {loss(path):.4g} {UNIT[options.type]}", flush=True)
    found = points(options.out, options.type)
    write_bytes(ROOT / f"docs/models/cost_{options.type}.png", picture(found, options.type))
    text = rows(found, options.type)
    print(text)
    if options.write:
        table.replace(ROOT / "bench/TRIALS.md", f"cost_{options.type}", text)


def trained(path, config, options):
    """Train a network, or go on with it; one that is finished stays."""
    given = TrainOptions(type=options.type, epochs=options.epochs, **OPTIONS)
    data, held_out = (options.pairs / f"{options.type}{end}.h5" for end in ("", "_val"))
    resume = path.with_suffix(".checkpoint.h5").exists()
    train(data, path, config, given, select("cpu"), validation=held_out, resume=resume)


def loss(path: Path) -> float:
    """The lowest validation loss in the log of a run."""
    with open(path.with_suffix(".csv"), encoding="utf-8") as log:
        return min(float(row["val_loss"]) for row in csv.DictReader(log))


def points(folder: Path, type: str) -> list[dict]:
    """What every run in the folder cost and gained, the cheapest first."""
    found = []
    for path in sorted(folder.glob(f"{type}_*.h5")):
        if path.name.endswith(".checkpoint.h5"):
            continue
        given = weights.load(path)
        alive = live_filters(given).values()
        found.append(
            {
                "network": str(given.config),
                "depth": given.config.depth,
                "filters": given.config.filters,
                "work": living_work(given),
                "live": (sum(live for live, _ in alive), sum(all for _, all in alive)),
                "loss": loss(path),
            }
        )
    return sorted(found, key=lambda point: point["work"])


def rows(found: list[dict], type: str) -> str:
    least = min(point["loss"] for point in found)
    header = ["network", "multiply-adds per input pixel", "live filters"]
    header += [f"validation loss, {UNIT[type]}", "over the least"]
    return table.markdown(
        header,
        [
            [
                point["network"],
                f"{point['work']:,}",
                "{} of {}".format(*point["live"]),
                f"{point['loss']:.4g}",
                f"{point['loss'] / least:.3f}",
            ]
            for point in found
        ],
    )


def picture(found: list[dict], type: str) -> bytes:
    """A line for each number of filters, a point for each depth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for filters in sorted({point["filters"] for point in found}):
        line = [point for point in found if point["filters"] == filters]
        work, losses = ([point[key] for point in line] for key in ("work", "loss"))
        axes.plot(work, losses, "o-", label=f"{filters} filters")
        for point in line:
            place = point["work"], point["loss"]
            axes.annotate(str(point["depth"]), place, (4, 4), textcoords="offset points")
    axes.set(
        xscale="log",
        xlabel="multiply-adds per input pixel, of living filters",
        ylabel=f"validation loss [{UNIT[type].replace('^2', '$^2$')}]",
        title="The numbers are residual blocks",
    )
    axes.legend()
    return png(figure)


if __name__ == "__main__":
    main()
