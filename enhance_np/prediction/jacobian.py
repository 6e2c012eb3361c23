"""How much of the input's noise reaches each pixel of the output: the second use of backprop.

Training asks `network.backward` for the gradient of a loss. Given dy = 1 at one output pixel i and
0 elsewhere, the same function returns row i of the network's Jacobian, J_ij = d y_i / d x_j: the
weights with which small changes of the input reach this output. White noise of sigma in the input
therefore becomes noise of sigma times the norm of the row in the output,

    var y_i = sigma^2 sum_j J_ij^2,        noise gain of i = sqrt(sum_j J_ij^2),

as long as the noise is so small that the network is linear in it.

One backward pass serves many pixels. A row is nearly zero beyond a few input pixels, so the rows of
a coarse lattice of output pixels do not meet, and dy = 1 at all of them gives these rows side by
side in one array.
"""

from collections.abc import Iterable
from itertools import product

import numpy as np

from .. import network
from ..engine import REFERENCE, Engine
from ..weights import Weights

SPACING = 10  # input pixels


def noise_gain(
    x: np.ndarray,
    weights: Weights,
    *,
    spacing: int = SPACING,
    lattices: Iterable[tuple[int, int]] | None = None,
    engine: Engine = REFERENCE,
) -> np.ndarray:
    """Sigma of the output's noise over that of small white noise in the input.

    x : (H, W) or (N, H, W), float32 or float64, without gaps, normalised: intensity over the quiet
    Sun's, or kG.
    spacing : input pixels between two pixels of a lattice. What a row has nearer to another pixel
    of the lattice is counted for that one; from 4 depth + 6 on, a row ends before.
    lattices : the first output pixel (row, column) of each lattice, both below 2 spacing; the
    others of a lattice follow at every 2 spacing pixels. Each takes one backward pass. None takes
    all, (2 spacing)^2, and thus every pixel.

    Returns (2H, 2W) or (N, 2H, 2W) float64, NaN where no lattice has a pixel.
    Raises ValueError for another shape, a spacing below 1 or a lattice that begins elsewhere.
    """
    step = 2 * spacing
    lattices = list(product(range(step), repeat=2) if lattices is None else lattices)
    if x.ndim not in (2, 3) or min(x.shape[-2:]) < 2:
        raise ValueError(f"noise_gain: x must be (H, W) or (N, H, W), H, W >= 2, got {x.shape}")
    if spacing < 1 or not all(0 <= at < step for first in lattices for at in first):
        raise ValueError(
            "noise_gain: spacing must be 1 or more, and each lattice begin below 2 spacing, "
            f"got spacing={spacing}, lattices={lattices[:5]}"
        )
    p, moving = (
        {name: engine.asarray(a.astype(x.dtype)) for name, a in group.items()}
        for group in (weights.params, weights.moving)
    )
    images = np.ascontiguousarray(x.reshape(-1, *x.shape[-2:], 1))
    y, tape = network.forward(p, engine.asarray(images), weights.config, engine.ops, moving)
    gain = np.full(y.shape[:3], np.nan)
    for row, column in lattices:
        at = (slice(None), slice(row, None, step), slice(column, None, step))
        dy = np.zeros(y.shape, x.dtype)
        dy[at] = 1
        if not dy.any():  # the lattice begins beyond a small image
            continue
        dx, _ = network.backward(engine.asarray(dy), tape, weights.config, engine.ops)
        energy = np.square(engine.asnumpy(dx)[..., 0], dtype=np.float64)
        for axis, first in ((1, row), (2, column)):
            energy = np.add.reduceat(energy, _nearest(first, step, gain.shape[axis]), axis)
        gain[at] = np.sqrt(energy)
    return gain.reshape(*x.shape[:-2], *gain.shape[1:])


def _nearest(first: int, step: int, size: int) -> np.ndarray:
    """The first input line of each pixel's share: the lines that are nearer to it than to another.

    first, step, size : of the lattice and the image, in output pixels along one axis.
    """
    centres = (np.arange(first, size, step) - 0.5) / 2  # in input lines
    return np.concatenate([[0], np.ceil((centres[1:] + centres[:-1]) / 2)]).astype(int)
