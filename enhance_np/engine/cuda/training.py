"""A training step on the GPU without waiting for it: loss and Adam stay on the device.

It does the same as training.step.step_once, with the same network.py. The loss, which is NaN if it
or a gradient is not finite, stays on the device; `reading` copies it one step later.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache

import numpy as np

from ... import network, optim, params
from ..._array import Array, array_module
from ...optim import AdamState
from .arrays import THREADS, flat, ready
from .flat import Flat, To, directed, flattened, layout_of, own_layout
from .launch import blocks_for, launch


class Tape(dict):
    """The tape of a step whose batch statistics are in one buffer."""

    statistics: Flat


def step(p, adam, x, target, config, ops, lr, l2, moving=None, clip=None):
    """See training.step.step_once. The loss stays on the device, and is NaN instead of an error."""
    p = flattened(p, own_layout(p))
    loss, g, tape = gradients(p, x, target, config, ops, moving)
    p, adam = update(p, g, adam, lr, l2, clip, loss)
    return p, adam, loss, tape


def gradients(p, x, target, config, ops, moving=None):
    """See training.step.gradients. The loss stays on the device, and all of g is in one buffer."""
    p = flattened(p, own_layout(p))
    cupy = array_module(p.buffer)
    statistics = None if moving else _statistics(cupy, config)
    to = {name: To(statistics[name]) for name in statistics or ()}
    y, tape = network.forward(p, x, config, ops, moving or to)
    loss, dy = mse(y, target)
    g = Flat(cupy.zeros(p.layout.size, np.float32), p.layout)
    tape = Tape({name: _directed(cache, name, g) for name, cache in tape.items()})
    tape.statistics = statistics
    _, found = network.backward(dy, tape, config, ops, wrt_x=False)
    optim.check_keys(p, found)
    for name, slope in found.items():
        g[name] = slope  # copies what an operation did not write to its place
    return loss, g, tape


def _directed(cache, name, g):
    for roles in (("w", "b"), ("gamma", "beta")):
        if f"{name}/{roles[0]}" in g.layout.places:
            return directed(cache, *(g[f"{name}/{role}"] for role in roles))
    return cache


def _statistics(cupy, config):
    layout = _layout_of_statistics(config)
    return Flat(cupy.zeros(layout.size, np.float32), layout)


@cache
def _layout_of_statistics(config):
    _, shapes = params.shapes(config)
    return layout_of({name: np.empty(shape) for name, shape in shapes.items()})


def update_moving(
    moving: Mapping[str, Array], tape: dict, momentum: float = params.MOMENTUM
) -> Mapping[str, Array]:
    """See params.update_moving. For the tape of `step`, all statistics are one launch."""
    found = getattr(tape, "statistics", None)
    if found is None:
        return params.update_moving(moving, tape, momentum)
    for name in found:
        layer, statistic = name.rsplit("/", 1)
        found[name] = getattr(tape[layer], statistic)  # copied if it is not there already
    moving, size = flattened(moving, found.layout), found.layout.size
    new = array_module(found.buffer).empty(size, np.float32)
    arguments = moving.buffer, found.buffer, new, size, momentum, 1 - momentum
    launch("moving", "update_moving", blocks_for(size, 4 * THREADS), THREADS, *arguments)
    return Flat(new, found.layout)


class reading:
    """Starts to copy a number, an array () of float64, from the device; a call waits only for it.

    If it is dropped before it is called, it waits too: CuPy would give the page-locked memory to
    the next copy while this one is under way.
    """

    def __init__(self, value: Array):
        cupy = array_module(value)
        self._host = np.frombuffer(cupy.cuda.alloc_pinned_memory(8), np.float64, 1).reshape(())
        self._arrived = cupy.cuda.Event(disable_timing=True)
        value.get(out=self._host, blocking=False)
        self._arrived.record()

    def __call__(self) -> float:
        self._arrived.synchronize()
        return float(self._host)

    def __del__(self):
        with suppress(Exception):  # the interpreter may be ending, or __init__ have failed
            self._arrived.synchronize()


def mse(y: Array, target: Array) -> tuple[Array, Array]:
    """See loss.mse. The loss is an array () of float64 on the device. By kernels/mse.cu."""
    if y.shape != target.shape:
        raise ValueError(f"mse: shapes must be equal, got {y.shape} and {target.shape}")
    cupy = array_module(y)
    per, blocks = flat(y.size)
    dy, partial = cupy.empty(y.shape, y.dtype), cupy.empty(blocks, np.float64)
    loss = cupy.empty((), np.float64)
    arguments = ready(y), ready(target), dy, partial, y.size, per, 2 / y.size
    launch("mse", "squared_errors", blocks, THREADS, *arguments)
    launch("mse", "mean_squared_error", 1, THREADS, partial, loss, blocks, y.size)
    return loss, dy


def update(
    p: Mapping[str, Array],
    g: Mapping[str, Array],
    state: AdamState,
    lr: float,
    l2: float = 0.0,
    clip: float | None = None,
    loss: Array | None = None,
    beta1: float = optim.BETA1,
    beta2: float = optim.BETA2,
    eps: float = optim.EPS,
) -> tuple[Flat, AdamState]:
    """optim.adam with the gradient of loss.l2 added and optim.clipped applied, by kernels/adam.cu.

    loss : array () of float64, set to NaN if a gradient is not finite; nothing else is changed.
    The tensors of the new p, of m and of v are views of one buffer each.
    """
    optim.check_keys(p, g)
    layout = own_layout(p)
    p, g, m, v = (flattened(group, layout) for group in (p, g, state.m, state.v))
    cupy, size = array_module(p.buffer), layout.size
    per, blocks = flat(size)
    partial, factor = cupy.empty(blocks, np.float64), cupy.empty((), np.float32)
    loss = cupy.zeros((), np.float64) if loss is None else loss
    decay = layout.kernels, 2 * l2
    launch("adam", "squares", blocks, THREADS, p.buffer, g.buffer, partial, size, per, *decay)
    launch("adam", "clip_factor", 1, THREADS, partial, loss, factor, blocks, clip or 0.0)

    t = state.step + 1
    rate = cupy.full((), optim.corrected_rate(lr, t, beta1, beta2), np.float32)
    new = [cupy.empty(size, np.float32) for _ in range(3)]
    numbers = size, *decay, beta1, 1 - beta1, beta2, 1 - beta2, eps
    arguments = p.buffer, g.buffer, m.buffer, v.buffer, factor, rate, *new, *numbers
    launch("adam", "adam", blocks_for(size, 4 * THREADS), THREADS, *arguments)
    p, m, v = (Flat(buffer, layout) for buffer in new)
    return p, AdamState(t, m, v)
