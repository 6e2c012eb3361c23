"""The ways to compute a 3x3 convolution of 64 channels, one of which engine.select chooses.

float32    the sum of the definition, by kernels/conv3x3.cu
winograd   fewer multiply-adds, by kernels/winograd.cu

A method is used for y and dX of pad_conv, and for predictions; where it does not support the number
of channels, and for dW, the sum of the definition is. A method is a module with these functions:

supports(shape)                 whether it can, with weights of this shape
padded(x, w, b, relu, skip)     y of convolution.conv; x is `arrays.ready`, and so is dy
framed_dx(dy, turned)           dX of x framed by its mirror image, from the turned weights
"""

from functools import cache, partial
from types import ModuleType

from . import winograd

METHODS = {"float32": None, "winograd": winograd}


def method(name: str, shape: tuple[int, ...]) -> ModuleType | None:
    """The module for weights of `shape`, None for the sum of the definition."""
    found = METHODS[name]
    return found if found is not None and found.supports(shape) else None


def options() -> list[str]:
    """The methods that are not the default."""
    return [name for name in METHODS if name != "float32"]


@cache
def vocabulary(name: str) -> ModuleType:
    """The operations of enhance_np.engine.cuda, with the method `name`: one module for each."""
    from .. import cuda

    if METHODS[name] is None:
        return cuda
    found = ModuleType(f"{cuda.__name__} ({name})", cuda.__doc__)
    found.__dict__.update({key: value for key, value in vars(cuda).items() if callable(value)})
    for operation in ("conv", "pad_conv", "pad_conv_backward"):
        setattr(found, operation, partial(getattr(cuda, operation), method=name))
    return found
