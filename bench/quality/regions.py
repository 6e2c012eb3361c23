"""Whole regions of known truth, from one side of a recipe, to score and tune methods."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from enhance_np._random import stream
from enhance_np.evaluate.classes import masks
from enhance_np.evaluate.quantities import averaged
from enhance_np.evaluate.report import Scene
from enhance_np.pairs import from_recipe, limb
from enhance_np.pairs.recipe import read
from enhance_np.pairs.sources import KILOGAUSS

UNIT = {"intensity": 1.0, "blos": 1 / KILOGAUSS}  # of a report's scenes, Ic and G
OTHER = {"intensity": "blos", "blos": "intensity"}


class Region(NamedTuple):
    source: str
    name: str  # the source's, with a number where there are several
    low: np.ndarray  # (h, w) without noise, in Ic or kG
    high: np.ndarray  # (2h, 2w) the truth
    companion: np.ndarray | None  # (2h, 2w), the truth of the other type, if there is one
    limb: bool = False

    def seen(self, sigma: float) -> np.ndarray:
        """low with noise of this sigma, float32; the same at every call."""
        noise = stream(0, self.name, "noise").standard_normal(self.low.shape, np.float32)
        return (self.low + np.float32(sigma) * noise).astype(np.float32)

    def classes(self, type: str) -> dict[str, np.ndarray]:
        """(2h, 2w) masks of `evaluate.classes`, from the truth."""
        if self.limb:
            return {"limb": np.ones(self.high.shape, bool)}
        own = UNIT[type] * averaged(self.high)
        other = None
        if self.companion is not None:
            other = UNIT[OTHER[type]] * averaged(self.companion)
        pair = (own, other) if type == "intensity" else (other, own)
        return {name: m.repeat(2, 0).repeat(2, 1) for name, m in masks(*pair).items()}

    def scene(self, type: str, seen: np.ndarray) -> Scene:
        """The Scene for a report on the outputs for `seen`, in Ic or G."""
        companion = UNIT[OTHER[type]] * averaged(self.companion)
        return Scene(type, UNIT[type] * seen, UNIT[type] * self.high, companion)


def of_recipe(
    type: str, side: str, fields: Path | None, scenes: int, first: int = 0
) -> Iterator[Region]:
    """The regions of the shipped recipe, with `scenes` of each synthetic source from the first."""
    recipe = read(type).on(fields)

    def pairs(source):
        return from_recipe.regions(
            (source,), side=side, scenes=scenes, first=first, optics=recipe.optics
        )

    for source in recipe.sources:
        if not source.seeded:
            yield from (Region(source.name, *pair, None) for pair in pairs(source))
            continue
        # one seed makes both types
        twin = replace(source, load=replace(source.load, type=OTHER[type]))
        for pair, (*_, companion) in zip(pairs(source), pairs(twin), strict=True):
            yield Region(source.name, *pair, companion)
    if side == "test":  # the networks and the baselines are neither trained nor tuned for the limb
        for pair in limb.regions(type, side, scenes, recipe.optics, first):
            yield Region("synthetic limb", *pair, None, limb=True)


def noises(type: str) -> dict[str, float]:
    """{cadence: sigma} of the shipped recipe, in Ic or kG."""
    return {noise.cadence: noise.sigma for noise in read(type).noise}


def mean_square_noise(type: str) -> float:
    """rms sigma of the recipe's mixture of noise, for a filter for all of its patches."""
    found = read(type).noise
    shares = np.array([noise.share for noise in found])
    squares = np.array([noise.sigma**2 for noise in found])
    return float(np.sqrt((shares * squares).sum() / shares.sum()))
