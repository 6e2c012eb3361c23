"""The zero level of a magnetogram network: a zero input gives a zero output.

No polarity is preferred, so f(-x) = -f(x) should hold, and the training pairs have random
polarities. Training reaches this only approximately. One default network kept f(0) = 0.47 G, and
0.4 G over all quiet pixels of three HMI full discs of 720 s. That is a hundredth of the error of a
pixel, but the same in every pixel, which adds up to 6e21 Mx of net flux on a disc.
bench/quality/zero_level.py measures the zero level of the shipped networks.
"""

from dataclasses import replace

import numpy as np

from .. import network
from ..weights import Weights


def offset(weights: Weights) -> float:
    """f(0) in kG, the mean over the output; reflection padding keeps a constant constant."""
    none = np.zeros((1, 4, 4, 1), np.float64)
    y, _ = network.forward(weights.params, none, weights.config, moving=weights.moving)
    return float(y.mean())


def levelled(weights: Weights) -> Weights:
    """The same network with its offset subtracted from the head's bias."""
    bias = weights.params["head/b"] - offset(weights)
    params = weights.params | {"head/b": bias.astype(weights.params["head/b"].dtype)}
    return replace(weights, params=params)
