"""The vocabulary of enhance_np.layers on CuPy arrays: the reference's text, and CUDA kernels.

Same names, arguments and results as the reference. Its text runs on CuPy arrays as it is; what
is defined here replaces it. NumPy arrays and float64 are handed to the reference itself.
"""

import numpy as np

from ... import layers
from ..._array import array_module

# "as" marks what the reference gives as it is
from ...layers import conv2d as conv2d
from ...layers import conv2d_backward as conv2d_backward
from ...layers import elu as elu
from ...layers import elu_backward as elu_backward
from ...layers import gaussian_noise as gaussian_noise
from ...layers import pad_conv as pad_conv
from ...layers import reflection_pad as reflection_pad
from ...layers import upsample_conv as upsample_conv
from . import launch
from .elementwise import add as add
from .elementwise import relu as relu
from .elementwise import relu_backward as relu_backward
from .elementwise import upsample as upsample
from .elementwise import upsample_backward as upsample_backward
from .head import elu_conv as elu_conv
from .head import elu_conv_backward as elu_conv_backward
from .head import relu_conv as relu_conv
from .head import relu_conv_backward as relu_conv_backward
from .normalisation import batchnorm as batchnorm
from .normalisation import batchnorm_add as batchnorm_add
from .normalisation import batchnorm_add_backward as batchnorm_add_backward
from .normalisation import batchnorm_backward as batchnorm_backward
from .normalisation import batchnorm_elu as batchnorm_elu
from .normalisation import batchnorm_elu_backward as batchnorm_elu_backward
from .normalisation import batchnorm_relu as batchnorm_relu
from .normalisation import batchnorm_relu_backward as batchnorm_relu_backward

THREADS = 256  # per block


def pad_conv_backward(dy, cache):
    """See layers.pad_conv_backward."""
    dx, dw, db = conv2d_backward(dy, cache)
    return reflection_pad_backward(dx, cache.w.shape[0] // 2), dw, db


def pad_conv_gradient(dy, cache):
    """See layers.pad_conv_gradient."""
    _, dw, db = conv2d_backward(dy, cache)
    return dw, db


def upsample_conv_backward(dy, cache):
    """See layers.upsample_conv_backward."""
    dx, dw, db = pad_conv_backward(dy, cache)
    return upsample_backward(dx), dw, db


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward. Kernel in kernels/reflect_pad.cu.

    Raises TypeError unless float32 or float64, ValueError for 2^31 elements or more.
    """
    n, hp, wp, c = dy.shape
    h, w = hp - 2 * p, wp - 2 * p
    cupy = array_module(dy)
    if cupy is np or dy.dtype == np.float64 or not 1 <= p < min(h, w):
        return layers.reflection_pad_backward(dy, p)  # which says what is wrong, or copies
    if dy.dtype != np.float32:
        raise TypeError(f"reflection_pad_backward: the CUDA kernel is float32, got {dy.dtype}")
    if dy.size >= 2**31:  # 8192 x 8192 x 64 is past it
        raise ValueError(f"reflection_pad_backward: needs 32-bit indices, got dy.size={dy.size}")
    dy = cupy.ascontiguousarray(dy)
    dx = cupy.empty((n, h, w, c), dy.dtype)
    blocks = launch.blocks_for(dx.size, THREADS)
    launch.launch("reflect_pad", "reflect_pad_backward", blocks, THREADS, dy, dx, n, h, w, c, p)
    return dx
