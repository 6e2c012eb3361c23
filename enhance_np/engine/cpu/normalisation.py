"""Batch normalisation on CPU cores, alone and with an activation or a sum."""

import numpy as np

from ... import layers
from ...layers.activation import elu, elu_backward
from ...layers.batchnorm import EPS
from ..joined import BatchNormCache, BatchNormEluCache, BatchNormReluCache
from . import elementwise
from .arrays import gradient, mapped, pixels, tasks
from .subnormal import parallel


def batchnorm(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm(x, gamma, beta, eps, moving)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving), beta)
    return _scaled(cache), cache


def batchnorm_backward(dy, cache):
    """See layers.batchnorm_backward."""
    if not isinstance(cache, BatchNormCache):
        return layers.batchnorm_backward(dy, cache)
    return _backward("batchnorm_backward", dy, cache)


def batchnorm_relu(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_relu."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm_relu(x, gamma, beta, eps, moving)
    cache = BatchNormReluCache(*_statistics(x, gamma, eps, moving), beta)
    return _scaled(cache), cache


def batchnorm_relu_backward(dy, cache):
    """See layers.batchnorm_relu_backward."""
    if not isinstance(cache, BatchNormReluCache):
        return layers.batchnorm_relu_backward(dy, cache)
    return _backward("batchnorm_relu_backward", dy, cache)


def batchnorm_add(x, skip, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_add."""
    same = x.shape == skip.shape and skip.dtype == np.float32
    if not (same and _here(x, gamma, beta, moving)):
        return layers.batchnorm_add(x, skip, gamma, beta, eps, moving)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving), beta)

    def kernel(x, skip, y):
        elementwise.scale_shift_add(x, cache.mean, gamma * cache.inv_std, beta, skip, y)

    return mapped(kernel, cache.x, skip), cache


def batchnorm_add_backward(dy, cache):
    """See layers.batchnorm_add_backward."""
    dx, dgamma, dbeta = batchnorm_backward(dy, cache)
    return dx, dy, dgamma, dbeta


def batchnorm_elu(x, gamma, beta, eps=EPS, moving=None):
    """See layers.batchnorm_elu."""
    if not _here(x, gamma, beta, moving):
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


def _here(x, gamma, beta, moving):
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
    flat = pixels(x)
    pieces = tasks(flat)
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

    return mapped(kernel, cache.x)


def _backward(name, dy, cache):
    """(dx, dgamma, dbeta); dy is used where y is above the cache's floor."""
    dy = gradient(name, dy, cache.x.shape)
    flat, x = pixels(dy), pixels(cache.x)
    _, inv_std, gamma, mean, _, fixed, beta = cache
    channels = mean, gamma * inv_std, beta, cache.floor

    def sums(at):
        return elementwise.channel_products(flat[slice(*at)], x[slice(*at)], *channels)

    dbeta, dgamma = np.sum(parallel(sums, tasks(flat)), axis=0)
    dgamma = dgamma * inv_std
    shift, slope = gamma * inv_std * dbeta / len(flat), gamma * inv_std**2 * dgamma / len(flat)
    through = np.float32(not fixed)  # 1 if mean and variance depend on x, else 0
    shift, slope = through * shift.astype(np.float32), through * slope.astype(np.float32)

    def kernel(dy, x, dx):
        elementwise.normalise_backward(dy, x, *channels, shift, slope, dx)

    dx = mapped(kernel, dy, cache.x)
    return dx, dgamma.astype(np.float32), dbeta.astype(np.float32)
