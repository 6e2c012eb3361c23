"""evaluate and deconvolve: outputs scored, and the classical way beside them."""

from .files import for_each
from .options import given_optics, hdu, image, kind, psf


def add_commands(command) -> None:
    add = command("evaluate", _evaluate, "score an output against the truth, or against its input")
    add.add_argument("output", help="FITS image with twice the pixels of its input")
    add.add_argument("--truth", help="FITS image of the same size")
    add.add_argument("--input", help="FITS image that the output was made of")
    add.add_argument(
        "--companion", help="the region's image of the other type, FITS: tells spots from plage"
    )
    kind(add)
    add.add_argument(
        "--norm", default="quiet-sun", help="intensity that counts as 1, as for predict"
    )
    add.add_argument(
        "--box",
        type=_box,
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

    add = command("deconvolve", _deconvolve, "the classical way: Richardson-Lucy, twice the pixels")
    image(add)
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


def _box(text: str) -> tuple[int, ...]:
    y0, y1, x0, x1 = map(int, text.split(","))
    return y0, y1, x0, x1


def _evaluate(options) -> None:
    from ..evaluate.files import evaluate_files

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
            optics=given_optics(options),
            plot=options.plot,
            json_file=options.json,
            overwrite=options.overwrite,
        )
    )


def _deconvolve(options) -> int:
    from functools import partial

    from ..baselines.richardson_lucy import check_iterations
    from ..evaluate.files import deconvolve_file

    check_iterations(options.iterations)
    deconvolve = partial(
        deconvolve_file,
        type=options.type,
        iterations=options.iterations,
        damping=options.damping,
        as_target=options.as_target,
        optics=given_optics(options),
        ext=hdu(options),
    )
    return for_each(options, deconvolve, "iteration")
