"""The operations of enhance_np.layers on CPU cores: float32, numba, all threads.

Names, arguments and results are those of the reference, so training uses network.py as it is.
float64 is passed on to the reference. BLAS is not used, because its threads would compete with
those of the engine.
"""

# "as" marks the functions of the reference that are used unchanged
from ...layers import elu as elu
from ...layers import elu_backward as elu_backward
from .convolution import conv2d as conv2d
from .convolution import conv2d_backward as conv2d_backward
from .convolution import pad_conv as pad_conv
from .convolution import pad_conv_backward as pad_conv_backward
from .convolution import pad_conv_gradient as pad_conv_gradient
from .convolution import reflection_pad as reflection_pad
from .convolution import reflection_pad_backward as reflection_pad_backward
from .convolution import upsample_conv as upsample_conv
from .convolution import upsample_conv_backward as upsample_conv_backward
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
from .pointwise import add as add
from .pointwise import relu as relu
from .pointwise import relu_backward as relu_backward
from .pointwise import upsample as upsample
from .pointwise import upsample_backward as upsample_backward
