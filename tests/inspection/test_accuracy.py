"""The bounds of gpu-selftest hold if the arithmetic is right, and fail if it is wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from enhance_np import layers
from enhance_np.engine import REFERENCE, Engine
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.engine.cuda import convolution, methods
from enhance_np.inspection import accuracy

SMALL = {"sizes": ((1, 2, 2), (2, 3, 13)), "channels": ((1, 64), (64, 64), (7, 5))}


def engine(name="spoilt", asarray=np.asarray, **changed):
    ops = {name: getattr(layers, name) for name in layers.__all__} | changed
    return Engine(name, SimpleNamespace(**ops), asarray, np.asarray)


def failed(engine, rng):
    return {e.name.split()[0] for e in accuracy.check(engine, rng, **SMALL) if not e.passed}


@pytest.mark.parametrize("one", [REFERENCE, Engine("cpu", cpu, np.asarray, np.asarray)])
def test_both_engines_are_within(one, rng):
    errors = list(accuracy.check(one, rng, **SMALL))
    assert [e for e in errors if not e.passed] == []
    assert max(e.share for e in errors) > 0.01  # the bounds are not far too wide


def test_every_operation_is_asked(rng):
    asked = set()

    class Seen:
        def __getattr__(self, name):
            asked.add(name)
            return getattr(layers, name)

    list(accuracy.check(REFERENCE._replace(ops=Seen()), rng, sizes=[(1, 3, 3)], channels=[(1, 2)]))
    assert asked == set(layers.__all__)


def scaled(name, part, factor):
    """The operation with one of its results multiplied by a factor."""

    def spoilt(*arguments, **named):
        found = getattr(layers, name)(*arguments, **named)
        found = list(found) if isinstance(found, tuple) else [found]
        found[part] = found[part] * np.float32(factor)
        return found[0] if len(found) == 1 else tuple(found)

    return spoilt


RESULTS = {name: [0] for name in layers.__all__}
RESULTS |= {name: [0, 1, 2] for name in RESULTS if name.endswith("_backward")}
RESULTS |= {f"{name}_backward": [0] for name in ("relu", "elu", "upsample", "reflection_pad")}
RESULTS |= {"batchnorm_add_backward": [0, 1, 2, 3], "pad_conv_gradient": [0, 1]}


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in RESULTS.items() for part in parts]
)
def test_every_result_is_held(name, part, rng):
    """An error of one part in a thousand is detected in every result."""
    found = failed(engine(**{name: scaled(name, part, 1.001)}), rng)
    assert any(name.removesuffix("_backward") in one for one in found), found


def test_the_tiles_of_winograd_are_the_convolution(rng):
    """Also, its sum of absolute values exceeds that of the direct sum; for ones, by (8/3)^2."""
    none = np.zeros(4)
    for size in ((1, 4, 4), (2, 5, 7), (1, 8, 9)):
        x, w = (rng.standard_normal(s) for s in ((*size, 5), (3, 3, 5, 4)))
        want, _ = layers.conv2d(x, w, none)
        np.testing.assert_allclose(accuracy.winograd_conv2d(x, w), want, atol=1e-12)
        sizes, _ = layers.conv2d(abs(x), abs(w), none)
        matrices = [abs(a) for a in accuracy.F2]
        assert (accuracy.winograd_conv2d(abs(x), abs(w), matrices) > sizes).all()
        ones = np.ones_like(x), np.ones_like(w)
        sizes, _ = layers.conv2d(*ones, none)
        of_tiles = accuracy.winograd_conv2d(*ones, matrices)
        np.testing.assert_allclose(of_tiles, 64 / 9 * sizes)


@pytest.mark.parametrize("name", accuracy.METHODS)
@pytest.mark.parametrize("factor", [1, 1.001])
def test_a_method_is_held(name, factor, rng, monkeypatch):
    """An error of one part in a thousand is detected; the reference engine takes the place of a
    GPU."""

    def conv(*arguments):
        return np.float32(factor) * convolution.conv(*arguments)

    def backward(*arguments):
        return [np.float32(factor) * a for a in convolution.pad_conv_backward_by(*arguments)]

    monkeypatch.setattr(accuracy, "conv", conv)
    monkeypatch.setattr(accuracy, "pad_conv_backward_by", backward)
    errors = list(accuracy.check_method(REFERENCE, rng, name, SMALL["sizes"]))
    assert [e.name[-1] for e in errors] == ["y", "x", "y", "x"]
    assert {e.passed for e in errors} == {factor == 1}


def test_every_method_has_a_bound():
    assert ["float32", *accuracy.METHODS] == [*methods.METHODS]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_fails(value, rng):
    def add(x, y):
        z = layers.add(x, y)
        z.flat[0] = value
        return z

    assert failed(engine(add=add), rng) == {"add"}


def test_half_precision_fails(rng):
    """With 10 bits instead of 23, as on a tensor core, convolutions exceed their bounds."""

    def pad_conv(x, w, b):
        y, cache = layers.pad_conv(x.astype("f2").astype("f4"), w.astype("f2").astype("f4"), b)
        return y, cache._replace(x=layers.reflection_pad(x, w.shape[0] // 2), w=w)

    assert failed(engine(pad_conv=pad_conv), rng) == {"pad_conv"}
