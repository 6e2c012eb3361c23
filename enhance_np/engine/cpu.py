"""The vocabulary of enhance_np.layers on CPU cores: float32, numba, all threads.

Same names, arguments and results as the reference, so that training runs the taught page.
float64 is handed to the reference itself. No BLAS: its threads would spin against ours.
"""

import numpy as np

from .. import layers

# "as" marks what the reference gives as it is
from ..layers import batchnorm_moving as batchnorm_moving
from ..layers import elu as elu
from ..layers import elu_backward as elu_backward
from ..layers import gaussian_noise as gaussian_noise
from ..layers.batchnorm import EPS, BatchNormCache
from ..layers.conv import ConvCache
from . import elementwise, microkernel
from .threads import cut, parallel

# Sizes of one task: long beside the 0.1 ms that handing it to a thread costs, small enough that
# every thread gets several. They depend on the arrays alone, and so do the bits of sums.
ELEMENTS = 2**18  # of an elementwise task: 1 MB, in L2 on today's cores
MULTIPLY_ADDS = 10**8  # of a convolution task


def reflection_pad(x, p=1):
    """See layers.reflection_pad."""
    _, h, w, _ = x.shape
    if not 1 <= p < min(h, w):
        return layers.reflection_pad(x, p)  # which says what is wrong, or copies
    return _framed(x, p, p, reflect=True)


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward."""
    return np.concatenate(
        parallel(lambda n: layers.reflection_pad_backward(dy[n : n + 1], p), range(len(dy)))
    )


def conv2d(x, w, b):
    """See layers.conv2d. Register tiles of engine.microkernel."""
    if x.dtype != np.float32 or w.dtype != np.float32:
        return layers.conv2d(x, w, b)
    layers.conv.check("conv2d", x, w, b)
    x = np.ascontiguousarray(x)
    return _correlate(x, w, b), ConvCache(x, w)


def conv2d_backward(dy, cache):
    """See layers.conv2d_backward.

    dX is a convolution too: of dY, framed with zeros, with the kernel turned by 180 degrees and
    its channels exchanged. dW is a product over pixels, summed in float32 within an image and
    in float64 over the batch.
    """
    x, w = cache
    if dy.dtype != np.float32 or w.dtype != np.float32:
        return layers.conv2d_backward(dy, cache)
    dy = np.ascontiguousarray(dy)
    kh, kw, cin, _ = w.shape
    framed = _framed(dy, kh - 1, kw - 1, reflect=False)
    dx = _correlate(framed, w[::-1, ::-1].transpose(0, 1, 3, 2), np.zeros(cin, np.float32))
    return dx, *_kernel_gradient(x, dy, w.shape)


def pad_conv(x, w, b):
    """See layers.pad_conv."""
    if w.ndim != 4 or w.shape[0] != w.shape[1]:
        return layers.pad_conv(x, w, b)
    p = w.shape[0] // 2
    return conv2d(reflection_pad(x, p) if p else x, w, b)


def pad_conv_backward(dy, cache):
    """See layers.pad_conv_backward."""
    p = cache.w.shape[0] // 2
    dx, dw, db = conv2d_backward(dy, cache)
    return (reflection_pad_backward(dx, p) if p else dx), dw, db


def batchnorm(x, gamma, beta, eps=EPS):
    """See layers.batchnorm."""
    if x.dtype != np.float32 or gamma.shape != x.shape[-1:] or beta.shape != x.shape[-1:]:
        return layers.batchnorm(x, gamma, beta, eps)
    flat = _pixels(x)
    m = len(flat)
    if m < 2:
        return layers.batchnorm(x, gamma, beta, eps)
    pieces = _pieces(flat)
    mean = _total(lambda at: elementwise.channel_sums(flat[slice(*at)]), pieces, m)
    var = _total(lambda at: elementwise.channel_squares(flat[slice(*at)], mean), pieces, m)
    inv_std = (var + np.float32(eps)) ** np.float32(-0.5)
    x_hat, y = np.empty_like(flat), np.empty_like(flat)

    def piece(at):
        at = slice(*at)
        elementwise.normalise(flat[at], mean, inv_std, gamma, beta, x_hat[at], y[at])

    parallel(piece, pieces)
    x_hat, y = x_hat.reshape(x.shape), y.reshape(x.shape)
    return y, BatchNormCache(x_hat, inv_std, gamma, mean, var)


def batchnorm_backward(dy, cache):
    """See layers.batchnorm_backward."""
    if dy.dtype != np.float32:
        return layers.batchnorm_backward(dy, cache)
    flat, x_hat = _pixels(dy), _pixels(cache.x_hat)
    m = len(flat)
    pieces = _pieces(flat)

    def sums(at):
        return elementwise.channel_products(flat[slice(*at)], x_hat[slice(*at)])

    dbeta, dgamma = _total(sums, pieces, 1)
    scale = cache.gamma * cache.inv_std
    dx = np.empty_like(flat)

    def piece(at):
        at = slice(*at)
        elementwise.normalise_backward(
            flat[at], x_hat[at], scale, dbeta / np.float32(m), dgamma / np.float32(m), dx[at]
        )

    parallel(piece, pieces)
    return dx.reshape(dy.shape), dgamma, dbeta


def relu(x):
    """See layers.relu."""
    if x.dtype != np.float32 or x.ndim < 2:
        return layers.relu(x)
    flat = _pixels(x)
    y = np.empty_like(flat)
    parallel(lambda at: elementwise.relu(flat[slice(*at)], y[slice(*at)]), _pieces(flat))
    y = y.reshape(x.shape)
    return y, y


def relu_backward(dy, y):
    """See layers.relu_backward."""
    if dy.dtype != np.float32 or dy.ndim < 2:
        return layers.relu_backward(dy, y)
    flat, y = _pixels(dy), _pixels(y)
    dx = np.empty_like(flat)

    def piece(at):
        at = slice(*at)
        elementwise.relu_backward(flat[at], y[at], dx[at])

    parallel(piece, _pieces(flat))
    return dx.reshape(dy.shape)


def upsample(x):
    """See layers.upsample."""
    n, h, w, c = x.shape
    y = np.empty((n, 2 * h, 2 * w, c), x.dtype)

    def image(i):
        y[i].reshape(h, 2, w, 2, c)[...] = x[i][:, None, :, None]

    parallel(image, range(n))
    return y


def upsample_backward(dy):
    """See layers.upsample_backward."""
    return np.concatenate(
        parallel(lambda n: layers.upsample_backward(dy[n : n + 1]), range(len(dy)))
    )


def strides(x):
    """(start, image, line, pixel) of a contiguous (N, H, W, C) array, in elements."""
    _, h, w, c = x.shape
    return 0, h * w * c, w * c, c


def lines_per_task(multiply_adds: int) -> int:
    """How many image lines make a convolution task, from the multiply-adds of one."""
    return max(1, MULTIPLY_ADDS // multiply_adds)


def _pieces(flat):
    pixels, channels = flat.shape
    return cut(pixels, max(1, ELEMENTS // channels))


def _pixels(x):
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _total(task, pieces, divisor):
    """Sum of the pieces' float64 results in their order, over divisor, in float32."""
    return (np.sum(parallel(task, pieces), axis=0) / divisor).astype(np.float32)


def _framed(x, p, q, reflect):
    """x with a frame of p rows and q columns, mirrored or zero; x itself without a frame."""
    if p == q == 0:
        return x
    n, h, w, c = x.shape
    y = np.empty((n, h + 2 * p, w + 2 * q, c), x.dtype)

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


def _correlate(x, w, b):
    """conv2d of float32 arrays, x contiguous."""
    kh, kw, cin, cout = w.shape
    n, h, wd, _ = x.shape
    h, wd = h - kh + 1, wd - kw + 1
    y = np.empty((n, h, wd, cout), np.float32)
    shape = (h, wd, kh, kw, cin, cout)
    flat_x, flat_y, lines = x.reshape(-1), y.reshape(-1), y.reshape(n * h, -1)
    flat_w, tile = kernel_layout(w)
    b = np.tile(b, wd)

    def task(at):
        lines[slice(*at)] = b
        conv_lines(flat_x, flat_w, flat_y, shape, strides(x), strides(y), tile, at)

    parallel(task, cut(n * h, lines_per_task(w.size * wd)))
    return y


def kernel_layout(w):
    """(flat kernel, tile) as conv_lines takes them: tile is (0, 0) where none fits."""
    tile = microkernel.block_shape(w.shape[-1])
    if tile == (0, 0):
        w = w.transpose(3, 0, 1, 2)
    return np.ascontiguousarray(w, np.float32).reshape(-1), tile


def conv_lines(x, w, y, shape, x_at, y_at, tile, lines):
    """y += x * w on lines (first, last): see microkernel.conv_lines. Releases the GIL."""
    if tile == (0, 0):
        microkernel.few_conv_lines(x, w, y, shape, x_at, y_at, *lines)
    else:
        microkernel.conv_lines(x, w, y, shape, x_at, y_at, *tile, *lines)


def _kernel_gradient(x, dy, shape):
    """dw, db of conv2d; x (N, H, W, Cin), dy (N, Ho, Wo, Cout), both contiguous."""
    n, h, w, cout = dy.shape
    kh, kw, cin, _ = shape
    tile = microkernel.block_shape(cout)
    few = tile == (0, 0)
    per_image = np.zeros((n, *((cout, kh, kw, cin) if few else shape)), np.float32)
    arguments = (h, w, *shape), strides(x), strides(dy)
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)

    def image(i):
        dw = per_image[i].reshape(-1)
        if few:
            microkernel.few_kernel_gradient(flat_x, flat_dy, dw, *arguments, i)
        else:
            microkernel.kernel_gradient(flat_x, flat_dy, dw, *arguments, *tile, i)
        return elementwise.channel_sums(_pixels(dy[i]))

    db = np.sum(parallel(image, range(n)), axis=0).astype(np.float32)
    dw = per_image.sum(axis=0, dtype=np.float64).astype(np.float32)
    return (dw.transpose(1, 2, 3, 0) if few else dw), db
