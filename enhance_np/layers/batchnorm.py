"""Batch normalisation with the batch's statistics, or with those gathered in training."""

from typing import NamedTuple

import numpy as np

from .._array import Array

EPS = 1e-3  # in units of x squared; Keras's default, and that of the published weights


class BatchNormCache(NamedTuple):
    x_hat: Array  # (N, H, W, C) normalised input
    inv_std: Array  # (C,) 1 / sqrt(var + eps)
    gamma: Array  # (C,)
    mean: Array  # (C,) of this batch; params.update_moving reads it
    var: Array  # (C,) of this batch, divided by M


def batchnorm(
    x: Array, gamma: Array, beta: Array, eps: float = EPS
) -> tuple[Array, BatchNormCache]:
    """y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps).

    mean and var run over the M = N*H*W values of a channel.

    x : (N, H, W, C);  gamma, beta : (C,);  y : (N, H, W, C) in the dtype of x.
    Raises ValueError if M < 2 (x_hat is 0 for any x) or gamma or beta is not (C,).

    var is the mean of squared deviations, in two passes: mean(x^2) - mean(x)^2 loses
    about log2(mean^2 / var) bits to cancellation.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1.
    """
    n, h, w, c = x.shape
    if n * h * w < 2:
        raise ValueError(f"batchnorm: needs 2 values per channel or more, got x.shape={x.shape}")
    if gamma.shape != (c,) or beta.shape != (c,):
        raise ValueError(
            f"batchnorm: gamma and beta must be ({c},), got {gamma.shape} and {beta.shape}"
        )
    mean = _sum(x) / (n * h * w)
    var = _sum((x - mean) ** 2) / (n * h * w)
    inv_std = (var + eps) ** -0.5
    x_hat = (x - mean) * inv_std
    return gamma * x_hat + beta, BatchNormCache(x_hat, inv_std, gamma, mean, var)


def batchnorm_backward(dy: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """dbeta = sum dy,  dgamma = sum dy * x_hat,
    dx = gamma * inv_std * (dy - dbeta / M - x_hat * dgamma / M).

    The subtracted terms are the paths through mean and var: dx is dy without its parts
    along 1 and along x_hat, so a constant dy gives 0 and a bias added before this layer
    has no gradient. dy, dx : (N, H, W, C);  dgamma, dbeta : (C,).
    Source: Ioffe & Szegedy 2015, section 3, collected into one line.
    """
    x_hat, inv_std, gamma, *_ = cache
    m = dy.size // dy.shape[-1]
    dbeta = _sum(dy)
    dgamma = _sum(dy * x_hat)
    dx = gamma * inv_std * (dy - dbeta / m - x_hat * (dgamma / m))
    return dx, dgamma, dbeta


def batchnorm_moving(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float = EPS
) -> Array:
    """The same with fixed statistics, as at prediction: an affine map of each channel.

    x, result : (N, H, W, C);  gamma, beta, mean, var : (C,).
    """
    return gamma * ((x - mean) * (var + eps) ** -0.5) + beta


def _sum(x: Array) -> Array:
    """Per channel, accumulated in float64: NumPy adds NHWC rows one after another, and
    float32 then loses 1.2e-5 of a mean of 1 at M = 80,000 (6e-8 this way, measured).
    """
    return x.sum(axis=(0, 1, 2), dtype=np.float64).astype(x.dtype)
