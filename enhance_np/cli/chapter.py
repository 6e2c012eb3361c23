"""chapter: the command that makes the figures and numbers of the chapter again."""

from .options import advance, device, progress_bar
from .terminal import say


def add_commands(command) -> None:
    add = command(
        "chapter",
        _chapter,
        "make the figures and numbers of the chapter by the authors of Enhance, and compare them",
    )
    add.add_argument("--out", required=True, metavar="DIR", help="folder to write to")
    add.add_argument(
        "--hmi",
        nargs="+",
        default=(),
        metavar="FITS",
        help="a continuum image and a magnetogram of HMI of the same pixels, or the folder with "
        "both (default: a synthetic delta spot)",
    )
    add.add_argument("--limb", metavar="FITS", help="HMI continuum image that shows the limb")
    add.add_argument(
        "--simulation",
        metavar="FILE",
        help="continuum of a simulation of the quiet Sun, FITS or .npy",
    )
    add.add_argument("--hinode", metavar="FITS", help="image of Hinode/SOT of the region of --hmi")
    add.add_argument(
        "--seed", type=int, default=1_000_006, help="of the synthetic images (default 1000006)"
    )
    add.add_argument(
        "--size", type=int, default=108, help="their side in pixels of HMI (default 108)"
    )
    add.add_argument("--overwrite", action="store_true", help="replace existing files")
    device(add)


def _chapter(options) -> None:
    from ..chapter.make import make

    with progress_bar(options, "step") as bar:
        numbers = make(
            options.out,
            hmi=options.hmi,
            limb_file=options.limb,
            simulation_file=options.simulation,
            hinode_file=options.hinode,
            seed=options.seed,
            side=options.size,
            device=options.device,
            overwrite=options.overwrite,
            progress=advance(bar),
        )
    say(f"{options.out}: {len(numbers)} numbers; begin with README.md or index.html")
