"""Every engine has the operations of the reference: same names, arguments and results."""

import inspect
import re
from itertools import product

import numpy as np
import pytest
from definitions import assert_accurate, doubled
from threaded import together

from enhance_np import _threads as threads
from enhance_np import layers, network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine.cpu import arrays
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.layers.batchnorm import BatchNormCache

ENGINES = {"cpu": cpu}


@pytest.fixture(params=ENGINES)
def ops(request):
    return ENGINES[request.param]


@pytest.mark.parametrize("name", layers.__all__)
def test_signatures(ops, name):
    """Names and defaults of the arguments agree; only the reference has annotations."""
    own, reference = (
        [(p.name, p.default) for p in inspect.signature(getattr(m, name)).parameters.values()]
        for m in (ops, layers)
    )
    assert own == reference


CHANNELS = [(1, 64), (64, 1), (3, 5), (16, 16), (32, 32), (64, 64), (7, 48), (64, 128), (24, 8)]
SIZES = [(1, 2, 2), (2, 3, 13), (1, 17, 6), (3, 5, 25)]


def convolution(name, ops, x, w, b, dy):
    """y, dx, dw, db."""
    y, cache = getattr(ops, name)(x, w, b)
    return y, *getattr(ops, f"{name}_backward")(dy, cache)


def assert_convolves(ops, name, size, grown, cin, cout, k, rng):
    """The errors are within RMS and LARGEST, relative to the whole: a tile shares its rounding."""
    shapes = (*size, cin), (k, k, cin, cout), (cout,), (size[0], *grown, cout)
    data = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    before = [a.copy() for a in data]
    found = convolution(name, ops, *data)
    want = convolution(name, layers, *doubled(*data))
    for part, got, exact in zip(("y", "dx", "dw", "db"), found, want, strict=True):
        assert_accurate(got, exact, part)
    for a, same in zip(data, before, strict=True):
        np.testing.assert_array_equal(a, same)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
@pytest.mark.parametrize("size", SIZES)
def test_pad_conv(ops, size, cin, cout, k, rng):
    if min(size[1:]) > k // 2:
        assert_convolves(ops, "pad_conv", size, size[1:], cin, cout, k, rng)


@pytest.mark.parametrize("name", ["relu_conv", "elu_conv"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("cin", "cout"), [(64, 1), (5, 1), (1, 1), (16, 16), (7, 48)])
@pytest.mark.parametrize("size", SIZES)
def test_activation_before_convolution(ops, size, cin, cout, k, name, rng):
    assert_convolves(ops, name, size, size[1:], cin, cout, k, rng)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_the_gradient_alone(ops, cin, cout, k, rng):
    shapes = (2, 7, 6, cin), (k, k, cin, cout), (cout,), (2, 7, 6, cout)
    x, w, b, dy = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    _, cache = ops.pad_conv(x, w, b)
    _, *want = ops.pad_conv_backward(dy, cache)
    for got, exact in zip(ops.pad_conv_gradient(dy, cache), want, strict=True):
        np.testing.assert_array_equal(got, exact)
    with pytest.raises(ValueError, match="shape"):
        ops.pad_conv_gradient(dy[1:], cache)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
@pytest.mark.parametrize("size", [*SIZES, (1, 1, 1), (2, 1, 6), (1, 9, 1)])
def test_upsample_conv(ops, size, cin, cout, k, rng):
    grown = 2 * size[1], 2 * size[2]
    assert_convolves(ops, "upsample_conv", size, grown, cin, cout, k, rng)


@pytest.mark.parametrize(("kh", "kw"), [(3, 3), (1, 3), (5, 1)])
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_conv2d(ops, cin, cout, kh, kw, rng):
    for n, h, w in ((1, kh, kw), (2, 7, 13)):
        shapes = (n, h, w, cin), (kh, kw, cin, cout), (cout,), (n, h - kh + 1, w - kw + 1, cout)
        data = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        found = convolution("conv2d", ops, *data)
        want = convolution("conv2d", layers, *doubled(*data))
        for part, got, exact in zip(("y", "dx", "dw", "db"), found, want, strict=True):
            assert_accurate(got, exact, part)


# the last two sizes have several parts of unequal size and mean, whose statistics are merged
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", [f"batchnorm{then}" for then in ("", "_relu", "_elu", "_add")])
@pytest.mark.parametrize(
    ("size", "c"), [*product(SIZES, (1, 5, 64)), ((1, 73, 70), 64), ((3, 67, 100), 16)]
)
def test_batchnorm(ops, name, size, c, given, rng):
    x = 1 + 0.3 * rng.standard_normal((*size, c)) + np.linspace(0, 3, size[1])[:, None, None]
    x = x.astype(np.float32)
    gamma, beta = rng.standard_normal((2, c)).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    skip = rng.standard_normal(x.shape).astype(np.float32)
    arguments = (x, skip, gamma, beta) if name == "batchnorm_add" else (x, gamma, beta)
    moving = tuple((1 + rng.random((2, c))).astype(np.float32)) if given else None
    y, cache = getattr(ops, name)(*arguments, moving=moving)
    exactly = doubled(*moving) if given else None
    want, exact = getattr(layers, name)(*doubled(*arguments), moving=exactly)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    for part in BatchNormCache._fields:  # some are properties, computed on access
        np.testing.assert_allclose(
            getattr(cache, part), getattr(exact, part), rtol=1e-5, atol=1e-5, err_msg=part
        )
    for got, wanted in zip(
        getattr(ops, f"{name}_backward")(dy, cache),
        getattr(layers, f"{name}_backward")(dy.astype("f8"), exact),
        strict=True,
    ):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * abs(wanted).max())


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", [f"batchnorm{then}" for then in ("", "_relu", "_elu", "_add")])
def test_batchnorm_of_parts_of_a_batch(ops, name, given, rng):
    """Of two workers, with one image and three: what they get is that of the four together."""
    x, skip, dy = rng.standard_normal((3, 4, 9, 8, 16)).astype(np.float32)
    x *= np.linspace(1, 3, 4, dtype=np.float32)[:, None, None, None]
    x += np.linspace(0, 3, 4, dtype=np.float32)[:, None, None, None]
    gamma, beta = rng.standard_normal((2, 16)).astype(np.float32)
    moving = tuple((1 + rng.random((2, 16))).astype(np.float32)) if given else None
    images = (x, skip) if name == "batchnorm_add" else (x,)
    operation, backward = getattr(ops, name), getattr(ops, f"{name}_backward")

    def work(worker):
        own = slice(0, 1) if worker.rank == 0 else slice(1, 4)
        parts = [a[own] for a in images]
        y, cache = operation(*parts, gamma, beta, moving=moving, total=worker.total)
        *dx, dgamma, dbeta = backward(dy[own], cache, total=worker.total)
        assert bool(worker.calls) != given
        return (y, cache.x_hat, *dx), (dgamma, dbeta), (cache.mean, cache.var, cache.inv_std)

    of_pixels, of_sums, of_both = zip(*together(2, work), strict=True)
    exactly = doubled(*moving) if given else None
    y, cache = getattr(layers, name)(*doubled(*images, gamma, beta), moving=exactly)
    *dx, dgamma, dbeta = getattr(layers, f"{name}_backward")(dy.astype("f8"), cache)
    found = [np.concatenate(parts) for parts in zip(*of_pixels, strict=True)]
    found += [one + other for one, other in zip(*of_sums, strict=True)]
    want = [y, cache.x_hat, *dx, dgamma, dbeta, cache.mean, cache.var, cache.inv_std]
    for got, exact in zip([*found, *of_both[0]], want, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5 * abs(exact).max())
    for one, other in zip(*of_both, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [0.1, 1e3, -3e4, 1e7])
@pytest.mark.parametrize("size", [(1, 5, 5), (3, 7, 9), (8, 32, 32)])
def test_batchnorm_of_a_constant_channel(ops, size, value):
    """The output is exactly beta; where beta is 0, ReLU passes no gradient."""
    x = np.full((*size, 16), value, np.float32)
    gamma, beta = np.ones(16, np.float32), np.linspace(-2, 0, 16, dtype=np.float32)
    y, cache = ops.batchnorm(x, gamma, beta)
    assert not cache.var.any()
    np.testing.assert_array_equal(y, np.broadcast_to(beta, x.shape))
    y, cache = ops.batchnorm_relu(x, gamma, beta)
    for gradient in (y, *ops.batchnorm_relu_backward(np.ones_like(x), cache)):
        assert not gradient.any()


@pytest.mark.parametrize("value", [1e3, 1e5, 1e7])
def test_batchnorm_of_two_neighbouring_numbers(ops, value, rng):
    """The error is at most that of rounding the mean to float32."""
    low = np.float32(value)
    x = np.where(rng.random((3, 7, 9, 16)) < 0.5, low, np.nextafter(low, np.float32(np.inf)))
    one, zero = np.ones(16, np.float32), np.zeros(16, np.float32)
    y, cache = ops.batchnorm(x, one, zero)
    want, exact = layers.batchnorm(*doubled(x, one, zero))
    np.testing.assert_allclose(cache.var, exact.var, rtol=1e-3)
    half_a_step = np.spacing(low) / 2 * exact.inv_std.max()  # effect of rounding the mean
    assert abs(y - want).max() <= 1.1 * half_a_step


@pytest.mark.parametrize("name", ["relu_conv", "batchnorm_relu"])
def test_relu_passes_nothing_at_zero(ops, name):
    x = np.zeros((1, 4, 4, 16), np.float32)
    x[:, :2], x[:, 2:] = 1, -1
    x[:, 1:3] = 0
    if name == "relu_conv":
        arguments = x, np.ones((1, 1, 16, 1), np.float32), np.zeros(1, np.float32)
    else:  # mean 0: the zeros stay zeros
        arguments = x, np.ones(16, np.float32), np.zeros(16, np.float32)
    y, cache = getattr(ops, name)(*arguments)
    dx, *others = getattr(ops, f"{name}_backward")(np.ones_like(y), cache)
    if name == "relu_conv":
        np.testing.assert_array_equal(dx, np.broadcast_to(x > 0, x.shape))
    else:
        assert others[1][0] == 4  # dbeta: the four pixels above zero


@pytest.mark.parametrize("name", ["batchnorm", "batchnorm_relu", "batchnorm_elu", "batchnorm_add"])
def test_eps_is_passed_on(ops, name, rng):
    x, skip, gamma, beta = arguments_of("batchnorm_add", rng)
    arguments = (x, skip, gamma, beta) if name == "batchnorm_add" else (x, gamma, beta)
    y, _ = getattr(ops, name)(*arguments, eps=2.0)
    want, _ = getattr(layers, name)(*doubled(*arguments), eps=2.0)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)


def test_relu_conv_of_several_pieces(ops, rng, monkeypatch):
    monkeypatch.setattr(arrays, "ELEMENTS", 2**8)
    assert_convolves(ops, "relu_conv", (2, 9, 11), (9, 11), 16, 1, 1, rng)


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
def test_add(ops, size, rng):
    x, y = rng.standard_normal((2, *size, 7)).astype(np.float32)
    before = x.copy(), y.copy()
    z = ops.add(x, y)
    np.testing.assert_array_equal(z, x + y)
    assert z.dtype == np.float32
    z += 1  # an array of its own
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


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
    none, alone = network.backward(dy, tape, config, ops, wrt_x=False)
    assert none is None
    assert alone.keys() == g.keys()
    for name in g:
        np.testing.assert_array_equal(alone[name], g[name])
    exact = {name: a.astype("f8") for name, a in p.items()}
    want, exact_tape = network.forward(exact, x.astype("f8"), config)
    want_dx, want_g = network.backward(dy.astype("f8"), exact_tape, config)
    assert abs(y - want).max() <= 1e-5 * np.ptp(want)
    assert abs(dx - want_dx).max() <= 1e-4 * abs(want_dx).max()
    largest = max(abs(a).max() for a in want_g.values())
    for name, a in want_g.items():
        floor = 1e-6 * largest  # for those that are zero in theory: see network.backward
        assert abs(g[name] - a).max() <= 1e-4 * abs(a).max() + floor, name


X, W, B = (2, 6, 4, 16), (3, 3, 16, 16), (16,)
# name -> shapes of the arguments; a blank at the end tells a second case from the first
CALLS = {
    "conv2d": (X, W, B),
    "pad_conv": (X, W, B),
    "upsample_conv": (X, W, B),
    "conv2d ": (X, (1, 3, 16, 5), (5,)),  # direct, not Winograd
    "pad_conv ": (X, (3, 3, 16, 5), (5,)),
    "upsample_conv ": (X, (3, 3, 16, 5), (5,)),
    "relu_conv": (X, (1, 1, 16, 1), (1,)),
    "relu_conv ": (X, W, B),
    "elu_conv": (X, (1, 1, 16, 1), (1,)),
    "batchnorm": (X, B, B),
    "batchnorm_relu": (X, B, B),
    "batchnorm_elu": (X, B, B),
    "batchnorm_add": (X, X, B, B),
    "relu": (X,),
    "elu": (X,),
    "add": (X, X),
    "upsample": (X,),
    "reflection_pad": (X,),
}
NO_CACHE = "add", "upsample", "reflection_pad"
BROADCAST = "elu", "batchnorm_elu"  # like the reference, they broadcast a dy of another shape


def call(ops, name, *arguments, backward_dtype=None, change=lambda a: a):
    """Every array that the operation and its backward return."""
    name = name.strip()
    result = getattr(ops, name)(*arguments)
    y, cache = (result, ()) if name in NO_CACHE else (result[0], result[1:])
    found = [y]
    if name != "add":
        dy = change(np.sin(np.arange(y.size)).reshape(y.shape).astype(backward_dtype or y.dtype))
        gradients = getattr(ops, f"{name}_backward")(dy, *cache)
        found += gradients if isinstance(gradients, tuple) else [gradients]
    return found


def arguments_of(name, rng, dtype=np.float32):
    return [rng.standard_normal(shape).astype(dtype) for shape in CALLS[name]]


@pytest.mark.parametrize("name", CALLS)
def test_float64_goes_to_the_reference(ops, name, rng):
    arguments = arguments_of(name, rng, np.float64)
    found, want = call(ops, name, *arguments), call(layers, name, *arguments)
    for got, exact in zip(found, want, strict=True):
        np.testing.assert_array_equal(got, exact)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "every second": lambda a: np.repeat(a, 2, axis=0)[::2],
    "part of the channels": lambda a: np.concatenate([a, a], axis=-1)[..., : a.shape[-1]],
    "lines exchanged": lambda a: a.swapaxes(0, -1).copy().swapaxes(0, -1),
    "read-only": read_only,
    "not aligned": lambda a: np.frombuffer(
        bytearray(b"1" + a.tobytes()), a.dtype, a.size, 1
    ).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_any_layout_gives_the_same_bits(ops, name, layout, rng):
    arguments, change = arguments_of(name, rng), LAYOUTS[layout]
    want = call(ops, name, *arguments)
    found = call(ops, name, *map(change, arguments), change=change)
    for got, exact in zip(found, want, strict=True):
        np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize("name", CALLS)
def test_a_batch_of_nothing_gives_nothing(ops, name, rng):
    if name.startswith("batchnorm"):  # needs at least 2 values per channel
        return
    arguments = [a[:0] if a.shape == X else a for a in arguments_of(name, rng)]
    found, want = call(ops, name, *arguments), call(layers, name, *arguments)
    for got, exact in zip(found, want, strict=True):
        assert got.shape == exact.shape
        assert not np.any(got)


TYPES = np.float32, np.float64


@pytest.mark.parametrize("backward", TYPES)
@pytest.mark.parametrize("first", TYPES)
@pytest.mark.parametrize("others", TYPES)
@pytest.mark.parametrize("name", CALLS)
def test_types_may_be_mixed(ops, name, first, others, backward, rng):
    """For example, a float64 target makes the gradient of the loss float64."""
    x, *parameters = arguments_of(name, rng)
    found = call(
        ops, name, x.astype(first), *(a.astype(others) for a in parameters), backward_dtype=backward
    )
    want = call(layers, name, *doubled(x, *parameters), backward_dtype=backward)
    for got, exact in zip(found, want, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5 * abs(exact).max())


REFUSED = [
    ("conv2d", (1, 5, 5, 16), (3, 3, 32, 16), (16,)),
    ("conv2d", (1, 5, 5, 16), (3, 3, 16, 16), (15,)),
    ("conv2d", (1, 2, 5, 16), (3, 3, 16, 16), (16,)),
    ("conv2d", (1, 5, 5, 16), (2, 2, 16, 16), (16,)),
    ("conv2d", (5, 5, 16), (3, 3, 16, 16), (16,)),
    ("pad_conv", (1, 5, 5, 16), (3, 3, 32, 16), (16,)),
    ("pad_conv", (1, 5, 5, 16), (3, 3, 16, 16), (15,)),
    ("pad_conv", (1, 1, 5, 16), (3, 3, 16, 16), (16,)),
    ("pad_conv", (1, 5, 1, 16), (3, 3, 16, 16), (16,)),
    ("pad_conv", (1, 5, 5, 16), (3, 1, 16, 16), (16,)),
    ("pad_conv", (1, 5, 5, 16), (3, 3), (16,)),
    ("upsample_conv", (1, 5, 5, 16), (3, 3, 32, 16), (16,)),
    ("upsample_conv", (1, 5, 5, 16), (3, 3, 16, 16), (15,)),
    ("upsample_conv", (1, 5, 5, 16), (3, 1, 16, 16), (16,)),
    ("upsample_conv", (1, 5, 5, 16), (3, 3), (16,)),
    ("upsample_conv", (1, 0, 5, 16), (3, 3, 16, 16), (16,)),
    ("batchnorm", (1, 1, 1, 16), (16,), (16,)),
    ("batchnorm", (2, 3, 3, 16), (15,), (16,)),
    ("batchnorm", (2, 3, 3, 16), (16,), (1,)),
    ("batchnorm_relu", (1, 1, 1, 16), (16,), (16,)),
    ("batchnorm_relu", (2, 3, 3, 16), (15,), (16,)),
    ("batchnorm_elu", (2, 3, 3, 16), (16,), (1,)),
    ("batchnorm_add", (2, 3, 3, 16), (2, 3, 3, 16), (16,), (15,)),
    ("batchnorm_add", (2, 3, 3, 16), (2, 3, 1, 16), (16,), (16,)),
    ("relu_conv", (1, 5, 5, 16), (1, 1, 15, 1), (1,)),
    ("relu_conv", (1, 5, 5, 16), (1, 1, 16, 1), (2,)),
    ("elu_conv", (1, 5, 5, 16), (3, 1, 16, 16), (16,)),
    ("add", (2, 3, 3, 16), (2, 3, 3, 1)),
    ("reflection_pad", (2, 1, 3, 16)),
    ("upsample_backward", (2, 3, 4, 16)),
    ("reflection_pad_backward", (2, 3, 4, 16)),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refuses_what_the_reference_refuses(ops, case):
    """The error message has the same words on what must hold."""
    name, *shapes = case
    arguments = [np.ones(shape, np.float32) for shape in shapes]
    with pytest.raises(ValueError, match=", got ") as wanted:
        getattr(layers, name)(*arguments)
    must_hold = str(wanted.value).split(": ", 1)[1].split(", got")[0]
    with pytest.raises(ValueError, match=re.escape(must_hold)):
        getattr(ops, name)(*arguments)


@pytest.mark.parametrize("cut", [(slice(1, None),), (slice(None), slice(2, None))], ids=str)
@pytest.mark.parametrize(
    "name", [name for name in CALLS if name not in NO_CACHE and name not in BROADCAST]
)
def test_a_gradient_of_another_shape_is_refused(ops, name, cut, rng):
    """It must not be read beyond its end."""
    with pytest.raises(ValueError, match="shape"):
        call(ops, name, *arguments_of(name, rng), change=lambda dy: dy[(*cut, ...)])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_finite_stays_so(ops, name, value, rng):
    """Where the reference is not finite; with Winograd, other pixels of the tile may be too."""
    arguments = arguments_of(name, rng)
    arguments[0][1, 3, 2, 5] = value
    with np.errstate(invalid="ignore"):
        want = call(layers, name, *arguments)
        found = call(ops, name, *arguments)
    for got, exact in zip(found, want, strict=True):
        assert not np.isfinite(got[~np.isfinite(exact)]).any()
    assert np.isfinite(found[0][0]).all() or name.startswith("batchnorm")  # not other images


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
