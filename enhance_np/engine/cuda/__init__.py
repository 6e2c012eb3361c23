"""The operations of enhance_np.layers on CuPy arrays, by CUDA kernels.

Names, arguments and results are those of the reference. The reference itself also runs on CuPy
arrays; the functions defined here replace some of its functions by kernels. NumPy arrays and
float64 are passed on to the reference. `conv` is for predictions alone, and has no backward pass.
"""

# "as" marks the functions of the reference that are used unchanged
from ...layers import elu as elu
from ...layers import elu_backward as elu_backward
from ...layers import reflection_pad as reflection_pad
from .convolution import conv as conv
from .convolution import conv2d as conv2d
from .convolution import conv2d_backward as conv2d_backward
from .convolution import pad_conv as pad_conv
from .convolution import pad_conv_backward as pad_conv_backward
from .convolution import pad_conv_gradient as pad_conv_gradient
from .convolution import upsample_conv as upsample_conv
from .convolution import upsample_conv_backward as upsample_conv_backward
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
from .pad import reflection_pad_backward as reflection_pad_backward
