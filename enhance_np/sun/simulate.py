"""Writes synthetic scenes as `degrade` reads them: FITS, one type per file."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from .. import __version__
from .._atomic import replacing
from ..config import TYPES
from ..observation.fits import check_output
from .scene import check, scene

SUFFIXES = (".fits", ".fit", ".fts")
BOTH = "both"
CONTENT = {"intensity": "CONTINUUM INTENSITY", "blos": "MAGNETOGRAM"}
UNIT = {"intensity": "Ic", "blos": "Gauss"}


def simulate(
    out: str | Path,
    kind: str = "active",
    shape: tuple[int, int] = (1024, 1920),
    pixel_scale: float = 0.0662,
    *,
    type: str = BOTH,
    frames: int = 1,
    seed: int = 0,
    progress: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Writes `frames` scenes and returns the paths: `out`; for both types <stem>_<type>.fits.

    kind, shape, pixel_scale, seed : see `scene.scene`; frame i is the scene of seed + i, so
        frames are independent of each other and not moments of one Sun.
    type : "intensity" (over the quiet Sun's mean), "blos" (vertical field, gauss) or "both".
    progress : shows a bar.  overwrite : replace existing files.
    Raises ValueError for invalid arguments, OSError for files that cannot be written. Then no file
    is changed.

    The image is (H, W) for one frame, the cube (frames, H, W) for more; float32.
    """
    from tqdm import tqdm

    if type not in (BOTH, *TYPES):
        raise ValueError(f"simulate: type must be one of {(BOTH, *TYPES)}, got type={type!r}")
    if frames < 1:
        raise ValueError(f"simulate: frames must be 1 or more, got frames={frames}")
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise ValueError(f"simulate: the output must be a FITS file, *.fits, got {out}")
    check(seed, shape, pixel_scale, kind)
    paths = {t: out.with_name(f"{out.stem}_{t}{out.suffix}") for t in TYPES}
    paths = paths if type == BOTH else {type: out}
    for path in paths.values():
        check_output(path, overwrite)
    with ExitStack() as stack:
        files = {t: stack.enter_context(replacing(path)) for t, path in paths.items()}
        for t, path in files.items():
            path.write_bytes(_header(t, kind, shape, pixel_scale, frames, seed))
        for i in tqdm(range(frames), disable=not progress, unit="frame"):
            fields = dict(zip(TYPES, scene(seed + i, shape, pixel_scale, kind), strict=True))
            for t, path in files.items():
                with open(path, "ab") as file:
                    file.write(fields[t].astype(">f4").tobytes())
        for path in files.values():
            with open(path, "ab") as file:  # FITS files consist of blocks of 2880 bytes
                file.write(bytes(-file.tell() % 2880))
    return list(paths.values())


def _header(type, kind, shape, pixel_scale, frames, seed):
    """The header of the file, with its padding; the data follow frame by frame."""
    from astropy.io.fits import PrimaryHDU

    sides = shape if frames == 1 else (frames, *shape)
    header = PrimaryHDU(np.broadcast_to(np.float32(0), sides)).header
    for axis, name in ((1, "HPLN-TAN"), (2, "HPLT-TAN")):
        header[f"CTYPE{axis}"] = name
        header[f"CUNIT{axis}"] = "arcsec"
        header[f"CRVAL{axis}"] = 0.0
        header[f"CRPIX{axis}"] = (shape[2 - axis] + 1) / 2
        header[f"CDELT{axis}"] = pixel_scale
    header["BUNIT"] = (UNIT[type], "over the quiet Sun's mean" if type == "intensity" else "")
    header["CONTENT"] = CONTENT[type]
    header["OBJECT"] = ("synthetic", "made by rule: no observation, no MHD")
    header["SCENE"] = kind
    header["SEED"] = (seed, "of the first frame; the others follow")
    header["CREATOR"] = f"enhance_np {__version__} simulate"
    return header.tostring().encode("ascii")
