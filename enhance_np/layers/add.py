"""The residual sum."""

from .._array import Array


def add(x: Array, y: Array) -> Array:
    """x + y, of one shape. Its adjoint hands the gradient to both: the page's skips fork it."""
    if x.shape != y.shape:
        raise ValueError(f"add: shapes must be equal, got {x.shape} and {y.shape}")
    return x + y
