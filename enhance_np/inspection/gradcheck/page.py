"""Checks of the whole network, and of network.backward from line to line."""

from collections.abc import Callable, Iterator
from math import nan

import numpy as np

from ... import layers, network, params
from ...config import NetworkConfig
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
    worst,
)
from .watched import Watched


def check_network(
    rng: np.random.Generator,
    config: NetworkConfig,
    shape: tuple[int, int, int] = (2, 5, 6),
    engine: Engine = REFERENCE,
    moving: bool = False,
    coordinates: int = 0,
    backward: Callable = network.backward,
) -> Iterator[Check]:
    """Checks the gradients in the result of every layer, in every parameter, and in x.

    They come in the order of the backward pass: if the gradient in the result of one layer is
    right, and that of the next is wrong, the fault is between the two.

    shape : (N, H, W) of the images, which have one channel.
    moving : use given statistics of batch norm, close to the initial ones, and not the batch's.
    coordinates : entries of every tensor to check one by one.
    backward : in place of network.backward.

    An engine in float32 is compared with the reference in float64, element by element, on the
    network's page that they share; the reference with differences.
    """
    dtype, _ = precision(engine)
    p, fresh = params.initial(config, seed=int(rng.integers(2**31)), dtype=np.float64)
    p = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in p.items()}
    given = {name: a + 0.1 * rng.random(a.shape) for name, a in fresh.items()} if moving else {}
    arrays = {"x": rng.standard_normal((*shape, 1))} | p
    arrays, given = ({name: a.astype(dtype) for name, a in d.items()} for d in (arrays, given))
    return _Network(rng, config, engine, arrays, given, backward).checks(coordinates)


class _Network:
    """A network at one input, with its gradients by the engine and by the reference in float64.

    Gradients are dicts with three kinds of names: of a layer, for the gradient in its result; of a
    parameter; and "x".
    """

    def __init__(self, rng, config, engine, arrays, given, backward):
        dtype, _ = precision(engine)
        self.rng, self.config, self.engine = rng, config, engine
        self.place = f"network {config.activation}, {MODES[bool(given)]}"
        self.wide, self.given = (
            {name: a.astype("f8") for name, a in d.items()} for d in (arrays, given)
        )
        ops = Watched(layers)
        self.y, tape = self.forward(self.wide, self.given, ops)
        self.dy = rng.standard_normal(self.y.shape).astype(dtype)
        self.exact = self.gradients(network.backward, self.dy.astype("f8"), tape, layers)
        self.calls = dict(zip(tape, ops.calls, strict=True))
        self.rounding = dot_rounding(self.y, self.dy) + sum(
            inner(accuracy.expected(name, *given, WIDE).e_y, self.exact[layer])
            for layer, (name, *given, _) in self.calls.items()
        )

        to, back = engine.asarray, engine.asnumpy
        on_device = ({name: to(a) for name, a in d.items()} for d in (arrays, given))
        seen = Watched(engine.ops)
        y, tape = self.forward(*on_device, seen)
        found = self.gradients(backward, to(self.dy), tape, engine.ops)
        self.found_y, self.found = back(y), {name: back(a) for name, a in found.items()}
        # inputs of activations that the engine's rounding moves to the other side of 0
        self.moved = int((seen.passing(back) != ops.passing()).sum())

    def forward(self, arrays, given, ops):
        return network.forward(arrays, arrays["x"], self.config, ops, given or None)

    def gradients(self, backward, dy, tape, ops):
        found = {}
        dx, g = backward(
            dy, tape, self.config, ops, observe=lambda name, dh: found.update({name: dh})
        )
        return found | {"x": dx} | g

    def checks(self, coordinates):
        dtype, _ = precision(self.engine)
        if self.engine.name != REFERENCE.name:
            bound = accuracy.PAGE_Y * np.ptp(self.y)
            arrays = self.found_y, self.y, bound
            yield worst(self.place, "y: float64", dtype, *arrays, "network.forward")
        for layer in reversed(self.calls):
            own = [name for name in self.wide if name.rpartition("/")[0] == layer]
            for name in (layer, *own):
                yield from self.along(name, layer, coordinates)
        yield from self.along("x", "x", coordinates)

    def along(self, name, layer, coordinates):
        """Checks one gradient: of a layer's result, of a parameter, or of x."""
        dtype, _ = precision(self.engine)
        what = f"dh at {name}" if name in self.calls else "dx" if name == "x" else f"d {name}"
        culprit = f"network.backward at {layer}"
        found, exact = self.found[name], self.exact[name]
        if self.engine.name != REFERENCE.name:
            pair = found, exact, self.bound(exact)
            yield worst(self.place, f"{what}: float64", dtype, *pair, culprit, self.moved)
        elif found.shape != exact.shape or found.dtype != dtype:
            yield Check(self.place, f"{what}: shape or dtype", nan, nan, 0.0, culprit)
        else:
            for at, v in directions(found, self.rng, coordinates):
                values = dot(found, v), *self.difference(name, v)
                yield Check(self.place, f"{what}{at}: difference", *values[:3], culprit, values[3])

    def difference(self, name, v):
        """(the central difference along v, bound on its error, kinks).

        The rounding of the gradient itself is smaller by the factor STEP, and left out.
        """
        a = self.calls[name].y if name in self.calls else self.wide[name]

        def value(t):
            arrays, shift = self.wide, None
            if name in self.calls:
                shift = list(self.calls).index(name), t * v
            else:
                arrays = arrays | {name: a + t * v}
            ops = Watched(layers, shift)
            y, _ = self.forward(arrays, self.given, ops)
            return dot(y, self.dy), ops.passing()

        rounding = self.rounding + WIDE * inner(abs(self.exact[name]), a)  # of a + t * v
        return central_difference(value, accuracy.SECOND * rounding)

    def bound(self, exact):
        """On the error of an element of a gradient in float32."""
        parameters = self.wide.keys() - {"x"}
        largest = max(abs(self.exact[name]).max() for name in parameters)
        return accuracy.PAGE_G * abs(exact).max() + accuracy.FLOOR * largest
