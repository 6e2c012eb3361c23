"""The matrices in exact fractions: the identities of Winograd hold without any error."""

from fractions import Fraction

import numpy as np
import pytest

from enhance_np.engine.cpu import transforms

HALF = Fraction(1, 2)
CASES = [
    (4, 3, (0, 1, -1, 2, -2)),
    (4, 3, (0, 1, -1, HALF, -HALF)),
    (4, 3, transforms.POINTS),
    (2, 3, (0, 1, -1)),
    (2, 3, (3, -5, Fraction(7, 3))),
    (6, 3, (0, 1, -1, 2, -2, HALF, -HALF)),
    (3, 2, (0, 1, -1)),
    (2, 5, (0, 1, -1, 2, -2)),
    (5, 1, (0, 1, -1, 2)),
    (1, 4, (1, 2, 3)),
    (1, 1, ()),
]


def fractions(rng, *shape):
    """An object array of random fractions."""
    found = [Fraction(int(a), int(b)) for a, b in rng.integers(1, 99, (np.prod(shape), 2))]
    return np.array(found, object).reshape(shape)


def matrices(m, r, points):
    found = [np.array(matrix, object) for matrix in transforms.matrices(m, r, points)]
    assert [a.shape for a in found] == [(m, m + r - 1), (m + r - 1, r), (m + r - 1, m + r - 1)]
    assert {type(number) for matrix in found for number in matrix.flat} == {Fraction}
    return found


@pytest.mark.parametrize(("m", "r", "points"), CASES)
def test_they_correlate(m, r, points, rng):
    a_t, g, b_t = matrices(m, r, points)
    taps, d = fractions(rng, r), fractions(rng, m + r - 1)
    y = a_t @ ((g @ taps) * (b_t @ d))
    assert y.tolist() == [sum(taps[k] * d[i + k] for k in range(r)) for i in range(m)]


@pytest.mark.parametrize(("m", "r", "points"), CASES)
def test_transposed_they_give_the_gradient_in_the_kernel(m, r, points, rng):
    a_t, g, b_t = matrices(m, r, points)
    dy, d = fractions(rng, m), fractions(rng, m + r - 1)
    dg = g.T @ ((a_t.T @ dy) * (b_t @ d))
    assert dg.tolist() == [sum(dy[i] * d[i + k] for i in range(m)) for k in range(r)]


def test_in_two_dimensions(rng):
    """The formulas of the module's docstring, with the 36 products of a tile."""
    a_t, g, b_t = (
        np.array(matrix, object) for matrix in (transforms.A_T, transforms.G, transforms.B_T)
    )
    assert transforms.PLANES == 36
    taps, d, dy = fractions(rng, 3, 3), fractions(rng, 6, 6), fractions(rng, 4, 4)
    v = b_t @ d @ b_t.T
    y = a_t @ ((g @ taps @ g.T) * v) @ a_t.T
    windows = [[d[i : i + 3, j : j + 3] for j in range(4)] for i in range(4)]
    assert (y == [[(taps * window).sum() for window in line] for line in windows]).all()
    dg = g.T @ ((a_t.T @ dy @ a_t) * v) @ g
    assert (dg == sum(dy[i, j] * windows[i][j] for i in range(4) for j in range(4))).all()


def test_they_are_those_of_the_literature():
    """Lavin & Gray 2016, F(4x4, 3x3), up to the sign of a row of G and B^T."""
    a_t, g, b_t = transforms.matrices(4, 3, (0, 1, -1, 2, -2))
    assert a_t[3] == (0, 1, -1, 8, -8, 1)
    assert b_t[0] == (4, 0, -5, 0, 1, 0)
    assert b_t[5] == (0, 4, 0, -5, 0, 1)
    assert g[3] == (Fraction(1, 24), Fraction(1, 12), Fraction(1, 6))


@pytest.mark.parametrize("points", [(0, 1, 1, 2, -2), (0, 1, -1, 2), (0, 1, -1, 2, -2, 3)])
def test_refuses_repeated_points_and_other_numbers_of_them(points):
    with pytest.raises(ValueError, match="5 different points"):
        transforms.matrices(4, 3, points)
