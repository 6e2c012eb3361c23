import check
import numpy as np
import pytest

from enhance_np.engine import REFERENCE
from enhance_np.inspection import gradcheck
from enhance_np.layers import elu, elu_backward, relu, relu_backward

PAIRS = {"relu": (relu, relu_backward), "elu": (elu, elu_backward)}


@pytest.mark.parametrize("name", PAIRS)
def test_gradient(name, rng):
    inputs = {"x": rng.standard_normal((3, 4, 5, 2))}
    check.gradients(gradcheck.check_operation(REFERENCE, name, inputs, rng))


def test_values():
    x = np.array([-2.0, -0.0, 0.0, 3.0])
    np.testing.assert_array_equal(relu(x)[0], [0, 0, 0, 3])
    np.testing.assert_allclose(elu(x)[0], [np.exp(-2) - 1, 0, 0, 3], rtol=1e-15)


def test_relu_passes_nothing_at_zero():
    x = np.array([-1.0, 0.0, -0.0, 1.0])
    np.testing.assert_array_equal(relu_backward(np.full(4, 7.0), relu(x)[1]), [0, 0, 0, 7])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays(name, dtype):
    forward, backward = PAIRS[name]
    y, cache = forward(np.linspace(-1, 1, 5, dtype=dtype))
    assert y.dtype == backward(y, cache).dtype == dtype
