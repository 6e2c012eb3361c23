"""ReLU and ELU, elementwise on an array of any shape."""

from .._array import Array, array_module


def relu(x: Array) -> tuple[Array, Array]:
    """y = max(x, 0). The cache is y: y > 0 exactly where x > 0."""
    y = array_module(x).maximum(x, 0)
    return y, y


def relu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where x > 0, else 0; at x = 0 the gradient is 0, as in other frameworks."""
    return dy * (y > 0)


def elu(x: Array) -> tuple[Array, Array]:
    """y = x where x > 0, else exp(x) - 1. The cache is y.

    Source: Clevert et al. 2016, arXiv:1511.07289, equation 15, alpha = 1.
    """
    xp = array_module(x)
    y = xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))
    return y, y


def elu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where x > 0, else dy * exp(x), where exp(x) = y + 1."""
    return dy * array_module(y).where(y > 0, y.dtype.type(1), y + 1)
