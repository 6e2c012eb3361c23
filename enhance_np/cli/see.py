"""trace and inspect: the commands that show one run of the network."""

import argparse

from ..config import MODES
from .options import device, hdu, kind, network
from .terminal import say

COMPARISONS = "numerical", "reference", "cpu", "gpu"


def add_commands(command) -> None:
    add = command("trace", _trace, "print every value and gradient of one run of the network")
    _subject(add)
    add.add_argument(
        "--compare",
        choices=COMPARISONS,
        help="add how far each tensor is from that of another engine, or (numerical) each "
        "gradient from a central difference of the loss",
    )
    add.add_argument(
        "--float64", action="store_true", help="compute in float64, on the reference engine"
    )
    device(add)

    add = command(
        "inspect", _inspect, "write one HTML page that shows an image going through the network"
    )
    _subject(add)
    add.add_argument("--out", required=True, metavar="HTML", help="page to write")
    add.add_argument("--overwrite", action="store_true", help="replace an existing file")
    device(add)


def _subject(add) -> None:
    add.add_argument("input", help="HMI continuum image or magnetogram: a FITS file")
    add.add_argument("--ext", help="HDU to read, by number or name (default: the first image)")
    kind(add)
    add.add_argument(
        "--target",
        metavar="FITS",
        help="the truth, with twice the pixels (default: the input enlarged by bicubic "
        "interpolation)",
    )
    network(add, "small")
    add.add_argument(
        "--mode",
        choices=MODES,
        default="training",
        help="statistics of batch norm: of this image, as in training (default), or the stored "
        "ones, as in prediction",
    )
    add.add_argument(
        "--at",
        type=_pixel,
        metavar="X,Y",
        help="pixel to show first, counted from 0; a large image is cut around it (default: the "
        "centre)",
    )


def _pixel(text: str) -> tuple[int, int]:
    x, comma, y = text.partition(",")
    if not (comma and x.isdecimal() and y.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be X,Y in pixels, got {text!r}")
    return int(x), int(y)


def _read(options):
    from ..inspection.subject import subject

    return subject(
        options.input,
        target=options.target,
        type=options.type,
        model=options.model,
        weights=options.weights,
        activation=options.activation,
        ext=hdu(options),
        at=options.at,
    )


def _trace(options) -> None:
    from ..engine import REFERENCE, select
    from ..inspection import compare
    from ..inspection.trace import trace

    wide = options.float64
    if wide and options.device == "gpu":
        raise ValueError("trace: --float64 needs the reference engine, got --device gpu")
    seen = _read(options)
    engine = REFERENCE if wide else select(options.device)
    dtype = "float64" if wide else "float32"
    x, target = seen.x.astype(dtype), seen.target.astype(dtype)
    if options.compare in ("cpu", "gpu"):
        select(options.compare)  # before the work
    found = trace(seen.weights, x, target, mode=options.mode, engine=engine)
    for name, text in seen.about.items():
        say(f"{name:<11}{' '.join(text.split())}")
    say(str(found))
    if options.compare:
        say("")
        say(compare.table(options.compare, found, seen.weights))


def _inspect(options) -> None:
    from .._atomic import write_bytes
    from ..engine import select
    from ..inspection.page import build
    from ..observation.fits import check_output

    def check():
        if not options.out.lower().endswith((".html", ".htm")):
            raise ValueError(f"inspect: --out must end in .html, got {options.out!r}")
        for source in filter(None, (options.input, options.target, options.weights)):
            check_output(options.out, options.overwrite, source)

    check()
    page, _ = build(_read(options), select(options.device), options.mode)
    check()
    write_bytes(options.out, page.encode())
