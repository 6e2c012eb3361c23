"""What the commands share: options, the sizes of a network, progress."""

import argparse
import sys
from contextlib import contextmanager, nullcontext

from ..config import ACTIVATIONS, DEVICES, TYPES


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as for every other error; argparse would print the usage as well."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def image(made):
    """The files of a command that makes a FITS image of one, or of each of many."""
    made.add_argument(
        "input",
        nargs="+",
        help="HMI continuum image or magnetogram, FITS; or several; or a folder of them",
    )
    made.add_argument(
        "output", help="FITS file to write; for several images a folder (options: before or after)"
    )
    made.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    made.add_argument("--overwrite", action="store_true", help="replace files that exist")
    made.add_argument(
        "--plot", metavar="PNG", help="draw input and output side by side; for several a folder"
    )
    kind(made)


def kind(made):
    made.add_argument("--type", choices=TYPES, help="what the image is (default: read from it)")


def sizes(made):
    made.add_argument("--depth", type=int, help="residual blocks (default 5)")
    made.add_argument("--filters", type=int, help="channels (default 64)")
    made.add_argument("--activation", choices=ACTIVATIONS, help="default relu")
    made.add_argument("--refine-filters", type=int, help="channels after the upsampling")


def device(made):
    made.add_argument("--device", choices=DEVICES, default="auto")
    made.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


def psf(made):
    made.add_argument("--psf", help="modified (default), wachter, airy or FITS")
    made.add_argument("--psf-scale", type=float, help="arcsec per pixel of that FITS image")
    made.add_argument("--support", type=float, help="half-width in arcsec (12)")
    made.add_argument("--aperture", type=float, help="metres, of the telescope (0.14)")
    made.add_argument("--target-aperture", type=float, help="metres (0.28)")
    made.add_argument("--wavelength", type=float, help="angstrom (6173)")
    made.add_argument(
        "--hmi-scale", type=float, help="arcsec per input pixel (default: the header's, 0.504302)"
    )


OPTICS = ("psf", "psf_scale", "support", "aperture", "target_aperture", "wavelength", "hmi_scale")


def given_optics(options):
    """HMI's but for the options that are given; None if none is."""
    from ..optics.degrade import HMI

    given = any(getattr(options, name) is not None for name in OPTICS)
    return optics(options, HMI) if given else None


def optics(options, base):
    """Those of `base`, but for what is given."""
    from ..optics.degrade import Optics

    given = {
        name: getattr(options, name)
        for name in ("psf", "support", "aperture", "target_aperture", "hmi_scale")
    }
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
    """A bar on a terminal; what is logged meanwhile goes above it."""
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


def one_line(command: str, error: Exception, named: str = "") -> str:
    """An error as the user is told it."""
    message = " ".join(str(error).split()) or type(error).__name__
    return f"enhance-np {command}: {named}{message.removeprefix(f'{command}: ')}"


def hdu(options):
    return int(options.ext) if (options.ext or "").isdecimal() else options.ext
