"""How good are weights on held-out training pairs, compared with the best linear filter?

    python -m bench.quality.held_out_pairs TRAIN.h5 HELD_OUT.h5 WEIGHTS.h5 ... [--linear 3000]

Prints the mean squared error on the pairs of HELD_OUT, as `degrade` writes them, each with the
noise of its column: in total, by noise and by source. MARGIN pixels at the borders are left out.
The linear filter of 17 x 17 pixels (enhance_np.baselines.linear) is fitted on the first --linear
pairs of TRAIN, for the mean square of that noise.
"""

import argparse
import json
from pathlib import Path

import h5py
import numpy as np

from bench.shared import table
from enhance_np import network, weights
from enhance_np._random import stream
from enhance_np.baselines.bicubic import bicubic
from enhance_np.baselines.linear import Equations
from enhance_np.engine import select

BATCH = 32
MARGIN = 8  # output pixels, half a linear filter's reach: all see the border's mirror image alike


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--linear", type=int, default=3000, help="pairs to fit (%(default)s)")
    options = parser.parse_args()
    with h5py.File(options.held_out) as file:
        low, high = (file[name][..., 0] for name in ("imHMI", "imSST"))
        sigma, source = file["noise"][:], file["source"][:]
        names = [s["name"] for s in json.loads(file.attrs["sources"])]
    x = low + sigma[:, None, None] * stream(0, "pairs").standard_normal(low.shape, np.float32)
    linear = fitted(options.train, options.linear, float(np.sqrt((sigma**2).mean())))
    errors = {
        "bicubic": np.array([error(bicubic(a), b) for a, b in zip(x, high, strict=True)]),
        "linear": np.array([error(linear(a), b) for a, b in zip(x, high, strict=True)]),
    }
    for path in options.weights:
        errors[str(path)] = scored(weights.load(path), x, high)
    groups = {"all": np.ones(len(x), bool)}
    groups |= {f"noise {s:.2g}": sigma == s for s in np.unique(sigma)}
    groups |= {name: source == i for i, name in enumerate(names) if (source == i).any()}
    rows = [
        [name, str(chosen.sum()), *(f"{e[chosen].mean():.3e}" for e in errors.values())]
        for name, chosen in groups.items()
    ]
    print(table.markdown(["pairs", "number", *errors], rows))


def fitted(path, count, noise):
    """The linear filter of the first pairs of a file."""
    equations = Equations()
    with h5py.File(path) as file:
        for i in range(0, count, BATCH):
            part = slice(i, min(i + BATCH, count))
            equations.add(file["imHMI"][part, ..., 0], file["imSST"][part, ..., 0])
    return equations.solve(noise)


def scored(given, x, high):
    """Mean squared error of each pair."""
    ops, found = select("cpu").ops, []
    for i in range(0, len(x), BATCH):
        batch = np.ascontiguousarray(x[i : i + BATCH, ..., None])
        y, _ = network.forward(given.params, batch, given.config, ops, given.moving)
        found += [error(a, b) for a, b in zip(y[..., 0], high[i : i + BATCH], strict=True)]
    return np.array(found)


def error(y, target):
    inner = (slice(MARGIN, -MARGIN),) * 2
    return float(((y - target)[inner].astype("f8") ** 2).mean())


if __name__ == "__main__":
    main()
