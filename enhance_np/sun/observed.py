"""A synthetic scene as HMI sees it: images with noise and a header, and their truth."""

from typing import NamedTuple

import numpy as np

from ..config import NOISE, TYPES
from ..observation.fits import Frame
from ..observation.normalise import GAUSS_PER_KILOGAUSS
from ..optics.degrade import HMI_SCALE, degrade
from .convection import SPACING
from .scene import scene
from .simulate import CONTENT, UNIT


class Observed(NamedTuple):
    frame: Frame  # (side, side), with noise: over the quiet Sun's mean, or in G
    truth: np.ndarray  # (2 side, 2 side) in the same unit, as a telescope of 28 cm sees it
    scene: np.ndarray  # what both see, on pixels of SPACING arcsec


def observed(
    seed: int, side: int, kind: str = "active", types: tuple[str, ...] = TYPES
) -> dict[str, Observed]:
    """{type: Observed} of a square scene at disc centre, `side` HMI pixels wide.

    seed, kind : see `scene.scene`. The noise is that of a 45 s image.
    Raises ValueError as `scene.scene`.
    """
    pixels = int(np.ceil(side * HMI_SCALE / SPACING)) + 1
    rng = np.random.default_rng(seed)
    found = {}
    fields = dict(zip(TYPES, scene(seed, (pixels, pixels), SPACING, kind), strict=True))
    for type in types:
        field = fields[type]
        low, truth = degrade(field, SPACING)
        low, truth = low[:side, :side], truth[: 2 * side, : 2 * side]
        sigma = NOISE[type] * (GAUSS_PER_KILOGAUSS if type == "blos" else 1.0)
        low = (low + sigma * rng.standard_normal(low.shape)).astype(np.float32)
        name = f"{kind}, seed {seed}"
        found[type] = Observed(Frame(low, header(type, side, name), ""), truth, field)
    return found


def header(type: str, side: int, name: str):
    """Cards of an HMI image of `side` x `side` pixels at disc centre.  name : of the scene."""
    from astropy.io.fits import Header

    made = Header()
    for axis in (1, 2):
        made[f"CTYPE{axis}"] = ("HPLN-TAN", "HPLT-TAN")[axis - 1]
        made[f"CUNIT{axis}"] = "arcsec"
        made[f"CRVAL{axis}"] = 0.0
        made[f"CRPIX{axis}"] = (side + 1) / 2
        made[f"CDELT{axis}"] = HMI_SCALE
    made["CONTENT"] = CONTENT[type]
    if type == "blos":
        made["BUNIT"] = UNIT[type]
    made["OBJECT"] = ("synthetic", f"enhance_np.sun.scene.scene, {name}")
    return made
