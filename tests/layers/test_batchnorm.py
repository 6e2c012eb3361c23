import check
import numpy as np
import pytest

from enhance_np.engine import REFERENCE
from enhance_np.inspection import gradcheck
from enhance_np.layers import batchnorm, batchnorm_backward


@pytest.fixture
def inputs(rng):
    """x = 1 + 10 % noise, gamma, beta."""
    x = 1 + 0.1 * rng.standard_normal((2, 4, 5, 3))
    return {"x": x, "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def test_gradients(inputs, rng):
    check.gradients(gradcheck.check_operation(REFERENCE, "batchnorm", inputs, rng))


def test_gradients_with_given_statistics(inputs, rng):
    moving = rng.standard_normal(3), 0.1 + rng.random(3)
    check.gradients(gradcheck.check_operation(REFERENCE, "batchnorm", inputs, rng, moving))


def test_one_value_with_given_statistics():
    x, one = np.full((1, 1, 1, 2), 3.0), np.ones(2)
    y, _ = batchnorm(x, one, one, eps=0, moving=(one, 4 * one))
    np.testing.assert_array_equal(y, np.full_like(x, 2))


def test_normalises(inputs):
    x, _, _ = inputs.values()
    y, cache = batchnorm(x, np.ones(3), np.zeros(3), eps=0)
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=(0, 1, 2)), 1, rtol=1e-12)
    np.testing.assert_allclose(cache.var, x.var(axis=(0, 1, 2)), rtol=1e-12)


def test_constant_gradient_gives_none(inputs):
    _, cache = batchnorm(*inputs.values())
    dx, dgamma, _ = batchnorm_backward(np.ones((2, 4, 5, 3)), cache)
    assert abs(dx).max() < 1e-13
    assert abs(dgamma).max() < 1e-12


def test_moving_statistics_of_the_batch_give_the_batch_result(inputs):
    x, gamma, beta = inputs.values()
    y, cache = batchnorm(x, gamma, beta)
    again, _ = batchnorm(x, gamma, beta, moving=(cache.mean, cache.var))
    np.testing.assert_array_equal(again, y)


def test_float32_mean_of_many_pixels_is_not_drifting(rng):
    x = (1 + 0.01 * rng.standard_normal((32, 50, 50, 2))).astype(np.float32)
    _, cache = batchnorm(x, np.ones(2, np.float32), np.zeros(2, np.float32))
    assert cache.mean.dtype == np.float32
    np.testing.assert_allclose(cache.mean, x.astype("f8").mean(axis=(0, 1, 2)), rtol=1.2e-7)


def test_matches_torch(inputs, rng):
    torch = pytest.importorskip("torch")
    y, cache = batchnorm(*inputs.values(), eps=1e-3)
    dy = rng.standard_normal(y.shape)
    x, gamma, beta = (torch.tensor(a, requires_grad=True) for a in inputs.values())
    nchw = torch.nn.functional.batch_norm(
        x.permute(0, 3, 1, 2), None, None, gamma, beta, training=True, eps=1e-3
    )
    want = nchw.permute(0, 2, 3, 1)
    want.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, want.detach().numpy(), rtol=1e-12, atol=1e-12)
    for got, leaf in zip(batchnorm_backward(dy, cache), (x, gamma, beta), strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("shape", "c"), [((1, 1, 1, 3), 3), ((2, 2, 2, 3), 4)])
def test_refuses(shape, c):
    with pytest.raises(ValueError, match="batchnorm: "):
        batchnorm(np.zeros(shape), np.zeros(c), np.zeros(c))


def test_refuses_statistics_of_another_shape():
    c = np.zeros(3)
    with pytest.raises(ValueError, match=r"batchnorm: .* must be \(3,\), got \(1,\)"):
        batchnorm(np.zeros((1, 2, 2, 3)), c, c, moving=(c, np.zeros(1)))
