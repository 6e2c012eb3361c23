"""Convolutions on the GPU: 3x3 by kernels/conv3x3.cu and conv3x3_gradient.cu, others by conv.cu.

Arrays are float32 CuPy arrays. The kernels pad when they load, so a cache keeps x without padding.
NumPy arrays, float64, empty batches and invalid arguments are passed on to the reference, which
computes the result or raises the error.
"""

from math import prod

import numpy as np

from ... import layers
from ..._array import array_module
from ...layers.conv import ConvCache, check_channels
from . import shapes
from .arrays import THREADS, gradient, ours, pixels, ready, room
from .flat import destinations
from .launch import blocks_for, launch
from .methods import method as chosen
from .pad import reflection_pad_backward

ZERO, MIRRORED = 0, 1  # argument `edge` of the kernels: pixels outside an image
TILE_THREADS = 128  # per block of conv3x3.cu, conv3x3_gradient.cu and conv.cu's gradient
COLUMNS = 32  # pixels in a row of a block, and in a strip; for 64 channels also see shapes.py
# A gradient is divided into runs by the shapes only, which fixes the bits of sums: the smallest
# numbers of strips or lines of a run
STRIPS, LINES = 16, 4


def conv2d(x, w, b):
    """See layers.conv2d."""
    if not _ours(x, w, b):
        return layers.conv2d(x, w, b)
    layers.conv.check("conv2d", x, w, b)
    x = ready(x)
    return _correlate(x, w, b, (0, 0), ZERO, *_valid(x, w)), ConvCache(x, w)


def conv2d_backward(dy, cache):
    """See layers.conv2d_backward.

    dX is a convolution of dY, padded with zeros, with the kernel rotated by 180 degrees and its
    channels exchanged.
    """
    x, w = cache
    if not _ours(x, w):
        return layers.conv2d_backward(dy, cache)
    dy = gradient("conv2d_backward", dy, (len(x), *_valid(x, w), w.shape[3]))
    return _framed_dx(dy, w), *_kernel_gradient(cache, dy, (0, 0), ZERO)


def pad_conv(x, w, b):
    """See layers.pad_conv. The cache keeps x without padding."""
    return pad_conv_by("float32", x, w, b)


def pad_conv_by(method, x, w, b):
    """pad_conv by a method, a name of methods.METHODS; only the rounding differs."""
    if not _fits(x, w, b):
        return layers.pad_conv(x, w, b)
    x = ready(x)
    return _padded(x, w, b, method), ConvCache(x, w)


def pad_conv_backward(dy, cache):
    """See layers.pad_conv_backward."""
    return pad_conv_backward_by("float32", dy, cache)


def pad_conv_backward_by(method, dy, cache):
    """pad_conv_backward, with dX by a method."""
    x, w = cache
    if not _ours(x, w):
        return layers.pad_conv_backward(dy, cache)
    dw, db = pad_conv_gradient(dy, cache)
    p = len(w) // 2
    dx = _framed_dx(gradient("pad_conv_backward", dy, (*x.shape[:3], w.shape[3])), w, method)
    return (reflection_pad_backward(dx, p) if p else dx), dw, db


def pad_conv_gradient(dy, cache):
    """See layers.pad_conv_gradient. dX is not computed."""
    x, w = cache
    if not _ours(x, w):
        return layers.pad_conv_gradient(dy, cache)
    dy = gradient("pad_conv_gradient", dy, (*x.shape[:3], w.shape[3]))
    p = len(w) // 2
    return _kernel_gradient(cache, dy, (p, p), MIRRORED)


def conv(x, w, b, relu=False, skip=None, method="float32"):
    """pad_conv's y, plus skip, then ReLU, in one kernel: the operation of a folded network.

    skip : (N, H, W, Cout), float32 on the GPU like x.  Raises ValueError for another shape.
    method : as for pad_conv_by.
    """
    shape = (*x.shape[:3], w.shape[-1])
    if skip is not None and skip.shape != shape:
        raise ValueError(f"conv: skip must be {shape}, got skip.shape={skip.shape}")
    if not _fits(x, w, b) or (skip is not None and not ours(skip)):
        y, _ = layers.pad_conv(x, w, b)
        y = y if skip is None else layers.add(y, skip)
        return layers.relu(y)[0] if relu else y
    return _padded(ready(x), w, b, method, relu, skip)


def upsample_conv(x, w, b):
    """See layers.upsample_conv. The upsampled image is not made; the cache keeps x itself."""
    if not _folds(x, w) or not ours(b):
        y, cache = pad_conv(layers.upsample(x), w, b)
        return y, cache
    check_channels("upsample_conv", x, w, b)
    x = ready(x)
    n, h, wd, cin = x.shape
    cout, y = w.shape[3], array_module(x).empty((n, 2 * h, 2 * wd, w.shape[3]), np.float32)
    block = _block(cout)
    blocks = 4 * _blocks(n, h, wd, block) * (cout // block)
    arrays = x, _phases(w), ready(b), y
    launch("conv3x3", f"upsample_conv_{block}", blocks, TILE_THREADS, *arrays, h, wd, cin, cout)
    return y, ConvCache(x, w)


def upsample_conv_backward(dy, cache):
    """See layers.upsample_conv_backward."""
    x, w = cache
    if not _folds(x, w):
        dx, dw, db = pad_conv_backward(dy, cache)
        return layers.upsample_backward(dx), dw, db
    cupy = array_module(x)
    n, h, wd, cin = x.shape
    cout = w.shape[3]
    dy = gradient("upsample_conv_backward", dy, (n, 2 * h, 2 * wd, cout))

    # dX of x padded by one pixel; then the padding is added to the edge that it repeats
    turned = ready(_phases(w)[:, ::-1, ::-1].transpose(0, 1, 2, 4, 3))
    framed = cupy.empty((n, h + 2, wd + 2, cin), np.float32)
    block = _block(cin)
    blocks = _blocks(n, h + 2, wd + 2, block) * (cin // block)
    none = cupy.zeros(cin, np.float32)
    name = f"upsample_conv_dx_{block}"
    launch("conv3x3", name, blocks, TILE_THREADS, dy, turned, none, framed, h, wd, cout, cin)
    dx = cupy.empty(x.shape, np.float32)
    blocks = blocks_for(dx.size, THREADS)
    launch("upsample_conv", "repeated_border_backward", blocks, THREADS, framed, dx, n, h, wd, cin)

    block, tiles = _gradient_blocks(cin, cout)
    runs, per = shapes.runs(n * h * -(-wd // COLUMNS), 2 * tiles, STRIPS)
    part = cupy.empty((runs, 4, 2, 2, cin, cout), np.float32)
    sizes = n, h, wd, cin, cout, per
    name = f"upsample_conv_dw_{block}"
    launch("conv3x3_gradient", name, runs * 2 * tiles, TILE_THREADS, x, dy, part, *sizes)
    to_w, to_b = destinations(cache)
    dk, dw = _sum_parts(part), room(cupy, to_w, w.shape)
    blocks = blocks_for(dw.size, THREADS)
    launch("upsample_conv", "phase_kernels_backward", blocks, THREADS, dk, dw, cin * cout)
    return dx, dw, _channel_sums(dy, to_b)


def _ours(x, w, *b):
    """Whether a convolution is done by the kernels."""
    return ours(x, w, *b) and x.ndim == w.ndim == 4 and w.shape[2] == x.shape[3]


def _fits(x, w, *b):
    """Whether pad_conv is done by the kernels: an odd square kernel, and an image large enough."""
    if not _ours(x, w, *b) or w.shape[0] != w.shape[1] or len(w) % 2 == 0:
        return False
    return len(w) // 2 < min(x.shape[1:3]) and all(v.shape == w.shape[3:] for v in b)


def _folds(x, w):
    """Whether upsampling is folded into the convolution: a 3x3 kernel, whole blocks of channels."""
    return _ours(x, w) and w.shape[:2] == (3, 3) and not any(c % 32 for c in w.shape[2:])


def _valid(x, w):
    """Height and width of the convolution without padding."""
    return x.shape[1] - w.shape[0] + 1, x.shape[2] - w.shape[1] + 1


def _padded(x, w, b, method, relu=False, skip=None):
    if (by := chosen(method, w.shape)) is not None:
        return by.padded(x, w, b, relu, skip)
    p = len(w) // 2
    return _correlate(x, w, b, (p, p), MIRRORED, *x.shape[1:3], relu, skip)


def _correlate(x, w, b, before, edge, ho, wo, relu=False, skip=None):
    """y (N, ho, wo, Cout).  before : lines and columns outside x in the window of output (0, 0)."""
    n, h, wd, cin = x.shape
    kh, kw, _, cout = w.shape
    y = array_module(x).empty((n, ho, wo, cout), np.float32)
    w, b = ready(w), ready(b)
    if (kh, kw) == (3, 3) and cin % 4 == cout % 32 == 0:
        block = _block(cout)
        name, groups, blocks = f"conv3x3_{block}", cout // block, _blocks(n, ho, wo, block)
        if block == 64:
            tile = shapes.tile(n, ho, wo, groups, shapes.processors(), shapes.TILES)
            name, blocks = name + tile.suffix, tile.blocks(n, ho, wo)
        arrays = x, w, b, b if skip is None else ready(skip), y
        sizes = h, wd, cin, ho, wo, cout, before[0], edge, int(relu), int(skip is not None)
        launch("conv3x3", name, groups * blocks, TILE_THREADS, *arrays, *sizes)
    elif cin == 1 and cout % 4 == 0 and skip is None:
        sizes = n, h, wd, ho, wo, cout, kh, kw, *before, edge, int(relu)
        blocks = blocks_for(n * ho * -(-wo // 4) * (cout // 4), THREADS)
        launch("conv", "conv_stem", blocks, THREADS, x, w, b, y, *sizes)
    else:
        arrays = x, w, b, b if skip is None else ready(skip), y
        sizes = n, h, wd, cin, ho, wo, cout, kh, kw, *before, edge
        flags = int(relu), int(skip is not None)
        launch("conv", "conv", blocks_for(y.size, THREADS), THREADS, *arrays, *sizes, *flags)
    return y


def _framed_dx(dy, w, method="float32"):
    """dX of conv2d, that is, of pad_conv's padded x."""
    cupy = array_module(dy)
    kh, kw, cin, _ = w.shape
    turned = ready(w[::-1, ::-1].transpose(0, 1, 3, 2))
    if (by := chosen(method, turned.shape)) is not None:
        return by.framed_dx(dy, turned)
    ho, wo = dy.shape[1] + kh - 1, dy.shape[2] + kw - 1
    return _correlate(dy, turned, cupy.zeros(cin, np.float32), (kh - 1, kw - 1), ZERO, ho, wo)


def _kernel_gradient(cache, dy, before, edge):
    """dw, db."""
    (x, w), (to_w, to_b) = cache, destinations(cache)
    cupy = array_module(x)
    kh, kw, cin, cout = shape = w.shape
    n, ho, wo, _ = dy.shape
    if (kh, kw) == (3, 3) and cin % 32 == cout % 32 == 0:
        block, tiles = _gradient_blocks(cin, cout)
        name, strip = f"conv3x3_dw_{block}", COLUMNS
        if block == 64 and (strip := shapes.strip(wo, shapes.STRIPS)) != COLUMNS:
            name += "_narrow"
        runs, per = shapes.runs(n * ho * -(-wo // strip), tiles, STRIPS)
        part = cupy.empty((runs, *shape), np.float32)
        sizes = *x.shape, ho, wo, cout, before[0], per  # edges are mirrored, or nothing is outside
        launch("conv3x3_gradient", name, runs * tiles, TILE_THREADS, x, dy, part, *sizes)
    else:
        blocks = blocks_for(prod(shape), TILE_THREADS)
        runs, per = _runs(n * ho, LINES, blocks)
        part = cupy.empty((runs, *shape), np.float32)
        sizes = *x.shape, ho, wo, cout, kh, kw, *before, edge, per
        launch("conv", "conv_gradient", (blocks, runs), TILE_THREADS, x, dy, part, *sizes)
    return _sum_parts(part, to_w), _channel_sums(dy, to_b)


def _channel_sums(dy, to=None):
    """db: the sum of dy over its pixels."""
    count, channels = pixels(dy), dy.shape[-1]
    lanes = min(channels, THREADS)
    runs, per = _runs(count, 8 * (THREADS // lanes), 1)
    part = array_module(dy).empty((runs, channels), np.float32)
    blocks = runs, -(-channels // lanes)
    launch("conv", "channel_sums", blocks, THREADS, dy, part, count, channels, lanes, per)
    return _sum_parts(part, to)


def _sum_parts(part, to=None):
    """The sum over the first axis, in order; written to `to`, if given."""
    total = room(array_module(part), to, part.shape[1:])
    blocks = blocks_for(total.size, THREADS)
    launch("conv", "sum_parts", blocks, THREADS, part, total, len(part), total.size)
    return total


def _phases(w):
    """(4, 2, 2, Cin, Cout): see kernels/upsample_conv.cu."""
    _, _, cin, cout = w.shape
    k = array_module(w).empty((4, 2, 2, cin, cout), np.float32)
    blocks = blocks_for(k.size, THREADS)
    launch("upsample_conv", "phase_kernels", blocks, THREADS, ready(w), k, cin * cout)
    return k


def _block(cout):
    """Number of output channels in a block of conv3x3.cu."""
    return 32 if cout % 64 else 64


def _blocks(n, h, w, block):
    """Number of blocks of conv3x3.cu that cover n images of h x w pixels, 32 columns each."""
    return n * -(-h // (256 // block)) * -(-w // COLUMNS)


def _gradient_blocks(cin, cout):
    """(output channels of a block of conv3x3_gradient.cu, blocks of a run).

    A block has 16 input channels for 64 output channels, and 32 for 32.
    """
    if cout % 64:
        return 32, cin // 32 * (cout // 32)
    return 64, cin // 16 * (cout // 64)


def _runs(count, least, tiles):
    """(number of runs, length of a run): `count` divided into runs of `least` or more.

    tiles : blocks of a run, which limit the number of runs.
    """
    per = max(least, -(-count // max(1, shapes.BLOCKS // tiles)))
    return -(-count // per), per
