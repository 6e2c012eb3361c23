"""train and calibrate: the commands that fit weights to pairs, and error bars to weights."""

import logging
import os

from ..config import ACTIVATIONS, PAIRS, SCENES, TYPES
from .options import device, network_config, progress_bar, show_progress, sizes


def add_commands(command) -> None:
    add = command(
        "train", _train, "train a network; without --data, a small one on synthetic scenes"
    )
    add.add_argument(
        "--data", help="HDF5 file with imHMI (n,h,w,1) and imSST (n,2h,2w,1), in Ic or kG"
    )
    add.add_argument(
        "--validation",
        type=_fraction_or_path,
        help="HDF5 file of validation pairs, or the fraction of --data to hold out (default: "
        "DATA_val.h5 if it exists, else 0.1)",
    )
    add.add_argument(
        "--output",
        help="weights file to write (default runs/TYPE.h5); log and checkpoint go beside it",
    )
    add.add_argument(
        "--type",
        choices=TYPES,
        default="intensity",
        help="type of the images (default intensity); sets the defaults of --noise and --l2",
    )
    add.add_argument(
        "--epochs", type=int, help="epochs in total, including earlier ones (default 20)"
    )
    add.add_argument("--batchsize", type=int, help="pairs in a batch (default 32)")
    add.add_argument("--lr", type=float, help="learning rate (default 1e-4)")
    add.add_argument(
        "--lr-multiplier", type=float, help="factor on --lr from epoch 20 on (default 1)"
    )
    add.add_argument(
        "--freeze",
        type=int,
        metavar="EPOCH",
        help="epoch from which batch norm keeps its statistics (default: never)",
    )
    add.add_argument(
        "--clip",
        type=float,
        metavar="NORM",
        help="largest norm of a step's gradient (default: no bound)",
    )
    add.add_argument(
        "--warmup",
        type=int,
        metavar="STEPS",
        help="steps over which the learning rate rises from 0 (default: none)",
    )
    add.add_argument(
        "--schedule",
        choices=("constant", "cosine"),
        help="learning rate over the run (default constant)",
    )
    add.add_argument(
        "--start",
        metavar="{he,contrast,default,small,WEIGHTS}",
        help="initial weights: he (He initialisation, default), contrast (a variant that ignores "
        "the mean level), a shipped network or a weights file; the last two set the network's "
        "sizes and keep their batch norm statistics",
    )
    add.add_argument(
        "--noise", type=float, help="sigma of the added noise in Ic or kG (default: the paper's)"
    )
    add.add_argument("--l2", type=float, help="strength of L2 in the loss (default: the paper's)")
    add.add_argument(
        "--decay", type=float, help="decoupled weight decay, as in AdamW (default: none)"
    )
    add.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    add.add_argument(
        "--continue",
        dest="resume",
        action="store_true",
        help="continue the run from its checkpoint",
    )
    add.add_argument("--overwrite", action="store_true", help="replace an earlier run")
    add.add_argument(
        "--mpi",
        action="store_true",
        help="share every batch with the other processes that mpiexec started",
    )
    sizes(add)
    device(add)

    add = command(
        "calibrate",
        _calibrate,
        "measure the error bars of networks on scenes of known truth, and store them with the "
        "weights",
    )
    add.add_argument(
        "--weights",
        nargs="+",
        required=True,
        metavar="FILE",
        help="weights files of one type; only the calibration in them is replaced",
    )
    source = add.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="HDF5", help="validation pairs, as for train")
    source.add_argument(
        "--recipe", help="TOML file, or the type of a shipped recipe: its validation scenes"
    )
    add.add_argument(
        "--fields", help="folder with the recipe's files (default: only synthetic scenes)"
    )
    add.add_argument(
        "--count",
        type=int,
        help=f"pairs to use (default: {PAIRS}), or scenes of each synthetic source "
        f"(default: {SCENES})",
    )
    add.add_argument(
        "--noise",
        type=float,
        help="sigma of the noise in Ic or kG of pairs that store none (default: the paper's)",
    )
    add.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        help="activation of weights that do not store it",
    )
    device(add)


def _fraction_or_path(text):
    try:
        return float(text)
    except ValueError:
        return text


# by which MPICH (with Intel's MPI and SLURM's PMI) and Open MPI tell a process how many there are
COUNTS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


def _train(options) -> None:
    if options.mpi:
        from ..training.mpi import joined

        with joined() as workers:
            _share_machine(options, workers)
            _run(options, workers)
        return
    from ..training.workers import ALONE

    for name in COUNTS:
        if os.environ.get(name, "1") != "1":
            raise ValueError(
                f"train: processes of mpiexec need --mpi, or each would write the same files, "
                f"got {name}={os.environ[name]}"
            )
    _run(options, ALONE)


def _share_machine(options, workers) -> None:
    """Worker 0 speaks for all; without --threads, the cores of a machine are divided."""
    from .._threads import set_threads, threads

    if options.threads is None:
        set_threads(workers.cores())
    if workers.rank:
        options.quiet = True
        logging.disable()
    logging.info("%d workers, the first of %d thread(s)", workers.size, threads())


def _run(options, workers) -> None:
    from dataclasses import replace
    from pathlib import Path

    from .. import models
    from ..config import DEFAULT, MODELS, SMALL
    from ..engine import select
    from ..training.loop import train
    from ..training.options import QUICK, TrainOptions
    from ..weights import load

    output = Path(options.output or f"runs/{options.type}.h5")
    if options.output is None:
        output.parent.mkdir(exist_ok=True)
    start = options.start
    if start in MODELS:
        start = str(models.path(options.type, start))
    given = {
        "epochs": options.epochs,
        "batch_size": options.batchsize,
        "lr": options.lr,
        "lr_multiplier": options.lr_multiplier,
        "schedule": options.schedule,
        "start": start,
        "clip": options.clip,
        "warmup": options.warmup,
        "freeze": options.freeze,
        "noise": options.noise,
        "l2": options.l2,
        "decay": options.decay,
    }
    settings = replace(
        TrainOptions() if options.data else QUICK,
        type=options.type,
        seed=options.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    engine = select(options.device)
    if settings.from_weights and Path(settings.start).is_file():
        base = load(settings.start, options.activation).config
    else:
        base = DEFAULT if options.data else SMALL
    with progress_bar(options, "step") as bar:
        train(
            options.data,
            output,
            network_config(options, base),
            settings,
            engine,
            validation=options.validation,
            resume=options.resume,
            overwrite=options.overwrite,
            progress=show_progress(options),
            report=_training_report(bar, settings.epochs),
            workers=workers,
        )
    logging.info("%s: trained on the %s", output, engine.name.upper())


def _training_report(bar, epochs):
    last = {"val_loss": float("nan")}

    def report(row):
        if "step" in row:
            if bar.total is None:
                bar.total = row["steps"] * epochs
                bar.initial = bar.n = row["epoch"] * row["steps"] + row["step"]
            text = f"epoch {row['epoch']} loss {row['loss']:.2e} val {last['val_loss']:.2e}"
            bar.set_description(text, refresh=False)
            bar.update()
        else:
            last.update(row)
            logging.info(
                "epoch %d: loss %.4e, validation %.4e, %d live filters",
                row["epoch"],
                row["loss"],
                row["val_loss"],
                row["live_filters"],
            )

    return report


def _calibrate(options) -> None:
    from ..pairs.recipe import read
    from ..prediction.calibration import calibrate

    if options.fields and not options.recipe:
        raise ValueError("calibrate: --fields needs --recipe, got --data")
    if options.noise is not None and options.recipe:
        raise ValueError("calibrate: --noise is for --data; a recipe has its own")
    data = options.data
    if options.recipe:
        data = read(options.recipe).on(options.fields)
    with progress_bar(options, "image") as bar:
        found = calibrate(
            options.weights,
            data,
            count=options.count,
            noise=options.noise,
            activation=options.activation,
            device=options.device,
            progress=lambda done: bar.update(done - bar.n),
        )
    for path, calibration in zip(options.weights, found, strict=True):
        logging.info("%s: calibrated on %s", path, calibration.data)
