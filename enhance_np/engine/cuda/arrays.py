"""Arrays as the kernels need them, and how reductions are divided into blocks by their shape."""

import numpy as np

from ..._array import array_module

THREADS = 256  # per block; the kernels of reductions have the same number
RUN = 8  # pixels that a thread takes at a time; the same in the kernels
BLOCKS = 1024  # largest number of blocks of a reduction; enough for any card


def ours(*arrays) -> bool:
    """Whether the arrays are float32 on the GPU and not empty; others go to the reference."""
    return all(array_module(a) is not np and a.dtype == np.float32 and a.size for a in arrays)


def ready(x):
    """x in C order and aligned to 16 bytes, which float4 needs."""
    if not x.flags.c_contiguous:
        x = array_module(x).ascontiguousarray(x)
    return x.copy() if x.data.ptr % 16 else x


def room(cupy, to, shape: tuple[int, ...]):
    """`to`, the array into which a result is to be written, or a new one."""
    return cupy.empty(shape, np.float32) if to is None else to


def gradient(name: str, dy, shape: tuple[int, ...]):
    """dy as a kernel needs it, which would read beyond the end of another shape."""
    if dy.shape != shape:
        raise ValueError(f"{name}: dy must be {shape}, got dy.shape={dy.shape}")
    return ready(dy if dy.dtype == np.float32 else dy.astype(np.float32))


def pixels(x) -> int:
    """N*H*W of (N, H, W, C)."""
    return x.size // x.shape[-1]


def by_channel(count: int, channels: int) -> tuple[int, int, tuple[int, int]]:
    """(lanes, per, blocks) of a reduction over `count` pixels, see kernels/batchnorm.cu.

    `lanes` threads of a block have one channel each, and a block has `per` pixels. They depend only
    on the shape, and so do the bits of sums.
    """
    lanes = min(channels, THREADS)
    per = max(THREADS // lanes * RUN, -(-count // BLOCKS))
    return lanes, per, (-(-count // per), -(-channels // lanes))


def flat(count: int) -> tuple[int, int]:
    """(per, blocks) of a reduction over all of `count` elements; per is a multiple of 4."""
    per = max(4 * THREADS, -(-count // (4 * BLOCKS)) * 4)
    return per, -(-count // per)
