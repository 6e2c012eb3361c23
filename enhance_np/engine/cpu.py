"""The vocabulary of enhance_np.layers on CPU cores: float32, numba, all threads.

Same names, arguments and results as the reference, so that training runs the taught page. What
does not fit the vector kernels (float64, channel counts that no register width divides) is
handed to the reference itself.
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

PIECE = 4096  # pixels of one elementwise task: 1 MB at 64 channels, in L2 on today's cores
LINES = 16  # image lines of one convolution task


def reflection_pad(x, p=1):
    """See layers.reflection_pad."""
    _, h, w, _ = x.shape
    if not 1 <= p < min(h, w):
        return layers.reflection_pad(x, p)  # which says what is wrong, or copies
    return _framed(x, p, reflect=True)


def reflection_pad_backward(dy, p=1):
    """See layers.reflection_pad_backward."""
    return np.concatenate(
        parallel(lambda n: layers.reflection_pad_backward(dy[n : n + 1], p), range(len(dy)))
    )


def conv2d(x, w, b):
    """See layers.conv2d. Register tiles of engine.microkernel."""
    if not _fits(x, w):
        return layers.conv2d(x, w, b)
    layers.conv.check("conv2d", x, w, b)
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    return _correlate(x, w, b), ConvCache(x, w)


def conv2d_backward(dy, cache):
    """See layers.conv2d_backward.

    dX is a convolution too: of dY, framed with zeros, with the kernel turned by 180 degrees and
    its channels exchanged. dW is a product over pixels, summed in float32 within an image and
    in float64 over the batch.
    """
    x, w = cache
    if not _fits(x, w):
        return layers.conv2d_backward(dy, cache)
    dy = np.ascontiguousarray(dy)
    kh, kw, cin, cout = w.shape
    if _fits(dy, w.transpose(0, 1, 3, 2)) and kh == kw:
        turned = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
        framed = _framed(dy, kh - 1, reflect=False)
        dx = _correlate(framed, turned, np.zeros(cin, np.float32))
    else:
        columns = dy.reshape(-1, cout) @ w.reshape(-1, cout).T
        dx = layers.conv.col2im(columns, x.shape, kh, kw)
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
    pieces = cut(m, PIECE)
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
    pieces = cut(m, PIECE)

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
    parallel(lambda at: elementwise.relu(flat[slice(*at)], y[slice(*at)]), cut(len(flat), PIECE))
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

    parallel(piece, cut(len(flat), PIECE))
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


def _fits(x, w):
    cout = w.shape[-1]
    return x.dtype == w.dtype == np.float32 and microkernel.block_shape(cout) != (0, 0)


def _pixels(x):
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _total(task, pieces, divisor):
    """Sum of the pieces' float64 results in their order, over divisor, in float32."""
    return (np.sum(parallel(task, pieces), axis=0) / divisor).astype(np.float32)


def _framed(x, p, reflect):
    """x with a frame of p pixels, mirrored or zero; x itself for p = 0."""
    if p == 0:
        return x
    n, h, w, c = x.shape
    y = np.empty((n, h + 2 * p, w + 2 * p, c), x.dtype)

    def image(i):
        y[i, p:-p, p:-p] = x[i]
        if not reflect:
            y[i, :p] = y[i, -p:] = y[i, :, :p] = y[i, :, -p:] = 0
            return
        y[i, p:-p, :p] = y[i, p:-p, p + 1 : 2 * p + 1][:, ::-1]
        y[i, p:-p, -p:] = y[i, p:-p, -2 * p - 1 : -p - 1][:, ::-1]
        y[i, :p] = y[i, p + 1 : 2 * p + 1][::-1]
        y[i, -p:] = y[i, -2 * p - 1 : -p - 1][::-1]

    parallel(image, range(n))
    return y


def _correlate(x, w, b):
    """conv2d of contiguous float32 arrays whose channels fit the kernel."""
    kh, kw, cin, cout = w.shape
    n, h, wd, _ = x.shape
    h, wd = h - kh + 1, wd - kw + 1
    y = np.empty((n, h, wd, cout), np.float32)
    shape, rows_vectors = (h, wd, kh, kw, cin, cout), microkernel.block_shape(cout)
    flat_x, flat_w, flat_y, lines = (
        x.reshape(-1),
        w.reshape(-1),
        y.reshape(-1),
        y.reshape(n * h, -1),
    )
    b = np.tile(b, wd)

    def task(at):
        lines[slice(*at)] = b
        microkernel.conv_lines(
            flat_x, flat_w, flat_y, shape, strides(x), strides(y), *rows_vectors, *at
        )

    parallel(task, cut(n * h, LINES))
    return y


def _kernel_gradient(x, dy, shape):
    """dw, db of conv2d; x (N, H, W, Cin), dy (N, Ho, Wo, Cout), both contiguous."""
    n, h, w, cout = dy.shape
    sizes, rows_vectors = (h, w, *shape), microkernel.block_shape(cout)
    per_image = np.zeros((n, *shape), np.float32)
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)

    def image(i):
        microkernel.kernel_gradient(
            flat_x, flat_dy, per_image[i].reshape(-1), sizes, strides(x), strides(dy),
            *rows_vectors, i,
        )  # fmt: skip
        return elementwise.channel_sums(_pixels(dy[i]))

    db = np.sum(parallel(image, range(n)), axis=0).astype(np.float32)
    return per_image.sum(axis=0, dtype=np.float64).astype(np.float32), db
