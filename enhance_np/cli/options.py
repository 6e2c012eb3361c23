"""What the commands share: options, the sizes of a network, progress."""

import argparse
import sys

from ..config import ACTIVATIONS, DEVICES, TYPES


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as for every other error; argparse would print the usage as well."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def image(made):
    """The files of a command that makes a FITS image of one."""
    made.add_argument("input", help="HMI continuum image or magnetogram, FITS")
    made.add_argument("output", help="FITS file to write")
    made.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    made.add_argument("--overwrite", action="store_true", help="replace files that exist")
    made.add_argument("--plot", metavar="PNG", help="draw input and output side by side")
    kind(made)


def kind(made):
    made.add_argument("--type", choices=TYPES, help="what the image is (default: read from it)")


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


def network_config(options, base=None):
    from dataclasses import replace

    from ..config import DEFAULT

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


def show_progress(options) -> bool:
    """Whether to show progress: on a terminal only, and not with --quiet."""
    return sys.stderr.isatty() and not options.quiet


def progress_bar(options, unit, **looks):
    from tqdm import tqdm

    return tqdm(disable=not show_progress(options), unit=unit, file=sys.stderr, **looks)


def advance(bar):
    def progress(done, total):
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()  # the line that follows begins at the margin

    return progress


def hdu(options):
    return int(options.ext) if (options.ext or "").isdecimal() else options.ext
