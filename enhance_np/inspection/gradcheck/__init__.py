"""Checks every backward pass of an engine: `enhance-np gradcheck`.

Let J be the Jacobian of an operation at its input, v a random direction in the input and dy a
random gradient in the output. The backward pass gives J^T dy, so that

    <J^T dy, v> = <J v, dy>,                      "analytic" = "measured".

Where the operation is affine in the input (padding, convolution, upsampling, sums, a bias), J v is
f(v) - f(0): an adjoint test. Elsewhere J v is a central difference of the reference's forward pass
in float64. One direction needs only a few forward passes, whatever the size. dy is random, because
dy = 1 makes batch norm's dx and dgamma zero, and a wrong formula that gives zero would pass.

"allowed" is a bound, not a tolerance: on the rounding (accuracy.py, in float64 for the reference
and in float32 for other engines), and on the truncation of the difference.

A ReLU has no derivative where its input is 0, and an ELU no second one. If the input of an
activation changes sign within the step, the difference does not measure the gradient. The check is
then a kink, neither right nor wrong.

An engine in float32 is also compared with the reference in float64, element by element. Every
joined operation (pad_conv) must agree with the chain of its parts (reflection_pad, conv2d), which
an engine need not call. The network is checked last, layer by layer in the order of its backward
pass. What fails first is the culprit.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ... import network
from ...config import ACTIVATIONS, NetworkConfig
from ...engine import REFERENCE, Engine
from .check import STEP, Check, raised
from .operations import check_operation, check_operations
from .page import check_network

__all__ = ["STEP", "Check", "check_all", "check_network", "check_operation", "check_operations"]

# (Cin, Cout), and filters of the network. The engines have ways of their own with whole vectors of
# channels, as for Winograd's convolution, with one channel in and with one out
REFERENCE_CHANNELS, REFERENCE_FILTERS = ((3, 4),), 4
CHANNELS, FILTERS = ((3, 4), (32, 32), (1, 32), (32, 1)), 32
DEPTH = 2  # residual blocks: one behind the other


def check_all(
    seed: int = 0,
    coordinates: int = 0,
    engine: Engine = REFERENCE,
    backward: Callable = network.backward,
) -> Iterator[Check]:
    """Checks every operation, and the network with both activations and both kinds of statistics.

    coordinates : entries of every tensor to check one by one.
    backward : in place of network.backward.
    """
    rng = np.random.default_rng(seed)
    own = engine.name == REFERENCE.name
    channels, filters = (REFERENCE_CHANNELS, REFERENCE_FILTERS) if own else (CHANNELS, FILTERS)
    yield from check_operations(engine, rng, channels=channels, coordinates=coordinates)
    for activation in ACTIVATIONS:
        for moving in (False, True):
            config = NetworkConfig(DEPTH, filters, activation)
            try:
                yield from check_network(
                    rng, config, engine=engine, moving=moving, coordinates=coordinates,
                    backward=backward,
                )  # fmt: skip
            except Exception as error:
                yield raised(f"network {activation}", error)
