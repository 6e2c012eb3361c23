"""Several workers train one network: each computes a part of every batch.

All draw the same batches, and each takes its part. What one process would sum over the batch, they
add up: the sums of batch norm, forward and backward, the loss, and the gradients. Every worker then
takes the same step of Adam from the same gradient, so that all have the same weights, bit for bit.
Those of a single process differ by rounding, because the parts of a sum are added in another order.

Three members make a group of workers: `rank`, `size` and `total`. `mpi.py` has those that talk by
MPI. Others can be made in the same way. For GPUs, `total` would be ncclAllReduce, on the stream of
the kernels: `cupy.cuda.nccl.NcclCommunicator(size, identifier, rank).allReduce`, to which MPI would
give the identifier. It is not here, because nobody has run it. Until then, `total` gets arrays of
the engine and may copy them through the host, as `mpi.py` does.
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Protocol, TypeVar

import numpy as np

from .. import layers
from .._array import Array
from ..engine import Engine
from ..layers.batchnorm import unshared
from . import checkpoint
from .checkpoint import State
from .step import step_once

T = TypeVar("T")


class Workers(Protocol):
    rank: int  # of this worker, from 0 on; worker 0 writes the files
    size: int  # number of workers

    def total(self, own: Array) -> Array:
        """The sum of the arrays of all workers, of one shape and dtype: the same bits on each.

        Every worker must call it, the same number of times in the same order.
        """


class Alone:
    """One process. Its sums are those of the whole batch, and nothing is copied."""

    rank, size = 0, 1
    total = staticmethod(unshared)


ALONE = Alone()


def part(workers: Workers, count: int) -> slice:
    """Of `count` patches, those of this worker. The parts differ by one patch at most."""
    first, last = (count * i // workers.size for i in (workers.rank, workers.rank + 1))
    return slice(first, last)


def sharing(engine: Engine, workers: Workers) -> Engine:
    """The engine for a part of the batch: its batch norms and its step count the whole batch."""
    if workers.size == 1:
        return engine
    ops = {name: getattr(engine.ops, name) for name in layers.__all__}
    for name, operation in ops.items():
        if name.startswith("batchnorm"):
            ops[name] = partial(operation, total=workers.total)
    step = partial(step_once, total=workers.total)
    return engine._replace(ops=SimpleNamespace(**ops), step=step, reading=None)


def after_the_first(workers: Workers, make: Callable[[], T]) -> T:
    """make() by worker 0, and then by the others, which find the files that it made."""
    if workers.rank == 0:
        made = make()
    workers.total(np.zeros(1))
    return made if workers.rank == 0 else make()


def same_start(workers: Workers, state: State, about: dict) -> State:
    """The state of worker 0, for all: another processor may have rounded the first one otherwise.

    state : with NumPy arrays of float32.  about : JSON values, the same for all workers.
    Raises ValueError, on all workers, if something but rounding differs.
    """
    if workers.size == 1:
        return state

    def of_the_first(array):
        bits = array.view(np.uint32)  # integers, because -0.0 + 0.0 would be 0.0
        return workers.total(bits if workers.rank == 0 else np.zeros_like(bits)).view(array.dtype)

    numbers = (state.epoch, state.step, state.random, state.loss, state.rows, state.adam.step)
    text = json.dumps([about, numbers], sort_keys=True).encode()
    digest = np.frombuffer(hashlib.sha256(text).digest(), np.uint32)
    differ = workers.total(np.array(int((of_the_first(digest) != digest).any())))
    if differ:
        raise ValueError(
            "train: all workers must have the same options, data and checkpoint, "
            f"got others on {differ} of {workers.size}"
        )
    return checkpoint.same_arrays(state, of_the_first)
