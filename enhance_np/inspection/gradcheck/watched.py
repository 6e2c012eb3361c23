"""Operations whose calls are noted: what each one got and gave, and which values a ReLU passes."""

from typing import Any, NamedTuple

import numpy as np


class Call(NamedTuple):
    name: str  # "pad_conv"
    arguments: tuple
    moving: Any  # given statistics of batch norm, or None
    y: Any


class Watched:
    """The operations of `ops` that return (y, cache), as attributes, with a list of their calls.

    shift : (i, array); the array is added to the result of the i-th call. What this changes in the
    end, the gradient in that result must predict.
    """

    def __init__(self, ops, shift=None):
        self._ops, self._shift, self.calls = ops, shift, []

    def __getattr__(self, name):
        operation = getattr(self._ops, name)

        def called(*arguments, **statistics):
            y, cache = operation(*arguments, **statistics)
            self.calls.append(Call(name, arguments, statistics.get("moving"), y))
            if self._shift is not None and len(self.calls) == self._shift[0] + 1:
                y = y + self._shift[1]
            return y, cache

        return called

    def passing(self, asnumpy=np.asarray) -> np.ndarray:
        """Whether the input of each activation so far is above 0, as one flat array.

        The slope of a ReLU jumps where its input changes sign, that of an ELU bends. Batch norm
        with an activation gives y > 0 exactly where the activation's input is above 0.
        """
        signs = [np.zeros(0, bool)]
        for name, arguments, _, y in self.calls:
            if name in ("relu", "elu", "relu_conv", "elu_conv"):
                signs.append(asnumpy(arguments[0]).ravel() > 0)
            elif name in ("batchnorm_relu", "batchnorm_elu"):
                signs.append(asnumpy(y).ravel() > 0)
        return np.concatenate(signs)
