"""Engines: faster implementations of enhance_np.layers, with the same names and results."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .. import layers, params
from ..config import DEVICES

log = logging.getLogger(__name__)


class Engine(NamedTuple):
    name: str  # "reference", "cpu" or "gpu"
    ops: ModuleType  # the operations, with the names of enhance_np.layers
    asarray: Callable  # NumPy array -> array of this engine
    asnumpy: Callable  # array of this engine -> NumPy array
    # for training on a device: `step` is training.step.step_once without waiting for the loss;
    # `reading` starts to copy that loss and returns a function that waits for it
    step: Callable | None = None
    reading: Callable | None = None
    update_moving: Callable = params.update_moving  # for the tape of `step`
    winograd: bool = False  # whether a GPU predicts by cuda.winograd where possible
    # the engine's own way of prediction: (weights, this engine) -> Predictor.each
    prediction: Callable | None = None
    # context for NumPy's work between the operations, such as Adam's step
    working: Callable[[], AbstractContextManager] = nullcontext

    def predictor(self, weights):
        """The `predictor.Predictor` of the weights: made once, for any number of images."""
        from .predictor import Predictor, by_the_page

        return Predictor(weights, (self.prediction or by_the_page)(weights, self))


REFERENCE = Engine("reference", layers, np.asarray, np.asarray)


def select(device: str = "auto", winograd: bool = False, graph: bool = False) -> Engine:
    """The engine for "cpu", "gpu", or "auto": the GPU if one can be used, else the CPU.

    winograd : experimental; a GPU then predicts convolutions of 64 channels by kernels/winograd.cu,
    which has not been timed on a card (gpu-selftest times it). The CPU has its own Winograd.
    graph : experimental; a GPU then trains by CUDA graphs, which have not run on a card either.

    If a driver is installed but "auto" selects the CPU, the reason is logged.
    Raises ValueError for another device, RuntimeError with the reason and the remedy if "gpu"
    cannot be used.
    """
    if device not in DEVICES:
        raise ValueError(f"device: must be one of {', '.join(DEVICES)}, got {device!r}")
    if device != "cpu":
        from .gpu import has_driver, probe

        missing = probe()
        if missing is None:
            import cupy

            from . import cuda
            from .cuda import folded, training
            from .cuda.graph import GraphStep

            move = cupy.asarray, cupy.asnumpy
            one = GraphStep() if graph else training.step
            step = one, training.reading, training.update_moving
            return Engine("gpu", cuda, *move, *step, winograd, folded.prediction)
        if device == "gpu":
            raise RuntimeError(f"device: gpu must be usable, but {missing}")
        # without a driver the CPU is expected, so this is only logged at debug level
        log.log(logging.INFO if has_driver() else logging.DEBUG, "on the CPU: %s", missing)
    from .cpu import fused, subnormal, vocabulary

    own = {"prediction": fused.prediction, "working": subnormal.flushed}
    return Engine("cpu", vocabulary, np.asarray, np.asarray, **own)
