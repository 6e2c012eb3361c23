"""One spelling for NumPy and CuPy arrays."""

import sys
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray; every docstring gives the shape


def array_module(x: Array):
    """numpy, or cupy if x is a CuPy array. CuPy is never imported here."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(x, cupy.ndarray) else np
