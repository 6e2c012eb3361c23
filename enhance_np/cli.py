"""enhance-np: arguments in, one line per error out. No logic lives here.

Only the standard library is imported at the top: --help and --version answer at once.
"""

import argparse
import logging
import sys

from . import __version__
from .config import ACTIVATIONS, DEVICES, MODELS, TYPES

# what the functions below raise, with a message for the user
EXPECTED = (ValueError, OSError, RuntimeError, ImportError, ArithmeticError, MemoryError)
# options of degrade that need frames, and that need none
FRAMES_ONLY = ("pixel_scale", "norm", "validation_region")
RECIPE_ONLY = ("recipe", "fields", "test", "keep")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as for every other error; argparse would print the usage as well."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def region(text: str) -> tuple[float, ...]:
    y0, y1, x0, x1 = map(float, text.split(","))
    return y0, y1, x0, x1


def box(text: str) -> tuple[int, ...]:
    y0, y1, x0, x1 = map(int, text.split(","))
    return y0, y1, x0, x1


def parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="no progress, no log")
    top = Parser(
        prog="enhance-np",
        description="Deconvolve and super-resolve SDO/HMI images with a residual network.",
    )
    top.add_argument("--version", action="version", version=f"enhance_np {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, help):
        made = commands.add_parser(name, help=help, description=help, parents=[common])
        made.set_defaults(run=globals()[name])
        return made

    def sizes(made):
        made.add_argument("--depth", type=int, help="residual blocks (default 5)")
        made.add_argument("--filters", type=int, help="channels (default 64)")
        made.add_argument("--activation", choices=ACTIVATIONS, default="relu")
        made.add_argument("--refine-filters", type=int, help="channels after the upsampling")

    def device(made):
        made.add_argument("--device", choices=DEVICES, default="auto")
        made.add_argument("--threads", type=int, help="CPU threads (default: all cores)")

    def psf(made):
        made.add_argument("--psf", default="modified", help="modified, wachter, airy or FITS")
        made.add_argument("--psf-scale", type=float, help="arcsec per pixel of that FITS image")
        made.add_argument("--support", type=float, default=12.0, help="half-width in arcsec (12)")

    add = command("predict", "enhance a FITS image: twice the pixels, the telescope's blur removed")
    add.add_argument("input", help="HMI continuum image or magnetogram, FITS")
    add.add_argument("output", help="FITS file to write")
    add.add_argument("--type", choices=TYPES, help="what the image is (default: read from it)")
    add.add_argument("--model", choices=MODELS, default="default")
    add.add_argument("--weights", help="weights file, instead of those that ship")
    add.add_argument(
        "--activation", choices=ACTIVATIONS, help="of a --weights file that does not say"
    )
    add.add_argument(
        "--norm",
        default="quiet-sun",
        help="intensity the network takes for 1: quiet-sun (default), max, none or a number",
    )
    add.add_argument(
        "--norm-from",
        metavar="FITS",
        help="take the quiet-sun level from this image, a full disk of the same series and time",
    )
    add.add_argument(
        "--ensemble",
        action="store_true",
        help="mean over the 8 rotations and reflections: smaller errors, 8 times the time",
    )
    add.add_argument(
        "--confidence",
        action="store_true",
        help="the same, with its spread and the re-blurred output minus the input, in HDUs SPREAD "
        "and RESIDUAL",
    )
    add.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    add.add_argument("--overwrite", action="store_true", help="replace files that exist")
    add.add_argument("--plot", metavar="PNG", help="draw input and output side by side")
    add.add_argument(
        "--tile", type=int, help="input lines at a time (GPU: N x N pixels); the result is the same"
    )
    device(add)

    add = command("demo", "enhance a synthetic scene of known truth: FITS, picture and figures")
    add.add_argument("--output", default="demo", help="folder to write to (default: demo)")
    device(add)

    add = command("evaluate", "score an output against the truth, or against its input")
    add.add_argument("output", help="FITS image with twice the pixels of its input")
    add.add_argument("--truth", help="FITS image of the same size")
    add.add_argument("--input", help="FITS image that the output was made of")
    add.add_argument(
        "--companion", help="the region's image of the other type, FITS: tells spots from plage"
    )
    add.add_argument("--type", choices=TYPES, help="what the image is (default: read from it)")
    add.add_argument(
        "--norm", default="quiet-sun", help="intensity that counts as 1, as for predict"
    )
    add.add_argument(
        "--box",
        type=box,
        metavar="Y0,Y1,X0,X1",
        help="input pixels to take the granulation contrast in (default: where it is quiet)",
    )
    add.add_argument(
        "--baselines", action="store_true", help="beside bicubic, Richardson-Lucy and Wiener"
    )
    add.add_argument("--linear", metavar="NPZ", help="beside the best linear filter, as fitted")
    psf(add)
    add.add_argument("--plot", metavar="PNG", help="draw patches, spectra, scatter, differences")
    add.add_argument("--json", metavar="FILE", help="write all figures")
    add.add_argument("--overwrite", action="store_true", help="replace files that exist")

    add = command("deconvolve", "the classical way: Richardson-Lucy, twice the pixels")
    add.add_argument("input", help="HMI continuum image or magnetogram, FITS")
    add.add_argument("output", help="FITS file to write")
    add.add_argument("--type", choices=TYPES, help="what the image is (default: read from it)")
    add.add_argument("--iterations", type=int, default=20, help="default 20, as published")
    add.add_argument(
        "--damping",
        action="store_true",
        help="reset pixels missed by more than 10 times the median residual",
    )
    add.add_argument(
        "--as-target", action="store_true", help="as a 28 cm telescope sees it, like predict"
    )
    psf(add)
    add.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    add.add_argument("--overwrite", action="store_true", help="replace files that exist")
    add.add_argument("--plot", metavar="PNG", help="draw input and output side by side")

    add = command("summary", "print the network's layers, parameters, work and receptive field")
    sizes(add)

    add = command("gradcheck", "hold every backward pass against finite differences")
    add.add_argument("--seed", type=int, default=0)

    add = command("simulate", "make a synthetic Sun: continuum intensity and vertical field, FITS")
    add.add_argument("output", help="FITS file; of both types <stem>_intensity and <stem>_blos")
    add.add_argument("--type", choices=("both", *TYPES), default="both")
    add.add_argument(
        "--scene",
        default="active",
        help="quiet, network, plage, pore, spot, delta or active (default)",
    )
    add.add_argument(
        "--size", nargs=2, type=int, default=(1024, 1920), metavar=("H", "W"), help="1024 1920"
    )
    add.add_argument("--pixel-scale", type=float, default=0.0662, help="arcsec (default 0.0662)")
    add.add_argument("--frames", type=int, default=1, help="scenes, independent (default 1)")
    add.add_argument("--seed", type=int, default=0, help="of the first frame (default 0)")
    add.add_argument("--overwrite", action="store_true", help="replace files that exist")

    add = command(
        "degrade", "make training pairs, by recipe: scenes as HMI and a 28 cm telescope see them"
    )
    add.add_argument(
        "sim",
        nargs="*",
        metavar="SIM",
        help="frames of a simulation, .npy or FITS, (h, w) or (t, h, w) (default: by recipe)",
    )
    add.add_argument("--recipe", help="without SIM: TOML file, or the shipped one of a type")
    add.add_argument("--type", choices=TYPES, help="default: intensity, or the recipe's")
    add.add_argument("--out", required=True, help="HDF5 file; <out>_val.h5, _test.h5 beside it")
    add.add_argument("--fields", help="folder of the recipe's files (default: synthetic scenes)")
    add.add_argument("--count", type=int, help="training patches (default 4800, or the recipe's)")
    add.add_argument("--validation", type=int, help="validation patches (480, or the recipe's)")
    add.add_argument("--test", type=int, help="test patches (the recipe's)")
    add.add_argument("--patch", type=int, help="HMI pixels on a side (50, or the recipe's)")
    add.add_argument("--seed", type=int, help="default 0, or the recipe's")
    add.add_argument(
        "--psf", help="HMI's: modified (default), wachter, airy or, with SIM, a FITS image"
    )
    add.add_argument("--psf-scale", type=float, help="arcsec per pixel of --psf (default: CDELT)")
    add.add_argument("--support", type=float, help="half-width of PSFs in arcsec (12)")
    add.add_argument("--aperture", type=float, help="metres, HMI's (0.14)")
    add.add_argument("--target-aperture", type=float, help="metres (0.28)")
    add.add_argument("--wavelength", type=float, help="angstrom (6173)")
    add.add_argument("--hmi-scale", type=float, help="arcsec/pixel (0.504302)")
    add.add_argument(
        "--pixel-scale", type=float, help="arcsec per pixel of SIM (default: CDELT, else 0.0662)"
    )
    add.add_argument(
        "--norm", help="SIM's intensity that becomes 1: mean (default), quiet-sun or a number"
    )
    add.add_argument(
        "--validation-region",
        type=region,
        metavar="Y0,Y1,X0,X1",
        help="part of SIM kept for validation, in fractions (default: last quarter of longer side)",
    )
    add.add_argument(
        "--keep", action="store_true", help="files that are of this recipe and these fields already"
    )
    add.add_argument("--overwrite", action="store_true", help="replace files that exist")

    add = command("train", "train a network; without --data, a small one on synthetic scenes")
    add.add_argument("--data", help="HDF5 with imHMI (n,h,w,1) and imSST (n,2h,2w,1), Ic or kG")
    add.add_argument(
        "--validation",
        type=_fraction_or_path,
        help="such a file, or the fraction of --data to hold out (default: DATA_val.h5, or 0.1)",
    )
    add.add_argument(
        "--output", help="weights file (default runs/TYPE.h5); log and checkpoint beside it"
    )
    add.add_argument("--type", choices=TYPES, default="intensity", help="sets --noise and --l2")
    add.add_argument("--epochs", type=int, help="in all, with those continued (default 20)")
    add.add_argument("--batchsize", type=int, help="default 32")
    add.add_argument("--lr", type=float, help="learning rate (default 1e-4)")
    add.add_argument("--lr-multiplier", type=float, help="of --lr, from epoch 20 on (default 1)")
    add.add_argument(
        "--freeze", type=int, metavar="EPOCH", help="from here batch norm keeps its statistics"
    )
    add.add_argument("--clip", type=float, metavar="NORM", help="bound on a step's gradient")
    add.add_argument("--warmup", type=int, metavar="STEPS", help="over which the rate rises")
    add.add_argument("--schedule", choices=("constant", "cosine"), help="default constant")
    add.add_argument(
        "--start",
        choices=("he", "contrast"),
        help="initial kernels: He's (default), or his for contrast",
    )
    add.add_argument("--noise", type=float, help="sigma in Ic or kG (default: the paper's)")
    add.add_argument("--l2", type=float, help="weight decay (default: the paper's)")
    add.add_argument("--seed", type=int, default=0)
    add.add_argument("--continue", dest="resume", action="store_true", help="from the checkpoint")
    add.add_argument("--overwrite", action="store_true", help="replace an earlier run")
    sizes(add)
    device(add)
    return top


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING if options.quiet else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    try:
        if getattr(options, "threads", None) is not None:
            from .engine.threads import set_threads

            set_threads(options.threads)
        sys.exit(options.run(options))
    except KeyboardInterrupt:
        print(f"enhance-np {options.command}: interrupted", file=sys.stderr)
        sys.exit(130)
    except EXPECTED as error:
        message = " ".join(str(error).split()) or type(error).__name__
        message = message.removeprefix(f"{options.command}: ")
        sys.exit(f"enhance-np {options.command}: {message}")
    except Exception as error:
        message = " ".join(f"{type(error).__name__} {error}".split())
        sys.exit(f"enhance-np {options.command}: a fault of the program, please report: {message}")


def predict(options) -> None:
    from .pipeline import enhance_file

    with _bar(options, "px", unit_scale=True) as bar:
        enhance_file(
            options.input,
            options.output,
            type=options.type,
            model=options.model,
            weights=options.weights,
            activation=options.activation,
            norm=options.norm,
            norm_from=options.norm_from,
            device=options.device,
            ext=_ext(options),
            overwrite=options.overwrite,
            plot=options.plot,
            tile=options.tile,
            ensemble=options.ensemble,
            confidence=options.confidence,
            progress=_advance(bar),
        )


def demo(options) -> None:
    from .demo import make

    with _bar(options, "px", unit_scale=True) as bar:
        line = make(options.output, options.device, _advance(bar))
    print(line)


def evaluate(options) -> None:
    from .data.degrade import Optics
    from .evaluate.files import evaluate_files

    print(
        evaluate_files(
            options.output,
            truth=options.truth,
            input=options.input,
            companion=options.companion,
            type=options.type,
            norm=options.norm,
            box=options.box,
            with_baselines=options.baselines,
            linear_filter=options.linear,
            optics=Optics.named(options.psf, options.psf_scale, support=options.support),
            plot=options.plot,
            json_file=options.json,
            overwrite=options.overwrite,
        )
    )


def deconvolve(options) -> None:
    from .data.degrade import Optics
    from .evaluate.files import deconvolve_file

    with _bar(options, "iteration") as bar:
        deconvolve_file(
            options.input,
            options.output,
            type=options.type,
            iterations=options.iterations,
            damping=options.damping,
            as_target=options.as_target,
            optics=Optics.named(options.psf, options.psf_scale, support=options.support),
            ext=_ext(options),
            overwrite=options.overwrite,
            plot=options.plot,
            progress=_advance(bar),
        )


def _ext(options):
    return int(options.ext) if (options.ext or "").isdecimal() else options.ext


def summary(options) -> None:
    from .summary import table

    print(table(_config(options)))


def gradcheck(options) -> int:
    """Exit status 1 if a check fails."""
    from .gradcheck import check_all

    checks = list(check_all(options.seed))
    for check in checks:
        if not options.quiet or not check.passed:
            verdict = "ok" if check.passed else "FAILED"
            print(f"{check.name:<52} error {check.error:.1e}  bound {check.bound:.1e}  {verdict}")
    return int(not all(check.passed for check in checks))


def simulate(options) -> None:
    from .data.simulate import simulate

    simulate(
        options.output,
        options.scene,
        tuple(options.size),
        options.pixel_scale,
        type=options.type,
        frames=options.frames,
        seed=options.seed,
        progress=_progress(options),
        overwrite=options.overwrite,
    )


def degrade(options) -> None:
    from .data import patches, simulation
    from .data.degrade import HMI
    from .data.recipe import read

    only = RECIPE_ONLY if options.sim else FRAMES_ONLY
    for name in only:
        if getattr(options, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"degrade: needs SIM or {option}, got both"
                if options.sim
                else f"degrade: {option} needs SIM, got none"
            )
    how = {"progress": _progress(options), "overwrite": options.overwrite}
    if options.sim:
        given = {"patch": options.patch, "seed": options.seed}
        simulation.build(
            options.out,
            options.type or TYPES[0],
            options.sim,
            4800 if options.count is None else options.count,
            480 if options.validation is None else options.validation,
            **{name: value for name, value in given.items() if value is not None},
            **{name: getattr(options, name) for name in FRAMES_ONLY},
            optics=_optics(options, HMI),
            **how,
        )
        return
    recipe = read(options.recipe or options.type or TYPES[0])
    if options.type not in (None, recipe.type):
        raise ValueError(f"degrade: --type must be the recipe's, {recipe.type}, got {options.type}")
    recipe = recipe.on(options.fields).changed(
        train=options.count,
        validation=options.validation,
        test=options.test,
        patch=options.patch,
        seed=options.seed,
        optics=_optics(options, recipe.optics),
    )
    if options.fields is None:
        logging.info("recipe %s: its synthetic scenes alone, without --fields", recipe.name)
    patches.build(options.out, recipe, keep=options.keep, **how)


def _optics(options, base):
    """Those of `base`, but for what is given."""
    from .data.degrade import Optics

    given = {
        name: getattr(options, name)
        for name in ("psf", "support", "aperture", "target_aperture", "hmi_scale")
    }
    if options.wavelength is not None:
        given["wavelength"] = options.wavelength / 1e10  # exact for 6173, unlike * 1e-10
    given = {name: value for name, value in given.items() if value is not None}
    return Optics.named(psf_scale=options.psf_scale, **(vars(base) | given))


def train(options) -> None:
    from dataclasses import replace
    from pathlib import Path

    from .config import DEFAULT, SMALL
    from .engine import select
    from .training import QUICK, TrainOptions, train

    output = Path(options.output or f"runs/{options.type}.h5")
    if options.output is None:
        output.parent.mkdir(exist_ok=True)
    given = {
        "epochs": options.epochs,
        "batch_size": options.batchsize,
        "lr": options.lr,
        "lr_multiplier": options.lr_multiplier,
        "schedule": options.schedule,
        "start": options.start,
        "clip": options.clip,
        "warmup": options.warmup,
        "freeze": options.freeze,
        "noise": options.noise,
        "l2": options.l2,
    }
    settings = replace(
        TrainOptions() if options.data else QUICK,
        type=options.type,
        seed=options.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    with _bar(options, "step") as bar:
        train(
            options.data,
            output,
            _config(options, DEFAULT if options.data else SMALL),
            settings,
            select(options.device),
            validation=options.validation,
            resume=options.resume,
            overwrite=options.overwrite,
            progress=_progress(options),
            report=_training_report(bar, settings.epochs),
        )
    logging.info("%s", output)


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
            bar.clear()
            logging.info(
                "epoch %d: loss %.4e, validation %.4e", row["epoch"], row["loss"], row["val_loss"]
            )

    return report


def _fraction_or_path(text):
    try:
        return float(text)
    except ValueError:
        return text


def _config(options, base=None):
    from dataclasses import replace

    from .config import DEFAULT

    given = {
        "depth": options.depth,
        "filters": options.filters,
        "refine_filters": options.refine_filters,
    }
    return replace(
        base or DEFAULT,
        activation=options.activation,
        **{name: value for name, value in given.items() if value is not None},
    )


def _progress(options) -> bool:
    """Whether to show progress: on a terminal only, and not with --quiet."""
    return sys.stderr.isatty() and not options.quiet


def _bar(options, unit, **looks):
    from tqdm import tqdm

    return tqdm(disable=not _progress(options), unit=unit, file=sys.stderr, **looks)


def _advance(bar):
    def progress(done, total):
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()  # the line that follows begins at the margin

    return progress
