"""The ways to compute a 3x3 convolution of 64 channels, one of which engine.select chooses.

float32    the sum of the definition, by kernels/conv3x3.cu
winograd   fewer multiply-adds, by kernels/winograd.cu
3xtf32     on tensor cores, three products for one, by kernels/conv3x3_3xtf32.cu; also 32 channels

A method is used for y and dX of pad_conv, and for predictions; where it does not support the number
of channels, and for dW, the sum of the definition is. A method is a module with these functions:

supports(shape)                 whether it can, with weights of this shape
padded(x, w, b, relu, skip)     y of convolution.conv; x is `arrays.ready`, and so is dy
framed_dx(dy, turned)           dX of x framed by its mirror image, from the turned weights
NEEDS                           compute capability of the card, 80 for 8.0
"""

from types import ModuleType

from . import three_tf32, winograd

METHODS = {"float32": None, "winograd": winograd, "3xtf32": three_tf32}


def method(name: str, shape: tuple[int, ...]) -> ModuleType | None:
    """The module for weights of `shape`, None for the sum of the definition."""
    found = METHODS[name]
    return found if found is not None and found.supports(shape) else None


def refusal(name: str) -> str | None:
    """None, or why the present card cannot run the method."""
    if METHODS[name] is None:
        return None
    import cupy

    has, needs = int(cupy.cuda.Device().compute_capability), METHODS[name].NEEDS
    if has >= needs:
        return None
    return (
        f"{name} needs a card of compute capability {needs // 10}.{needs % 10} or later; "
        f"this one has {has // 10}.{has % 10}"
    )


def options() -> list[str]:
    """The methods besides the default that the present card can run."""
    return [name for name in METHODS if name != "float32" and refusal(name) is None]
