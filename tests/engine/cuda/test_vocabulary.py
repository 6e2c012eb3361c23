"""Runs the tests of every engine (test_vocabulary) for the GPU engine, with three shapes.

Arrays are copied to the stand-in for CuPy and back. Nothing runs on a GPU.
"""

import functools

import numpy as np
import pytest
import test_vocabulary as vocabulary
from cudaproof import device, emulator

from enhance_np import layers
from enhance_np.config import NetworkConfig
from enhance_np.engine import cuda

if (reason := emulator.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

SIZES = [(1, 2, 2), (2, 3, 13), (1, 17, 6)]
CHANNELS = [(1, 64), (64, 1), (3, 5), (32, 32)]
NORMS = [f"batchnorm{then}" for then in ("", "_relu", "_elu", "_add")]


class Cache:
    """The cache of an operation on the device; its arrays are returned as NumPy arrays."""

    def __init__(self, kept):
        self.kept = kept

    def __getattr__(self, name):
        return back(getattr(self.kept, name))


def there(value):
    """NumPy -> device, with the same memory layout."""
    if isinstance(value, np.ndarray):
        return device.ndarray(value)
    if isinstance(value, Cache):
        return value.kept
    return tuple(map(there, value)) if type(value) is tuple else value


def back(value):
    if isinstance(value, device.ndarray):
        return value.get()
    if type(value) is tuple:
        return tuple(map(back, value))
    return Cache(value) if isinstance(value, tuple) else value


class OnDevice:
    def __getattr__(self, name):
        operation = getattr(cuda, name)

        @functools.wraps(operation)
        def through(*arguments, **named):
            named = {key: there(value) for key, value in named.items()}
            return back(operation(*map(there, arguments), **named))

        return through


@pytest.fixture
def ops(stand_in):
    with stand_in.running("fast", "shuffled"):
        yield OnDevice()


each_call = pytest.mark.parametrize("name", vocabulary.CALLS)
each_size = pytest.mark.parametrize("size", SIZES)


@pytest.mark.parametrize("name", layers.__all__)
def test_signatures(ops, name):
    vocabulary.test_signatures(ops, name)


@each_size
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
@pytest.mark.parametrize("k", [1, 3])
def test_convolutions(ops, size, cin, cout, k, rng):
    vocabulary.test_upsample_conv(ops, size, cin, cout, k, rng)
    vocabulary.test_pad_conv(ops, size, cin, cout, k, rng)
    if cout == 1:
        for name in ("relu_conv", "elu_conv"):
            vocabulary.test_activation_before_convolution(ops, size, cin, cout, k, name, rng)


@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_convolution_s_gradients(ops, cin, cout, rng):
    vocabulary.test_the_gradient_alone(ops, cin, cout, 3, rng)
    vocabulary.test_conv2d(ops, cin, cout, 3, 3, rng)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("c", [1, 5, 64])
@each_size
def test_batchnorm(ops, name, size, c, given, rng):
    vocabulary.test_batchnorm(ops, name, size, c, given, rng)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", NORMS)
def test_batchnorm_of_parts_of_a_batch(ops, name, given, rng):
    vocabulary.test_batchnorm_of_parts_of_a_batch(ops, name, given, rng)


@pytest.mark.parametrize("value", [0.1, 1e3, -3e4, 1e7])
def test_batchnorm_of_channels_that_hardly_change(ops, value, rng):
    vocabulary.test_batchnorm_of_a_constant_channel(ops, (3, 7, 9), value)
    if value >= 1e3:
        vocabulary.test_batchnorm_of_two_neighbouring_numbers(ops, value, rng)


@pytest.mark.parametrize("name", NORMS)
def test_eps_is_passed_on(ops, name, rng):
    vocabulary.test_eps_is_passed_on(ops, name, rng)


@pytest.mark.parametrize("name", ["relu_conv", "batchnorm_relu"])
def test_relu_passes_nothing_at_zero(ops, name):
    vocabulary.test_relu_passes_nothing_at_zero(ops, name)


@pytest.mark.parametrize("name", ["relu", "elu"])
def test_activation(ops, name, rng):
    vocabulary.test_activation(ops, name, rng)


@each_size
def test_sums_and_moves(ops, size, rng):
    vocabulary.test_add(ops, size, rng)
    for name in ("upsample", "reflection_pad"):
        vocabulary.test_moves_are_exact(ops, name, size, rng)


@pytest.mark.parametrize("config", [NetworkConfig(1, 32), NetworkConfig(1, 12, "elu")])
def test_the_page(ops, config, rng):
    vocabulary.test_the_page(ops, config, rng)


LAYOUTS = {name: change for name, change in vocabulary.LAYOUTS.items() if name != "not aligned"}


def behind_one(a):
    """A copy that begins 4 bytes after an aligned address, as part of a larger buffer."""
    flat = np.empty(a.size + 1, a.dtype)
    flat[1:] = a.reshape(-1)
    return flat[1:].reshape(a.shape)


# elu_conv uses BLAS, whose bits depend on the alignment of an array
@pytest.mark.parametrize("layout", [*LAYOUTS, "behind one"])
@pytest.mark.parametrize("name", [name for name in vocabulary.CALLS if name != "elu_conv"])
def test_any_layout_gives_the_same_bits(ops, layout, name, rng, monkeypatch):
    monkeypatch.setitem(vocabulary.LAYOUTS, "behind one", behind_one)
    vocabulary.test_any_layout_gives_the_same_bits(ops, name, layout, rng)


@each_call
def test_what_is_not_for_a_kernel(ops, name, rng):
    vocabulary.test_float64_goes_to_the_reference(ops, name, rng)
    vocabulary.test_a_batch_of_nothing_gives_nothing(ops, name, rng)


@pytest.mark.parametrize("backward", vocabulary.TYPES)
@pytest.mark.parametrize("first", vocabulary.TYPES)
@pytest.mark.parametrize("others", vocabulary.TYPES)
@each_call
def test_types_may_be_mixed(ops, name, first, others, backward, rng):
    vocabulary.test_types_may_be_mixed(ops, name, first, others, backward, rng)


@pytest.mark.parametrize("case", vocabulary.REFUSED, ids=str)
def test_refuses_what_the_reference_refuses(ops, case):
    vocabulary.test_refuses_what_the_reference_refuses(ops, case)


@pytest.mark.parametrize("cut", [(slice(1, None),), (slice(None), slice(2, None))], ids=str)
@pytest.mark.parametrize(
    "name", [n for n in vocabulary.CALLS if n not in vocabulary.NO_CACHE + vocabulary.BROADCAST]
)
def test_a_gradient_of_another_shape_is_refused(ops, name, cut, rng):
    vocabulary.test_a_gradient_of_another_shape_is_refused(ops, name, cut, rng)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@each_call
def test_what_is_not_finite_stays_so(ops, name, value, rng):
    with np.errstate(invalid="ignore"):
        vocabulary.test_what_is_not_finite_stays_so(ops, name, value, rng)
