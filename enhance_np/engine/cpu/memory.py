"""Float32 arrays whose memory is used again, on the boundaries of cache lines.

A training step makes the same hundred arrays every time. Fresh memory costs a page fault per
page, and NumPy's begins 16 bytes behind a cache line, so that every vector load touches two.
"""

import threading
import weakref
from collections import defaultdict, deque
from itertools import count
from types import SimpleNamespace

import numpy as np

LINE = 64  # bytes of a cache line
AGE = 2000  # arrays made since: a buffer unused for so long was for another network or batch

PAGE = 2**21  # bytes of a large page
SMALL = 2**18  # bytes; what is larger begins on a large page, if the system has them

_free: dict[int, deque[tuple[int, np.ndarray]]] = defaultdict(deque)  # by size: (released, buffer)
_made = count()  # how many arrays: the clock
_last = SimpleNamespace(swept=0)


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """Like np.empty(shape, np.float32); its memory returns here when nothing refers to it."""
    now = next(_made)
    if now > _last.swept + AGE // 8:
        _last.swept = now
        _forget(now - AGE)
    size = 4 * int(np.prod(shape))
    boundary = LINE if size < SMALL else PAGE
    try:
        _, raw = _free[size].pop()
    except IndexError:
        # NumPy asks for large pages from 4 MB on; of what is not touched only addresses are taken
        raw = _buffer(size + LINE if size < SMALL else max(size, PAGE) + PAGE)
    start = -raw.ctypes.data % boundary
    # of a buffer and not of `raw`: views refer to the array that they are made of, up to this one
    array = np.frombuffer(raw.data, np.float32, size // 4, start)
    weakref.finalize(array, _release, size, raw).atexit = False
    return array.reshape(shape)


def _buffer(size):
    return np.empty(size, np.uint8)


def _release(size, raw):
    _free[size].append((next(_made), raw))


def _forget(before):
    for size in list(_free):
        buffers = _free[size]
        try:
            while buffers[0][0] < before:  # `empty` takes from the other end
                buffers.popleft()
        except IndexError:  # none left, or another thread took the last
            continue


_own = threading.local()


def scratch(size: int) -> np.ndarray:
    """`size` floats of this thread's own, contents undefined, until its next call."""
    if getattr(_own, "array", None) is None or _own.array.size < size:
        _own.array = empty((size,))
    return _own.array[:size]
