"""The default training set: pairs of synthetic scenes by the shipped recipe, made once."""

from pathlib import Path

from .. import __version__
from .from_recipe import build
from .recipe import read

TRAINING, VALIDATION = 1600, 160  # patches; three minutes on one core


def synthetic_pairs(
    folder: str | Path, type: str, seed: int = 0, progress: bool = False
) -> tuple[Path, Path]:
    """(training file, validation file) in `folder`, made there unless they exist.

    type : "intensity" or "blos".  seed : of the patches.  progress : shows a bar.
    The file name contains everything that the content depends on: type, seed and version.
    """
    path = Path(folder) / f"synthetic_{type}_{seed}_{__version__}.h5"
    held_out = path.with_name(f"{path.stem}_val.h5")
    if path.exists() and held_out.exists():
        return path, held_out
    size = {"train": TRAINING, "validation": VALIDATION, "test": 0}
    recipe = read(type).on(None).changed(**size, seed=seed)
    return build(path, recipe, progress=progress, overwrite=True)
