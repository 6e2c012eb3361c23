"""Batch normalisation with the statistics of the batch or with fixed ones."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._array import Array

EPS = 1e-3  # in units of x squared; default of Keras, used for the published weights
Moving = tuple[Array, Array] | None  # mean and var, each (C,)
Total = Callable[[Array], Array]  # sums over a part of the batch -> sums over the whole batch


def unshared(sums: Array) -> Array:
    """The default Total: x is the whole batch, not a part of it."""
    return sums


class BatchNormCache(NamedTuple):
    x_hat: Array  # (N, H, W, C) normalised input
    inv_std: Array  # (C,) 1 / sqrt(var + eps)
    gamma: Array  # (C,)
    mean: Array  # (C,) of this batch; params.update_moving reads it
    var: Array  # (C,) of this batch, divided by M
    fixed: bool  # whether mean and var were given


def batchnorm(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float = EPS,
    moving: Moving = None,
    total: Total = unshared,
) -> tuple[Array, BatchNormCache]:
    """y = gamma * x_hat + beta,  x_hat = (x - mean) / sqrt(var + eps).

    mean and var are taken over the M = N*H*W values of a channel, or given by `moving`. In the
    latter case, used for prediction, the layer is an affine map of each channel, and the images of
    a batch do not depend on each other.

    x : (N, H, W, C);  gamma, beta : (C,);  y : (N, H, W, C) in the dtype of x.
    moving : (mean, var), gathered in training; None takes those of x.
    total : if x is a part of a batch that several workers share (training/workers.py), gives the
    sums over the whole batch. M, mean and var are then those of the whole batch.
    Raises ValueError if M < 2 without moving (x_hat would be 0 for any x), or if gamma, beta, mean
    or var is not (C,).

    var is the mean of squared deviations, computed in two passes, because mean(x^2) - mean(x)^2
    loses about log2(mean^2 / var) bits to cancellation.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1.
    """
    n, h, w, c = x.shape
    if n * h * w < 2 and moving is None:
        raise ValueError(f"batchnorm: needs 2 values per channel or more, got x.shape={x.shape}")
    for vector in (gamma, beta, *(moving or ())):
        if vector.shape != (c,):
            raise ValueError(
                f"batchnorm: gamma, beta and statistics must be ({c},), got {vector.shape}"
            )
    if moving is None:
        m = _count(x, total)
        mean = _sum(x, total) / m
        var = _sum((x - mean) ** 2, total) / m
    else:
        mean, var = moving
    inv_std = (var + eps) ** -0.5
    x_hat = (x - mean) * inv_std
    return gamma * x_hat + beta, BatchNormCache(
        x_hat, inv_std, gamma, mean, var, moving is not None
    )


def batchnorm_backward(
    dy: Array, cache: BatchNormCache, total: Total = unshared
) -> tuple[Array, Array, Array]:
    """dbeta = sum dy,  dgamma = sum dy * x_hat,
    dx = gamma * inv_std * (dy - dbeta / M - x_hat * dgamma / M).

    The subtracted terms are the gradients through mean and var. They remove from dy its parts along
    1 and along x_hat. A constant dy therefore gives dx = 0, and a bias added before this layer has
    no gradient. Given statistics do not depend on x, so these terms are absent with `moving`.
    dy, dx : (N, H, W, C);  dgamma, dbeta : (C,).
    total : as in batchnorm. dx then has the sums over the whole batch in place of dbeta and dgamma;
    those that are returned stay the sums over this part, like every other gradient.
    Source: Ioffe & Szegedy 2015, section 3, collected into one line.
    """
    x_hat, inv_std, gamma, *_, fixed = cache
    dbeta = _sum(dy)
    dgamma = _sum(dy * x_hat)
    if fixed:
        return gamma * inv_std * dy, dgamma, dbeta
    m = _count(dy, total)
    through = dy - total(dbeta) / m - x_hat * (total(dgamma) / m)
    return gamma * inv_std * through, dgamma, dbeta


def _count(x: Array, total: Total) -> int:
    """M: the values of a channel, in the whole batch."""
    return int(total(np.array(x.size // x.shape[-1])))


def _sum(x: Array, total: Total = unshared) -> Array:
    """Sum per channel, accumulated in float64.

    NumPy adds the rows of NHWC one after another, so float32 would lose 1.2e-5 of a mean of 1 at
    M = 80,000; float64 loses 6e-8 (measured).
    """
    return total(x.sum(axis=(0, 1, 2), dtype=np.float64)).astype(x.dtype)
