"""What do an average of the weights, and a penalty that switches filters off, bring?

    python -m bench.quality.step_trials average --pairs DIR --out DIR [--memory 0.99 0.999]
    python -m bench.quality.step_trials sparse --pairs DIR --out DIR [--strength 0.03 0.1 0.3]
        both: [--type intensity] [--depth 1] [--filters 32] [--epochs 1] [--threads N]

Two trials that the training loop does not have. Each adds something to its step, and is otherwise
the training of bench.quality.cost_curve: same pairs, options and seed, from fresh weights.

average : parameters averaged over the steps, a <- memory a + (1 - memory) p, beside the last
ones. At the constant rate of --schedule constant, and at the cosine that ships. Batch norm's
statistics are frozen from the first step on, so they need no average.
Source: Polyak & Juditsky 1992, SIAM J. Control Optim. 30, 838.

sparse : after each step, every scale gamma of batch norm comes nearer to zero by rate * strength,
and stays there (the proximal step of an L1 penalty, decoupled from Adam as AdamW's decay is). A
group lasso on the filters would be undone by the batch norm that follows them; gamma is the size of
a filter that counts. A filter within a block whose gamma is zero is dead, and costs nothing.
Source: Liu et al. 2017, arXiv:1708.06519; Parikh & Boyd 2014, Found. Trends Optim. 1, 127, eq. 6.9.

The runs stay in --out. A run that is there is read, not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.quality.cost_curve import OPTIONS, UNIT, loss
from bench.shared import table, timing
from enhance_np import models, weights
from enhance_np._threads import set_threads
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.engine.fold import live_filters
from enhance_np.inspection.summary import living_work
from enhance_np.training.batches import Pairs
from enhance_np.training.files import open_pairs
from enhance_np.training.loop import evaluate, train
from enhance_np.training.options import TrainOptions
from enhance_np.training.step import step_once


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    trials = parser.add_subparsers(dest="trial", required=True)
    one = trials.add_parser("average")
    one.add_argument("--memory", type=float, nargs="+", default=[0.99, 0.999])
    one.add_argument(
        "--schedule", choices=["cosine", "constant"], nargs="+", default=["cosine", "constant"]
    )
    other = trials.add_parser("sparse")
    other.add_argument("--strength", type=float, nargs="+", default=[0.03, 0.1, 0.3])
    for trial in (one, other):
        trial.add_argument("--pairs", type=Path, required=True, help="folder of the pairs")
        trial.add_argument("--out", type=Path, required=True, help="folder of the runs")
        trial.add_argument(
            "--type", choices=models.TYPES, default="intensity", help="(%(default)s)"
        )
        trial.add_argument("--depth", type=int, default=1, help="(%(default)s)")
        trial.add_argument("--filters", type=timing.positive, default=32, help="(%(default)s)")
        trial.add_argument("--epochs", type=timing.positive, default=1, help="(%(default)s)")
        trial.add_argument("--threads", type=timing.positive, default=1, help="(%(default)s)")
    options = parser.parse_args()
    set_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    print((average if options.trial == "average" else sparse)(options))


def average(options) -> str:
    rows = []
    for schedule in options.schedule:
        averages = [Average(memory) for memory in options.memory]
        path = trained(f"average_{schedule}", averages, options, schedule=schedule)
        rows += [[schedule, "none", f"{loss(path):.4g}"]]
        for one in averages:
            beside = path.with_name(f"{path.stem}_{one.memory}.h5")
            if one.params is not None:
                last = weights.load(path)
                weights.save(beside, replace(last, params=one.params), overwrite=True)
            rows += [[schedule, str(one.memory), f"{validated(beside, options):.4g}"]]
    return table.markdown(["schedule", "memory", f"validation loss, {UNIT[options.type]}"], rows)


def sparse(options) -> str:
    rows = []
    for strength in (0.0, *options.strength):
        path = trained(f"sparse_{strength}", [Sparse(strength)] if strength else [], options)
        given = weights.load(path)
        alive = live_filters(given).values()
        rows.append(
            [
                f"{strength:g}",
                f"{sum(live for live, _ in alive)} of {sum(all for _, all in alive)}",
                f"{living_work(given):,}",
                f"{loss(path):.4g}",
            ]
        )
    header = ["strength", "live filters", "multiply-adds per input pixel"]
    return table.markdown([*header, f"validation loss, {UNIT[options.type]}"], rows)


class Average:
    """The running mean of the parameters; `params` is None before the first step."""

    def __init__(self, memory: float):
        self.memory, self.params = memory, None

    def after_step(self, p, rate):
        mean, share = self.params, np.float32(1 - self.memory)
        self.params = (
            {name: np.array(array) for name, array in p.items()}
            if mean is None
            else {name: mean[name] + share * (p[name] - mean[name]) for name in p}
        )
        return p


class Sparse:
    """The proximal step of strength * |gamma|."""

    def __init__(self, strength: float):
        self.strength = strength

    def after_step(self, p, rate):
        less = np.float32(rate * self.strength)
        return {
            name: np.sign(array) * np.maximum(np.abs(array) - less, 0)
            if name.endswith("/gamma")
            else array
            for name, array in p.items()
        }


def trained(name: str, added: list, options, **other) -> Path:
    """The weights of the run `name`, with what is `added` to each of its steps."""

    def step(p, adam, x, target, config, ops, lr, *rest):
        p, adam, value, tape = step_once(p, adam, x, target, config, ops, lr, *rest)
        for one in added:
            p = one.after_step(p, lr)
        return p, adam, value, tape

    path = options.out / f"{options.type}_{name}.h5"
    if path.exists():
        return path
    given = TrainOptions(type=options.type, epochs=options.epochs, **OPTIONS | other)
    data, held_out = (options.pairs / f"{options.type}{end}.h5" for end in ("", "_val"))
    config = NetworkConfig(options.depth, options.filters)
    train(data, path, config, given, select("cpu")._replace(step=step), validation=held_out)
    return path


def validated(path: Path, options) -> float:
    given = weights.load(path)
    run = TrainOptions(type=options.type, epochs=options.epochs, **OPTIONS).resolved()
    held_out = options.pairs / f"{options.type}_val.h5"
    with open_pairs(held_out) as file:
        pairs = Pairs(file, held_out)
        return evaluate(given.params, given.moving, pairs, given.config, select("cpu"), run)


if __name__ == "__main__":
    main()
