"""Options, network sizes and progress bars that several commands share."""

import argparse
import logging
import sys
from contextlib import contextmanager, nullcontext

from .._errors import one_line
from ..config import ACTIVATIONS, DEVICES, MODELS, TYPES
from .terminal import complain, printable, say

# flags of parameters of the library that have another name
FLAGS = {
    "resume": "--continue",
    "optics": "--psf, --aperture, --target-aperture, --wavelength",
    "out_optics": "--out-psf, --out-aperture",
    "other_optics": "--other-psf, --other-aperture",
    "align": "--no-align",
}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """Exits with one line, as for every other error; argparse would also print the usage."""
        complain(f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)")
        sys.exit(2)

    def _print_message(self, message, file=None):
        """Prints --help or --version. argparse would ignore that standard output is full."""
        if message:
            say(message, end="")


def image(made):
    """Adds the arguments of a command that makes one FITS image from each input image."""
    made.add_argument(
        "paths",
        nargs="+",
        metavar="IN ... OUT",
        help="HMI continuum images or magnetograms: FITS files, folders, quoted patterns, or - for "
        "a list on stdin; then the FITS file to write, or a folder if there are several images",
    )
    made.add_argument(
        "--out-dir", metavar="DIR", help="folder to write to; then all of IN ... are inputs"
    )
    made.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    existing = made.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace existing files")
    existing.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave files whose output exists (default if a folder is written)",
    )
    made.add_argument(
        "--compress",
        action="store_true",
        help="compress without loss, into files named .fz",
    )
    made.add_argument(
        "--shard", metavar="I/N", help="only every N-th file from the I-th on, I from 1 to N"
    )
    made.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="give the files to the workers of this dask.distributed scheduler",
    )
    made.add_argument(
        "--manifest",
        metavar="FILE",
        help="one line of JSON for each file: what was made of it, or why not "
        "(default for a folder: manifest.jsonl in it)",
    )
    made.add_argument(
        "--plot",
        metavar="PNG",
        help="draw input and output side by side; a folder if there are several images",
    )
    kind(made)


def kind(made):
    made.add_argument(
        "--type", choices=TYPES, help="type of the image (default: detected from the file)"
    )


def network(made, model):
    """Adds the options that choose a network.  model : the shipped one to use by default."""
    made.add_argument(
        "--model", choices=MODELS, default=model, help=f"shipped network (default: {model})"
    )
    made.add_argument("--weights", help="weights file to use instead of a shipped network")
    made.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        help="activation of a --weights file that does not store it",
    )


def sizes(made):
    made.add_argument("--depth", type=int, help="number of residual blocks (default 5)")
    made.add_argument("--filters", type=int, help="number of channels (default 64)")
    made.add_argument(
        "--activation", choices=ACTIVATIONS, help="activation function (default relu)"
    )
    made.add_argument("--refine-filters", type=int, help="number of channels after the upsampling")


def device(made):
    made.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where to compute (default auto: the GPU if it can be used, else the CPU)",
    )
    made.add_argument("--threads", type=int, help="number of CPU threads (default: all cores)")


def psf(made, fits="a FITS image", pixel="the header's, else 0.504302"):
    """fits, pixel : what the help says of a PSF in a file, and of the default pixel scale."""
    made.add_argument(
        "--psf",
        help=f"the telescope's PSF: modified (default), wachter, airy, yeo, norton or {fits}",
    )
    made.add_argument(
        "--lorentzian",
        type=float,
        help="arcsec, width of the Lorentzian of --psf norton (no default)",
    )
    made.add_argument(
        "--psf-rotation",
        type=float,
        help="degrees by which --psf yeo is turned (default: its mean over azimuth)",
    )
    made.add_argument("--psf-scale", type=float, help="arcsec per pixel of that FITS image")
    made.add_argument("--support", type=float, help="half-width of the PSF in arcsec (default 12)")
    made.add_argument(
        "--aperture", type=float, help="the telescope's aperture in metres (default 0.14)"
    )
    made.add_argument(
        "--target-aperture", type=float, help="the target's aperture in metres (default 0.28)"
    )
    made.add_argument("--wavelength", type=float, help="in angstrom (default 6173)")
    made.add_argument(
        "--hmi-scale",
        type=float,
        help=f"arcsec per pixel of the telescope (default: {pixel})",
    )


OPTICS = ("psf", "psf_scale", "support", "aperture", "target_aperture", "wavelength", "hmi_scale")
OPTICS += ("lorentzian", "psf_rotation")


def given_optics(options):
    """HMI's optics with the options that are given; None if none of them is given."""
    from ..optics.degrade import HMI

    given = any(getattr(options, name) is not None for name in OPTICS)
    return optics(options, HMI) if given else None


def optics(options, base):
    """The optics of `base` with the options that are given."""
    from ..optics.degrade import Optics

    given = {
        name: getattr(options, name)
        for name in ("psf", "support", "aperture", "target_aperture", "hmi_scale", "lorentzian")
    }
    given["rotation"] = options.psf_rotation
    if options.wavelength is not None:
        given["wavelength"] = options.wavelength / 1e10  # exact for 6173, unlike * 1e-10
    given = {name: value for name, value in given.items() if value is not None}
    return Optics.named(psf_scale=options.psf_scale, **(vars(base) | given))


def network_config(options, base=None):
    from dataclasses import replace

    from ..config import DEFAULT

    given = {
        "activation": options.activation,
        "depth": options.depth,
        "filters": options.filters,
        "refine_filters": options.refine_filters,
    }
    return replace(
        base or DEFAULT,
        **{name: value for name, value in given.items() if value is not None},
    )


def show_progress(options) -> bool:
    """Whether to show progress: on a terminal only, and not with --quiet."""
    return sys.stderr.isatty() and not options.quiet


@contextmanager
def progress_bar(options, unit, **looks):
    """Shows a bar on a terminal; log lines appear above it."""
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    shown = show_progress(options)
    with (
        logging_redirect_tqdm() if shown else nullcontext(),
        tqdm(disable=not shown, unit=unit, file=sys.stderr, **looks) as bar,
    ):
        yield bar


def advance(bar):
    def progress(done, total):
        bar.total = total
        bar.update(done - bar.n)

    return progress


def report_line(command: str, error: Exception, named: str = "") -> str:
    """The line that reports an error to the user."""
    message = one_line(error).removeprefix(f"{command}: ")
    name = f"enhance-np {command}".strip()
    return printable(f"{name}: {named}{message}{_see_flags(error)}", keep="")


class LogLine(logging.Formatter):
    """A log message as one printable line, with the flags of the parameters that it is about."""

    def format(self, record):
        line = " ".join(super().format(record).split("\n"))
        return printable(line + _see_flags(record), keep="")


def _see_flags(said) -> str:
    """said : an error or a log record, see `_errors.avoidable`."""
    flags = [FLAGS.get(p, f"--{p.replace('_', '-')}") for p in getattr(said, "parameters", ())]
    return f" (see {', '.join(flags)})" if flags else ""


def hdu(options, name: str = "ext") -> int | str | None:
    """The HDU that an option names, by number or by name."""
    ext = getattr(options, name)
    return int(ext) if (ext or "").isdecimal() else ext
