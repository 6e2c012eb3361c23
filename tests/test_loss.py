import numpy as np
import pytest

from enhance_np import loss


def test_mse_and_its_gradient(rng):
    y, target, v = rng.standard_normal((3, 2, 4, 4, 1))
    value, dy = loss.mse(y, target)
    assert value == pytest.approx(((y - target) ** 2).sum() / y.size)
    step = 1e-6
    measured = (loss.mse(y + step * v, target)[0] - loss.mse(y - step * v, target)[0]) / (2 * step)
    assert measured == pytest.approx(np.vdot(dy, v), rel=1e-8)


def test_mse_refuses_broadcasting():
    with pytest.raises(ValueError, match="shapes must be equal"):
        loss.mse(np.zeros((2, 4, 4, 1)), np.zeros((1, 4, 4, 1)))


def test_l2_is_on_kernels_only(rng):
    p = {"a/w": rng.standard_normal((3, 3, 1, 2)), "a/b": np.ones(2), "n/gamma": np.ones(2)}
    value, g = loss.l2(p, 0.1)
    assert value == pytest.approx(0.1 * (p["a/w"] ** 2).sum())
    assert set(g) == {"a/w"}
    np.testing.assert_allclose(g["a/w"], 0.2 * p["a/w"])


def test_the_factor_of_l2_is_its_gradient(rng):
    p = {"a/w": rng.standard_normal((3, 3, 1, 2)), "a/b": np.ones(2)}
    _, g = loss.l2(p, 0.1)
    np.testing.assert_array_equal(loss.l2_factor("a/w", 0.1) * p["a/w"], g["a/w"])
    assert loss.l2_factor("a/b", 0.1) == 0
    assert loss.is_kernel("block0/conv1/w")
    assert not loss.is_kernel("tail/bn/gamma")
