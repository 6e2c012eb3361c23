"""Convolutions on CPU cores by their definition, for any kernel and any number of channels.

Arrays are float32. The products are those of microkernel. The work is divided by the sizes
of the arrays only.
"""

import numpy as np

from ..._threads import cut
from . import elementwise, memory, microkernel
from .subnormal import parallel

MULTIPLY_ADDS = 10**8  # of a task, which takes much longer than the 0.03 ms to wake a thread


def correlate(x, w, b):
    """y of layers.conv2d for contiguous float32 arrays."""
    kh, kw, cin, cout = w.shape
    n, h, wd, _ = x.shape
    h, wd = h - kh + 1, wd - kw + 1
    y = memory.empty((n, h, wd, cout))
    shape = (h, wd, kh, kw, cin, cout)
    flat_x, flat_y, lines = flat(x), y.reshape(-1), y.reshape(n * h, -1)
    flat_w, microtile = kernel_layout(w)
    b = np.tile(b, wd)

    def task(at):
        lines[slice(*at)] = b
        conv_lines(flat_x, flat_w, flat_y, shape, strides(x), strides(y), microtile, at)

    parallel(task, cut(n * h, lines_per_task(w.size * wd)))
    return y


def kernel_gradient(x, dy, shape):
    """(dw, db) of layers.conv2d.  x : (N, H, W, Cin), dy : (N, Ho, Wo, Cout), both contiguous.

    The sums are in float32 within an image and in float64 over the batch.
    """
    n, h, w, cout = dy.shape
    kh, kw, cin, _ = shape
    microtile = microkernel.shape(cout)
    few = microtile == (0, 0)
    per_image = np.zeros((n, *((cout, kh, kw, cin) if few else shape)), np.float32)
    arguments = (h, w, *shape), strides(x), strides(dy)
    flat_x, flat_dy = flat(x), flat(dy)

    def image(i):
        dw = per_image[i].reshape(-1)
        if few:
            microkernel.few_kernel_gradient(flat_x, flat_dy, dw, *arguments, i)
        else:
            microkernel.kernel_gradient(flat_x, flat_dy, dw, *arguments, *microtile, i)
        return elementwise.channel_sums(dy[i].reshape(-1, cout))

    db = np.sum(parallel(image, range(n)), axis=0).astype(np.float32)
    dw = per_image.sum(axis=0, dtype=np.float64).astype(np.float32)
    return (dw.transpose(1, 2, 3, 0) if few else dw), db


def kernel_layout(w):
    """(flat kernel, microtile) for conv_lines; microtile is (0, 0) if none fits."""
    microtile = microkernel.shape(w.shape[-1])
    if microtile == (0, 0):
        w = w.transpose(3, 0, 1, 2)
    return flat(w), microtile


def conv_lines(x, w, y, shape, x_at, y_at, microtile, lines):
    """y += x * w on lines (first, last): see microkernel.conv_lines. Releases the GIL."""
    if microtile == (0, 0):
        microkernel.few_conv_lines(x, w, y, shape, x_at, y_at, *lines)
    else:
        microkernel.conv_lines(x, w, y, shape, x_at, y_at, *microtile, *lines)


def lines_per_task(multiply_adds: int) -> int:
    """Number of image lines in a task.  multiply_adds : of one line."""
    return max(1, MULTIPLY_ADDS // multiply_adds)


def flat(x: np.ndarray) -> np.ndarray:
    """x as the compiled kernels need it: contiguous, writeable, float32, one axis."""
    return np.require(x, np.float32, ["C", "W"]).reshape(-1)


def strides(x: np.ndarray) -> tuple[int, int, int, int]:
    """(start, image, line, pixel) of a contiguous (N, H, W, C) array, in floats."""
    _, h, w, c = x.shape
    return 0, h * w * c, w * c, c


def framed(x, p, q, reflect):
    """x padded by p rows and q columns, mirrored or zero; x itself if p = q = 0."""
    if p == q == 0:
        return x
    n, h, w, c = x.shape
    y = memory.empty((n, h + 2 * p, w + 2 * q, c))

    def image(i):
        inside = y[i, p : p + h]
        inside[:, q : q + w] = x[i]
        if not reflect:
            y[i, :p] = y[i, p + h :] = inside[:, :q] = inside[:, q + w :] = 0
            return
        inside[:, :q] = inside[:, q + 1 : 2 * q + 1][:, ::-1]
        inside[:, q + w :] = inside[:, w - 1 : w + q - 1][:, ::-1]
        y[i, :p] = y[i, p + 1 : 2 * p + 1][::-1]
        y[i, p + h :] = y[i, h - 1 : h + p - 1][::-1]

    parallel(image, range(n))
    return y
