"""What a kernel takes: which arrays are ours, and how a reduction cuts them, by their shape."""

import numpy as np

from ..._array import array_module

THREADS = 256  # per block, as the kernels of reductions have it in their text
RUN = 8  # likewise: pixels that a thread takes at a time
BLOCKS = 1024  # of a reduction at most, then its threads take more: enough for any card


def ours(*arrays) -> bool:
    """Whether they are float32 on the GPU, of 1 element or more; the rest is the reference's."""
    return all(array_module(a) is not np and a.dtype == np.float32 and a.size for a in arrays)


def ready(x):
    """x in C order, beginning at 16 bytes: float4 needs both."""
    x = array_module(x).ascontiguousarray(x)
    return x.copy() if x.data.ptr % 16 else x


def gradient(name: str, dy, shape: tuple[int, ...]):
    """dy as a kernel takes it, which would read beyond one of another shape."""
    if dy.shape != shape:
        raise ValueError(f"{name}: dy must be {shape}, got dy.shape={dy.shape}")
    return ready(dy if dy.dtype == np.float32 else dy.astype(np.float32))


def pixels(x) -> int:
    """N*H*W of (N, H, W, C)."""
    return x.size // x.shape[-1]


def by_channel(count: int, channels: int) -> tuple[int, int, tuple[int, int]]:
    """lanes, per, blocks of a reduction over `count` pixels, see kernels/batchnorm.cu.

    `lanes` threads of a block have one channel each; a block has `per` pixels. They depend on
    the shape alone, and so do the bits of sums.
    """
    lanes = min(channels, THREADS)
    per = max(THREADS // lanes * RUN, -(-count // BLOCKS))
    return lanes, per, (-(-count // per), -(-channels // lanes))


def flat(count: int) -> tuple[int, int]:
    """per, blocks of a reduction over all of `count` elements; per is a multiple of 4."""
    per = max(4 * THREADS, -(-count // (4 * BLOCKS)) * 4)
    return per, -(-count // per)
