"""Chooses the parameter of a baseline by its error on pairs of an image and its truth.

These are validation pairs: they are used neither to fit a filter nor to score a method.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np


class Pair(NamedTuple):
    low: np.ndarray  # (h, w) with noise, in Ic or kG, no NaN
    high: np.ndarray  # (2h, 2w) the truth


class Tuned(NamedTuple):
    value: Any  # the parameter with the least error
    mse: float  # its error, over all pixels of all pairs
    curve: tuple[tuple[Any, float], ...]  # (parameter, mse), in the order tried

    @classmethod
    def of(cls, values: Iterable, squared_errors: Iterable[float], pixels: int) -> "Tuned":
        """From the sums of squared errors over all pixels, one for each value.

        Raises ValueError without values or pixels, or if an error is not finite.
        """
        sums = [float(total) for total in squared_errors]
        if not sums or pixels < 1 or not np.isfinite(sums).all():
            raise ValueError(
                f"tune: needs pairs, candidates and finite errors, got {pixels} pixels, {sums}"
            )
        curve = tuple((v, total / pixels) for v, total in zip(values, sums, strict=True))
        return cls(*min(curve, key=lambda point: point[1]), curve)

    @property
    def at_end(self) -> bool:
        """Whether the best value is the first or the last one; then the range should be wider."""
        return self.value in (self.curve[0][0], self.curve[-1][0])


def over(
    method: Callable[[np.ndarray, Any], np.ndarray],
    candidates: Iterable,
    pairs: Iterable[Pair],
) -> Tuned:
    """The candidate of the least mean squared error; method(low, candidate) -> (2h, 2w)."""
    candidates, sums, pixels = tuple(candidates), 0.0, 0
    for low, high in pairs:
        sums = sums + np.array([squared_error(method(low, c), high) for c in candidates])
        pixels += high.size
    return Tuned.of(candidates, np.broadcast_to(sums, len(candidates)), pixels)


def squared_error(out: np.ndarray, truth: np.ndarray) -> float:
    """Sum of (out - truth)^2 over the pixels."""
    return float(np.square(np.subtract(out, truth, dtype=np.float64)).sum())
