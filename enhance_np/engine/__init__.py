"""Engines: faster implementations of enhance_np.layers, with the same names and results."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .. import layers, params
from ..config import DEVICES

CONVOLUTIONS = "float32", "winograd", "3xtf32"  # of cuda.methods
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
    # the engine's own way of prediction: (weights, this engine) -> Predictor.each
    prediction: Callable | None = None
    # context for NumPy's work between the operations, such as Adam's step
    working: Callable[[], AbstractContextManager] = nullcontext

    def predictor(self, weights):
        """The `predictor.Predictor` of the weights: made once, for any number of images."""
        from .predictor import Predictor, by_the_page

        return Predictor(weights, (self.prediction or by_the_page)(weights, self))


REFERENCE = Engine("reference", layers, np.asarray, np.asarray)


def select(device: str = "auto", convolution: str = "float32", graph: bool = False) -> Engine:
    """The engine for "cpu", "gpu", or "auto": the GPU if one can be used, else the CPU.

    convolution : experimental; how a GPU computes 3x3 convolutions of 64 channels, and their dX, in
    training and prediction: one of CONVOLUTIONS, see cuda.methods. "3xtf32" needs tensor cores,
    compute capability 8.0. Only "float32", the default, is for the CPU too, which has its own
    Winograd. None was timed on a card (gpu-selftest times all).
    graph : experimental; a GPU then trains by CUDA graphs, which have not run on a card either.

    If a driver is installed but "auto" selects the CPU, the reason is logged.
    Raises ValueError for another device or convolution, or one that is not for this device;
    RuntimeError with the reason and the remedy if "gpu" cannot be used, or the card is too old.
    """
    if device not in DEVICES:
        raise ValueError(f"device: must be one of {', '.join(DEVICES)}, got {device!r}")
    if convolution not in CONVOLUTIONS:
        raise ValueError(
            f"convolution: must be one of {', '.join(CONVOLUTIONS)}, got {convolution!r}"
        )
    if device != "cpu":
        from .gpu import has_driver, probe

        missing = probe()
        if missing is None:
            import cupy

            from .cuda import folded, methods, training, vocabulary
            from .cuda.graph import GraphStep

            if (old := methods.refusal(convolution)) is not None:
                raise RuntimeError(f"convolution: {old}")
            ops = vocabulary.by(convolution)
            move = cupy.asarray, cupy.asnumpy
            one = GraphStep() if graph else training.step
            step = one, training.reading, training.update_moving
            return Engine("gpu", ops, *move, *step, folded.prediction)
        if device == "gpu":
            raise RuntimeError(f"device: gpu must be usable, but {missing}")
        # without a driver the CPU is expected, so this is only logged at debug level
        log.log(logging.INFO if has_driver() else logging.DEBUG, "on the CPU: %s", missing)
    if convolution != "float32":
        raise ValueError(f"convolution: {convolution} is for a GPU, but the device is the CPU")
    from .cpu import fused, subnormal, vocabulary

    own = {"prediction": fused.prediction, "working": subnormal.flushed}
    return Engine("cpu", vocabulary, np.asarray, np.asarray, **own)
