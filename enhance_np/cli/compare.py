"""compare: the command that puts an image beside that of another telescope."""

import argparse

from .._errors import avoidable
from .options import hdu, kind
from .terminal import say

SIDES = {"out": "OUT", "other": "OTHER"}
YES = {"yes": True, "no": False}


def add_commands(command) -> None:
    add = command(
        "compare",
        _compare,
        "co-align an image with that of another telescope, blur the finer one to the resolution of "
        "the other, and print contrast, difference, spectra, slopes and fluxes",
    )
    add.add_argument("out", metavar="OUT", help="FITS image, such as an output of predict")
    add.add_argument(
        "other", metavar="OTHER", help="FITS image of the same region and quantity, on any pixels"
    )
    kind(add)
    for side, name in SIDES.items():
        add.add_argument(
            f"--{side}-ext", help=f"HDU of {name}, by number or name (default: the first image)"
        )
        add.add_argument(
            f"--{side}-scale",
            type=_scale,
            metavar="X[,Y]",
            help=f"arcsec per pixel of {name}, in place of its coordinates (default: the header's)",
        )
        add.add_argument(
            f"--{side}-psf",
            help=f"the PSF in {name}: modified, wachter, airy, yeo, norton, deconvolved (no blur "
            "up to HMI's cut-off), none, or a FITS image (default: from the header, or airy if an "
            "aperture is given)",
        )
        add.add_argument(f"--{side}-aperture", type=float, help="of that telescope, in metres")
        add.add_argument(
            f"--{side}-wavelength", type=float, help="in angstrom (default with an aperture: 6173)"
        )
        add.add_argument(
            f"--{side}-lorentzian", type=float, help="arcsec, width of the Lorentzian of norton"
        )
        add.add_argument(
            f"--{side}-averages",
            choices=YES,
            help=f"whether the values of {name} are means over its pixels, which blurs too "
            "(default: no for HMI, outputs and degrade, otherwise yes)",
        )
    add.add_argument(
        "--no-align",
        dest="align",
        action="store_false",
        help="take the coordinates as they are, without cross-correlation",
    )
    add.add_argument(
        "--plot", metavar="PNG", help="draw both images, their difference, scatter plot and spectra"
    )
    add.add_argument("--json", metavar="FILE", help="write all figures to this file")
    add.add_argument("--overwrite", action="store_true", help="replace existing files")


def _scale(text: str) -> tuple[float, float]:
    try:
        x, _, y = text.partition(",")
        return float(x), float(y or x)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be arcsec or X,Y, got {text!r}") from None


def _compare(options) -> None:
    from ..evaluate.files import compare_files

    def both(name):
        return tuple(getattr(options, f"{side}_{name}") for side in SIDES)

    say(
        compare_files(
            options.out,
            options.other,
            type=options.type,
            exts=tuple(hdu(options, f"{side}_ext") for side in SIDES),
            optics=tuple(_optics(options, side) for side in SIDES),
            scales=both("scale"),
            averages=tuple(YES.get(a) for a in both("averages")),
            align=options.align,
            plot=options.plot,
            json_file=options.json,
            overwrite=options.overwrite,
        )
    )


def _optics(options, side: str):
    """What the options say of the blur on one side; None if they say nothing."""
    from ..evaluate.resolution import DECONVOLVED, SHARP
    from ..optics.degrade import Optics

    names = ("psf", "aperture", "wavelength", "lorentzian")
    psf, aperture, wavelength, lorentzian = (getattr(options, f"{side}_{n}") for n in names)
    rest = {"aperture": aperture, "lorentzian": lorentzian}
    if wavelength is not None:
        rest["wavelength"] = wavelength / 1e10
    rest = {name: value for name, value in rest.items() if value is not None}
    if psf in (DECONVOLVED, SHARP):
        if rest:
            raise ValueError(f"compare: --{side}-psf {psf} has no {' or '.join(rest)}")
        return psf
    if psf is None and aperture is None:
        if rest:
            raise ValueError(f"compare: needs --{side}-aperture or --{side}-psf, got neither")
        return None
    try:
        return Optics.named(psf or "airy", **rest)
    except ValueError as error:
        parameters = getattr(error, "parameters", ())
        raise avoidable(error, *(f"{side}_{name}" for name in parameters)) from None
