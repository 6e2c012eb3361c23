"""3x3 convolutions by Winograd's F(2x2, 3x3), by kernels/winograd.cu: a method of methods.py.

It needs 4/9 of the multiply-adds of conv3x3.cu, but has not been timed on a card. The callers have
checked the shapes, and x and dy are `arrays.ready`.
"""

import numpy as np

from ..._array import array_module
from .arrays import ready
from .launch import blocks_for, launch

NEEDS = 0  # compute capability of the card: any
# as in the text of the kernel
THREADS, PLANES, TILES = 256, 16, 32
STAGE, COUTS = 8, 64  # input channels of a stage, output channels of a block


def supports(shape: tuple[int, ...]) -> bool:
    """Whether weights of `shape` are supported: (3, 3, Cin, Cout), whole stages and blocks."""
    return len(shape) == 4 and shape[:2] == (3, 3) and shape[2] % STAGE == shape[3] % COUTS == 0


def padded(x, w, b, relu=False, skip=None):
    """convolution.conv."""
    y = array_module(x).empty((*x.shape[:3], w.shape[3]), np.float32)
    b = ready(b)
    arrays = x, winograd_weights(w), b, b if skip is None else ready(skip), y
    sizes = *x.shape, w.shape[3], int(relu), int(skip is not None)
    launch("winograd", "winograd", _blocks(y), THREADS, *arrays, *sizes)
    return y


def framed_dx(dy, turned):
    """dX of x framed by its mirror image: (N, H+2, W+2, C).

    turned : the weights, turned by 180 degrees, with their channels exchanged.
    """
    cupy = array_module(dy)
    n, h, w, cin = dy.shape
    cout = turned.shape[3]
    dx = cupy.empty((n, h + 2, w + 2, cout), np.float32)
    arrays = dy, winograd_weights(turned), cupy.zeros(cout, np.float32), dx
    launch("winograd", "winograd_dx", _blocks(dx), THREADS, *arrays, n, h, w, cin, cout)
    return dx


def winograd_weights(w):
    """U = G g G^T in the kernel's order: (Cout/64, Cin/8, 16, 8, 64)."""
    _, _, cin, cout = w.shape
    u = array_module(w).empty((cout // COUTS, cin // STAGE, PLANES, STAGE, COUTS), np.float32)
    blocks = blocks_for(cin * cout, THREADS)
    launch("winograd", "winograd_weights", blocks, THREADS, ready(w), u, cin, cout)
    return u


def _blocks(y):
    n, h, w, cout = y.shape
    return -(-n * -(-h // 2) * -(-w // 2) // TILES) * (cout // COUTS)
