"""Tensors in one buffer, on the stand-in for CuPy."""

import numpy as np
import pytest

from enhance_np.engine.cuda.flat import (
    destinations,
    directed,
    flattened,
    layout_of,
    own_layout,
)
from enhance_np.layers.conv import ConvCache

SHAPES = {"stem/w": (3, 3, 1, 5), "stem/b": (5,), "bn/gamma": (7,), "head/w": (1, 1, 5, 1)}


@pytest.fixture
def tensors(stand_in, rng):
    return {
        name: stand_in.asarray(rng.standard_normal(shape).astype(np.float32))
        for name, shape in SHAPES.items()
    }


def test_kernels_are_the_beginning_and_padding_is_zero(tensors):
    flat = flattened(tensors, layout_of(tensors))
    buffer, layout = flat.buffer.get(), flat.layout
    assert list(flat) == list(SHAPES)  # the order in which they were given
    assert layout.kernels == 48 + 8  # 45 and 5, in whole float4
    assert layout.size == 48 + 8 + 8 + 8
    own = np.zeros(layout.size, bool)
    for name, at in layout.places.items():
        assert (at.end <= layout.kernels) == name.endswith("/w")
        assert at.first % 4 == 0
        assert not own[at.first : at.end].any()
        own[at.first : at.first + at.size] = True
        np.testing.assert_array_equal(flat[name].get(), tensors[name].get())
    assert own.sum() == sum(map(np.prod, SHAPES.values()))
    assert not buffer[~own].any()


def test_what_lies_in_one_buffer_stays_there(tensors):
    flat = flattened(tensors, layout_of(tensors))
    assert flattened(flat, own_layout(flat)) is flat
    others = layout_of({name: tensors[name] for name in reversed(tensors)})
    moved = flattened(flat, others)  # another order is another layout
    assert moved is not flat
    np.testing.assert_array_equal(moved["bn/gamma"].get(), tensors["bn/gamma"].get())


def test_an_assignment_writes_to_the_buffer(tensors):
    flat = flattened(tensors, layout_of(tensors))
    flat["stem/b"] -= 2 * tensors["stem/b"]
    flat["bn/gamma"] = tensors["bn/gamma"] * 3
    at = flat.layout.places
    for name, factor in (("stem/b", -1), ("bn/gamma", 3)):
        found = flat.buffer.get()[at[name].first : at[name].first + at[name].size]
        np.testing.assert_array_equal(found, np.float32(factor) * tensors[name].get())


def test_a_cache_with_places_is_still_that_cache(tensors):
    w, b = tensors["stem/w"], tensors["stem/b"]
    cache = ConvCache(w, w)
    placed = directed(cache, w, b)
    assert isinstance(placed, ConvCache)
    assert all(a is w for a in placed)
    assert destinations(cache) == (None, None)
    first, second = destinations(placed)
    assert first is w
    assert second is b
