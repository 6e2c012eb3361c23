"""Other speakers of the vocabulary of enhance_np.layers: same names, same results, faster."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .. import layers
from ..config import DEVICES

log = logging.getLogger(__name__)


class Engine(NamedTuple):
    name: str  # "reference", "cpu" or "gpu"
    ops: ModuleType  # the vocabulary
    asarray: Callable  # NumPy array -> array of this engine
    asnumpy: Callable  # and back
    # a device's own way of training: training.step_once that does not wait for the loss, and what
    # starts to read such a number and returns a function that waits for it
    step: Callable | None = None
    reading: Callable | None = None
    winograd: bool = False  # a GPU's predictions by cuda.winograd where it can
    # a way of prediction of its own: (weights, this engine) -> Predictor.each
    prediction: Callable | None = None
    # entered around what NumPy does between the operations, such as Adam's step
    working: Callable[[], AbstractContextManager] = nullcontext

    def predictor(self, weights):
        """The `predictor.Predictor` of the weights: made once, for any number of images."""
        from .predictor import Predictor, by_the_page

        return Predictor(weights, (self.prediction or by_the_page)(weights, self))


REFERENCE = Engine("reference", layers, np.asarray, np.asarray)


def select(device: str = "auto", winograd: bool = False) -> Engine:
    """The engine for "cpu", "gpu", or "auto": the GPU if one can be used, else the CPU.

    winograd : an experiment: if it is the GPU, its predictions convolve 64 channels by
    kernels/winograd.cu, which nobody has timed on a card (gpu-selftest does). The CPU has its own.

    Where there is a driver and "auto" takes the CPU all the same, the reason is logged.
    Raises ValueError for another word, RuntimeError with the reason and the remedy if "gpu"
    is asked for and cannot be had.
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

            move = cupy.asarray, cupy.asnumpy
            step = training.step, training.reading
            return Engine("gpu", cuda, *move, *step, winograd, folded.prediction)
        if device == "gpu":
            raise RuntimeError(f"device: gpu must be usable, but {missing}")
        # not news to who has no driver: the line about the result names the CPU
        log.log(logging.INFO if has_driver() else logging.DEBUG, "on the CPU: %s", missing)
    from .cpu import fused, subnormal, vocabulary

    own = {"prediction": fused.prediction, "working": subnormal.flushed}
    return Engine("cpu", vocabulary, np.asarray, np.asarray, **own)
