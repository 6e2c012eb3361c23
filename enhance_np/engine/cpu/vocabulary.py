"""The operations of enhance_np.layers on CPU cores: float32, numba, all threads.

Names, arguments and results are those of the reference, so training uses network.py as it is.
float64 is passed on to the reference. BLAS is not used, because its threads would compete with
those of the engine.
"""

import numpy as np

from ... import layers
from ..._threads import cut

# "as" marks the functions of the reference that are used unchanged
from ...layers import elu as elu
from ...layers import elu_backward as elu_backward
from ...layers import gaussian_noise as gaussian_noise
from ...layers.batchnorm import EPS
from ...layers.conv import ConvCache
from ..joined import (
    BatchNormCache,
    BatchNormEluCache,
    BatchNormReluCache,
    ReluConvCache,
    act_conv,
    act_conv_backward,
)
from . import direct, elementwise, memory, winograd
from .subnormal import parallel

# Floats of an elementwise task: 1 MB, which fits into L2 on current cores. Tasks depend only on the
# arrays, and so do the bits of sums.
ELEMENTS = 2**18


def reflection_pad(x, p=1):
    """See layers.reflection_pad."""
    _, h, w, _ = x.shape
    if x.dtype != np.float32 or not 1 <= p < min(h, w):
        return layers.reflection_pad(x, p)  # raises the error, or copies
    return direct.framed(x, p, p, reflect=True)


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward."""
    n, h, w, c = dy.shape
    h, w = h - 2 * p, w - 2 * p
    if dy.dtype != np.float32 or not 1 <= p < min(h, w):
        return layers.reflection_pad_backward(dy, p)
    dx = memory.empty((n, h, w, c))
    dy = np.ascontiguousarray(dy)
    parallel(lambda i: elementwise.fold_frame(dy[i], p, dx[i]), range(n))
    return dx


def conv2d(x, w, b):
    """See layers.conv2d."""
    if not _ours(x, w):
        return layers.conv2d(x, w, b)
    layers.conv.check("conv2d", x, w, b)
    x = np.ascontiguousarray(x)
    if _by_winograd(x, w):
        return winograd.conv(x, w, b, 0), ConvCache(x, w)
    return direct.correlate(x, w, b), ConvCache(x, w)


def conv2d_backward(dy, cache):
    """See layers.conv2d_backward.

    dX is a convolution of dY, padded with zeros, with the kernel rotated by 180 degrees and its
    channels exchanged. dW is a product over tiles or pixels.
    """
    x, w = cache
    if not _ours(x, w):
        return layers.conv2d_backward(dy, cache)
    n, h, wd, _ = x.shape
    dy = _gradient("conv2d_backward", dy, (n, h - len(w) + 1, wd - w.shape[1] + 1, w.shape[3]))
    if _by_winograd(x, w):
        return winograd.conv_backward(dy, x, w, 0)
    kh, kw, *_ = w.shape
    none = np.zeros(w.shape[2], np.float32)
    framed = direct.framed(dy, kh - 1, kw - 1, reflect=False)
    dx = direct.correlate(framed, winograd.turned(w), none)
    return dx, *direct.kernel_gradient(x, dy, w.shape)


def pad_conv(x, w, b):
    """See layers.pad_conv. With Winograd, the cache keeps x without padding."""
    if w.ndim != 4 or w.shape[0] != w.shape[1]:
        return layers.pad_conv(x, w, b)  # raises the error
    p = w.shape[0] // 2
    if not _by_winograd(x, w) or x.ndim != 4 or min(x.shape[1:3]) < 2:
        return conv2d(reflection_pad(x, p) if p else x, w, b)
    layers.conv.check_channels("pad_conv", x, w, b)
    x = np.ascontiguousarray(x)
    return winograd.conv(x, w, b, p, "reflect"), ConvCache(x, w)


def pad_conv_backward(dy, cache):
    """See layers.pad_conv_backward."""
    x, w = cache
    p = w.shape[0] // 2
    if not _by_winograd(x, w):
        dx, dw, db = conv2d_backward(dy, cache)
        return (reflection_pad_backward(dx, p) if p else dx), dw, db
    dy = _gradient("pad_conv_backward", dy, (*x.shape[:3], w.shape[3]))
    return winograd.conv_backward(dy, x, w, p, "reflect")


def pad_conv_gradient(dy, cache):
    """See layers.pad_conv_gradient. Without Winograd, dX is not computed."""
    x, w = cache
    if _by_winograd(x, w) or not _ours(x, w):
        _, dw, db = pad_conv_backward(dy, cache)
        return dw, db
    p = w.shape[0] // 2
    n, h, wd, _ = x.shape
    dy = _gradient("pad_conv_gradient", dy, (n, h - 2 * p, wd - 2 * p, w.shape[3]))
    return direct.kernel_gradient(x, dy, w.shape)


def upsample_conv(x, w, b):
    """See layers.upsample_conv. With Winograd, the cache keeps x itself."""
    if not _by_winograd(x, w):
        return pad_conv(upsample(x), w, b)
    layers.conv.check_channels("upsample_conv", x, w, b)
    x = np.ascontiguousarray(x)
    return winograd.upsample_conv(x, w, b), ConvCache(x, w)


def upsample_conv_backward(dy, cache):
    """See layers.upsample_conv_backward."""
    x, w = cache
    if not _by_winograd(x, w):
        dx, dw, db = pad_conv_backward(dy, cache)
        return upsample_backward(dx), dw, db
    n, h, wd, _ = x.shape
    dy = _gradient("upsample_conv_backward", dy, (n, 2 * h, 2 * wd, w.shape[3]))
    return winograd.upsample_conv_backward(dy, x, w)


def batchnorm(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm."""
    if not _normalised_here(x, gamma, beta, moving):
        return layers.batchnorm(x, gamma, beta, eps, moving)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving), beta)
    return _scaled(cache), cache


def batchnorm_backward(dy, cache):
    """See layers.batchnorm_backward."""
    if not isinstance(cache, BatchNormCache):
        return layers.batchnorm_backward(dy, cache)
    return _batchnorm_backward("batchnorm_backward", dy, cache)


def batchnorm_relu(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_relu."""
    if not _normalised_here(x, gamma, beta, moving):
        return layers.batchnorm_relu(x, gamma, beta, eps, moving)
    cache = BatchNormReluCache(*_statistics(x, gamma, eps, moving), beta)
    return _scaled(cache), cache


def batchnorm_relu_backward(dy, cache):
    """See layers.batchnorm_relu_backward."""
    if not isinstance(cache, BatchNormReluCache):
        return layers.batchnorm_relu_backward(dy, cache)
    return _batchnorm_backward("batchnorm_relu_backward", dy, cache)


def batchnorm_add(x, skip, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_add."""
    same = x.shape == skip.shape and skip.dtype == np.float32
    if not (same and _normalised_here(x, gamma, beta, moving)):
        return layers.batchnorm_add(x, skip, gamma, beta, eps, moving)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving), beta)

    def kernel(x, skip, y):
        elementwise.scale_shift_add(x, cache.mean, gamma * cache.inv_std, beta, skip, y)

    return _elementwise(kernel, cache.x, skip), cache


def batchnorm_add_backward(dy, cache):
    """See layers.batchnorm_add_backward."""
    dx, dgamma, dbeta = batchnorm_backward(dy, cache)
    return dx, dy, dgamma, dbeta


def _normalised_here(x, gamma, beta, moving):
    few = x.size < 2 * max(1, x.shape[-1])
    fit = all(v.shape == x.shape[-1:] for v in (gamma, beta, *(moving or ())))
    return x.dtype == np.float32 and fit and not few


def _statistics(x, gamma, eps, moving):
    """x, inv_std, gamma, mean, var, fixed: the first fields of a cache."""
    x = np.ascontiguousarray(x)
    mean, var = _measured(x) if moving is None else (np.asarray(m, np.float32) for m in moving)
    inv_std = (var + np.float32(eps)) ** np.float32(-0.5)
    return x, inv_std, gamma, mean, var, moving is not None


def _measured(x):
    """Mean and variance of each channel.

    They are measured for each piece, while it is in the cache, and then merged.
    Source: Chan, Golub & LeVeque 1983, The American Statistician 37, equation 2.1.
    """
    flat = _pixels(x)
    pieces = _pieces(flat)
    means, squares = np.stack(
        parallel(lambda at: elementwise.moments(flat[slice(*at)]), pieces), axis=1
    )
    sizes = np.array([[last - first] for first, last in pieces])
    mean = (sizes * means).sum(axis=0) / len(flat)
    var = (squares + sizes * (means - mean) ** 2).sum(axis=0) / len(flat)
    return mean.astype(np.float32), var.astype(np.float32)


def _scaled(cache):
    """y of batch norm, or of batch norm and ReLU, from the cache."""
    scale = cache.gamma * cache.inv_std

    def kernel(x, y):
        elementwise.scale_and_shift(x, cache.mean, scale, cache.beta, cache.floor, y)

    return _elementwise(kernel, cache.x)


def _batchnorm_backward(name, dy, cache):
    """(dx, dgamma, dbeta); dy is used where y is above the cache's floor."""
    dy = _gradient(name, dy, cache.x.shape)
    flat, x = _pixels(dy), _pixels(cache.x)
    _, inv_std, gamma, mean, _, fixed, beta = cache
    channels = mean, gamma * inv_std, beta, cache.floor

    def sums(at):
        return elementwise.channel_products(flat[slice(*at)], x[slice(*at)], *channels)

    dbeta, dgamma = np.sum(parallel(sums, _pieces(flat)), axis=0)
    dgamma = dgamma * inv_std
    shift, slope = gamma * inv_std * dbeta / len(flat), gamma * inv_std**2 * dgamma / len(flat)
    through = np.float32(not fixed)  # 1 if mean and variance depend on x, else 0
    shift, slope = through * shift.astype(np.float32), through * slope.astype(np.float32)

    def kernel(dy, x, dx):
        elementwise.normalise_backward(dy, x, *channels, shift, slope, dx)

    dx = _elementwise(kernel, dy, cache.x)
    return dx, dgamma.astype(np.float32), dbeta.astype(np.float32)


def relu(x):
    """See layers.relu."""
    if x.dtype != np.float32 or x.ndim < 2:
        return layers.relu(x)
    y = _elementwise(elementwise.relu, x)
    return y, y


def relu_backward(dy, y):
    """See layers.relu_backward."""
    if dy.dtype != np.float32 or dy.ndim < 2:
        return layers.relu_backward(dy, y)
    return _elementwise(elementwise.relu_backward, _gradient("relu_backward", dy, y.shape), y)


def batchnorm_elu(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_elu."""
    if not _normalised_here(x, gamma, beta, moving):
        return layers.batchnorm_elu(x, gamma, beta, eps, moving)
    h, cache = batchnorm(x, gamma, beta, eps, moving)
    y, _ = elu(h)
    return y, BatchNormEluCache(*cache, y)


def batchnorm_elu_backward(dy, cache):
    """See layers.batchnorm_elu_backward."""
    if not isinstance(cache, BatchNormEluCache):
        return layers.batchnorm_elu_backward(dy, cache)
    *normalised, y = cache
    return batchnorm_backward(elu_backward(dy, y), BatchNormCache(*normalised))


def relu_conv(x, w, b):
    """See layers.relu_conv. For one output channel, relu(x) is not stored."""
    if x.ndim != 4 or not _ours(x, w) or (w.shape, b.shape) != ((1, 1, x.shape[-1], 1), (1,)):
        return act_conv(relu, pad_conv, x, w, b)
    y = memory.empty((*x.shape[:3], 1))
    flat, kernel = _pixels(x), direct.flat(w)

    def piece(at):
        elementwise.relu_dot(flat[slice(*at)], kernel, b[0], y.reshape(-1)[slice(*at)])

    parallel(piece, _pieces(flat))
    return y, ReluConvCache(flat.reshape(x.shape), w)


def relu_conv_backward(dy, cache):
    """See layers.relu_conv_backward."""
    if not isinstance(cache, ReluConvCache):
        return act_conv_backward(relu_backward, pad_conv_backward, dy, cache)
    x, w = cache
    dy = _gradient("relu_conv_backward", dy, (*x.shape[:3], 1))
    flat, flat_dy, kernel = _pixels(x), dy.reshape(-1), direct.flat(w)
    dx = memory.empty(flat.shape)

    def piece(at):
        at, sums = slice(*at), np.zeros(flat.shape[1])
        elementwise.relu_dot_backward(flat_dy[at], flat[at], kernel, dx[at], sums)
        return sums

    dw = np.sum(parallel(piece, _pieces(flat)), axis=0).astype(np.float32)
    return dx.reshape(x.shape), dw.reshape(w.shape), dy.sum(dtype=np.float64).astype("f4")[None]


def elu_conv(x, w, b):
    """See layers.elu_conv."""
    return act_conv(elu, pad_conv, x, w, b)


def elu_conv_backward(dy, cache):
    """See layers.elu_conv_backward."""
    return act_conv_backward(elu_backward, pad_conv_backward, dy, cache)


def add(x, y):
    """See layers.add."""
    if x.dtype != np.float32 or y.dtype != np.float32 or x.ndim < 2 or x.shape != y.shape:
        return layers.add(x, y)
    return _elementwise(elementwise.add, x, y)


def upsample(x):
    """See layers.upsample."""
    if x.dtype != np.float32:
        return layers.upsample(x)
    n, h, w, c = x.shape
    x, y = np.ascontiguousarray(x), memory.empty((n, 2 * h, 2 * w, c))
    parallel(lambda i: elementwise.upsample(x[i], y[i]), range(n))
    return y


def upsample_backward(dy):
    """See layers.upsample_backward."""
    n, h, w, c = dy.shape
    if dy.dtype != np.float32 or h % 2 or w % 2:
        return layers.upsample_backward(dy)
    dy, dx = np.ascontiguousarray(dy), memory.empty((n, h // 2, w // 2, c))
    parallel(lambda i: elementwise.upsample_backward(dy[i], dx[i]), range(n))
    return dx


def _ours(x, w):
    """Whether this engine does a convolution; float64 and empty batches go to the reference."""
    return x.dtype == w.dtype == np.float32 and x.size > 0


def _by_winograd(x, w):
    return _ours(x, w) and winograd.is_winograd(w.shape)


def _gradient(name, dy, shape):
    """dy as the kernels need it, which would read beyond the end of another shape."""
    if dy.shape != shape:
        raise ValueError(f"{name}: dy must be {shape}, got dy.shape={dy.shape}")
    return np.ascontiguousarray(dy, np.float32)


def _elementwise(kernel, *inputs):
    """y, from kernel(*inputs, y) on pieces of arrays of one shape."""
    flat = [_pixels(x) for x in inputs]
    y = memory.empty(flat[0].shape)
    parallel(lambda at: kernel(*(x[slice(*at)] for x in flat), y[slice(*at)]), _pieces(y))
    return y.reshape(inputs[0].shape)


def _pieces(flat):
    pixels, channels = flat.shape
    return cut(pixels, max(1, ELEMENTS // channels))


def _pixels(x):
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])
