"""A training step on the GPU without waiting for it: loss and Adam stay on the device.

It does the same as training.step.step_once, with the same network.py. The loss, which is NaN if it
or a gradient is not finite, stays on the device; `reading` copies it one step later.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ... import network, optim
from ..._array import Array, array_module
from ...loss import l2_factor
from ...optim import AdamState
from .arrays import THREADS, flat, ready
from .launch import blocks_for, launch

UNIT = 4  # floats; tensors begin at multiples of it in the buffer, for float4


class Flat(dict):
    """Tensors by name, as views of one flat buffer, aligned and padded to 16 bytes."""

    def __init__(self, buffer: Array, places: dict[str, "Place"]):
        super().__init__(
            (name, buffer[at.first : at.first + at.size].reshape(at.shape))
            for name, at in places.items()
        )
        self.buffer, self.places = buffer, places


class Place(NamedTuple):
    first: int  # element of the buffer
    size: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.first + -(-self.size // UNIT) * UNIT


def flattened(tensors: dict[str, Array], names: Iterable[str]) -> Flat:
    """The tensors in one buffer, in the order of `names`; unchanged if they already have one."""
    if isinstance(tensors, Flat):
        return tensors
    places, end = {}, 0
    for name in names:
        places[name] = Place(end, tensors[name].size, tensors[name].shape)
        end = places[name].end
    cupy = array_module(next(iter(tensors.values())))
    found = Flat(cupy.zeros(end, np.float32), places)
    for name, view in found.items():
        view[...] = tensors[name]
    return found


def step(p, adam, x, target, config, ops, lr, l2, moving=None, clip=None):
    """See training.step.step_once. The loss stays on the device, and is NaN instead of an error."""
    loss, g, tape = gradients(p, x, target, config, ops, moving)
    p, adam = update(p, g, adam, lr, l2, clip, loss)
    return p, adam, loss, tape


def gradients(p, x, target, config, ops, moving=None):
    """See training.step.gradients. The loss stays on the device."""
    y, tape = network.forward(p, x, config, ops, moving)
    loss, dy = mse(y, target)
    _, g = network.backward(dy, tape, config, ops, wrt_x=False)
    return loss, g, tape


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
    p: dict[str, Array],
    g: dict[str, Array],
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
    p, m, v = (flattened(group, p) for group in (p, state.m, state.v))
    cupy, size = array_module(p.buffer), p.buffer.size
    slope = cupy.empty(size, np.float32)
    for name, at in p.places.items():
        decay = l2_factor(name, l2)
        places = at.end - at.first
        arguments = ready(g[name]), p[name], decay, slope[at.first : at.end], at.size, places
        launch("adam", "gather", blocks_for(places, THREADS), THREADS, *arguments)

    per, blocks = flat(size)
    partial, factor = cupy.empty(blocks, np.float64), cupy.empty((), np.float32)
    loss = cupy.zeros((), np.float64) if loss is None else loss
    launch("adam", "squares", blocks, THREADS, slope, partial, size, per)
    launch("adam", "clip_factor", 1, THREADS, partial, loss, factor, blocks, clip or 0.0)

    t = state.step + 1
    rate = optim.corrected_rate(lr, t, beta1, beta2)
    new = [cupy.empty(size, np.float32) for _ in range(3)]
    numbers = size, rate, beta1, 1 - beta1, beta2, 1 - beta2, eps
    arguments = p.buffer, slope, m.buffer, v.buffer, factor, *new, *numbers
    launch("adam", "adam", blocks_for(size, 4 * THREADS), THREADS, *arguments)
    p, m, v = (Flat(buffer, p.places) for buffer in new)
    return p, AdamState(t, m, v)
