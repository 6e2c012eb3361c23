"""predict and demo: the commands that enhance images."""

from .files import for_each
from .options import advance, device, hdu, image, network, progress_bar
from .terminal import say


def add_commands(command) -> None:
    add = command(
        "predict",
        _predict,
        "enhance FITS images: twice the pixels, with the telescope's blur removed",
    )
    image(add)
    network(add, "default")
    add.add_argument(
        "--norm",
        default="quiet-sun",
        help="intensity that becomes 1 in the network: quiet-sun (default), max, none or a number",
    )
    add.add_argument(
        "--norm-from",
        metavar="FITS",
        help="take the quiet-sun level from this image, a full disk of the same series and time",
    )
    add.add_argument(
        "--ensemble",
        action="store_true",
        help="average over the 8 rotations and reflections: smaller errors, 8 times the time",
    )
    add.add_argument(
        "--confidence",
        action="store_true",
        help="as --ensemble, and write four more HDUs: ERROR (1 sigma of each pixel), DOUBT (bits: "
        "why not to trust it), SPREAD (of the 8 outputs, no error bar) and RESIDUAL (re-blurred "
        "output minus input)",
    )
    add.add_argument(
        "--noise",
        type=float,
        help="with --confidence, sigma of the image's noise in its unit (default: HMI's of the "
        "header's cadence, else estimated)",
    )
    add.add_argument(
        "--tile",
        type=int,
        help="input lines to process at a time (GPU: N x N pixels); changes no bit on the CPU",
    )
    device(add)

    add = command(
        "demo",
        _demo,
        "enhance a synthetic scene of known truth; write FITS files and a picture, print errors",
    )
    add.add_argument("--output", default="demo", help="folder to write to (default: demo)")
    device(add)


def _predict(options) -> int:
    from ..prediction.file import enhancer

    return for_each(
        options,
        enhancer,
        type=options.type,
        model=options.model,
        weights=options.weights,
        activation=options.activation,
        norm=options.norm,
        norm_from=options.norm_from,
        device=options.device,
        ext=hdu(options),
        tile=options.tile,
        ensemble=options.ensemble,
        confidence=options.confidence,
        noise=options.noise,
    )


def _demo(options) -> None:
    from ..prediction.demo import make

    with progress_bar(options, "px", unit_scale=True) as bar:
        line = make(options.output, options.device, advance(bar))
    say(line)
