"""Checks for every backward function."""

import numpy as np


def adjoint(forward, backward, x, dy):
    """For a linear layer, <forward(x), dy> = <x, backward(dy)>; exact on small integers."""
    y = forward(x)
    assert y.shape == dy.shape
    assert np.vdot(y, dy) == np.vdot(x, backward(dy))


def gradients(checks):
    """All comparisons of gradcheck hold, and there is at least one."""
    checks = list(checks)
    assert checks
    for check in checks:
        assert check.verdict == "ok", check


def integers(rng, shape):
    """Small integers in float64, whose sums and products are exact."""
    return rng.integers(-4, 5, shape).astype(np.float64)
