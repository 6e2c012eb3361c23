"""Checks every backward pass against a central difference, in float64.

An operation with the Jacobian J is checked along one random direction v: <J v, dy>, measured with
two forward passes, must equal <v, J^T dy> from the backward pass. Any size needs only these two
passes.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .. import layers, network, params
from .._array import Array
from ..config import NetworkConfig

STEP = 1e-6  # central difference: truncation ~ STEP^2, rounding ~ EPS / STEP
EPS = np.finfo(np.float64).eps
RTOL = 1e-7


class Check(NamedTuple):
    name: str  # operation and input: "batchnorm d/dgamma"
    error: float  # |measured - analytic|
    bound: float  # largest error by rounding and truncation

    @property
    def passed(self) -> bool:
        return self.error <= self.bound  # NaN fails


def vjp(
    name: str,
    forward: Callable[..., Array],
    backward: Callable[[Array], tuple[Array, ...]],
    inputs: dict[str, Array],
    rng: np.random.Generator,
) -> Iterator[Check]:
    """Checks each gradient of one operation against a central difference.

    forward(*inputs) returns y.  backward(dy) returns one gradient per input, in the same order.
    dy is random, because dy = 1 makes batch norm's dx and dgamma zero, and a wrong formula that
    gives zero would pass. The bound includes a term for rounding, because the relative error of a
    gradient that is zero in theory is not defined.
    """
    arrays = list(inputs.values())
    y = forward(*arrays)
    dy = rng.standard_normal(y.shape)
    rounding = 4 * EPS / STEP * np.linalg.norm(y) * np.linalg.norm(dy)
    for i, (label, dx) in enumerate(zip(inputs, backward(dy), strict=True)):
        x = arrays[i]
        if dx.shape != x.shape or dx.dtype != x.dtype or x.dtype != np.float64:
            yield Check(f"{name} d/d{label}: shape or dtype", np.inf, 0.0)
            continue
        v = rng.standard_normal(x.shape)
        above = forward(*arrays[:i], x + STEP * v, *arrays[i + 1 :])
        below = forward(*arrays[:i], x - STEP * v, *arrays[i + 1 :])
        measured = np.vdot(above - below, dy) / (2 * STEP)
        bound = RTOL * np.linalg.norm(dx) * np.linalg.norm(v) + rounding
        yield Check(f"{name} d/d{label}", float(abs(measured - np.vdot(dx, v))), float(bound))


def check_layers(
    rng: np.random.Generator, shape: tuple[int, ...] = (2, 5, 6, 3), ops: ModuleType = layers
) -> Iterator[Check]:
    """Checks every operation of `ops`.  shape : (N, H, W, C) of the input."""
    x = rng.standard_normal(shape)
    c = shape[-1]
    vector = rng.standard_normal

    yield from vjp(
        "reflection_pad",
        ops.reflection_pad,
        lambda dy: (ops.reflection_pad_backward(dy),),
        {"x": x},
        rng,
    )
    yield from vjp("upsample", ops.upsample, lambda dy: (ops.upsample_backward(dy),), {"x": x}, rng)
    kernels = [k for k in (1, 3, 5) if k // 2 < min(shape[1:3])]
    for name, k in [("conv2d", k) for k in kernels if k <= min(shape[1:3])] + [
        ("pad_conv", k) for k in kernels
    ]:
        inputs = {"x": x, "w": vector((k, k, c, 4)), "b": vector(4)}
        yield from _cached(ops, name, f"{name} {k}x{k}", inputs, rng)
    inputs = {"x": 1 + 0.1 * x, "gamma": vector(c), "beta": vector(c)}
    for name in ("batchnorm", "batchnorm_relu", "batchnorm_elu"):
        yield from _cached(ops, name, name, inputs, rng)
    x_gamma_beta = list(inputs.items())
    inputs = dict([x_gamma_beta[0], ("skip", vector(shape)), *x_gamma_beta[1:]])
    yield from _cached(ops, "batchnorm_add", "batchnorm_add", inputs, rng)
    for name in ("relu_conv", "elu_conv"):
        inputs = {"x": x, "w": vector((1, 1, c, 1)), "b": vector(1)}
        yield from _cached(ops, name, name, inputs, rng)
    for name in ("relu", "elu"):
        yield from _cached(ops, name, name, {"x": x}, rng)


def check_network(
    rng: np.random.Generator,
    config: NetworkConfig,
    shape: tuple[int, int, int] = (2, 5, 6),
    ops: ModuleType = layers,
    moving: bool = False,
) -> Iterator[Check]:
    """Checks the gradients of the whole network in x and in every parameter.

    shape : (N, H, W) of the images, which have one channel.
    moving : use given statistics of batch norm, close to the initial ones, and not the batch's.
    """
    p, fresh = params.initial(config, seed=int(rng.integers(2**31)), dtype=np.float64)
    p = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in p.items()}
    x = rng.standard_normal((*shape, 1))
    given = {name: a + 0.1 * rng.random(a.shape) for name, a in fresh.items()} if moving else None
    _, tape = network.forward(p, x, config, ops, given)

    def forward(x, *values):
        return network.forward(dict(zip(p, values, strict=True)), x, config, ops, given)[0]

    def backward(dy):
        dx, g = network.backward(dy, tape, config, ops)
        return dx, *(g[name] for name in p)

    yield from vjp("network", forward, backward, {"x": x, **p}, rng)


def _cached(ops, name, label, inputs, rng):
    """`vjp` of an operation that returns (y, cache) and whose backward pass takes the cache."""
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    _, cache = forward(*inputs.values())

    def gradients(dy):
        found = backward(dy, cache)
        return found if isinstance(found, tuple) else (found,)

    return vjp(label, lambda *a: forward(*a)[0], gradients, inputs, rng)


def check_all(seed: int = 0) -> Iterator[Check]:
    """Checks every operation, and the network at depths 0 to 3 with both activations."""
    rng = np.random.default_rng(seed)
    yield from check_layers(rng)
    for depth in range(4):
        for activation in ("relu", "elu"):
            config = NetworkConfig(depth, 4, activation)
            for check in check_network(rng, config):
                yield check._replace(name=f"depth {depth} {activation} {check.name}")
