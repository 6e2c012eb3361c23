"""Gaussian noise on the input, in training only."""

import numpy as np

from .._array import Array, array_module


def gaussian_noise(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """x + sigma * N(0, 1), fresh at each call; its gradient in x is the identity.

    x : any shape;  sigma in units of x (Ic or kG); rng : a NumPy generator also for CuPy
    arrays, so that every engine sees the same noise.
    """
    noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype)
    return x + array_module(x).asarray(noise) * x.dtype.type(sigma)
