"""The reference operations: pairs of pure functions, with the same code for NumPy and CuPy.

    op(x, *params) -> y, cache
    op_backward(dy, cache) -> dx[, *dparams]

Linear operations without parameters have no cache. No argument is changed in place, and the dtype
of the result is that of the input. Arrays are (N, H, W, C), kernels (kh, kw, Cin, Cout).
An engine (see enhance_np.engine) provides faster functions of the same names and results.
"""

from .activation import elu, elu_backward, relu, relu_backward
from .add import add
from .batchnorm import batchnorm, batchnorm_backward
from .conv import conv2d, conv2d_backward, pad_conv, pad_conv_backward, pad_conv_gradient
from .joined import (
    batchnorm_add,
    batchnorm_add_backward,
    batchnorm_elu,
    batchnorm_elu_backward,
    batchnorm_relu,
    batchnorm_relu_backward,
    elu_conv,
    elu_conv_backward,
    relu_conv,
    relu_conv_backward,
)
from .pad import reflection_pad, reflection_pad_backward
from .upsample import upsample, upsample_backward, upsample_conv, upsample_conv_backward

__all__ = [
    "add",
    "batchnorm",
    "batchnorm_add",
    "batchnorm_add_backward",
    "batchnorm_backward",
    "batchnorm_elu",
    "batchnorm_elu_backward",
    "batchnorm_relu",
    "batchnorm_relu_backward",
    "conv2d",
    "conv2d_backward",
    "elu",
    "elu_backward",
    "elu_conv",
    "elu_conv_backward",
    "pad_conv",
    "pad_conv_backward",
    "pad_conv_gradient",
    "reflection_pad",
    "reflection_pad_backward",
    "relu",
    "relu_backward",
    "relu_conv",
    "relu_conv_backward",
    "upsample",
    "upsample_backward",
    "upsample_conv",
    "upsample_conv_backward",
]

# Operations that the others are made of; network.py calls the rest
PARTS = (
    "batchnorm",
    "batchnorm_backward",
    "conv2d",
    "conv2d_backward",
    "reflection_pad",
    "reflection_pad_backward",
    "upsample",
    "upsample_backward",
)
PAGE = tuple(name for name in __all__ if name not in PARTS)
