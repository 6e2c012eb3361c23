"""The page with operations of which each gives its result alone."""

import numpy as np
import pytest

from enhance_np import layers, network, params
from enhance_np.config import NetworkConfig
from enhance_np.inspection.forward_ops import forward_ops


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("training", [True, False])
def test_the_page_of_single_operations_is_the_page(rng, activation, training):
    def alone(name):
        return lambda *arguments, **keywords: getattr(layers, name)(*arguments, **keywords)[0]

    singles = ("pad_conv", "upsample_conv", "batchnorm", "relu", "elu")
    ops = forward_ops(**{name: alone(name) for name in singles}, add=layers.add)
    config = NetworkConfig(2, 3, activation)
    p, moving = params.initial(config, 0)
    x = rng.standard_normal((2, 5, 6, 1))
    statistics = None if training else moving
    y, tape = network.forward(p, x, config, ops, statistics)
    np.testing.assert_array_equal(y, network.forward(p, x, config, layers, statistics)[0])
    assert set(tape.values()) == {None}
