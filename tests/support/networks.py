"""Weights for tests."""

import numpy as np

from enhance_np import params
from enhance_np.weights import Weights


def trained(config, seed=0, dtype=np.float32):
    """Weights as after training: none is 0 or 1."""
    rng = np.random.default_rng(seed)
    p, moving = params.initial(config, seed, np.float64)
    p = {name: a + 0.05 * rng.standard_normal(a.shape) for name, a in p.items()}
    moving = {name: a + 0.3 * rng.random(a.shape) for name, a in moving.items()}
    return Weights(config, *({k: a.astype(dtype) for k, a in d.items()} for d in (p, moving)))
