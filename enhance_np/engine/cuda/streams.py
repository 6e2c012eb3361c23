"""Images one behind the other through the GPU: while it computes one, others are copied.

    up       copy 1 | copy 2              | copy 3
    compute         | compute 1           | compute 2           | compute 3
    down                                  | copy 1              | copy 2
    host     fill 1, fill 2, wait for copy 1 ..., use 1, fill 3, wait for copy 2 ...

Copies run beside kernels only in other streams than theirs, and only between the card and
page-locked (pinned) memory of the host. Streams do not wait for each other unless told: each event
here stands for one thing that must be over before another begins.

Memory on the card is taken, and so given back, in the stream that computes. CuPy hands a block on
at once when its array is gone, which is safe for what comes later in that same stream alone: an
array that another stream copies is kept until the copy is over.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import NamedTuple

import numpy as np

SLOTS = 2  # images under way: one is computed while others are copied
# Of an input pixel on the card, beside what computes: two images, in up to twice the room, and
# the result that goes down while the next is computed
FLOATS = 2 * SLOTS + 4


class _Streams(NamedTuple):
    compute: object
    up: object
    down: object


def through(forward: Callable, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """forward of each image, in their order; the copies and the host's work beside the computing.

    forward : (1, H, W, 1) -> (1, 2H, 2W, 1), both float32 on the card, in the current stream.
    images : (H, W) float32 on the host, of any sizes; taken up to two before their results.
    Yields (2H, 2W) float32 on the host, whose memory is used again once the next is asked for.
    """
    import cupy

    beside = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    streams = _Streams(cupy.cuda.get_current_stream(), *beside)
    slots, under_way = [_Slot(cupy, streams) for _ in range(SLOTS)], deque()
    try:
        for image, slot in zip(images, cycle(slots), strict=False):
            if len(under_way) == SLOTS:
                yield under_way.popleft().result()
            slot.start(forward, image)
            under_way.append(slot)
        while under_way:
            yield under_way.popleft().result()
    finally:  # of an error too: nothing may be copied to or from memory that is given back
        streams.up.synchronize()
        streams.down.synchronize()


class _Slot:
    """Memory and events of one image under way."""

    def __init__(self, cupy, streams):
        self.cupy, self.streams, self.room = cupy, streams, 0
        self.arrived, self.computed, self.back = (
            cupy.cuda.Event(disable_timing=True) for _ in range(3)
        )

    def start(self, forward, image):
        """Ask for everything, wait for nothing. The result of the last one here was waited for."""
        compute, up, down = self.streams
        if image.size > self.room:
            self._grow(image.size)
        shape = 1, *image.shape, 1
        sent = self.sent[: image.size].reshape(shape)
        sent[0, :, :, 0] = image
        x = self.x[: image.size].reshape(shape)
        x.set(sent, up)
        up.record(self.arrived)
        compute.wait_event(self.arrived)
        self.y = forward(x)
        compute.record(self.computed)
        down.wait_event(self.computed)
        self.fetched = self.received[: self.y.size].reshape(self.y.shape)
        self.y.get(down, out=self.fetched, blocking=False)
        down.record(self.back)

    def result(self):
        self.back.synchronize()
        self.y = None  # not before: see the head
        return self.fetched[0, :, :, 0]

    def _grow(self, size):
        """Room for `size` pixels, in powers of two: CuPy keeps pinned memory of each size."""
        self.room = 1 << (size - 1).bit_length()
        pinned = self.cupy.cuda.alloc_pinned_memory(4 * 5 * self.room)
        floats = np.frombuffer(pinned, np.float32, 5 * self.room)
        self.sent, self.received = floats[: self.room], floats[self.room :]
        self.x = self.cupy.empty(self.room, np.float32)
        # the block may be one that kernels still under way have given back
        self.streams.up.wait_event(self.streams.compute.record())
