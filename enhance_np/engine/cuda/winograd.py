"""3x3 convolutions by Winograd's F(2x2, 3x3), by kernels/winograd.cu, as an option.

It needs 4/9 of the multiply-adds of conv3x3.cu, but has not been timed on a card. Only predictions
with engine.select("gpu", winograd=True) use it.
"""

import numpy as np

from ..._array import array_module
from .arrays import ready
from .launch import blocks_for, launch

# as in the text of the kernel
THREADS, PLANES, TILES = 256, 16, 32
STAGE, COUTS = 8, 64  # input channels of a stage, output channels of a block


def is_winograd(shape: tuple[int, ...]) -> bool:
    """Whether weights of `shape` are supported: (3, 3, Cin, Cout), whole stages and blocks."""
    return len(shape) == 4 and shape[:2] == (3, 3) and shape[2] % STAGE == shape[3] % COUTS == 0


def winograd_weights(w):
    """U = G g G^T in the kernel's order: (Cout/64, Cin/8, 16, 8, 64)."""
    _, _, cin, cout = w.shape
    u = array_module(w).empty((cout // COUTS, cin // STAGE, PLANES, STAGE, COUTS), np.float32)
    blocks = blocks_for(cin * cout, THREADS)
    launch("winograd", "winograd_weights", blocks, THREADS, ready(w), u, cin, cout)
    return u


def winograd(x, w, b, relu=False, skip=None):
    """convolution.conv for weights that are `is_winograd`; the caller has checked the shapes."""
    n, h, wd, cin = x.shape
    cout = w.shape[3]
    y = array_module(x).empty((n, h, wd, cout), np.float32)
    b = ready(b)
    blocks = -(-n * -(-h // 2) * -(-wd // 2) // TILES) * (cout // COUTS)
    arrays = ready(x), winograd_weights(w), b, b if skip is None else ready(skip), y
    sizes = n, h, wd, cin, cout, int(relu), int(skip is not None)
    launch("winograd", "winograd", blocks, THREADS, *arrays, *sizes)
    return y
