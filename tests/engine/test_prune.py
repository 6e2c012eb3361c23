"""Channels that cannot change the output are removed, and the output stays the same."""

import numpy as np
import pytest

from enhance_np import layers, params
from enhance_np.config import NetworkConfig
from enhance_np.engine.fold import fold
from enhance_np.engine.prune import Conv, living, pruned
from enhance_np.weights import Weights


def forward(convs, config, x):
    """The output of the folded network, by the reference, in float64."""
    act = getattr(layers, config.activation)

    def conv(h, name):
        return layers.pad_conv(h, *convs[name])[0]

    h = x0 = act(conv(x, "stem/conv"))[0]
    for k in range(config.depth):
        h = h + conv(act(conv(h, f"block{k}/conv1"))[0], f"block{k}/conv2")
    h = layers.upsample(conv(h, "tail/conv") + x0)
    return conv(act(conv(h, "refine/conv"))[0], "head")


def folded(config, rng):
    """A network of random numbers, none of them 0."""
    p, moving = ({k: a + 0.1 for k, a in d.items()} for d in params.initial(config, 0, np.float64))
    p = {k: a + 0.05 * rng.standard_normal(a.shape) for k, a in p.items()}
    return fold(Weights(config, p, moving), np.float64)


def same(convs, found, config, rng):
    x = rng.standard_normal((1, 4, 5, 1))
    want = forward(convs, config, x)
    np.testing.assert_allclose(
        forward(found, config, x), want, rtol=1e-12, atol=1e-13 * abs(want).max()
    )


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("depth", [0, 1, 2, 5])
@pytest.mark.parametrize("multiple", [1, 4])
def test_any_pattern_of_dead_channels(activation, depth, multiple, rng):
    """Output channels whose kernel is zero, with any bias, and input channels that are not read."""
    config = NetworkConfig(depth, 12, activation, refine_filters=10)
    for share in (0.1, 0.5, 0.9):
        convs = folded(config, rng)
        for name, (w, _) in convs.items():
            if name != "head":
                w[..., rng.random(w.shape[3]) < share] = 0
            if name != "stem/conv":
                w[:, :, rng.random(w.shape[2]) < share] = 0
        found = pruned(convs, config, multiple)
        same(convs, found, config, rng)
        sizes = [c.w.shape for c in found.values()]
        assert all(n % multiple == 0 or n in (10, 12) for s in sizes[1:-1] for n in s[2:])
        again = pruned(found, config, multiple)
        assert sizes == [c.w.shape for c in again.values()]


def test_what_remains(rng):
    config = NetworkConfig(2, 8)
    convs = folded(config, rng)
    convs["block0/conv1"].w[..., [1, 5]] = 0  # constants
    convs["block1/conv2"].w[:, :, [0, 2, 3]] = 0  # not read
    convs["refine/conv"].w[..., 7] = 0
    for name in ("block0/conv1", "block1/conv1", "tail/conv", "refine/conv"):
        convs[name].w[:, :, 4] = 0  # a channel of the trunk that is never read
    found = pruned(convs, config)
    assert {name: c.w.shape[2:] for name, c in found.items()} == {
        "stem/conv": (1, 7),
        "block0/conv1": (7, 6), "block0/conv2": (6, 7),
        "block1/conv1": (7, 5), "block1/conv2": (5, 7),
        "tail/conv": (7, 7), "refine/conv": (7, 7), "head": (7, 1),
    }  # fmt: skip
    same(convs, found, config, rng)
    alive = living(convs, config)
    assert list(alive.values()) == [7, 6, 7, 5, 7, 7, 7, 1]


def test_a_constant_channel_of_the_trunk_lives_from_where_it_changes(rng):
    """It is constant after the stem and the first block; the second block adds to it."""
    config = NetworkConfig(2, 6)
    convs = folded(config, rng)
    convs["stem/conv"].w[..., 3] = convs["block0/conv2"].w[..., 3] = 0
    convs["stem/conv"].b[3] = 0.7
    found = pruned(convs, config)
    assert found["tail/conv"].w.shape[2] == 6
    assert not found["block0/conv1"].w[:, :, 3].any()  # the constant is in the bias
    same(convs, found, config, rng)
    convs["block1/conv2"].w[..., 3] = convs["tail/conv"].w[..., 3] = 0
    found = pruned(convs, config)
    assert found["tail/conv"].w.shape[2] == 5
    same(convs, found, config, rng)


def test_one_death_brings_another(rng):
    """A channel is dead if only dead channels read it, and constant if it reads only constants."""
    config = NetworkConfig(1, 5)
    convs = folded(config, rng)
    for name in ("tail/conv", "refine/conv"):
        convs[name].w[:, :, 2] = 0
    convs["block0/conv1"].w[:, :, 2, 1:] = 0
    # now channel 0 of block0/conv1 is dead, and so is channel 2 of the trunk
    convs["block0/conv2"].w[:, :, 0] = 0
    assert pruned(convs, config)["tail/conv"].w.shape[2:] == (4, 4)
    same(convs, pruned(convs, config), config, rng)
    convs = folded(config, rng)
    convs["stem/conv"].w[...] = 0
    found = pruned(convs, config)
    assert {c.w.shape[2:] for c in found.values()} == {(1, 1)}  # nothing depends on the image
    same(convs, found, config, rng)


def test_kernels_that_weight_decay_killed_count_as_zero(rng):
    config = NetworkConfig(1, 6)
    convs = folded(config, rng)
    convs["block0/conv1"].w[..., :3] *= 1e-12
    found = pruned(convs, config)
    assert found["block0/conv1"].w.shape[3] == 3
    x = rng.standard_normal((1, 4, 5, 1))
    want = forward(convs, config, x)
    assert abs(forward(found, config, x) - want).max() <= 2**-24 * abs(want).max()


def test_nothing_dead_changes_no_bit(rng):
    config = NetworkConfig(2, 6, "elu")
    convs = folded(config, rng)
    before = {name: Conv(w.copy(), b.copy()) for name, (w, b) in convs.items()}
    for name, conv in pruned(convs, config, 4).items():
        np.testing.assert_array_equal(conv.w, before[name].w)
        np.testing.assert_array_equal(conv.b, before[name].b)
        np.testing.assert_array_equal(convs[name].w, before[name].w)  # the input is unchanged too
