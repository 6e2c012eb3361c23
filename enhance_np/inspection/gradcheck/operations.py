"""Checks of single operations: adjoints, central differences, and joined ones against parts."""

from collections.abc import Iterable, Iterator
from math import nan

import numpy as np

from ... import layers
from ..._array import Array
from ...engine import REFERENCE, Engine
from .. import accuracy
from .check import (
    MODES,
    WIDE,
    Check,
    central_difference,
    directions,
    dot,
    dot_rounding,
    inner,
    precision,
    raised,
    worst,
)
from .composed import JOINED, composed
from .watched import Watched

# the inputs in which an operation is affine if the others are held
AFFINE = {
    "reflection_pad": ("x",),
    "upsample": ("x",),
    "add": ("x", "y"),
    "conv2d": ("x", "w", "b"),
    "pad_conv": ("x", "w", "b"),
    "upsample_conv": ("x", "w", "b"),
    "relu_conv": ("w", "b"),
    "elu_conv": ("w", "b"),
    "batchnorm": ("gamma", "beta"),
    "batchnorm_add": ("skip", "gamma", "beta"),
}


def check_operation(
    engine: Engine,
    name: str,
    inputs: dict[str, Array],
    rng: np.random.Generator,
    moving: tuple[Array, Array] | None = None,
    label: str = "",
    coordinates: int = 0,
) -> Iterator[Check]:
    """Checks one operation in each of its inputs.

    inputs : the operation's arguments, in their order.  moving : as for batch norm.
    label : follows what is checked.  coordinates : entries of every input to check one by one.
    """
    return _Operation(engine, name, inputs, rng, moving, label).checks(coordinates)


def check_bias(
    engine: Engine,
    inputs: dict[str, Array],
    rng: np.random.Generator,
    moving: tuple[Array, Array] | None = None,
) -> Check:
    """Checks the gradient of a bias that is added before batch norm. Arguments as above.

    The bias adds a constant to each channel of x. The mean of the batch takes it away again, so its
    gradient is zero up to rounding; moving statistics leave it there.
    """
    batchnorm = _Operation(engine, "batchnorm", inputs, rng, moving, "")
    x, *_ = batchnorm.arrays
    _, backward = batchnorm.run(batchnorm.arrays)
    dx, *_ = backward(batchnorm.dy)
    v = np.broadcast_to(rng.standard_normal(x.shape[-1]).astype(x.dtype), x.shape)
    found = batchnorm.difference(0, v, dx)
    place = f"bias before bn, {MODES[moving is not None]}"
    return Check(place, "db: difference", *found[:3], "batchnorm_backward", found[3])


class _Operation:
    """An operation of an engine at one input, and what it must give there."""

    def __init__(self, engine, name, inputs, rng, moving, label):
        self.dtype, self.u = precision(engine)
        self.engine, self.name, self.rng = engine, name, rng
        self.backward_name = name if name == "add" else f"{name}_backward"
        self.label = label and f", {label}"
        self.keys = list(inputs)
        self.arrays = [a.astype(self.dtype) for a in inputs.values()]
        self.moving = moving and tuple(a.astype(self.dtype) for a in moving)
        self.want = self.expected(self.arrays)
        self.dy = rng.standard_normal(self.want.y.shape).astype(self.dtype)
        if self.want.undecided is not None:  # where rounding decides whether the gradient passes
            self.dy[self.want.undecided] = 0
        self.gradients = list(self.want.gradients(self.dy.astype("f8")).values())

    def expected(self, arrays, u=None):
        return accuracy.expected(self.name, arrays, self.moving, u or self.u)

    def run(self, arrays, ops=None):
        """(y, backward) by the engine; y and what backward gives are NumPy arrays."""
        to, back = self.engine.asarray, self.engine.asnumpy
        moving = self.moving and tuple(map(to, self.moving))
        y, backward = accuracy.run(ops or self.engine.ops, self.name, [*map(to, arrays)], moving)
        return back(y), lambda dy: [back(dx) for dx in backward(to(dy))]

    def checks(self, coordinates):
        y, backward = self.run(self.arrays)
        found = backward(self.dy)
        if self.want.undecided is not None and self.want.undecided.any():
            what, count = f"dy where rounding decides{self.label}", int(self.want.undecided.sum())
            yield Check(self.name, what, 0.0, 0.0, 0.0, self.backward_name, count)
        if self.engine.name != REFERENCE.name:
            yield self.worst("y: float64", y, self.want.y, self.want.e_y)
        for i, (key, a, dx) in enumerate(zip(self.keys, self.arrays, found, strict=True)):
            if dx.shape != a.shape or dx.dtype != a.dtype:
                what = f"d{key}: shape or dtype{self.label}"
                yield Check(self.name, what, nan, nan, 0.0, self.backward_name)
                continue
            method = self.adjoint if key in AFFINE.get(self.name, ()) else self.difference
            for at, v in directions(a, self.rng, coordinates):
                analytic, measured, allowed, kinks = method(i, v, dx)
                what = f"d{key}{at}: {method.__name__}{self.label}"
                values = analytic, measured, allowed, self.backward_name, kinks
                yield Check(self.name, what, *values)
        if self.engine.name != REFERENCE.name:
            for key, dx, want in zip(self.keys, found, self.gradients, strict=True):
                yield self.worst(f"d{key}: float64", dx, *want)
        if self.name in JOINED:
            yield from self.against_parts(y, found)

    def adjoint(self, i, v, dx):
        """(<dx, v>, <f(v) - f(0), dy>, bound, kinks), f being affine in the i-th input."""
        measured = rounding = 0.0
        for sign, value in ((1, v), (-1, np.zeros_like(v))):
            arrays = [*self.arrays[:i], value, *self.arrays[i + 1 :]]
            y, _ = self.run(arrays)
            measured += sign * dot(y, self.dy)
            rounding += inner(self.expected(arrays).e_y, self.dy) + dot_rounding(y, self.dy)
        allowed = rounding + WIDE * abs(measured) + self.bound(i, v)
        return dot(dx, v), measured, allowed, 0

    def difference(self, i, v, dx):
        """(<dx, v>, the central difference along v in the i-th input, bound, kinks)."""
        wide, dy = [a.astype("f8") for a in self.arrays], self.dy.astype("f8")
        v = v.astype("f8")
        moving = self.moving and tuple(a.astype("f8") for a in self.moving)

        def value(t):
            ops = Watched(layers)
            arrays = [*wide[:i], wide[i] + t * v, *wide[i + 1 :]]
            y, _ = accuracy.run(ops, self.name, arrays, moving)
            return dot(y, dy), ops.passing()

        rounding = inner(self.expected(wide, WIDE).e_y, dy) + dot_rounding(self.want.y, dy)
        rounding += WIDE * inner(abs(self.gradients[i][0]), wide[i])  # of wide[i] + t * v
        measured, allowed, kinks = central_difference(value, accuracy.SECOND * rounding)
        return dot(dx, v), measured, allowed + self.bound(i, v), kinks

    def bound(self, i, v):
        """On the rounding of <dx, v>, dx being the i-th gradient."""
        exact, bound = self.gradients[i]
        return inner(bound, v) + dot_rounding(exact, v)

    def against_parts(self, y, found):
        """Both are within their bound of the exact result, so within twice that of each other."""
        other_y, backward = self.run(self.arrays, composed(self.engine.ops))
        others, bounds = backward(self.dy), [2 * bound for _, bound in self.gradients]
        yield self.worst("y: its parts", y, other_y, 2 * self.want.e_y)
        for key, *arrays in zip(self.keys, found, others, bounds, strict=True):
            yield self.worst(f"d{key}: its parts", *arrays)
        if self.name == "pad_conv":
            to, back = self.engine.asarray, self.engine.asnumpy
            _, cache = self.engine.ops.pad_conv(*map(to, self.arrays))
            alone = self.engine.ops.pad_conv_gradient(to(self.dy), cache)
            for key, dx, *rest in zip("wb", alone, others[1:], bounds[1:], strict=True):
                check = self.worst(f"d{key}: its parts", back(dx), *rest)
                yield check._replace(place="pad_conv_gradient", culprit="pad_conv_gradient")

    def worst(self, what, *arrays):
        culprit = self.name if what.startswith("y") else self.backward_name
        return worst(self.name, what + self.label, self.dtype, *arrays, culprit)


def cases(
    rng: np.random.Generator, size: tuple[int, int, int], cin: int, cout: int
) -> Iterator[tuple]:
    """(name, inputs, moving, label) of every operation.  size : (N, H, W)."""
    normal = rng.standard_normal
    x = normal((*size, cin))
    for name in ("reflection_pad", "upsample"):
        yield name, {"x": x}, None, ""
    yield "add", {"x": x, "y": normal(x.shape)}, None, ""
    for name in ("relu", "elu"):
        yield name, {"x": x}, None, ""
    for name in ("conv2d", "pad_conv", "upsample_conv", "relu_conv", "elu_conv"):
        for k in (1, 3, 5):
            inputs = {"x": x, "w": normal((k, k, cin, cout)), "b": normal(cout)}
            yield name, inputs, None, f"{k} x {k}"
    for name in ("batchnorm", "batchnorm_relu", "batchnorm_elu", "batchnorm_add"):
        skip = {"skip": normal(x.shape)} if name == "batchnorm_add" else {}
        vectors = {"gamma": normal(cin), "beta": normal(cin)}
        for given in (None, statistics(rng, cin)):
            label = MODES[given is not None]
            yield name, {"x": 1 + 0.1 * x} | skip | vectors, given, label


def statistics(rng: np.random.Generator, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance as they may be given to batch norm."""
    return 1 + 0.1 * rng.standard_normal(c), 0.5 + rng.random(c)


def check_operations(
    engine: Engine,
    rng: np.random.Generator,
    size: tuple[int, int, int] = (2, 5, 6),
    channels: Iterable[tuple[int, int]] = ((3, 4),),
    coordinates: int = 0,
) -> Iterator[Check]:
    """Checks every operation: first the parts, then the joined ones, which may be made of them.

    size : (N, H, W); H and W of 5 or more.  channels : pairs (Cin, Cout).
    coordinates : entries of every input to check one by one.
    An operation that raises an error has failed.
    """
    every = [case for pair in channels for case in cases(rng, size, *pair)]
    for name, inputs, moving, label in sorted(every, key=lambda case: case[0] in JOINED):
        try:
            yield from check_operation(engine, name, inputs, rng, moving, label, coordinates)
            if name == "batchnorm":
                yield check_bias(engine, inputs, rng, moving)
        except Exception as error:
            yield raised(name, error)
