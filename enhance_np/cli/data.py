"""simulate and degrade: the commands that make scenes, and what telescopes see of them."""

import logging

from ..config import TYPES
from .options import hdu, optics, psf, show_progress

# options of degrade for the frames SIM, for a recipe, for both, and for an image
FRAMES_ONLY = ("pixel_scale", "norm", "validation_region")
RECIPE_ONLY = ("recipe", "fields", "test", "keep")
PAIRS_ONLY = ("out", "type", "count", "validation", "patch")
IMAGE_ONLY = ("truth", "noise", "ext")


def add_commands(command) -> None:
    add = command(
        "simulate", _simulate, "make a synthetic Sun: continuum intensity and vertical field, FITS"
    )
    add.add_argument(
        "output", help="FITS file to write; with both types <stem>_intensity and <stem>_blos"
    )
    add.add_argument(
        "--type",
        choices=("both", *TYPES),
        default="both",
        help="intensity, field or both (default)",
    )
    add.add_argument(
        "--scene",
        default="active",
        help="quiet, network, plage, pore, spot, delta or active (default)",
    )
    add.add_argument(
        "--size",
        nargs=2,
        type=int,
        default=(1024, 1920),
        metavar=("H", "W"),
        help="lines and columns of a frame (default 1024 1920)",
    )
    add.add_argument(
        "--pixel-scale", type=float, default=0.0662, help="arcsec per pixel (default 0.0662)"
    )
    add.add_argument(
        "--frames", type=int, default=1, help="number of independent scenes (default 1)"
    )
    add.add_argument("--seed", type=int, default=0, help="seed of the first frame (default 0)")
    add.add_argument("--overwrite", action="store_true", help="replace existing files")

    add = command(
        "degrade",
        _degrade,
        "make training pairs from a recipe or from simulated frames: each scene as HMI sees it "
        "and as a 28 cm telescope sees it; or (--fits) one image as HMI sees it",
    )
    add.add_argument(
        "--fits",
        nargs=2,
        metavar=("IN", "OUT"),
        help="make no pairs: write the FITS image IN to OUT as HMI, or another telescope, sees it",
    )
    add.add_argument(
        "--truth", metavar="FITS", help="with --fits, write here what a 28 cm telescope would see"
    )
    add.add_argument(
        "--noise",
        type=float,
        help="with --fits, add normal noise of this sigma, in the image's unit",
    )
    add.add_argument("--ext", help="with --fits, HDU to read (default: the first image)")
    add.add_argument(
        "sim",
        nargs="*",
        metavar="SIM",
        help="frames of a simulation, .npy or FITS, (h, w) or (t, h, w) (default: use a recipe)",
    )
    add.add_argument(
        "--recipe", help="TOML file, or the type of a shipped recipe; only without SIM"
    )
    add.add_argument(
        "--type", choices=TYPES, help="type of the pairs (default: intensity, or the recipe's)"
    )
    add.add_argument(
        "--out",
        help="HDF5 file to write; <out>_val.h5 and <out>_test.h5 are written beside it",
    )
    add.add_argument(
        "--fields", help="folder with the recipe's files (default: only synthetic scenes)"
    )
    add.add_argument(
        "--count", type=int, help="number of training patches (default 4800, or the recipe's)"
    )
    add.add_argument(
        "--validation",
        type=int,
        help="number of validation patches (default 480, or the recipe's)",
    )
    add.add_argument("--test", type=int, help="number of test patches (default: the recipe's)")
    add.add_argument(
        "--patch", type=int, help="side of a patch in HMI pixels (default 50, or the recipe's)"
    )
    add.add_argument("--seed", type=int, help="random seed (default 0, or the recipe's)")
    psf(add, fits="with SIM a FITS image", pixel="0.504302")
    add.add_argument(
        "--pixel-scale",
        type=float,
        help="arcsec per pixel of SIM (default: CDELT, else 0.0662), or of IN (default: CDELT)",
    )
    add.add_argument(
        "--norm",
        help="intensity of SIM that becomes 1: mean (default), quiet-sun or a number",
    )
    add.add_argument(
        "--validation-region",
        type=_region,
        metavar="Y0,Y1,X0,X1",
        help="part of SIM kept for validation, as fractions of the frame (default: the last "
        "quarter along the longer side)",
    )
    add.add_argument(
        "--keep",
        action="store_true",
        help="keep existing files that were made from the same recipe and the same fields",
    )
    add.add_argument("--overwrite", action="store_true", help="replace existing files")


def _region(text: str) -> tuple[float, ...]:
    y0, y1, x0, x1 = map(float, text.split(","))
    return y0, y1, x0, x1


def _simulate(options) -> None:
    from ..sun.simulate import simulate

    simulate(
        options.output,
        options.scene,
        tuple(options.size),
        options.pixel_scale,
        type=options.type,
        frames=options.frames,
        seed=options.seed,
        progress=show_progress(options),
        overwrite=options.overwrite,
    )


def _degrade(options) -> None:
    from ..optics.degrade import HMI
    from ..pairs import from_frames, from_recipe
    from ..pairs.recipe import read

    if options.fits:
        _degrade_image(options)
        return
    for name in IMAGE_ONLY:
        if getattr(options, name) is not None:
            raise ValueError(f"degrade: --{name} needs --fits, got none")
    if options.out is None:
        raise ValueError("degrade: needs --out for pairs, or --fits for an image, got neither")
    only = RECIPE_ONLY if options.sim else FRAMES_ONLY
    for name in only:
        if getattr(options, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"degrade: needs either SIM or {option}, got both"
                if options.sim
                else f"degrade: {option} needs SIM, got none"
            )
    how = {"progress": show_progress(options), "overwrite": options.overwrite}
    if options.sim:
        given = {"patch": options.patch, "seed": options.seed}
        from_frames.build(
            options.out,
            options.type or TYPES[0],
            options.sim,
            4800 if options.count is None else options.count,
            480 if options.validation is None else options.validation,
            **{name: value for name, value in given.items() if value is not None},
            **{name: getattr(options, name) for name in FRAMES_ONLY},
            optics=optics(options, HMI),
            **how,
        )
        return
    recipe = read(options.recipe or options.type or TYPES[0])
    if options.type not in (None, recipe.type):
        raise ValueError(
            f"degrade: --type must be the type of the recipe, {recipe.type}, got {options.type}"
        )
    recipe = recipe.on(options.fields).changed(
        train=options.count,
        validation=options.validation,
        test=options.test,
        patch=options.patch,
        seed=options.seed,
        optics=optics(options, recipe.optics),
    )
    if options.fields is None:
        logging.info("recipe %s: uses synthetic scenes only (no --fields)", recipe.name)
    from_recipe.build(options.out, recipe, keep=options.keep, **how)


def _degrade_image(options) -> None:
    from ..optics.degrade import HMI
    from ..prediction.degradation import degrade_file

    pairs = ("sim", *PAIRS_ONLY, *RECIPE_ONLY, "norm", "validation_region")
    for name in pairs:
        if getattr(options, name) not in (None, False, []):
            option = "SIM" if name == "sim" else f"--{name.replace('_', '-')}"
            raise ValueError(f"degrade: needs either --fits or {option}, got both")
    degrade_file(
        *options.fits,
        truth=options.truth,
        optics=optics(options, HMI),
        pixel_scale=options.pixel_scale,
        noise=options.noise or 0.0,
        seed=options.seed or 0,
        ext=hdu(options),
        overwrite=options.overwrite,
    )
