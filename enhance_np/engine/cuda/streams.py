"""Processes images one after another on the GPU; while it computes one, others are copied.

    up       copy 1 | copy 2              | copy 3
    compute         | compute 1           | compute 2           | compute 3
    down                                  | copy 1              | copy 2
    host     fill 1, fill 2, wait for copy 1 ..., use 1, fill 3, wait for copy 2 ...

Copies run at the same time as kernels only in other streams, and only between the card and
page-locked (pinned) memory of the host. Streams do not wait for each other by themselves. Each
event here marks work that must be finished before other work begins.

Memory on the card is allocated, and so released, in the stream that computes. CuPy reuses a block
as soon as its array is gone, which is safe only for later work in the same stream. An array that
another stream copies is therefore kept until the copy is finished. The caller may change the
current stream between two results, so the stream that computes is set for each image.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import NamedTuple

import numpy as np

SLOTS = 2  # images in progress: one is computed while others are copied
# Floats per input pixel on the card, besides those for computing: two images, in up to twice the
# memory, and the result that is copied down while the next image is computed
FLOATS = 2 * SLOTS + 4
MEMORY_ALLOCATION = 2  # cudaErrorMemoryAllocation


class _Streams(NamedTuple):
    compute: object
    up: object
    down: object


def through(forward: Callable, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """forward of each image, in order; copies and work of the host run during the computation.

    forward : (1, H, W, 1) -> (1, 2H, 2W, 1), both float32 on the card. It runs in the stream that
    is current when the first result is requested.
    images : (H, W) float32 on the host, of any sizes; up to two are taken before their results.
    Yields (2H, 2W) float32 on the host; its memory is reused when the next result is requested.
    Raises MemoryError if the memory of the card or the page-locked memory of the host is full.
    """
    import cupy

    beside = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    streams = _Streams(cupy.cuda.get_current_stream(), *beside)
    slots, under_way = [_Slot(cupy, streams) for _ in range(SLOTS)], deque()
    try:
        for image, slot in zip(images, cycle(slots), strict=False):
            if len(under_way) == SLOTS:
                yield under_way.popleft().result()
            with streams.compute:
                slot.start(forward, image)
            under_way.append(slot)
        while under_way:
            yield under_way.popleft().result()
    finally:  # also after an error: no copy may use memory that is released
        streams.up.synchronize()
        streams.down.synchronize()


class _Slot:
    """Memory and events of one image in progress."""

    def __init__(self, cupy, streams):
        self.cupy, self.streams, self.room = cupy, streams, 0
        self.arrived, self.computed, self.back = (
            cupy.cuda.Event(disable_timing=True) for _ in range(3)
        )

    def start(self, forward, image):
        """Enqueue all work without waiting. The last result of this slot is already finished."""
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
        self.y = None  # not earlier, see the docstring of this module
        return self.fetched[0, :, :, 0]

    def _grow(self, size):
        """Memory for `size` pixels, in powers of two, as CuPy keeps pinned memory of each size."""
        room = 1 << (size - 1).bit_length()
        floats = np.frombuffer(self._pinned(4 * 5 * room), np.float32, 5 * room)
        self.sent, self.received = floats[:room], floats[room:]
        self.x = self.cupy.empty(room, np.float32)
        self.room = room
        # kernels that are still running may have used the block before
        self.streams.up.wait_event(self.streams.compute.record())

    def _pinned(self, nbytes):
        """Page-locked memory; if there is no more, MemoryError, as for the memory of the card."""
        try:
            return self.cupy.cuda.alloc_pinned_memory(nbytes)
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != MEMORY_ALLOCATION:
                raise
            raise MemoryError(f"page-locked memory: {nbytes:,} bytes cannot be had") from None
