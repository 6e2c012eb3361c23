import check
import numpy as np
import pytest

from enhance_np.layers import reflection_pad, reflection_pad_backward


@pytest.mark.parametrize(("h", "w", "p"), [(2, 2, 1), (2, 7, 1), (5, 3, 2), (4, 6, 3), (3, 3, 0)])
def test_adjoint(rng, h, w, p):
    x = check.integers(rng, (2, h, w, 3))
    dy = check.integers(rng, (2, h + 2 * p, w + 2 * p, 3))
    check.adjoint(lambda x: reflection_pad(x, p), lambda dy: reflection_pad_backward(dy, p), x, dy)


def test_border_is_not_repeated():
    row = np.arange(4.0).reshape(1, 1, 4, 1).repeat(2, axis=1)
    np.testing.assert_array_equal(reflection_pad(row)[0, 0, :, 0], [1, 0, 1, 2, 3, 2])


def test_backward_of_ones_counts_copies():
    dx = reflection_pad_backward(np.ones((1, 5, 5, 1)))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 3, 1], [3, 9, 3], [1, 3, 1]])


@pytest.mark.parametrize("p", [-1, 2, 3])
def test_refuses_what_cannot_be_mirrored(p):
    with pytest.raises(ValueError, match="needs 0 <= p < min"):
        reflection_pad(np.zeros((1, 2, 5, 1)), p)
