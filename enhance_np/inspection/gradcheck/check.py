"""One check: a value that a backward pass gives, the value that it must give, and a bound."""

from collections.abc import Callable, Iterator
from math import fsum, isnan, nan
from typing import NamedTuple

import numpy as np

from ..._array import Array
from ...engine import REFERENCE, Engine
from .. import accuracy

# Of a central difference in float64. Truncation (STEP^2) and rounding (u / STEP) are balanced at
# 5e-6; the smaller step has fewer kinks within it
STEP = 1e-6
WIDE = 2.0**-53  # unit roundoff of float64
MODES = "batch", "moving"  # whose statistics batch norm takes


class Check(NamedTuple):
    place: str  # a line of the table: "pad_conv", "network relu, batch"
    what: str  # "dx: adjoint, 3 x 3"
    analytic: float  # what the operation gives
    measured: float  # what it must give
    allowed: float  # largest difference by rounding and truncation
    culprit: str  # where to look if they differ: "pad_conv_backward"
    kinks: int = 0  # inputs of activations that change sign within the step

    @property
    def difference(self) -> float:
        return abs(self.analytic - self.measured)

    @property
    def verdict(self) -> str:
        """ "ok", "FAILED", or "kink": not compared. What is not a number fails anywhere."""
        if self.kinks and not isnan(self.difference):
            return "kink"
        return "ok" if self.difference <= self.allowed else "FAILED"


def precision(engine: Engine) -> tuple[type, float]:
    """(dtype, unit roundoff) in which an engine is checked: float64 only for the reference."""
    return (np.float64, WIDE) if engine.name == REFERENCE.name else (np.float32, accuracy.U)


def dot(a: Array, b: Array) -> float:
    """The inner product: products in float64, and their sum rounded once; NaN if it is infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        products = a.astype("f8") * b.astype("f8")
    return fsum(products.ravel().tolist()) if np.isfinite(products).all() else nan


def dot_rounding(a: Array, b: Array) -> float:
    """A bound on the rounding of `dot`: of each product, and of the sum."""
    return 2 * WIDE * float((abs(a.astype("f8")) * abs(b.astype("f8"))).sum())


def inner(bound: Array | float, a: Array) -> float:
    """The sum of |a|, each times its bound: how much <a, f> errs if f errs by the bound."""
    return float((bound * abs(a.astype("f8"))).sum())


def directions(
    a: Array, rng: np.random.Generator, coordinates: int
) -> Iterator[tuple[str, np.ndarray]]:
    """A random direction in the space of a, and then as many of its axes, each with a label."""
    yield "", rng.standard_normal(a.shape).astype(a.dtype)
    for i in sorted(rng.choice(a.size, min(coordinates, a.size), replace=False)):
        v = np.zeros_like(a)
        v.flat[i] = 1
        yield str([int(k) for k in np.unravel_index(i, a.shape)]), v


def central_difference(
    value: Callable[[float], tuple[float, np.ndarray]], rounding: float
) -> tuple[float, float, int]:
    """(derivative at 0, bound on its error, number of kinks) of a function of one number.

    value(t) : the function and which activations pass a value.  rounding : bound on its rounding.

    Let D(h) be the central difference, c h^2 its truncation to leading order, and R = rounding / h
    the bound on its rounding. D(2h) - D(h) is 3 c h^2 within 3/2 R. The error of D(h), at most
    |c| h^2 + R, is therefore at most |D(2h) - D(h)| / 3 + 3/2 R.
    """
    values, signs = zip(*(value(t * STEP) for t in (0, 1, -1, 2, -2)), strict=True)
    near = (values[1] - values[2]) / (2 * STEP)
    far = (values[3] - values[4]) / (4 * STEP)
    kinks = np.any([s != signs[0] for s in signs[1:]], axis=0).sum()
    return near, abs(far - near) / 3 + 1.5 * rounding / STEP, int(kinks)


def worst(place, what, dtype, found, exact, bound, culprit, kinks=0) -> Check:
    """The element of an array that comes closest to its bound, or exceeds it most."""
    if found.shape != exact.shape or found.dtype != dtype:
        return Check(place, f"{what}: shape or dtype", nan, nan, 0.0, culprit)
    found, exact = found.astype("f8"), exact.astype("f8")
    with np.errstate(invalid="ignore"):
        i = int(accuracy.shares(abs(found - exact), bound).argmax())
    allowed = np.broadcast_to(bound, exact.shape).flat[i]
    pair = float(found.flat[i]), float(exact.flat[i])
    return Check(place, what, *pair, float(allowed), culprit, kinks)


def raised(place: str, error: Exception) -> Check:
    """The check of an operation that raised an error instead of giving a result."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return Check(place, message, nan, nan, 0.0, place)
