"""Other speakers of the vocabulary of enhance_np.layers: same names, same results, faster."""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .. import layers
from ..config import DEVICES


class Engine(NamedTuple):
    name: str  # "reference", "cpu" or "gpu"
    ops: ModuleType  # the vocabulary
    asarray: Callable  # NumPy array -> array of this engine
    asnumpy: Callable  # and back
    # a device's own way of training: training.step_once that does not wait for the loss, and what
    # starts to read such a number and returns a function that waits for it
    step: Callable | None = None
    reading: Callable | None = None


REFERENCE = Engine("reference", layers, np.asarray, np.asarray)


def select(device: str = "auto") -> Engine:
    """The engine for "cpu", "gpu", or "auto": the GPU if one can be used, else the CPU.

    Raises ValueError for another word, RuntimeError with the reason and the remedy if "gpu"
    is asked for and cannot be had.
    """
    if device not in DEVICES:
        raise ValueError(f"device: must be one of {', '.join(DEVICES)}, got {device!r}")
    if device != "cpu":
        from .gpu import probe

        missing = probe()
        if missing is None:
            import cupy

            from . import cuda
            from .cuda import training

            move = cupy.asarray, cupy.asnumpy
            return Engine("gpu", cuda, *move, training.step, training.reading)
        if device == "gpu":
            raise RuntimeError(f"device: gpu must be usable, but {missing}")
    from . import cpu

    return Engine("cpu", cpu, np.asarray, np.asarray)
