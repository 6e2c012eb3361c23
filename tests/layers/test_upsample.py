import check
import numpy as np
import pytest

from enhance_np.layers import upsample, upsample_backward


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 3)])
def test_adjoint(rng, shape):
    n, h, w, c = shape
    x, dy = check.integers(rng, shape), check.integers(rng, (n, 2 * h, 2 * w, c))
    check.adjoint(upsample, upsample_backward, x, dy)


def test_blocks():
    y = upsample(np.array([[1.0, 2.0]]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(y[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def test_refuses_odd_sizes():
    with pytest.raises(ValueError, match="even H and W"):
        upsample_backward(np.zeros((1, 3, 2, 1)))
