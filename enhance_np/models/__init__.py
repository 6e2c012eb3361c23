"""The shipped weights."""

from pathlib import Path

from ..config import MODELS, TYPES


def path(type: str, model: str = "default") -> Path:
    """File of the weights for `type` (intensity, blos) and `model` (default, small)."""
    if type not in TYPES or model not in MODELS:
        raise ValueError(
            f"models: type must be one of {', '.join(TYPES)} and model one of "
            f"{', '.join(MODELS)}, got {type!r} and {model!r}"
        )
    return Path(__file__).parent / f"{type}_{model}.h5"
