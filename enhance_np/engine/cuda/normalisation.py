"""Batch normalisation on the GPU, alone and with a ReLU or a sum, by kernels/batchnorm.cu."""

import numpy as np

from ... import layers
from ..._array import array_module
from ...layers.activation import elu, elu_backward
from ...layers.batchnorm import EPS, unshared
from ..joined import BatchNormCache, BatchNormEluCache, BatchNormReluCache
from .arrays import THREADS, by_channel, gradient, ours, pixels, ready, room
from .flat import destinations, directed, given
from .launch import blocks_for, launch


def batchnorm(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm."""
    return _forward("batchnorm", BatchNormCache, x, gamma, beta, eps, moving, total)


def batchnorm_backward(dy, cache, total=unshared):
    """See layers.batchnorm_backward."""
    return _backward("batchnorm_backward", BatchNormCache, dy, cache, total)


def batchnorm_relu(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_relu."""
    return _forward("batchnorm_relu", BatchNormReluCache, x, gamma, beta, eps, moving, total)


def batchnorm_relu_backward(dy, cache, total=unshared):
    """See layers.batchnorm_relu_backward."""
    return _backward("batchnorm_relu_backward", BatchNormReluCache, dy, cache, total)


def batchnorm_elu(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_elu. The ELU is that of the reference."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm_elu(x, gamma, beta, eps, given(moving), total)
    h, cache = batchnorm(x, gamma, beta, eps, moving, total)
    y, _ = elu(h)
    return y, BatchNormEluCache(*cache, y)


def batchnorm_elu_backward(dy, cache, total=unshared):
    """See layers.batchnorm_elu_backward."""
    if not isinstance(cache, BatchNormEluCache):
        return layers.batchnorm_elu_backward(dy, cache)
    *normalised, y = cache
    normalised = directed(BatchNormCache(*normalised), *destinations(cache))
    return batchnorm_backward(elu_backward(dy, y), normalised, total)


def batchnorm_add(x, skip, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_add."""
    if x.shape != skip.shape or not ours(skip) or not _here(x, gamma, beta, moving):
        return layers.batchnorm_add(x, skip, gamma, beta, eps, given(moving), total)
    cache = BatchNormCache(*_statistics(x, gamma, beta, eps, moving, total))
    y = array_module(x).empty(x.shape, x.dtype)
    vectors = cache.mean, cache.inv_std, cache.gamma, cache.beta
    blocks = blocks_for(x.size, 4 * THREADS)
    arguments = cache.x, ready(skip), *vectors, y, x.size, x.shape[-1]
    launch("batchnorm", "normalise_add", blocks, THREADS, *arguments)
    return y, cache


def batchnorm_add_backward(dy, cache, total=unshared):
    """See layers.batchnorm_add_backward."""
    dx, dgamma, dbeta = batchnorm_backward(dy, cache, total)
    return dx, dy, dgamma, dbeta


def _here(x, gamma, beta, moving):
    moving = given(moving)
    vectors = gamma, beta, *(moving or ())
    fit = all(v.shape == x.shape[-1:] for v in vectors)
    enough = moving is not None or x.size >= 2 * x.shape[-1]
    return x.ndim == 4 and ours(x, gamma, beta) and fit and enough


def _statistics(x, gamma, beta, eps, moving, total):
    """The fields of a cache."""
    cupy = array_module(x)
    x, gamma, beta = ready(x), *map(cupy.ascontiguousarray, (gamma, beta))
    if given(moving) is not None:
        mean, var = (cupy.ascontiguousarray(v, dtype=np.float32) for v in moving)
        inv_std = (var + np.float32(eps)) ** np.float32(-0.5)
        return x, inv_std, gamma, mean, var, True, beta
    to = (None, None) if moving is None else (place.array for place in moving)
    mean, var, inv_std = (room(cupy, a, gamma.shape) for a in (*to, None))
    count, c = pixels(x), x.shape[-1]
    lanes, per, blocks = by_channel(count, c)
    partial = cupy.empty((blocks[0], c, 2), np.float64)
    launch("batchnorm", "moments", blocks, THREADS, x, partial, count, c, lanes, per)
    sizes = count, c, per, blocks[0]
    launch("batchnorm", "statistics", c, THREADS, partial, mean, var, inv_std, *sizes, eps)
    if total is not unshared:
        mean, var = _merged(mean, var, count, total)
        inv_std = (var + np.float32(eps)) ** np.float32(-0.5)
    return x, inv_std, gamma, mean, var, False, beta


def _merged(mean, var, count, total):
    """Mean and variance of the whole batch, from those of this worker's part.

    Source: Chan, Golub & LeVeque 1983, The American Statistician 37, equation 2.1.
    """
    means, squares, m = mean.astype("f8"), count * var.astype("f8"), _counted(count, total)
    whole = total(count * means) / m
    var = total(squares + count * (means - whole) ** 2) / m
    return whole.astype(np.float32), var.astype(np.float32)


def _counted(count, total):
    return int(total(np.array(count)))


def _forward(name, kind, x, gamma, beta, eps, moving, total):
    """(y, cache); `kind` is the class of the cache, whose floor bounds y from below."""
    if not _here(x, gamma, beta, moving):
        return getattr(layers, name)(x, gamma, beta, eps, given(moving), total)
    cache = kind(*_statistics(x, gamma, beta, eps, moving, total))
    x, inv_std, gamma, mean, _, _, beta = cache
    y = array_module(x).empty(x.shape, x.dtype)
    arguments = x, mean, inv_std, gamma, beta, cache.floor, y, x.size, x.shape[-1]
    launch("batchnorm", "normalise", blocks_for(x.size, 4 * THREADS), THREADS, *arguments)
    return y, cache


def _backward(name, kind, dy, cache, total):
    """(dx, dgamma, dbeta); dy is used where y is above the cache's floor."""
    if not isinstance(cache, kind):
        return getattr(layers, name)(dy, cache, total)
    x, inv_std, gamma, mean, _, fixed, beta = cache
    cupy = array_module(x)
    dy = gradient(name, dy, x.shape)
    dx = cupy.empty(x.shape, x.dtype)
    to = *destinations(cache), None, None
    dgamma, dbeta, shift, slope = (room(cupy, a, gamma.shape) for a in to)
    count, c = pixels(x), x.shape[-1]
    lanes, per, blocks = by_channel(count, c)
    partial = cupy.empty((blocks[0], c, 2), np.float64)
    seen = dy, x, mean, inv_std, gamma, beta, cache.floor
    launch("batchnorm", "products", blocks, THREADS, *seen, partial, count, c, lanes, per)
    vectors = partial, inv_std, gamma, dgamma, dbeta, shift, slope
    sizes = count, c, blocks[0], int(not fixed)
    launch("batchnorm", "gradients", c, THREADS, *vectors, *sizes)
    if not (fixed or total is unshared):
        m = _counted(count, total)
        shift = gamma * inv_std * total(dbeta) / np.float32(m)
        slope = gamma * inv_std**2 * total(dgamma) / np.float32(m)
    elements = *seen, shift, slope, dx, x.size, c
    blocks = blocks_for(x.size, 4 * THREADS)
    launch("batchnorm", "normalise_backward", blocks, THREADS, *elements)
    return dx, dgamma, dbeta
