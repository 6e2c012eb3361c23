"""3x3 convolutions on tensor cores with the error of float32: a method of methods.py.

Three products of TF32 replace one of float32, by kernels/conv3x3_3xtf32.cu, which has not been
timed on a card. It needs compute capability 8.0. The callers have checked the shapes, and x and dy
are `arrays.ready`.
"""

import numpy as np

from ..._array import array_module
from .arrays import ready
from .launch import launch

NEEDS = 80  # compute capability of the card: 8.0
# as in the text of the kernel
THREADS, ROWS, COLUMNS = 128, 4, 32
STAGE, COUTS = 8, 32  # input channels of a stage; output channels are a multiple of these
ZERO, MIRRORED = 0, 1  # argument `edge`: pixels outside an image


def supports(shape: tuple[int, ...]) -> bool:
    """Whether weights of `shape` are supported: (3, 3, Cin, Cout), whole stages and blocks."""
    return len(shape) == 4 and shape[:2] == (3, 3) and shape[2] % STAGE == shape[3] % COUTS == 0


def padded(x, w, b, relu=False, skip=None):
    """convolution.conv."""
    y = array_module(x).empty((*x.shape[:3], w.shape[3]), np.float32)
    return _correlated(x, w, b, skip, y, 1, MIRRORED, relu)


def framed_dx(dy, turned):
    """dX of x framed by its mirror image: (N, H+2, W+2, C).

    turned : the weights, turned by 180 degrees, with their channels exchanged.
    """
    cupy = array_module(dy)
    n, h, w, _ = dy.shape
    cout = turned.shape[3]
    dx = cupy.empty((n, h + 2, w + 2, cout), np.float32)
    return _correlated(dy, turned, cupy.zeros(cout, np.float32), None, dx, 2, ZERO, False)


def _correlated(x, w, b, skip, y, before, edge, relu):
    _, h, wd, cin = x.shape
    n, ho, wo, cout = y.shape
    block = 32 if cout % 64 else 64
    blocks = n * -(-ho // ROWS) * -(-wo // COLUMNS) * (cout // block)
    b = ready(b)
    arrays = x, ready(w), b, b if skip is None else ready(skip), y
    sizes = h, wd, cin, ho, wo, cout, before, edge, int(relu), int(skip is not None)
    launch("conv3x3_3xtf32", f"conv3x3_3xtf32_{block}", blocks, THREADS, *arrays, *sizes)
    return y
