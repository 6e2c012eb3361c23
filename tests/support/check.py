"""What every backward must pass."""

import numpy as np


def adjoint(forward, backward, x, dy):
    """A linear layer: <forward(x), dy> = <x, backward(dy)>. Exact on small integers."""
    y = forward(x)
    assert y.shape == dy.shape
    assert np.vdot(y, dy) == np.vdot(x, backward(dy))


def gradients(checks):
    """Every one of gradcheck's comparisons holds, and there is at least one."""
    checks = list(checks)
    assert checks
    for check in checks:
        assert check.verdict == "ok", check


def integers(rng, shape):
    """Small integers in float64: their sums and products are exact."""
    return rng.integers(-4, 5, shape).astype(np.float64)
