"""Direct convolutions: each element is within the rounding error of its own sum."""

import definitions
import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine.cpu import direct

CHANNELS = [(1, 64), (64, 1), (3, 5), (16, 16), (32, 32), (64, 64), (7, 48), (64, 128), (24, 8)]
KERNELS = [(1, 1), (3, 3), (1, 3), (5, 5)]
SIZES = [(1, 5, 5), (2, 6, 19), (3, 9, 31)]


def within_rounding(got, want, magnitude, terms):
    """Float32 against float64: the error of a sum of `terms` products of known magnitude."""
    u = 2.0**-24
    assert got.dtype == np.float32
    assert got.shape == want.shape
    error = abs(got - want)
    assert (error <= 2 * (terms + 4) * u * (magnitude + u)).all(), (error / (magnitude + u)).max()


@pytest.mark.parametrize(("kh", "kw"), KERNELS)
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_each_element_is_within_the_rounding_of_its_sum(cin, cout, kh, kw, rng):
    """The numbers of channels include those for which the engine uses Winograd by default."""
    w, b = rng.standard_normal((kh, kw, cin, cout)), rng.standard_normal(cout)
    w, b = w.astype(np.float32), b.astype(np.float32)
    for n, h, wd in SIZES:
        x, dy = (
            rng.standard_normal(shape).astype(np.float32)
            for shape in ((n, h, wd, cin), (n, h - kh + 1, wd - kw + 1, cout))
        )
        y = direct.correlate(x, w, b)
        dw, db = direct.kernel_gradient(x, dy, w.shape)

        def exact(x, w, b, dy):
            y, cache = layers.conv2d(*definitions.doubled(x, w, b))
            return y, *layers.conv2d_backward(dy.astype("f8"), cache)[1:]

        want, magnitudes = exact(x, w, b, dy), exact(*(abs(a) for a in (x, w, b, dy)))
        pixels = dy.size // cout
        for got, value, magnitude, terms in zip(
            (y, dw, db), want, magnitudes, (kh * kw * cin + 1, pixels, pixels), strict=True
        ):
            within_rounding(got, value, magnitude, terms)


@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_any_cut_into_tasks_gives_the_same_bits(cin, cout, rng, monkeypatch):
    shapes = (2, 9, 11, cin), (3, 3, cin, cout), (cout,)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    want = direct.correlate(x, w, b)
    for lines in (1, 5):
        monkeypatch.setattr(direct, "MULTIPLY_ADDS", lines * w.size * 9)
        np.testing.assert_array_equal(direct.correlate(x, w, b), want)


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize(("p", "q"), [(0, 0), (1, 1), (2, 1), (3, 4), (0, 2)])
def test_framed_is_a_padded_copy(p, q, reflect, rng):
    x = definitions.integers(rng, 2, 5, 6, 3)
    mode = "reflect" if reflect else "constant"
    want = np.pad(x, ((0, 0), (p, p), (q, q), (0, 0)), mode=mode)
    np.testing.assert_array_equal(direct.framed(x, p, q, reflect), want)


def test_operands_are_copied_only_where_they_must_be(rng):
    x = definitions.integers(rng, 2, 3, 4, 5)
    assert np.shares_memory(direct.flat(x), x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (frozen, x[:, :, ::-1], x.astype("f8"), x.astype(">f4"), np.asfortranarray(x)):
        flat = direct.flat(other)
        np.testing.assert_array_equal(flat, other.reshape(-1))
        assert flat.flags.c_contiguous
        assert flat.flags.writeable
        assert flat.dtype == np.float32
        assert flat.dtype.isnative
