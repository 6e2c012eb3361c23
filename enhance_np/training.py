"""The training loop: batches from HDF5, the page forward and backward, Adam, best weights kept."""

import csv
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path

import numpy as np

from . import __version__, loss, network, optim, params
from ._atomic import replacing
from .config import NetworkConfig
from .engine import Engine
from .weights import Weights, save

NOISE = {"intensity": 1e-3, "blos": 1e-2}  # Ic and kG; the paper, section 3.3
L2 = {"intensity": 1e-6, "blos": 1e-5}
MAX_VALIDATION_BATCH = 32


@dataclass(frozen=True)
class TrainOptions:
    """How to train. The defaults are the paper's (Díaz Baso & Asensio Ramos 2018, section 3.3).

    type : "intensity" (Ic) or "blos" (kG); it sets noise and l2 where they are None.
    schedule : "constant", or "cosine": lr falls to 0 at the last step.
    """

    type: str = "intensity"
    epochs: int = 20
    batch_size: int = 32
    lr: float = 1e-4
    schedule: str = "constant"
    noise: float | None = None
    l2: float | None = None
    seed: int = 0

    def resolved(self) -> "TrainOptions":
        """The same with noise and l2 filled in. Raises ValueError for what cannot be."""
        if self.type not in NOISE:
            raise ValueError(f"train: type must be intensity or blos, got {self.type!r}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"train: schedule must be constant or cosine, got {self.schedule!r}")
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"train: {name} must be > 0, got {getattr(self, name)}")
        noise = NOISE[self.type] if self.noise is None else self.noise
        l2 = L2[self.type] if self.l2 is None else self.l2
        if not (noise >= 0 and l2 >= 0):
            raise ValueError(f"train: noise and l2 must be >= 0, got {noise} and {l2}")
        return replace(self, noise=noise, l2=l2)


def train(
    data: str | os.PathLike,
    validation: str | os.PathLike,
    output: str | os.PathLike,
    config: NetworkConfig,
    options: TrainOptions,
    engine: Engine,
    report: Callable[[dict], None] = lambda row: None,
) -> Weights:
    """Train a fresh network; return the weights of the epoch with the lowest validation loss.

    data, validation : HDF5 files with imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1), float32.
    output : weights file, written again at each better epoch; `output`.csv logs every epoch.
    engine : from engine.select.
    report : called with {"epoch", "step", "steps", "loss"} at every step, and with the log's row
    after each epoch.
    Raises ValueError for data that do not fit, FloatingPointError when the loss stops being
    a number (the weights of the best epoch before that stay).
    """
    import h5py

    options = options.resolved()
    output = Path(output)
    ops = engine.ops
    p, moving = (
        {name: engine.asarray(a) for name, a in group.items()}
        for group in params.initial(config, options.seed)
    )
    adam = optim.adam_start(p)
    with h5py.File(data) as source, h5py.File(validation) as held_out:
        pairs = _pairs(source, data)
        val_pairs = _pairs(held_out, validation)
        n = len(pairs[0])
        steps = n // options.batch_size
        if steps == 0:
            raise ValueError(f"train: {data} must hold {options.batch_size} patches, got {n}")
        best, rows = None, []
        for epoch in range(options.epochs):
            rng = np.random.default_rng((options.seed, epoch))
            order = rng.permutation(n)
            total = 0.0
            for step in range(steps):
                batch = np.sort(order[step * options.batch_size : (step + 1) * options.batch_size])
                x, target = (engine.asarray(d[batch].astype(np.float32)) for d in pairs)
                x = ops.gaussian_noise(x, options.noise, rng)
                done = (epoch * steps + step) / (options.epochs * steps)
                lr = options.lr * (
                    0.5 + 0.5 * cos(pi * done) if options.schedule == "cosine" else 1
                )
                p, adam, value, tape = step_once(p, adam, x, target, config, ops, lr, options.l2)
                params.update_moving(moving, tape)
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"train: the loss must stay finite, got {value} "
                        f"at epoch {epoch}, step {step}"
                    )
                total += value
                report({"epoch": epoch, "step": step, "steps": steps, "loss": value})
            val_loss = evaluate(p, moving, val_pairs, config, engine, options)
            row = {"epoch": epoch, "lr": lr, "loss": total / steps, "val_loss": val_loss}
            rows.append(row)
            report(row)
            if best is None or val_loss < best.provenance["validation_loss"]:
                about = str(source.attrs.get("sources", Path(data).name))
                on_host = (
                    {name: engine.asnumpy(a) for name, a in group.items()} for group in (p, moving)
                )
                best = Weights(config, *on_host, _provenance(options, row, about))
                save(output, best, overwrite=True)
            _log(output.with_suffix(".csv"), rows)
    return best


def step_once(p, adam, x, target, config, ops, lr, l2):
    """One step of Adam on one batch: new params, new Adam state, data loss, tape."""
    y, tape = network.forward(p, x, config, ops)
    value, dy = loss.mse(y, target)
    _, g = network.backward(dy, tape, config, ops)
    _, decay = loss.l2(p, l2)
    g = {name: g[name] + decay[name] if name in decay else g[name] for name in p}
    p, adam = optim.adam(p, g, adam, lr)
    return p, adam, value, tape


def evaluate(p, moving, pairs, config, engine, options) -> float:
    """Mean squared error on held-out patches, with noise of a fixed seed as in training."""
    rng = np.random.default_rng((options.seed, 2**32 - 1))
    total, n = 0.0, len(pairs[0])
    for first in range(0, n, MAX_VALIDATION_BATCH):
        at = slice(first, first + MAX_VALIDATION_BATCH)
        x, target = (engine.asarray(d[at].astype(np.float32)) for d in pairs)
        x = engine.ops.gaussian_noise(x, options.noise, rng)
        y, _ = network.forward(p, x, config, engine.ops, moving)
        total += loss.mse(y, target)[0] * len(x)
    return total / n


def _pairs(file, path):
    for name in ("imHMI", "imSST"):
        if name not in file:
            raise ValueError(f"train: {path} must hold the dataset {name}, got {list(file)}")
    x, y = file["imHMI"], file["imSST"]
    if x.ndim != 4 or y.shape != (len(x), 2 * x.shape[1], 2 * x.shape[2], 1) or x.shape[3] != 1:
        raise ValueError(
            f"train: {path} must hold imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1), "
            f"got {x.shape} and {y.shape}"
        )
    return x, y


def _provenance(options, row, data):
    return asdict(options) | {
        "normalisation": "quiet Sun" if options.type == "intensity" else "1000 G",
        "data": data,
        "version": __version__,
        "epoch": row["epoch"],
        "validation_loss": row["val_loss"],
    }


def _log(path, rows):
    with replacing(path) as temporary, open(temporary, "w", newline="") as f:
        writer = csv.DictWriter(f, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
