"""Batch normalisation on CPU cores, alone and with an activation or a sum."""

import numpy as np

from ... import layers
from ...layers.activation import elu, elu_backward
from ...layers.batchnorm import EPS, unshared
from ..joined import BatchNormCache, BatchNormEluCache, BatchNormReluCache
from . import elementwise
from .arrays import gradient, mapped, pixels, tasks
from .subnormal import parallel


def batchnorm(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm(x, gamma, beta, eps, moving, total)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving, total), beta)
    return _scaled(cache), cache


def batchnorm_backward(dy, cache, total=unshared):
    """See layers.batchnorm_backward."""
    if not isinstance(cache, BatchNormCache):
        return layers.batchnorm_backward(dy, cache, total)
    return _backward("batchnorm_backward", dy, cache, total)


def batchnorm_relu(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_relu."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm_relu(x, gamma, beta, eps, moving, total)
    cache = BatchNormReluCache(*_statistics(x, gamma, eps, moving, total), beta)
    return _scaled(cache), cache


def batchnorm_relu_backward(dy, cache, total=unshared):
    """See layers.batchnorm_relu_backward."""
    if not isinstance(cache, BatchNormReluCache):
        return layers.batchnorm_relu_backward(dy, cache, total)
    return _backward("batchnorm_relu_backward", dy, cache, total)


def batchnorm_add(x, skip, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_add."""
    same = x.shape == skip.shape and skip.dtype == np.float32
    if not (same and _here(x, gamma, beta, moving)):
        return layers.batchnorm_add(x, skip, gamma, beta, eps, moving, total)
    cache = BatchNormCache(*_statistics(x, gamma, eps, moving, total), beta)

    def kernel(x, skip, y):
        elementwise.scale_shift_add(x, cache.mean, gamma * cache.inv_std, beta, skip, y)

    return mapped(kernel, cache.x, skip), cache


def batchnorm_add_backward(dy, cache, total=unshared):
    """See layers.batchnorm_add_backward."""
    dx, dgamma, dbeta = batchnorm_backward(dy, cache, total)
    return dx, dy, dgamma, dbeta


def batchnorm_elu(x, gamma, beta, eps=EPS, moving=None, total=unshared):
    """See layers.batchnorm_elu."""
    if not _here(x, gamma, beta, moving):
        return layers.batchnorm_elu(x, gamma, beta, eps, moving, total)
    h, cache = batchnorm(x, gamma, beta, eps, moving, total)
    y, _ = elu(h)
    return y, BatchNormEluCache(*cache, y)


def batchnorm_elu_backward(dy, cache, total=unshared):
    """See layers.batchnorm_elu_backward."""
    if not isinstance(cache, BatchNormEluCache):
        return layers.batchnorm_elu_backward(dy, cache, total)
    *normalised, y = cache
    return batchnorm_backward(elu_backward(dy, y), BatchNormCache(*normalised), total)


def _here(x, gamma, beta, moving):
    few = x.size < 2 * max(1, x.shape[-1])
    fit = all(v.shape == x.shape[-1:] for v in (gamma, beta, *(moving or ())))
    return x.dtype == np.float32 and fit and not few


def _statistics(x, gamma, eps, moving, total):
    """x, inv_std, gamma, mean, var, fixed: the first fields of a cache."""
    x = np.ascontiguousarray(x)
    if moving is None:
        mean, var = _measured(x, total)
    else:
        mean, var = (np.asarray(m, np.float32) for m in moving)
    inv_std = (var + np.float32(eps)) ** np.float32(-0.5)
    return x, inv_std, gamma, mean, var, moving is not None


def _measured(x, total):
    """Mean and variance of each channel of the whole batch, of which x is a part.

    They are measured for each piece, while it is in the cache, and then merged.
    Source: Chan, Golub & LeVeque 1983, The American Statistician 37, equation 2.1.
    """
    flat = pixels(x)
    pieces = tasks(flat)
    means, squares = np.stack(
        parallel(lambda at: elementwise.moments(flat[slice(*at)]), pieces), axis=1
    )
    sizes = np.array([[last - first] for first, last in pieces])
    sums, m = _whole((sizes * means).sum(axis=0), len(flat), total)
    mean = sums / m
    var = total((squares + sizes * (means - mean) ** 2).sum(axis=0)) / m
    return mean.astype(np.float32), var.astype(np.float32)


def _whole(sums, count, total):
    """The sums and the count of the whole batch, by one call of `total`."""
    found = total(np.append(sums, count))
    return found[:-1].reshape(sums.shape), found[-1]


def _scaled(cache):
    """y of batch norm, or of batch norm and ReLU, from the cache."""
    scale = cache.gamma * cache.inv_std

    def kernel(x, y):
        elementwise.scale_and_shift(x, cache.mean, scale, cache.beta, cache.floor, y)

    return mapped(kernel, cache.x)


def _backward(name, dy, cache, total):
    """(dx, dgamma, dbeta); dy is used where y is above the cache's floor."""
    dy = gradient(name, dy, cache.x.shape)
    flat, x = pixels(dy), pixels(cache.x)
    _, inv_std, gamma, mean, _, fixed, beta = cache
    channels = mean, gamma * inv_std, beta, cache.floor

    def sums(at):
        return elementwise.channel_products(flat[slice(*at)], x[slice(*at)], *channels)

    dbeta, dgamma = own = np.sum(parallel(sums, tasks(flat)), axis=0)
    dgamma = dgamma * inv_std
    # fixed statistics do not depend on x
    through, m = (np.zeros_like(own), 1.0) if fixed else _whole(own, len(flat), total)
    shift = (gamma * inv_std * through[0] / m).astype(np.float32)
    slope = (gamma * inv_std**2 * (through[1] * inv_std) / m).astype(np.float32)

    def kernel(dy, x, dx):
        elementwise.normalise_backward(dy, x, *channels, shift, slope, dx)

    dx = mapped(kernel, dy, cache.x)
    return dx, dgamma.astype(np.float32), dbeta.astype(np.float32)
