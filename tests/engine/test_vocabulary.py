"""Every engine speaks as the reference does: same names, same arguments, same results."""

import inspect

import numpy as np
import pytest

from enhance_np import layers, network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import cpu, threads

ENGINES = {"cpu": cpu}


@pytest.fixture(params=ENGINES)
def ops(request):
    return ENGINES[request.param]


@pytest.mark.parametrize("name", layers.__all__)
def test_signatures(ops, name):
    """Argument names and defaults; annotations are the reference's to give."""
    own, reference = (
        [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
        for m in (ops, layers)
    )
    assert own == reference


def close(got, want, magnitude, terms):
    """Float32 against float64, bounded by the rounding of a sum of `terms` products."""
    u = 2.0**-24
    assert got.dtype == np.float32
    assert got.shape == want.shape
    error = abs(got - want)
    assert (error <= 2 * (terms + 4) * u * (magnitude + u)).all(), (error / (magnitude + u)).max()


CHANNELS = [(1, 64), (64, 1), (3, 5), (16, 16), (32, 32), (64, 64), (7, 48), (64, 128), (24, 8)]
SIZES = [(1, 2, 2), (2, 3, 13), (1, 17, 6), (3, 5, 25)]


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
@pytest.mark.parametrize("size", SIZES)
def test_pad_conv(ops, size, cin, cout, k, rng):
    x, w = rng.standard_normal((*size, cin)), rng.standard_normal((k, k, cin, cout))
    b = rng.standard_normal(cout)
    dy = rng.standard_normal((*size, cout))
    x, w, b, dy = (a.astype(np.float32) for a in (x, w, b, dy))
    y, cache = ops.pad_conv(x, w, b)
    dx, dw, db = ops.pad_conv_backward(dy, cache)

    def reference(x, w, b, dy):
        y, cache = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
        return y, *layers.pad_conv_backward(dy.astype("f8"), cache)

    want = reference(x, w, b, dy)
    bound = reference(*(abs(a) for a in (x, w, b, dy)))
    pixels = size[0] * size[1] * size[2]
    for got, exact, magnitude, terms in zip(
        (y, dx, dw, db), want, bound, (k * k * cin, 4 * k * k * cout, pixels, pixels), strict=True
    ):
        close(got, exact, magnitude, terms)


@pytest.mark.parametrize("c", [1, 5, 64])
@pytest.mark.parametrize("size", SIZES)
def test_batchnorm(ops, size, c, rng):
    x = (1 + 0.3 * rng.standard_normal((*size, c))).astype(np.float32)
    gamma, beta = rng.standard_normal((2, c)).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    y, cache = ops.batchnorm(x, gamma, beta)
    want, exact = layers.batchnorm(*(a.astype("f8") for a in (x, gamma, beta)))
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    for name in cache._fields:
        np.testing.assert_allclose(
            getattr(cache, name), getattr(exact, name), rtol=1e-5, atol=1e-5, err_msg=name
        )
    for got, wanted in zip(
        ops.batchnorm_backward(dy, cache),
        layers.batchnorm_backward(dy.astype("f8"), exact),
        strict=True,
    ):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * abs(wanted).max())


@pytest.mark.parametrize("name", ["relu", "elu"])
def test_activation(ops, name, rng):
    x = rng.standard_normal((2, 3, 5, 7)).astype(np.float32)
    x[0, 0, 0] = [0, -0.0, 1, -1, 2, -2, 1e-30]
    y, cache = getattr(ops, name)(x)
    want, exact = getattr(layers, name)(x)
    np.testing.assert_array_equal(y, want)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    np.testing.assert_array_equal(
        getattr(ops, f"{name}_backward")(dy, cache),
        getattr(layers, f"{name}_backward")(dy, exact),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["upsample", "reflection_pad"])
def test_moves_are_exact(ops, name, size, rng):
    x = rng.integers(-9, 9, (*size, 3)).astype(np.float32)
    y = getattr(ops, name)(x)
    np.testing.assert_array_equal(y, getattr(layers, name)(x))
    dy = rng.integers(-9, 9, y.shape).astype(np.float32)
    np.testing.assert_array_equal(
        getattr(ops, f"{name}_backward")(dy), getattr(layers, f"{name}_backward")(dy)
    )


@pytest.mark.parametrize(
    "config", [NetworkConfig(2, 64), NetworkConfig(1, 32, "elu"), NetworkConfig(0, 6)]
)
def test_the_page(ops, config, rng):
    p, _ = params.initial(config, 0)
    x = rng.standard_normal((2, 9, 6, 1)).astype(np.float32)
    dy = rng.standard_normal((2, 18, 12, 1)).astype(np.float32)
    y, tape = network.forward(p, x, config, ops)
    dx, g = network.backward(dy, tape, config, ops)
    exact = {name: a.astype("f8") for name, a in p.items()}
    want, exact_tape = network.forward(exact, x.astype("f8"), config)
    want_dx, want_g = network.backward(dy.astype("f8"), exact_tape, config)
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    assert abs(dx - want_dx).max() <= 1e-4 * abs(want_dx).max()
    largest = max(abs(a).max() for a in want_g.values())
    for name, a in want_g.items():
        floor = 1e-6 * largest  # zero by theory: see network.backward
        assert abs(g[name] - a).max() <= 1e-4 * abs(a).max() + floor, name


def test_float64_goes_to_the_reference(ops, rng):
    x, w = rng.standard_normal((1, 5, 5, 64)), rng.standard_normal((3, 3, 64, 64))
    np.testing.assert_array_equal(
        ops.pad_conv(x, w, np.zeros(64))[0], layers.pad_conv(x, w, np.zeros(64))[0]
    )


def test_bits_do_not_depend_on_threads(rng):
    config = NetworkConfig(1, 64)
    p, _ = params.initial(config, 0)
    x = rng.standard_normal((3, 21, 19, 1)).astype(np.float32)

    def step(count):
        threads.set_threads(count)
        try:
            y, tape = network.forward(p, x, config, cpu)
            return y, network.backward(y, tape, config, cpu)[1]
        finally:
            threads.set_threads(None)

    y, g = step(1)
    for count in (2, 3):
        other_y, other_g = step(count)
        np.testing.assert_array_equal(y, other_y)
        for name in g:
            np.testing.assert_array_equal(g[name], other_g[name], err_msg=name)
