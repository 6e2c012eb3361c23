"""The shipped recipes, which define the training sets. `pairs.recipe` reads them."""

from pathlib import Path

from ...config import TYPES


def path(type: str) -> Path:
    """File of the recipe for `type`, intensity or blos. Raises ValueError for another."""
    if type not in TYPES:
        raise ValueError(f"recipe: type must be one of {', '.join(TYPES)}, got {type!r}")
    return Path(__file__).parent / f"{type}.toml"
