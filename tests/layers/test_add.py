import check
import numpy as np
import pytest

from enhance_np.layers import add


def test_sum_of_two_arrays_that_stay_as_they_are(rng):
    x, y = check.integers(rng, (2, 3, 4, 5)), check.integers(rng, (2, 3, 4, 5))
    before = x.copy(), y.copy()
    z = add(x, y)
    np.testing.assert_array_equal(z - y, x)
    z[...] = 0
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("side", [0, 1])
def test_adjoint(rng, side):
    """The gradient goes unchanged to both inputs."""
    x, y, dz = (check.integers(rng, (2, 3, 4, 5)) for _ in range(3))
    arguments = [np.zeros_like(y), y][:: 1 if side else -1]
    assert np.vdot(add(*arguments), dz) == np.vdot(y, dz)
    check.adjoint(lambda x: add(x, np.zeros_like(x)), lambda dz: dz, x, dz)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keeps_the_type(dtype):
    assert add(np.ones((1, 1, 1, 2), dtype), np.ones((1, 1, 1, 2), dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 3, 4, 1), (5,), (2, 3, 5, 4)])
def test_refuses_other_shapes(shape):
    """NumPy would broadcast the first three; here a skip of another shape is an error."""
    with pytest.raises(ValueError, match="add: shapes must be equal"):
        add(np.zeros((2, 3, 4, 5)), np.zeros(shape))
