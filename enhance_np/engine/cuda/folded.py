"""Prediction on the GPU: the folded network on one tile, and the largest tile that fits memory."""

from math import isqrt

from ...config import NetworkConfig
from .. import tiles
from ..fold import Conv
from . import elu, elu_conv, relu_conv, streams, upsample_conv
from .convolution import conv

SHARE = 0.5  # of the free memory; the rest is for workspaces and the error of the estimate
LARGEST = 2048  # pixels, side of a tile; the halo is then 3 % of the work, so more gains nothing


class Folded:
    """forward(x): (1, H, W, 1) -> (1, 2H, 2W, 1), float32 on the card, H and W >= 2.

    winograd : see engine.select.
    """

    def __init__(self, convs: dict[str, Conv], config: NetworkConfig, winograd: bool = False):
        import cupy

        self.cupy, self.config, self.winograd = cupy, config, winograd
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
        h = conv(h, *self.convs[name], relu, skip, self.winograd)
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


def out_of_memory() -> type[BaseException]:
    """The exception that CuPy raises when the memory of the card is full."""
    import cupy

    return cupy.cuda.memory.OutOfMemoryError


def release() -> None:
    """Returns the memory that CuPy keeps for reuse to the card, so that it is in one piece."""
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()
