"""A training step on the GPU without waiting for it: loss and Adam stay on the device.

It does the same as training.step.step_once, with the same network.py. The loss, which is NaN if it
or a gradient is not finite, stays on the device; `reading` copies it one step later.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import NamedTuple

import numpy as np

from ... import network, optim, params
from ..._array import Array, array_module
from ...config import NetworkConfig
from ...optim import AdamState
from .arrays import THREADS, flat, ready
from .flat import Flat, Layout, To, directed, flattened, layout_of, own_layout
from .launch import blocks_for, launch


class Tape(dict):
    """The tape of a step, with the statistics of the batch in one buffer; None if given."""

    statistics: Flat | None


class Room(NamedTuple):
    """Memory for all that outlives a step. Nothing of the state before the step is changed."""

    loss: Array  # () float64
    rate: Array  # () float32, read by Adam: its learning rate with the bias correction of this step
    g: Flat
    p: Flat
    m: Flat
    v: Flat
    statistics: Flat | None


def room(cupy, layout: Layout, config: NetworkConfig, frozen: bool = False) -> Room:
    g, statistics = cupy.zeros(layout.size, np.float32), None
    if not frozen:
        of_moving = _layout_of_statistics(config)
        statistics = Flat(cupy.zeros(of_moving.size, np.float32), of_moving)
    p, m, v = (Flat(cupy.empty(layout.size, np.float32), layout) for _ in range(3))
    loss, rate = cupy.empty((), np.float64), cupy.empty((), np.float32)
    return Room(loss, rate, Flat(g, layout), p, m, v, statistics)


def step(p, adam, x, target, config, ops, lr, l2, moving=None, clip=None):
    """See training.step.step_once. The loss stays on the device, and is NaN instead of an error."""
    layout = own_layout(p)
    p, m, v = (flattened(group, layout) for group in (p, adam.m, adam.v))
    to = room(array_module(x), layout, config, moving is not None)
    t = adam.step + 1
    to.rate.fill(optim.corrected_rate(lr, t, optim.BETA1, optim.BETA2))
    tape = run(p, m, v, x, target, config, ops, l2, moving, clip, to)
    return to.p, AdamState(t, to.m, to.v), to.loss, tape


def run(p, m, v, x, target, config, ops, l2, moving, clip, to) -> Tape:
    """All launches of a step. Those of another step with the same arrays would be the same."""
    _, _, tape = gradients(p, x, target, config, ops, moving, to)
    _update(p, to.g, m, v, l2, clip, to)
    return tape


def gradients(p, x, target, config, ops, moving=None, to=None):
    """See training.step.gradients. The loss stays on the device, and all of g is in one buffer."""
    p = flattened(p, own_layout(p))
    to = room(array_module(x), p.layout, config, moving is not None) if to is None else to
    places = {name: To(array) for name, array in (to.statistics or {}).items()}
    y, tape = network.forward(p, x, config, ops, moving or places)
    for name in places:
        layer, statistic = name.rsplit("/", 1)
        to.statistics[name] = getattr(tape[layer], statistic)  # copied if it is not there already
    loss, dy = mse(y, target, to.loss)
    tape = Tape({name: _directed(cache, name, to.g) for name, cache in tape.items()})
    tape.statistics = to.statistics
    _, found = network.backward(dy, tape, config, ops, wrt_x=False)
    optim.check_keys(p, found)
    for name, slope in found.items():
        to.g[name] = slope  # likewise
    return loss, to.g, tape


def _directed(cache, name, g):
    for roles in (("w", "b"), ("gamma", "beta")):
        if f"{name}/{roles[0]}" in g.layout.places:
            return directed(cache, *(g[f"{name}/{role}"] for role in roles))
    return cache


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


def mse(y: Array, target: Array, to: Array | None = None) -> tuple[Array, Array]:
    """See loss.mse. The loss is an array () of float64 on the device. By kernels/mse.cu.

    to : array for the loss.
    """
    if y.shape != target.shape:
        raise ValueError(f"mse: shapes must be equal, got {y.shape} and {target.shape}")
    cupy = array_module(y)
    per, blocks = flat(y.size)
    dy, partial = cupy.empty(y.shape, y.dtype), cupy.empty(blocks, np.float64)
    loss = cupy.empty((), np.float64) if to is None else to
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
    cupy, t = array_module(p.buffer), state.step + 1
    rate = cupy.full((), optim.corrected_rate(lr, t, beta1, beta2), np.float32)
    new = (Flat(cupy.empty(layout.size, np.float32), layout) for _ in range(3))
    loss = cupy.zeros((), np.float64) if loss is None else loss
    to = Room(loss, rate, g, *new, None)
    _update(p, g, m, v, l2, clip, to, beta1, beta2, eps)
    return to.p, AdamState(t, to.m, to.v)


def _update(p, g, m, v, l2, clip, to, beta1=optim.BETA1, beta2=optim.BETA2, eps=optim.EPS):
    cupy, layout = array_module(p.buffer), p.layout
    per, blocks = flat(layout.size)
    partial, factor = cupy.empty(blocks, np.float64), cupy.empty((), np.float32)
    decay = layout.kernels, 2 * l2
    arguments = p.buffer, g.buffer, partial, layout.size, per, *decay
    launch("adam", "squares", blocks, THREADS, *arguments)
    launch("adam", "clip_factor", 1, THREADS, partial, to.loss, factor, blocks, clip or 0.0)
    before = p.buffer, g.buffer, m.buffer, v.buffer
    new = to.p.buffer, to.m.buffer, to.v.buffer
    numbers = layout.size, *decay, beta1, 1 - beta1, beta2, 1 - beta2, eps
    blocks = blocks_for(layout.size, 4 * THREADS)
    launch("adam", "adam", blocks, THREADS, *before, factor, to.rate, *new, *numbers)
