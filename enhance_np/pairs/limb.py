"""Scenes near the limb, of known truth: none is trained on."""

from collections.abc import Iterator

import numpy as np

from ..optics.degrade import Optics, degrade
from .sources import SEEDS, Synthetic

MU, SHAPE, SCALE = 0.4, (448, 448), 0.09  # 66 degrees from disc centre; arcsec per pixel


def regions(
    type: str, side: str, scenes: int, optics: Optics, first: int = 0
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, low, high) of each scene, as `from_recipe.regions`, in Ic or kG."""
    for k in range(first, first + scenes):
        yield f"synthetic limb {k}", *degrade(field(type, SEEDS[side][k]), SCALE, optics)


def field(type: str, seed: int) -> np.ndarray:
    """A network scene as it looks at mu = MU, without its limb darkening: (H, W), in Ic or kG.

    Its columns come closer by the foreshortening of a plane; height, line formation and inclined
    field are ignored. It is resampled by its cosines, so that none is aliased.
    """
    from scipy.fft import dct, idct

    width = round(SHAPE[1] / MU)
    wide, _ = Synthetic("network", type, (SHAPE[0], width), SCALE)(seed)
    waves = dct(wide, axis=1, norm="ortho")[:, : SHAPE[1]]
    seen = idct(waves, axis=1, norm="ortho") * np.sqrt(SHAPE[1] / width)
    return seen if type == "intensity" else MU * seen
