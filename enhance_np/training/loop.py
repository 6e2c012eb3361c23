"""The training loop: batches from HDF5, forward and backward pass, Adam, checkpoints.

The files of a run are the weights `name.h5`, and beside them `name.csv` (the log), `name.png` (the
loss curves, if matplotlib is installed) and `name.checkpoint.h5` (the state needed to continue).
"""

import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, replace
from numbers import Real
from pathlib import Path

import numpy as np

from .. import __version__, loss, network, optim, params
from .._random import stream
from ..config import NetworkConfig
from ..engine import Engine
from ..engine.fold import live_filters
from ..optics.degrade import ALSO_STORED, STORED
from ..pairs.default import synthetic_pairs
from ..weights import Weights, save
from . import checkpoint, start, zero_level
from .batches import Pairs, drawn, split
from .checkpoint import State
from .files import open_pairs, outputs, run_files, write_log
from .options import FROZEN_OVER, TrainOptions
from .step import step_once
from .workers import ALONE, Workers, after_the_first, same_start, sharing

SAVE_EVERY = 60.0  # seconds between checkpoints within an epoch
VALIDATION_BATCH = 32
log = logging.getLogger(__name__)


def train(
    data: str | os.PathLike | None,
    output: str | os.PathLike,
    config: NetworkConfig,
    options: TrainOptions,
    engine: Engine,
    *,
    validation: str | os.PathLike | float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    report: Callable[[dict], None] = lambda row: None,
    workers: Workers = ALONE,
) -> Path:
    """Train a network; `output` holds the weights of the epoch with the lowest validation loss.

    data : HDF5 file with imHMI (n, h, w, 1) and imSST (n, 2h, 2w, 1), in Ic or kG; None makes
    synthetic pairs in the folder of `output`, once, with a bar if `progress`.
    output : weights file; the other files of the run are named at the top of this module. The zero
    level of magnetogram networks is subtracted in the saved weights (`zero_level`), but not in the
    checkpoint or in the losses of the log.
    validation : another such file, or the fraction of `data` to hold out, at its end. None takes
    <data>_val.h5, as `degrade` writes it, if it exists, else 0.1. A fraction gives too low a loss
    if patches of one scene are on both sides.
    resume : continue from the checkpoint, with the same bits as an uninterrupted run; without a
    checkpoint, start from the beginning with a warning.
    overwrite : replace the files of an earlier run.
    report : called with {"epoch", "step", "steps", "loss"} at every step, and with the log's row
    after each epoch.
    workers : those that share every batch; each calls this function with the same arguments.
    Worker 0 writes all files. A run may be continued by another number of workers.

    A checkpoint is written at the end of every epoch, every minute, and at KeyboardInterrupt,
    which is then raised again.
    Raises ValueError for unsuitable data or options, or if they differ from those of the run to
    resume; OSError for files that cannot be read or written, or would be overwritten;
    FloatingPointError, with the step and the tensor, if a value is not finite; no file is then
    changed.
    """
    explicit = options.noise is not None
    options = options.resolved()
    begun, weights = start.read(config, options)
    output, saved = outputs(output, resume, overwrite)
    if data is None:
        wanted = output.parent, options.type, options.seed, progress
        data, _ = after_the_first(workers, lambda: synthetic_pairs(*wanted))
    if validation is None:
        beside = Path(data).with_name(f"{Path(data).stem}_val.h5")
        validation = beside if beside.exists() else 0.1
    held_out = data if isinstance(validation, Real) else validation
    read = {data: "data", held_out: "data", options.start: "weights to start from"}
    for path, what in read.items():
        if os.path.realpath(path) in map(os.path.realpath, run_files(output)):
            raise OSError(f"train: the output must not be the {what}, got {os.fspath(path)!r}")
    with open_pairs(data) as source, open_pairs(held_out) as other:
        for path, file in ((data, source), (held_out, other)):
            if (made_for := file.attrs.get("type", options.type)) != options.type:
                raise ValueError(f"train: {path} must be of {options.type}, got {made_for}")
        if isinstance(validation, Real):
            pairs, val_pairs = split(source, data, validation)
        else:
            pairs, val_pairs = Pairs(source, data), Pairs(other, validation)
        if explicit:
            pairs.noise = val_pairs.noise = None
        if len(pairs) < options.batch_size:
            raise ValueError(
                f"train: {data} must hold {options.batch_size} patches or more, got {len(pairs)}"
            )
        if options.batch_size < workers.size:
            raise ValueError(
                f"train: batch_size must be {workers.size} or more, a patch for each worker, "
                f"got {options.batch_size}"
            )
        run = {
            "network": asdict(config) | {"refine_filters": config.refine},
            **options.of_the_run(),
            "data": pairs.check()[:16],
            "validation": val_pairs.check()[:16],
        }
        if pairs.noise is not None:
            run["noise"] = "of each patch"
        if begun != "he":  # checkpoints without this key started from "he"
            run["start"] = begun
        state = _start(output, saved, run, config, options, resume, pairs, weights)
        state = same_start(workers, state, run | asdict(options))
        about = source.attrs.get("about", source.attrs.get("sources", Path(data).name))
        loop = _Loop(output, saved, run, config, options, engine, report, str(about), workers)
        loop.optics = _optics(source.attrs)
        loop.run(checkpoint.same_arrays(state, engine.asarray), pairs, val_pairs)
    return output


def evaluate(p, moving, pairs, config, engine, options, workers=ALONE) -> float:
    """Mean squared error on held-out patches, with noise as in training but of a fixed seed."""
    rng = stream(options.seed, "validation noise")
    total, n = 0.0, len(pairs)
    batches = [slice(i, i + VALIDATION_BATCH) for i in range(0, n, VALIDATION_BATCH)]
    parts = drawn(pairs, batches, options.noise, engine, rng, augment=False, workers=workers)
    for x, target in parts:
        if len(x):
            y, _ = network.forward(p, x, config, engine.ops, moving)
            total += loss.mse(y, target)[0] * len(x)
    return float(workers.total(np.array(total))) / n


class _Loop:
    """A run of training: its constants and its current state."""

    def __init__(self, output, saved, run, config, options, engine, report, about, workers):
        self.output, self.saved, self.about_run = output, saved, run
        self.config, self.options, self.engine = config, options, sharing(engine, workers)
        self.workers, self.writes = workers, workers.rank == 0
        self.report, self.about_data = report, about
        self.optics = {}  # of the data, for the provenance
        # (state before, steps, arguments, reading) of the step whose loss has not been read yet
        self.unread = None

    def run(self, state: State, pairs: Pairs, val_pairs: Pairs) -> None:
        self.state, self.saved_at = state, time.monotonic()
        if self.options.from_weights and (state.epoch, state.step) == (0, 0):
            log.info("validation %.4e before the first step", self.validated(val_pairs))
        try:
            while self.state.epoch < self.options.epochs:
                self.epoch(pairs, val_pairs)
        except KeyboardInterrupt:
            self.save()
            raise

    def epoch(self, pairs, val_pairs):
        """Train from self.state to the end of its epoch."""
        options, state = self.options, self.state
        rng = stream(options.seed, "epoch", state.epoch)
        order = rng.permutation(len(pairs))
        if state.random is not None:
            rng.bit_generator.state = state.random
        steps, size = len(pairs) // options.batch_size, options.batch_size
        batches = [np.sort(order[i * size : (i + 1) * size]) for i in range(state.step, steps)]
        if state.epoch == options.freeze and state.step == 0:
            self.state = state._replace(moving=self.pooled(pairs, batches[:FROZEN_OVER]))
        parts = drawn(pairs, batches, options.noise, self.engine, rng, workers=self.workers)
        for x, target in parts:
            self.state = self.step(x, target, rng, steps)
            if time.monotonic() - self.saved_at > SAVE_EVERY:
                self.save()
        self.finish(steps, val_pairs)

    def pooled(self, pairs, batches) -> dict:
        """Batch norm's statistics over these batches, with the current weights."""
        rng, noise = stream(self.options.seed, "statistics"), self.options.noise

        tapes = (
            network.forward(self.state.params, x, self.config, self.engine.ops)[1]
            for x, _ in drawn(pairs, batches, noise, self.engine, rng, workers=self.workers)
        )
        return params.pooled(self.state.moving, tapes)

    def step(self, x, target, rng, steps) -> State:
        state, options, engine = self.state, self.options, self.engine
        frozen = options.frozen(state.epoch)
        rate = options.rate(state.epoch, state.step, steps)
        arguments = (
            state.params,
            state.adam,
            x,
            target,
            self.config,
            engine.ops,
            rate,
            options.l2,
            state.moving if frozen else None,
            options.clip,
        )
        with self.named(state), engine.working():
            p, adam, value, tape = (engine.step or step_once)(*arguments)
            if options.decay:
                p = optim.decayed(p, state.params, rate * options.decay)
            moving = state.moving if frozen else engine.update_moving(state.moving, tape)
        self.read_loss()
        reading = engine.reading(value) if engine.reading else lambda: value
        self.unread = state, steps, arguments, reading
        if engine.reading is None:
            self.read_loss()
        return state._replace(
            params=p,
            adam=adam,
            moving=moving,
            step=state.step + 1,
            random=rng.bit_generator.state,
            loss=state.loss + value,
        )

    def read_loss(self):
        """Report the loss of the last unread step, or raise its error.

        The loss is read one step late, so that a device works on the next step meanwhile. If a
        step was not finite, it is repeated from the saved state with checks that name the tensor.
        """
        if self.unread is None:
            return
        (state, steps, arguments, reading), self.unread = self.unread, None
        value = reading()
        if not math.isfinite(value):
            with self.named(state):
                step_once(*arguments)
                raise FloatingPointError("the loss or a gradient")
        self.report({"epoch": state.epoch, "step": state.step, "steps": steps, "loss": value})

    @contextmanager
    def named(self, state):
        """Adds the epoch and the step to a FloatingPointError."""
        try:
            yield
        except FloatingPointError as error:
            raise FloatingPointError(
                f"train: every value must stay finite, got NaN or infinity in {error} at epoch "
                f"{state.epoch}, step {state.step}: try a smaller lr; {self.saved} is unchanged"
            ) from None

    def finish(self, steps, val_pairs):
        """Validate, save the weights if they are the best so far, log, write a checkpoint."""
        self.save()  # if the process is killed before the next save, this method runs again
        state, options = self.state, self.options
        val_loss = self.validated(val_pairs)
        if not math.isfinite(val_loss):
            raise FloatingPointError(
                f"train: the validation loss must stay finite, got {val_loss} at epoch "
                f"{state.epoch}: try a smaller lr"
            )
        on_host = checkpoint.same_arrays(state, self.engine.asnumpy)
        weights = Weights(self.config, on_host.params, on_host.moving)
        row = {
            "epoch": state.epoch,
            "lr": options.rate(state.epoch, steps - 1, steps),
            "loss": float(state.loss) / steps,
            "val_loss": val_loss,
            "live_filters": sum(live for live, _ in live_filters(weights).values()),
        }
        best = min((r["val_loss"] for r in state.rows), default=math.inf)
        done = state._replace(
            epoch=state.epoch + 1, step=0, random=None, loss=0.0, rows=(*state.rows, row)
        )
        if val_loss < best and self.writes:
            provenance = _provenance(self.about_run, options, row, self.about_data) | self.optics
            weights = replace(weights, provenance=provenance)
            if options.type == "blos":
                weights = zero_level.levelled(weights)
            save(self.output, weights, overwrite=True)
        if self.writes:
            write_log(self.output, done.rows)
        self.state = done
        self.save()
        self.report(row)

    def validated(self, pairs) -> float:
        p, moving = self.state.params, self.state.moving
        return evaluate(p, moving, pairs, self.config, self.engine, self.options, self.workers)

    def save(self):
        self.read_loss()  # raises if the state is not finite
        if not self.writes:
            return
        on_host = checkpoint.same_arrays(self.state, self.engine.asnumpy)
        on_host = on_host._replace(loss=float(on_host.loss))
        checkpoint.save(self.saved, on_host, self.about_run)
        self.saved_at = time.monotonic()


def _start(output, saved, run, config, options, resume, pairs, weights) -> State:
    """The state of the checkpoint, or a fresh one."""
    if resume and saved.exists():
        state, _ = checkpoint.load(saved, run)
        if state.step > (steps := len(pairs) // options.batch_size):
            raise OSError(
                f"train: {saved} must be at step {steps} or less of an epoch, got {state.step}"
            )
        if state.rows and not output.exists():
            raise FileNotFoundError(f"train: to continue, {output} must exist, got no such file")
        log.info("continuing %s at epoch %d, step %d", saved, state.epoch, state.step)
        return state
    if resume:
        log.warning("there is no checkpoint %s: starting from the beginning", saved)
    return start.first_state(config, options, pairs, weights)


def _provenance(run, options, row, data):
    return options.of_the_run() | {
        "start": run.get("start", "he"),
        "noise": run["noise"],
        "normalisation": "quiet Sun" if options.type == "intensity" else "1000 G",
        "data": data,
        "version": __version__,
        "epoch": row["epoch"],
        "validation_loss": row["val_loss"],
    }


def _optics(attributes) -> dict[str, str | float]:
    """The optics of the data, as `degrade` stored them; {} if they are not stored."""
    if not all(name in attributes for name in STORED):
        return {}
    also = ("psf_scale_arcsec", *ALSO_STORED)
    names = [*STORED, *(name for name in also if name in attributes)]
    found = {name: attributes[name] for name in names}
    return {name: str(v) if name == "psf" else float(v) for name, v in found.items()}
