"""The memory-bound steps of training in numba: one pass over each array, GIL released.

Arrays are (P, C): pixels by channels. Sums run in float64 over one piece of the pixels; the
caller adds the pieces in their order, so the bits do not depend on the number of threads.
"""

import numpy as np

from .jit import jit


@jit()
def channel_sums(x):
    """(C,) float64: sum of x over pixels."""
    sums = np.zeros(x.shape[1])
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            sums[c] += x[i, c]
    return sums


@jit()
def channel_squares(x, mean):
    """(C,) float64: sum of (x - mean)^2 over pixels; the difference is float32, as x is."""
    sums = np.zeros(x.shape[1])
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            d = np.float64(x[i, c] - mean[c])
            sums[c] += d * d
    return sums


@jit()
def channel_products(x, y):
    """(2, C) float64: sums of x and of x * y over pixels."""
    sums = np.zeros((2, x.shape[1]))
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            sums[0, c] += x[i, c]
            sums[1, c] += np.float64(x[i, c]) * np.float64(y[i, c])
    return sums


@jit()
def normalise(x, mean, inv_std, gamma, beta, x_hat, y):
    """x_hat = (x - mean) * inv_std,  y = gamma * x_hat + beta."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            x_hat[i, c] = (x[i, c] - mean[c]) * inv_std[c]
            y[i, c] = gamma[c] * x_hat[i, c] + beta[c]


@jit()
def normalise_backward(dy, x_hat, scale, mean_dy, mean_dy_x_hat, dx):
    """dx = scale * (dy - mean_dy - x_hat * mean_dy_x_hat), channel by channel."""
    for i in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            dx[i, c] = scale[c] * (dy[i, c] - mean_dy[c] - x_hat[i, c] * mean_dy_x_hat[c])


@jit()
def relu(x, y):
    """y = max(x, 0); NaN stays NaN, as in NumPy."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[i, c] = np.float32(0) if x[i, c] < 0 else x[i, c]


@jit()
def relu_backward(dy, y, dx):
    """dx = dy where y > 0, else 0."""
    for i in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            dx[i, c] = dy[i, c] if y[i, c] > 0 else np.float32(0)
