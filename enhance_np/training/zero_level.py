"""The zero level of a magnetogram network: no field gives none.

No polarity is preferred, so f(-x) = -f(x) would be right, and the pairs say so, with polarities
drawn at random. Training only comes near it. A default network was left with f(0) = 0.47 G, and
with 0.4 G over all quiet pixels of three HMI full discs of 720 s: a hundredth of the error in a
pixel, but the same in every one, which makes 6e21 Mx of net flux on a disc. What the networks that
ship leave there: bench/zero_level.py.
"""

from dataclasses import replace

import numpy as np

from .. import network
from ..weights import Weights


def offset(weights: Weights) -> float:
    """f(0) in kG. The padding mirrors, so it is the same in each of the four pixels of a pixel."""
    none = np.zeros((1, 4, 4, 1), np.float64)
    y, _ = network.forward(weights.params, none, weights.config, moving=weights.moving)
    return float(y.mean())


def levelled(weights: Weights) -> Weights:
    """The same network without its offset: the head's bias takes it away."""
    bias = weights.params["head/b"] - offset(weights)
    params = weights.params | {"head/b": bias.astype(weights.params["head/b"].dtype)}
    return replace(weights, params=params)
