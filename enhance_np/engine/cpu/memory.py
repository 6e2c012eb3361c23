"""Float32 arrays with reused memory that begins on the boundaries of cache lines.

Every training step makes the same hundred arrays. New memory costs a page fault per page. NumPy's
memory begins 16 bytes after a cache line, so that every vector load would touch two lines.

What is kept for reuse is bounded by number: the buffers of the last AGE arrays. A training step of
the default network makes 82 arrays, one of 17 blocks 238, and such networks find the memory of
their last step again. Images of many sizes, whose prediction makes a few arrays each, keep that of
the last dozens.
"""

import threading
import weakref
from collections import defaultdict, deque
from itertools import count
from types import SimpleNamespace

import numpy as np

LINE = 64  # bytes of a cache line
AGE = 250  # arrays; a buffer unused while so many were made was for another network or batch

PAGE = 2**21  # bytes of a large page
SMALL = 2**18  # bytes; larger arrays begin on a large page, if the system has them

_free: dict[int, deque[tuple[int, np.ndarray]]] = defaultdict(deque)  # by size: (released, buffer)
_made = count()  # number of arrays made, used as a clock
_last = SimpleNamespace(made=0, swept=0)


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """Like np.empty(shape, np.float32), but its memory is reused when nothing refers to it."""
    now = _last.made = next(_made)
    if now > _last.swept + AGE // 8:
        _last.swept = now
        _forget(now - AGE)
    size = 4 * int(np.prod(shape))
    boundary = LINE if size < SMALL else PAGE
    try:
        _, raw = _free[size].pop()
    except IndexError:
        # NumPy requests large pages from 4 MB on; untouched memory takes only addresses
        raw = _buffer(size + LINE if size < SMALL else max(size, PAGE) + PAGE)
    start = -raw.ctypes.data % boundary
    # from raw.data, so that views keep a reference to this array and not to `raw`
    array = np.frombuffer(raw.data, np.float32, size // 4, start)
    weakref.finalize(array, _release, size, raw).atexit = False
    return array.reshape(shape)


def _buffer(size):
    return np.empty(size, np.uint8)


def _release(size, raw):
    _free[size].append((_last.made, raw))


def _forget(before):
    for size in list(_free):
        buffers = _free[size]
        try:
            while buffers[0][0] < before:  # the oldest are at this end; `empty` uses the other
                buffers.popleft()
        except IndexError:  # none is left, or another thread took the last one
            continue


_own = threading.local()


def scratch(size: int) -> np.ndarray:
    """`size` floats for this thread until its next call, with undefined contents."""
    if getattr(_own, "array", None) is None or _own.array.size < size:
        _own.array = empty((size,))
    return _own.array[:size]
