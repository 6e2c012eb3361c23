"""Properties that a backward pass must have; each says in a sentence what is wrong if it fails."""

import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# Relative: a right formula in float64 is within 1e-12 on these small arrays, in any order of its
# sums; a wrong term changes the result by more than 1e-3.
CLOSE = 1e-9


class Finding(NamedTuple):
    name: str  # the property: "shape"
    problem: str | None = None  # None if it holds


Findings = Iterator[Finding]


class NotBegun(Exception):
    """The function still raises NotImplementedError."""


def outputs(f: Callable, arguments: tuple, wanted: dict[str, np.ndarray], found: list) -> Findings:
    """Calls f and appends its results, as a tuple, to `found`.

    Checks that it runs, that it returns arrays of the names, shapes and dtypes of `wanted`, and
    that it leaves the arguments as they are.  Raises NotBegun.
    """
    given = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
    try:
        result = f(*given)
    except NotImplementedError:
        raise NotBegun from None
    except Exception as error:
        file = getattr(getattr(f, "__code__", None), "co_filename", "")  # not of a partial
        yield Finding("runs", raised(error, file))
        return
    yield Finding("runs")
    names = ", ".join(wanted)
    if len(wanted) == 1:
        result = (result,)
    if not isinstance(result, tuple | list) or len(result) != len(wanted):
        got = f"{len(result)} values" if isinstance(result, tuple | list) else _kind(result)
        yield Finding("shape", f"must return ({names}), returned {got}")
        return
    for (name, want), got in zip(wanted.items(), result, strict=True):
        if type(got) is not np.ndarray and not isinstance(got, np.generic):
            yield Finding("shape", f"{name} must be an array, got {_kind(got)}")
            return
        elif got.shape != want.shape:
            yield Finding("shape", f"{name} must have the shape {want.shape}, got {got.shape}")
        elif got.dtype != want.dtype:
            yield Finding("dtype", f"{name} must be {want.dtype} as its input is, got {got.dtype}")
        elif not np.isfinite(got).all():
            yield Finding("finite", f"{name} has NaN or infinity")
    yield Finding("shape")
    unchanged = all(
        np.array_equal(a, b) for a, b in zip(arguments, given, strict=True)
        if isinstance(a, np.ndarray)
    )  # fmt: skip
    yield Finding(
        "leaves its arguments",
        None if unchanged else "an argument was changed in place: the network still needs it",
    )
    found += result


def linear(f: Callable, dy: np.ndarray, rng) -> Findings:
    """f(dy) of a backward pass is linear in dy: a matrix times dy."""
    other = rng.standard_normal(dy.shape)
    got, want = f(2 * dy - 3 * other), 2 * f(dy) - 3 * f(other)
    problem = "f(2 a - 3 b) must be 2 f(a) - 3 f(b), because a gradient is a matrix times dy"
    yield Finding("linear in dy", None if close(got, want) else problem)


def adjoint(
    name: str, got: np.ndarray, v: np.ndarray, dy: np.ndarray, change: np.ndarray, why: str
) -> Finding:
    """<J^T dy, v> = <dy, J v>, with both numbers if they differ.

    got : J^T dy, of the shape of v.  change : J v, how y changes along v, of the shape of dy.
    """
    left, right = float(np.vdot(got, v)), float(np.vdot(dy, change))
    terms = np.abs(got * v).sum() + np.abs(dy * change).sum()
    if abs(left - right) <= CLOSE * terms:
        return Finding("adjoint")
    if abs(left - right) <= 1e-6 * terms:
        return Finding("adjoint", f"{name} is right to 7 digits only: is something float32?")
    return Finding(
        "adjoint",
        f"sum of {name} * v must be the sum of dy * (the change of y along v), for any v: "
        f"got {left:.6g} and {right:.6g}. {why}",
    )


def scale(name: str, got: np.ndarray, want: np.ndarray, reasons: dict[str, float]) -> Finding:
    """Whether got is a constant times want, the constant being named if it is a known one."""
    factor = float(np.vdot(got, want) / np.vdot(want, want))
    if close(got, want) or factor == 0 or not close(got, factor * want):
        return Finding("scale")
    for reason, value in reasons.items():
        if abs(factor / value - 1) < 1e-6:
            return Finding("scale", f"{name} is {factor:.4g} times the right one: {reason}")
    return Finding("scale", f"{name} is {factor:.6g} times the right one, everywhere")


def values(name: str, got: np.ndarray, want: np.ndarray) -> Finding:
    """The last check: the largest difference, and where it is."""
    if close(got, want):
        return Finding("values")
    if np.abs(got - want).max() <= 1e-5 * np.abs(want).max():
        return Finding("values", f"{name} is right to 7 digits only: is something float32?")
    at = np.unravel_index(np.abs(got - want).argmax(), want.shape)
    place = ", ".join(map(str, map(int, at)))
    return Finding(
        "values", f"{name}[{place}] must be {want[at]:.6g} in this example, got {got[at]:.6g}"
    )


def close(got: np.ndarray, want: np.ndarray) -> bool:
    """Whether all numbers agree within CLOSE of the largest."""
    largest = max(np.abs(want).max(initial=0), np.abs(got).max(initial=0))
    return bool((np.abs(got - want) <= CLOSE * largest).all())


def raised(error: BaseException, file: str) -> str:
    """ "ValueError in line 12: ...", with the last line of the file that ran."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    where = f" in line {lines[-1]}" if lines else ""
    message = " ".join(str(error).split())
    return type(error).__name__ + where + (f": {message}" if message else "")


def _kind(value) -> str:
    return "None" if value is None else f"one {type(value).__name__}"
