"""The memory-bound operations in numba: one pass over each array, with the GIL released.

Arrays are (P, C): pixels by channels. A sum over one piece of the pixels is a float64 sum of
float32 sums over RUN pixels. The caller adds the pieces in their order, so the bits do not depend
on the number of threads.
"""

import numpy as np

from .jit import jit
from .vector import LINE, prefetch

AHEAD = 12  # pixels to prefetch; for two arrays and much arithmetic the processor does it too late
RUN = 16  # pixels summed in float32, before they are added in float64, which has half the speed


@jit()
def channel_sums(x):
    """(C,) float64: sum of x over pixels."""
    sums, part = np.zeros(x.shape[1]), np.empty(x.shape[1], np.float32)
    for first in range(0, x.shape[0], RUN):
        part[:] = 0
        for i in range(first, min(first + RUN, x.shape[0])):
            for c in range(x.shape[1]):
                part[c] += x[i, c]
        sums += part
    return sums


@jit()
def moments(x):
    """(2, C) float64: mean over pixels, and sum of the squared deviations from it.

    The sum is over differences from the first pixel. Mean and variance of a constant channel are
    therefore exact, and the rounding is of the order of the variation.
    """
    found, part = np.zeros((2, x.shape[1])), np.empty(x.shape[1], np.float32)
    for first in range(0, x.shape[0], RUN):
        part[:] = 0
        for i in range(first, min(first + RUN, x.shape[0])):
            _ask_pixel(x, i + AHEAD)
            for c in range(x.shape[1]):
                part[c] += x[i, c] - x[0, c]
        found[0] += part
    found[0] = found[0] / x.shape[0] + x[0]
    mean = found[0].astype(np.float32)
    for first in range(0, x.shape[0], RUN):
        part[:] = 0
        for i in range(first, min(first + RUN, x.shape[0])):
            for c in range(x.shape[1]):
                d = x[i, c] - mean[c]
                part[c] += d * d
        found[1] += part
    # these are deviations from the rounded mean; those from the exact mean are smaller
    found[1] = np.maximum(found[1] - x.shape[0] * (found[0] - mean) ** 2, 0)
    return found


@jit()
def scale_and_shift(x, mean, scale, beta, floor, y):
    """y = max((x - mean) * scale + beta, floor), channel by channel; NaN stays NaN."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = (x[i, c] - mean[c]) * scale[c] + beta[c]
            y[i, c] = floor if v < floor else v


@jit()
def scale_shift_add(x, mean, scale, beta, skip, y):
    """y = (x - mean) * scale + beta + skip, channel by channel."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[i, c] = (x[i, c] - mean[c]) * scale[c] + beta[c] + skip[i, c]


@jit()
def channel_products(dy, x, mean, scale, beta, floor):
    """(2, C) float64: sums of dy and of dy * (x - mean) over the pixels above the floor.

    scale, beta, floor : as in scale_and_shift, whose y is computed again instead of read.
    """
    sums, part = np.zeros((2, x.shape[1])), np.empty((2, x.shape[1]), np.float32)
    for first in range(0, x.shape[0], RUN):
        part[:] = 0
        for i in range(first, min(first + RUN, x.shape[0])):
            _ask_pixel(dy, i + AHEAD)
            _ask_pixel(x, i + AHEAD)
            for c in range(x.shape[1]):
                d = x[i, c] - mean[c]
                passed = np.float32(0) if d * scale[c] + beta[c] <= floor else dy[i, c]
                part[0, c] += passed
                part[1, c] += passed * d
        sums += part
    return sums


@jit()
def normalise_backward(dy, x, mean, scale, beta, floor, shift, slope, dx):
    """dx = scale * dy - slope * (x - mean) - shift, channel by channel; dy is 0 below the floor."""
    for i in range(dy.shape[0]):
        _ask_pixel(dy, i + AHEAD)
        _ask_pixel(x, i + AHEAD)
        for c in range(dy.shape[1]):
            d = x[i, c] - mean[c]
            passed = np.float32(0) if d * scale[c] + beta[c] <= floor else dy[i, c]
            dx[i, c] = scale[c] * passed - d * slope[c] - shift[c]


@jit()
def _ask_pixel(x, i):
    """Prefetches x[i]."""
    for c in range(0, x.shape[1], LINE):
        prefetch(x, i * x.shape[1] + c)


@jit()
def add(x, y, z):
    """z = x + y."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            z[i, c] = x[i, c] + y[i, c]


@jit()
def upsample(x, y):
    """y[2i + a, 2j + b] = x[i, j] of one image (H, W, C)."""
    for i in range(y.shape[0]):
        for j in range(x.shape[1]):
            for c in range(x.shape[2]):
                y[i, 2 * j, c] = x[i // 2, j, c]
                y[i, 2 * j + 1, c] = x[i // 2, j, c]


@jit()
def upsample_backward(dy, dx):
    """dx[i, j] = the sum of the 2x2 block of dy of one image (2H, 2W, C)."""
    for i in range(dx.shape[0]):
        for j in range(dx.shape[1]):
            for c in range(dx.shape[2]):
                upper = dy[2 * i, 2 * j, c] + dy[2 * i, 2 * j + 1, c]
                lower = dy[2 * i + 1, 2 * j, c] + dy[2 * i + 1, 2 * j + 1, c]
                dx[i, j, c] = upper + lower


@jit()
def reflection_pad_backward(dy, p, dx):
    """dx = the adjoint of reflection_pad by p of one image: dy (H + 2p, W + 2p, C).

    Pixel i was copied to the places p - i and 2 (H - 1) - i + p, if they are in the padding.
    """
    h, w, _ = dx.shape
    for i in range(h):
        dx[i] = dy[i + p, p : p + w]
        _reflected_columns(dy[i + p], p, dx[i])
        for r in (p - i, 2 * (h - 1) - i + p):
            if _in_frame(r, p, h):
                dx[i] += dy[r, p : p + w]
                _reflected_columns(dy[r], p, dx[i])


@jit()
def _reflected_columns(dy, p, dx):
    w = len(dx)
    for j in range(w):
        if not p < j < w - 1 - p:
            for s in (p - j, 2 * (w - 1) - j + p):
                if _in_frame(s, p, w):
                    dx[j] += dy[s]


@jit()
def repeated_border_backward(dy, dx):
    """dx = the adjoint of repeating the border pixels once: dy (H + 2, W + 2, C)."""
    h, w, _ = dx.shape
    for i in range(h):
        dx[i] = dy[i + 1, 1 : w + 1]
    dx[0] += dy[0, 1 : w + 1]
    dx[h - 1] += dy[h + 1, 1 : w + 1]
    for i in range(h + 2):
        k = min(max(i - 1, 0), h - 1)
        dx[k, 0] += dy[i, 0]
        dx[k, w - 1] += dy[i, w + 1]


@jit()
def _in_frame(at, p, size):
    """Whether an index of the padded image is in the padding."""
    return 0 <= at < p or size + p <= at < size + 2 * p


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


@jit(fastmath={"reassoc", "contract"})
def relu_dot(x, w, b, y):
    """y[i] = b + sum over c of max(x[i, c], 0) w[c]: a 1x1 convolution to one channel."""
    for i in range(x.shape[0]):
        total = b
        for c in range(x.shape[1]):
            total += (np.float32(0) if x[i, c] < 0 else x[i, c]) * w[c]
        y[i] = total


@jit()
def relu_dot_backward(dy, x, w, dx, sums):
    """dx[i, c] = dy[i] w[c] where x > 0, else 0;  sums[c] += sum of dy[i] max(x[i, c], 0)."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            dx[i, c] = dy[i] * w[c] if x[i, c] > 0 else np.float32(0)
            sums[c] += dy[i] * (np.float32(0) if x[i, c] < 0 else x[i, c])


@jit()
def elu(x, first, count):
    """x = x if x > 0 else exp(x) - 1, in place, for `count` floats of flat x from `first`."""
    for k in range(first, first + count):
        if not x[k] > 0:
            x[k] = np.expm1(x[k])
