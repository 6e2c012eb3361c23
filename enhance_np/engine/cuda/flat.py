"""All tensors of a network in one buffer, so that one kernel does the same for all of them.

A training step has 50 parameters, most of them vectors. A kernel for each would take longer to
launch than to run. Parameters, gradients and Adam's moments have the same layout; the statistics of
batch norm have another one.

Results are written to their places in a buffer by the operations themselves. The cache on the tape
says where the gradients of parameters go (`directed`), and `To`, in place of given statistics,
where those of the batch go. The operations' arguments are thus still those of the reference.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from ..._array import Array, array_module
from ...loss import is_kernel

UNIT = 4  # floats; tensors begin at multiples of it in the buffer, for float4


class Place(NamedTuple):
    first: int  # element of the buffer
    size: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.first + -(-self.size // UNIT) * UNIT


class Layout(NamedTuple):
    """Where each tensor is. The kernels of convolutions, on which L2 acts, come first."""

    places: dict[str, Place]
    size: int  # of the buffer
    kernels: int  # elements from the beginning of the buffer to the end of the last kernel


def layout_of(tensors: Mapping[str, Array]) -> Layout:
    found, end, kernels = {}, 0, 0
    for of_kernels in (True, False):
        for name, tensor in tensors.items():
            if is_kernel(name) == of_kernels:
                found[name] = Place(end, tensor.size, tensor.shape)
                end = found[name].end
        kernels = end if of_kernels else kernels
    return Layout({name: found[name] for name in tensors}, end, kernels)


class Flat(Mapping):
    """Tensors by name, as views of one flat buffer, aligned and padded to 16 bytes.

    A view is made when it is first asked for. Padding is zero.
    """

    def __init__(self, buffer: Array, layout: Layout):
        self.buffer, self.layout = buffer, layout
        self._views = {}

    def __getitem__(self, name: str) -> Array:
        view = self._views.get(name)
        if view is None:
            at = self.layout.places[name]
            view = self.buffer[at.first : at.first + at.size].reshape(at.shape)
            self._views[name] = view
        return view

    def __setitem__(self, name: str, value: Array) -> None:
        if value is not self[name]:  # `flat[name] += value` has changed the view already
            self[name][...] = value

    def __iter__(self):
        return iter(self.layout.places)

    def __len__(self):
        return len(self.layout.places)


def flattened(tensors: Mapping[str, Array], layout: Layout) -> Flat:
    """The tensors in one buffer; unchanged if they already have one of this layout."""
    if isinstance(tensors, Flat) and tensors.layout == layout:
        return tensors
    cupy = array_module(next(iter(tensors.values())))
    found = Flat(cupy.zeros(layout.size, np.float32), layout)
    for name in layout.places:
        found[name] = tensors[name]
    return found


def own_layout(tensors: Mapping[str, Array]) -> Layout:
    """The layout that the tensors have, or that they will get."""
    return tensors.layout if isinstance(tensors, Flat) else layout_of(tensors)


def directed(cache: tuple, *to: Array):
    """The cache of an operation, with the arrays for the gradients of its parameters."""
    found = _with_attributes(type(cache))(*cache)
    found.to = to
    return found


def destinations(cache: tuple) -> tuple[Array | None, Array | None]:
    """Arrays for the gradients of an operation's two parameters; None where none is given."""
    return getattr(cache, "to", (None, None))


@cache
def _with_attributes(kind: type) -> type:
    """A subclass, because a NamedTuple itself has no room for more."""
    return type(kind.__name__, (kind,), {})


class To(NamedTuple):
    """Stands for a statistic of batch norm that is not given, but found and written here."""

    array: Array  # (C,)


def given(moving: Iterable | None):
    """(mean, var) if they are given, None if those of the batch are to be found."""
    return None if moving is None or isinstance(moving[0], To) else moving
