"""predict and demo: images enhanced."""

from ..config import ACTIVATIONS, MODELS
from .files import for_each
from .options import advance, device, hdu, image, progress_bar


def add_commands(command) -> None:
    add = command(
        "predict", _predict, "enhance a FITS image: twice the pixels, the telescope's blur removed"
    )
    image(add)
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
    add.add_argument(
        "--tile", type=int, help="input lines at a time (GPU: N x N pixels); the result is the same"
    )
    device(add)

    add = command(
        "demo", _demo, "enhance a synthetic scene of known truth: FITS, picture and figures"
    )
    add.add_argument("--output", default="demo", help="folder to write to (default: demo)")
    device(add)


def _predict(options) -> int:
    from ..prediction.file import enhancer

    enhance = enhancer(
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
    )
    return for_each(options, enhance, "px", unit_scale=True)


def _demo(options) -> None:
    from ..prediction.demo import make

    with progress_bar(options, "px", unit_scale=True) as bar:
        line = make(options.output, options.device, advance(bar))
    print(line)
