"""Generated vector code against NumPy, through a function that is compiled here."""

from fractions import Fraction

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from enhance_np.engine.cpu import transforms, vector
from enhance_np.engine.cpu.vector import FLAT, INDEX, LANES, Emitter

MATRICES = {
    "input": transforms.B_T,
    "kernel": transforms.G,
    "output": transforms.A_T,
    "output gradient": tuple(zip(*transforms.A_T, strict=True)),
    "kernel gradient": tuple(zip(*transforms.G, strict=True)),
    "of other points": transforms.matrices(2, 3, (3, -5, Fraction(7, 3)))[2],
    # pairs at the start, in the middle and at the end; a row and a column without a partner
    "pairs of columns": ((1, 1, 5, 2, 2), (3, -3, 7, 4, -4), (0, 0, 1, -1, -1)),
    "pairs of rows": ((9, 1, 2), (3, 4, 5), (3, -4, 5), (-1, 6, 1)),
    "one number": ((Fraction(-2, 3),),),
    "signs": ((-1, -1, 1), (1, -1, 0), (0, 0, -1)),
}


def combine(matrix):
    """A compiled function that writes matrix times x into y, in vectors."""

    @intrinsic
    def emitted(typingctx, x, y):
        def codegen(context, builder, signature, args):
            emit = Emitter(context, builder)
            x, y = (emit.at(array) for array in args)
            for i, value in enumerate(
                emit.combine(matrix, [emit.load(x, j) for j in range(len(matrix[0]))])
            ):
                emit.store(value, y, i)
            return context.get_dummy_value()

        return types.void(FLAT, FLAT), codegen

    @njit
    def run(x, y):
        emitted(x, y)

    return run


@pytest.mark.parametrize("name", MATRICES)
def test_combine_is_the_product_with_the_matrix(name, rng):
    matrix = MATRICES[name]
    exact = np.array(matrix, float)
    run = combine(matrix)
    y = np.full(len(matrix) * LANES + 1, 7, np.float32)
    x = rng.integers(-99, 100, (len(matrix[0]), LANES)).astype(np.float32)
    run(x.reshape(-1), y)
    assert y[-1] == 7  # nothing is written after the last vector
    if (exact == exact.round()).all():
        np.testing.assert_array_equal(y[:-1].reshape(-1, LANES), exact @ x)
    x = rng.standard_normal(x.shape).astype(np.float32)
    run(x.reshape(-1), y)
    error = abs(y[:-1].reshape(-1, LANES) - exact @ x.astype("f8"))
    # each term is rounded as a number, as a product and in the sums after it
    assert (error <= (len(x) + 2) * 2.0**-24 * (abs(exact) @ abs(x))).all()


@pytest.mark.parametrize("number", [2, Fraction(2, 3)])
def test_points_in_pairs_halve_the_work(number):
    """The number of multiplications shows that the pairs of columns and of rows were found."""
    a_t, g, b_t = transforms.matrices(4, 3, (0, 1, -1, number, -number))

    class Counter(Emitter):
        def __init__(self):
            self.products, self.builder = 0, self

        def fadd(self, a, b):
            return None

        fsub = fadd

        def fmul(self, a, b):
            self.products += 1

        def multiply_add(self, a, b, c):
            self.products += 1

    def products(matrix):
        counter = Counter()
        counter.combine(matrix, [None] * len(matrix[0]))
        return counter.products

    def plain(matrix):
        return sum(number not in (0, 1, -1) for row in matrix for number in row)

    assert products(a_t) == 3  # 2, 4 and 8 times a sum or a difference
    assert plain(a_t) == 6
    for matrix in (g, b_t):
        assert products(matrix) < plain(matrix)


@pytest.fixture(scope="module")
def parts():
    """relu, splat and multiply_add of one vector each, compiled together."""

    @intrinsic
    def emitted(typingctx, x, y):
        def codegen(context, builder, signature, args):
            emit = Emitter(context, builder)
            x, y = (emit.at(array) for array in args)
            emit.store(emit.relu(emit.load(x, 0)), y, 0)
            emit.store(emit.splat(emit.at(x, context.get_constant(INDEX, 1))), y, 1)
            two = vector.constant(2)
            emit.store(emit.multiply_add(emit.load(x, 0), two, emit.load(x, 1)), y, 2)
            return context.get_dummy_value()

        return types.void(FLAT, FLAT), codegen

    @njit
    def run(x, y):
        emitted(x, y)

    return run


def test_relu_keeps_nan_and_the_other_parts_are_as_named(parts):
    x = np.arange(2 * LANES, dtype=np.float32) - LANES // 2
    x[[0, 1, 2]] = np.nan, -np.inf, np.inf
    y = np.empty(3 * LANES, np.float32)
    parts(x, y)
    relu, splat, fused = y.reshape(3, LANES)
    np.testing.assert_array_equal(relu, np.maximum(x[:LANES], 0))
    np.testing.assert_array_equal(splat, np.full(LANES, x[1]))
    np.testing.assert_array_equal(fused, x[:LANES] * 2 + x[LANES:])


def test_lanes_fill_a_register():
    assert LANES in (4, 8, 16)
    assert [one.constant for one in vector.constant(Fraction(1, 3)).constant] == [1 / 3] * LANES


def test_lanes_are_those_that_are_asked_for(monkeypatch):
    monkeypatch.setenv("ENHANCE_NP_LANES", "4")
    assert vector._lanes() == 4
    monkeypatch.setenv("ENHANCE_NP_LANES", "")
    assert vector._lanes() in (4, 8, 16)
    for wrong in ("5", "sixteen", "04"):
        monkeypatch.setenv("ENHANCE_NP_LANES", wrong)
        with pytest.raises(ValueError, match=f"ENHANCE_NP_LANES must be 4, 8 or 16, got '{wrong}'"):
            vector._lanes()
