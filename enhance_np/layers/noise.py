"""Gaussian noise that is added to the input in training."""

import numpy as np

from .._array import Array, array_module


def gaussian_noise(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """x + sigma * N(0, 1), drawn again in each call; the derivative in x is the identity.

    x : any shape.  sigma : in units of x (Ic or kG).  rng : a NumPy generator, also for CuPy
    arrays, so that every engine gets the same noise.
    """
    noise = rng.standard_normal(x.shape, dtype=np.float32).astype(x.dtype)
    return x + array_module(x).asarray(noise) * x.dtype.type(sigma)
