"""The bounds of docs/cuda.md: compared with hand calculations, and the page is up to date."""

from collections import Counter

import numpy as np
import pytest

from bench import ROOT
from bench.gpu import roofline
from enhance_np import layers, network, params
from enhance_np.config import DEFAULT, NetworkConfig
from enhance_np.engine.cuda import methods
from enhance_np.inspection.gpu_selftest import work


def named(operations, name):
    (found,) = [one for one in operations if one.name == name]
    return found


def test_a_convolution_by_hand():
    """80,000 pixels of 64 channels, 4 bytes each, in and out, and 9 * 64 * 64 weights."""
    conv = named(roofline.operations(), "3x3, 64 to 64")
    assert conv.bytes == 2 * 80000 * 64 * 4 + 9 * 64 * 64 * 4
    assert conv.flop == 80000 * 64 * 9 * 64 * 2
    a100 = roofline.Card("", 19.5e12, 1555e9, 64, 156e12)
    assert conv.bound(a100) == "arithmetic"
    np.testing.assert_allclose(conv.seconds(a100), 5.89824e9 / 19.5e12)
    winograd = named(roofline.operations(), "the same by Winograd")
    assert winograd.bytes == conv.bytes + 2 * 16 * 64 * 64 * 4
    transforms = 20000 * 64 * (32 + 24) + 64 * 64 * 42  # for 20,000 tiles, and for the weights
    assert winograd.flop == 20000 * 16 * 64 * 64 * 2 + transforms
    assert winograd.times == 0  # not used in a step by default
    add = named(roofline.operations(), "two gradients added")
    assert add.bound(a100) == "memory"
    np.testing.assert_allclose(add.seconds(a100), 3 * 80000 * 64 * 4 / 1555e9)


def test_three_products_by_hand():
    """By the data sheets: 108 multiprocessors of an A100 issue 4 instructions each at 1.41 GHz."""
    found = named(roofline.operations(), roofline.METHODS["3xtf32"])
    conv = named(roofline.operations(), "3x3, 64 to 64")
    t4, a100, ada, h100, _ = roofline.CARDS
    assert (found.flop, found.bytes, found.times) == (3 * conv.flop, conv.bytes, 0)
    # a warp has 32 pixels of 64 channels, and for each 9 * 8 loops of 24 multiply-adds
    loops = 80000 / 32 * 9 * 64 / 24
    assert found.instructions == loops * roofline.LOOP
    assert a100.issue == pytest.approx(4 * 108 * 1.41e9, rel=0.01)
    assert found.bound(a100) == found.bound(ada) == "arithmetic"
    np.testing.assert_allclose(found.seconds(a100), 3 * conv.flop / 156e12)
    assert found.bound(h100) == "issue"
    np.testing.assert_allclose(found.seconds(h100), found.instructions / h100.issue)
    assert found.seconds(ada) > conv.seconds(ada)
    assert not found.runs_on(t4)
    assert conv.runs_on(t4)


def test_a_step_by_a_method():
    found, a100 = roofline.operations(), roofline.CARDS[1]
    before = roofline.total(found, a100)
    for method, name in roofline.METHODS.items():
        step = roofline.by_method(found, method)
        assert sum(one.times for one in step) == sum(one.times for one in found)
        saved = 22 * (
            named(found, "3x3, 64 to 64").seconds(a100) - named(found, name).seconds(a100)
        )
        np.testing.assert_allclose(roofline.total(step, a100), before - saved)
    assert {*roofline.METHODS} == {*methods.METHODS}


@pytest.mark.parametrize("config", [DEFAULT, NetworkConfig(2, 32, refine_filters=128)])
def test_the_work_is_the_networks(config):
    """Of a forward pass, but for the folded convolution, which has 4/9 of its definition's."""
    shape = 2, 6, 8
    found = roofline.operations(config, shape)
    forward = sum(
        one.times * one.flop
        for one in found
        if one.name in ("first 3x3, 1 to 64", "3x3, 64 to 64", "ReLU + 1x1, 64 to 1")
    )
    folded = named(found, "upsampling + 3x3, folded").flop
    assert folded % 4 == 0
    assert forward + folded // 4 * 9 == work(config)["forward"] * 2 * 6 * 8


def test_a_step_has_so_many_of_each():
    """Counted as the page calls them."""
    calls = Counter()

    class Counted:
        def __getattr__(self, name):
            def counted(*arguments, **keywords):
                calls[name] += 1
                return getattr(layers, name)(*arguments, **keywords)

            return counted

    config = NetworkConfig(3, 2)
    p, _ = params.initial(config, 0)
    y, tape = network.forward(p, np.ones((1, 3, 3, 1), np.float32), config, Counted())
    forward = dict(calls)
    network.backward(y, tape, config, Counted(), wrt_x=False)
    times = {one.name: one.times for one in roofline.operations(config)}
    assert forward["pad_conv"] == times["first 3x3, 1 to 64"] + times["3x3, 64 to 64"]
    assert calls["pad_conv_backward"] == times["its dX"]
    assert forward["batchnorm_relu"] == times["scale, shift, ReLU"]
    assert forward["batchnorm_add"] == times["scale, shift, add"]
    assert calls["add"] == times["two gradients added"]
    normalised = forward["batchnorm_relu"] + forward["batchnorm_add"]
    assert normalised == times["batch norm: mean and variance"] == times["backward: dx"]


def test_the_page_has_this_table():
    text = roofline.text(roofline.operations())
    page = (ROOT / "docs" / "cuda.md").read_text(encoding="utf-8")
    assert f"<!-- bench:roofline -->\n\n{text}\n\n<!-- /bench:roofline -->" in page
    text_of_methods = roofline.of_methods(roofline.operations())
    assert f"<!-- bench:methods -->\n\n{text_of_methods}\n\n<!-- /bench:methods -->" in page
    assert "**Bounds, not measurements.**" in text
