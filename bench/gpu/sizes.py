"""What bench.gpu.on_card computes, and where a training begins."""

import numpy as np

from bench.gpu import ladder
from enhance_np import params
from enhance_np.config import DEFAULT, NetworkConfig


class Sizes:
    """The tests use smaller ones."""

    config = DEFAULT
    patches = (32, 50), (4, 50)  # (batch, side) of training steps
    images = 400, 1024, 4096  # sides of predictions
    mixed = (37, 45), (200, 170), (64, 300), (37, 45)  # (H, W) of an archive
    large = 1, 1024, 1024, 64, 64  # N, H, W, Cin, Cout of a convolution checked in crops
    shapes = ladder.SHAPES
    copied = 1 << 30  # bytes
    blocks, loops = 132 * 16, 4096  # of the kernel of multiply-adds
    warm_up, repeats = 3, 20


def start(config: NetworkConfig, batch: int, side: int):
    """(p, x, target) on the host."""
    p, _ = params.initial(config, 0)
    rng = np.random.default_rng(2)
    x, target = (rng.standard_normal((batch, s, s, 1)).astype(np.float32) for s in (side, 2 * side))
    return p, x, target
