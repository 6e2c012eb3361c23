"""evaluate, deconvolve and psf: the commands that score, run Richardson-Lucy and compare PSFs."""

from .files import for_each
from .options import given_optics, hdu, image, kind, psf
from .terminal import say


def add_commands(command) -> None:
    add = command("evaluate", _evaluate, "score an output against the truth, or against its input")
    add.add_argument("output", help="FITS image to score, with twice the pixels of its input")
    add.add_argument("--truth", help="FITS image of the same size as the output")
    add.add_argument("--input", help="FITS image that the output was made from")
    add.add_argument(
        "--companion",
        help="FITS image of the same region and the other type, to separate spots from plage",
    )
    kind(add)
    add.add_argument(
        "--norm", default="quiet-sun", help="intensity that counts as 1, as for predict"
    )
    add.add_argument(
        "--box",
        type=_box,
        metavar="Y0,Y1,X0,X1",
        help="input pixels in which to measure the granulation contrast (default: the quiet ones)",
    )
    add.add_argument(
        "--baselines",
        action="store_true",
        help="also score bicubic interpolation, Richardson-Lucy and a Wiener filter",
    )
    add.add_argument(
        "--linear", metavar="NPZ", help="also score the fitted linear filter in this file"
    )
    psf(add)
    add.add_argument(
        "--plot", metavar="PNG", help="draw patches, spectra, scatter plots and differences"
    )
    add.add_argument("--json", metavar="FILE", help="write all figures to this file")
    add.add_argument("--overwrite", action="store_true", help="replace existing files")

    add = command("deconvolve", _deconvolve, "deconvolve by Richardson-Lucy, with twice the pixels")
    image(add)
    add.add_argument(
        "--iterations",
        type=int,
        default=20,
        help="Richardson-Lucy iterations (default 20, as published; why evaluate takes more: "
        "docs/evaluate.md)",
    )
    add.add_argument(
        "--damping",
        action="store_true",
        help="reset pixels whose residual exceeds 10 times the median residual",
    )
    add.add_argument(
        "--as-target",
        action="store_true",
        help="give the image as a 28 cm telescope sees it, like predict",
    )
    psf(add)

    add = command("psf", _psf, "print the widths and the encircled energy of the PSFs; draw them")
    psf(add)
    add.add_argument(
        "--plot", metavar="PNG", help="draw the PSFs, their transfer functions and encircled energy"
    )
    add.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _box(text: str) -> tuple[int, ...]:
    y0, y1, x0, x1 = map(int, text.split(","))
    return y0, y1, x0, x1


def _evaluate(options) -> None:
    from ..evaluate.files import evaluate_files

    say(
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
            optics=given_optics(options),
            plot=options.plot,
            json_file=options.json,
            overwrite=options.overwrite,
        )
    )


def _deconvolve(options) -> int:
    from ..prediction.deconvolution import deconvolver

    return for_each(
        options,
        deconvolver,
        type=options.type,
        iterations=options.iterations,
        damping=options.damping,
        as_target=options.as_target,
        optics=given_optics(options),
        ext=hdu(options),
    )


def _psf(options) -> None:
    from .._atomic import write_bytes
    from .._figures import check_plot
    from ..evaluate import psfs
    from ..observation.fits import check_output
    from ..optics.degrade import HMI

    if options.plot is not None:
        check_plot(options.plot)
        check_output(options.plot, options.overwrite)
    found = psfs.known(given_optics(options) or HMI)
    if options.plot is not None:
        picture = psfs.picture(found)
        check_output(options.plot, options.overwrite)
        write_bytes(options.plot, picture)
    say(psfs.table(found))
