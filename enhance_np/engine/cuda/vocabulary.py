"""The operations of enhance_np.engine.cuda, with 3x3 convolutions by one of methods.METHODS."""

from functools import cache, partial
from types import ModuleType

from .. import cuda
from . import convolution
from .methods import METHODS


@cache
def by(method: str) -> ModuleType:
    """The operations with the method: one module for each, enhance_np.engine.cuda for float32."""
    if METHODS[method] is None:
        return cuda
    found = ModuleType(f"{cuda.__name__} ({method})", cuda.__doc__)
    found.__dict__.update({key: value for key, value in vars(cuda).items() if callable(value)})
    found.conv = partial(convolution.conv, method=method)
    found.pad_conv = partial(convolution.pad_conv_by, method)
    found.pad_conv_backward = partial(convolution.pad_conv_backward_by, method)
    return found
