import check
import numpy as np
import pytest

from enhance_np.layers import (
    conv2d,
    upsample,
    upsample_backward,
    upsample_conv,
    upsample_conv_backward,
)


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


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 1, 4, 2), (2, 3, 4, 2)])
def test_upsample_conv_repeats_the_edge_of_the_small_image(rng, shape):
    """Reflection at twice the size does this: row -1 mirrors row 1, which is a copy of row 0."""
    x, w, b = check.integers(rng, shape), check.integers(rng, (3, 3, 2, 3)), check.integers(rng, 3)
    framed = np.pad(upsample(x), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    np.testing.assert_array_equal(upsample_conv(x, w, b)[0], conv2d(framed, w, b)[0])


@pytest.mark.parametrize("k", [1, 3, 5])
def test_upsample_conv_backward_is_its_adjoint(rng, k):
    x, w = check.integers(rng, (2, 3, 4, 2)), check.integers(rng, (k, k, 2, 3))
    zero = np.zeros(3)
    y, cache = upsample_conv(x, w, zero)
    assert y.shape == (2, 6, 8, 3)
    dy = check.integers(rng, y.shape)
    dx, dw, db = upsample_conv_backward(dy, cache)
    check.adjoint(lambda x: upsample_conv(x, w, zero)[0], lambda dy: dx, x, dy)
    check.adjoint(lambda w: upsample_conv(x, w, zero)[0], lambda dy: dw, w, dy)
    np.testing.assert_array_equal(db, dy.sum(axis=(0, 1, 2)))


def test_upsample_conv_refuses_kernels_that_are_not_square():
    with pytest.raises(ValueError, match="must be"):
        upsample_conv(np.zeros((1, 4, 4, 2)), np.zeros((3, 1, 2, 3)), np.zeros(3))
