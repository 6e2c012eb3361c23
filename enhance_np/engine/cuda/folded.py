"""Prediction on the GPU: the folded network on one tile, and the largest tile that fits memory."""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import chain
from math import isqrt

from ...config import NetworkConfig
from ...weights import Weights
from .. import tiles
from ..fold import Conv, fold
from ..tiled import tiled
from . import elu, elu_conv, relu_conv, streams, upsample_conv

SHARE = 0.5  # of the free memory; the rest is for workspaces and the error of the estimate
LARGEST = 2048  # pixels, side of a tile; the halo is then 3 % of the work, so more gains nothing
CHANNELS = 32  # live channels are kept in multiples of these: whole blocks of threads


def prediction(weights: Weights, engine) -> Callable:
    """`Predictor.each` on the card."""
    forward = Folded(fold(weights, multiple=CHANNELS), weights.config, engine.ops.conv)

    def each(images, tile, progress):
        return _each(forward, images, forward.tile() if tile is None else tile, progress)

    return each


def _each(forward, images, size, progress):
    """The side of the tiles is halved whenever the memory of the card, or the page-locked memory of
    the host, is full."""
    images, under_way, ended_by = iter(images), deque(), []

    def taken():
        try:
            for image in images:
                under_way.append(image)
                yield image
        except Exception as error:  # `images` may also raise that the memory is full
            ended_by.append(error)
            raise

    while True:
        again = chain(tuple(under_way), taken())
        try:
            for y in tiled(
                partial(streams.through, forward), again, size, forward.config, progress
            ):
                under_way.popleft()
                yield y
            return
        except MemoryError:  # CuPy's OutOfMemoryError is one
            size = min(size, max((max(x.shape) for x, _ in under_way), default=1))
            if size == 1 or ended_by:  # after an error of `images`, the rest would be lost silently
                raise
        size //= 2
        release()  # after the except clause, because the error refers to the arrays


class Folded:
    """forward(x): (1, H, W, 1) -> (1, 2H, 2W, 1), float32 on the card, H and W >= 2.

    conv : convolution.conv, by a method.
    """

    def __init__(self, convs: dict[str, Conv], config: NetworkConfig, conv: Callable):
        import cupy

        self.cupy, self.config, self.conv = cupy, config, conv
        self.convs = {
            name: Conv(cupy.asarray(conv.w), cupy.asarray(conv.b)) for name, conv in convs.items()
        }

    def __call__(self, x):
        x0 = h = self._conv(x, "stem/conv", act=True)
        for k in range(self.config.depth):
            h = self._conv(self._conv(h, f"block{k}/conv1", act=True), f"block{k}/conv2", skip=h)
        h = self._conv(h, "tail/conv", skip=x0)
        del x0
        return self._head(h)

    def _conv(self, h, name, act=False, skip=None):
        relu = act and self.config.activation == "relu"
        h = self.conv(h, *self.convs[name], relu, skip)
        return elu(h)[0] if act and not relu else h

    def _head(self, h):
        h, _ = upsample_conv(h, *self.convs["refine/conv"])
        act_conv = relu_conv if self.config.activation == "relu" else elu_conv
        return act_conv(h, *self.convs["head"])[0]

    def tile(self) -> int:
        """Side of the largest tile that SHARE of the free memory and 32-bit indices allow.

        At most four activations exist at the same time, or the last one and that of the upsampled
        image with its result, besides the arrays that are copied meanwhile.
        """
        filters, refine = self.config.filters, self.config.refine
        # floats per input pixel
        floats = max(4 * filters, filters + 4 * (refine + 1)) + streams.FLOATS
        free = self.cupy.cuda.Device().mem_info[0] + _pooled(self.cupy)
        pixels = min(SHARE * free / (4 * floats), (2**31 - 1) // (4 * max(filters, refine)))
        side = isqrt(int(pixels)) - 2 * tiles.halo(self.config)
        return max(1, min(side, LARGEST))


def _pooled(cupy) -> int:
    """Bytes of memory that CuPy keeps for reuse."""
    pool = cupy.get_default_memory_pool()
    return pool.total_bytes() - pool.used_bytes()


def release() -> None:
    """Returns the memory that CuPy keeps for reuse to card and host, so that it is in one piece."""
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()
