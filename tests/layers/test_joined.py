"""A joined layer gives the result of its parts, one after the other."""

import check
import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine import REFERENCE
from enhance_np.inspection import gradcheck


@pytest.fixture
def given(rng):
    """x, skip, gamma, beta."""
    return [rng.standard_normal(s) for s in ((2, 4, 5, 3), (2, 4, 5, 3), (3,), (3,))]


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_batchnorm_and_activation(activation, given):
    x, _, gamma, beta = given
    y, cache = getattr(layers, f"batchnorm_{activation}")(x, gamma, beta, eps=0.1)
    h, parts = layers.batchnorm(x, gamma, beta, eps=0.1)
    np.testing.assert_array_equal(y, getattr(layers, activation)(h)[0])
    np.testing.assert_array_equal(cache.mean, parts.mean)
    np.testing.assert_array_equal(cache.var, parts.var)


def test_batchnorm_and_sum(given):
    x, skip, gamma, beta = given
    y, cache = layers.batchnorm_add(x, skip, gamma, beta, eps=0.1)
    np.testing.assert_array_equal(y, layers.batchnorm(x, gamma, beta, eps=0.1)[0] + skip)
    np.testing.assert_array_equal(layers.batchnorm_add_backward(y, cache)[1], y)


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_activation_and_convolution(activation, k, given, rng):
    x, w, b = given[0], rng.standard_normal((k, k, 3, 2)), rng.standard_normal(2)
    name = f"{activation}_conv"
    y, _ = getattr(layers, name)(x, w, b)
    np.testing.assert_array_equal(y, layers.pad_conv(getattr(layers, activation)(x)[0], w, b)[0])
    inputs = {"x": x, "w": w, "b": b}
    check.gradients(gradcheck.check_operation(REFERENCE, name, inputs, rng))
