"""Streams, events and pinned memory of the stand-in for CuPy: copies are as late as CUDA allows.

Kernels and NumPy's operations run at once, in the current stream. A copy between the card and
pinned memory is put off until something waits for it: an event behind it, its stream, or what runs
next in that very stream. Who reads or overwrites the host's side too early gets wrong numbers.

The card's memory, where running at once would hide a missing wait, is watched: every stream counts
what it is given, and knows how far the others were when it waited for their events, and so does
the host (vector clocks). Race is raised

* when a stream is given work on an array that another had before, without having waited for it,
  be it only to read: the same array in two streams at once is not told apart;
* when memory of the card is given back while another stream than that which took it, and may have
  it next, has work on it that neither that one nor the host has waited for;
* when pinned memory is given back before the host has waited for the copies.

The last two are found when an array goes, so raised by the next copy, or by `check`.
Source: Lamport 1978, CACM 21, 558, for the clocks; for the waits the CUDA C++ Programming Guide,
"Asynchronous Concurrent Execution", and cupy/cuda/memory.pyx, whose pool has an arena a stream.
"""

import ctypes
import weakref
from collections import deque

import numpy as np


class Race(RuntimeError):
    """Memory is used before the work that another stream has on it is over."""


class Stream:
    """As cupy.cuda.Stream."""

    null = None

    def __init__(self, null=False, non_blocking=False):
        self._null, self._alone = null, non_blocking
        self._queue = deque()  # copies and waits put off
        self._over = 0  # those that are not any more
        self._given = 0  # operations and copies
        self._knows = _Clocks()  # of the others' work: what is over before what comes next here
        (_alone if non_blocking else _blocking).add(self)

    def __enter__(self):
        _current.append(self)
        return self

    def __exit__(self, *_):
        _current.pop()

    def synchronize(self):
        self.record().synchronize()

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        if event._stream is not None:  # one that was never recorded is waited for in vain
            _learn(self._knows, event._knows)
            stream, place = event._stream, event._place
            self._queue.append(lambda: stream._carry_out(place))

    def _carry_out(self, place=None):
        """What was put off, up to `place`."""
        place = self._over + len(self._queue) if place is None else place
        while self._over < place:
            self._over += 1
            self._queue.popleft()()

    def _follows(self, stream, count):
        """Whether what this one gets next comes behind the first `count` that stream was given."""
        ordered = self is stream or any(
            a._null and not b._alone for a, b in ((self, stream), (stream, self))
        )
        return ordered or max(self._knows.get(stream, 0), _host.get(stream, 0)) >= count


class Event:
    """As cupy.cuda.Event."""

    def __init__(self, block=False, disable_timing=False):
        self._stream = None

    def record(self, stream=None):
        self._stream = stream = stream or current()
        self._place = stream._over + len(stream._queue)
        self._knows = {**stream._knows, stream: stream._given}
        _learn(self._knows, _host)

    def synchronize(self):
        if self._stream is not None:
            self._stream._carry_out(self._place)
            _learn(_host, self._knows)


class PinnedMemory(bytearray):
    """As cupy.cuda.PinnedMemoryPointer: a buffer."""


class _Uses(dict):
    """Stream -> how many it had been given when it last got work on this memory."""

    stream = None  # where it was taken, and will be had again; None is the host


_Clocks = weakref.WeakKeyDictionary  # stream -> count
_host = _Clocks()  # what the host has waited for
# streams that wait for the null stream, and it for them, and others
_blocking, _alone = weakref.WeakSet(), weakref.WeakSet()
_uses: dict[int, _Uses] = {}  # by the id of what owns the memory
_faults: list[str] = []
Stream.null = Stream(null=True)
_current = [Stream.null]


def current():
    return _current[-1]


def check():
    """Raise Race for what was given back too early."""
    if _faults:
        said = _faults[0]
        _faults.clear()
        raise Race(said)


def forget():
    """What `check` would raise."""
    _faults.clear()


def synchronize():
    """All streams are waited for."""
    for stream in [*_blocking, *_alone]:
        stream.synchronize()


def alloc_pinned_memory(nbytes):
    memory = PinnedMemory(b"\xff" * nbytes)
    _watch(memory, _Uses())
    return memory


def taken(host: np.ndarray) -> None:
    """host, which has no base, is memory of the card from now on."""
    uses = _Uses()
    uses.stream = current()
    _watch(host, uses)
    operation(host)


def operation(*arrays: np.ndarray) -> None:
    """Something runs in the current stream now, on the card's memory."""
    stream = current()
    stream._carry_out()
    if not stream._alone:
        for other in list(_blocking) if stream._null else [Stream.null]:
            other._carry_out()
    for array in arrays:
        _use(stream, _owner(array))


def copy(target: np.ndarray, source: np.ndarray, up: bool, stream: Stream | None) -> None:
    """From the host if up, else from the card; put off if the host's side is pinned."""
    check()
    stream = stream or current()
    device, host = (target, source) if up else (source, target)
    _use(stream, _owner(device))
    pinned = _owner(host)
    if not isinstance(pinned, PinnedMemory):  # then CUDA itself waits
        stream._carry_out()
        target[...] = source
        return
    if not (target.flags.c_contiguous and source.flags.c_contiguous):
        raise RuntimeError("a copy beside other work needs both sides in C order")
    _use(stream, pinned)
    # memory that is given back must not be kept by the copy; that of this stream may be
    alive = [weakref.ref(pinned), weakref.ref(_owner(device))]
    keep = device if _uses_of(device) is None or _uses_of(device).stream is stream else None
    pointers = target.ctypes.data, source.ctypes.data, source.nbytes

    def carry_out(keep=keep):
        if all(owner() is not None for owner in alive):
            ctypes.memmove(*pointers)

    stream._queue.append(carry_out)


def _owner(array):
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def _uses_of(array):
    return _uses.get(id(_owner(array)))


def _watch(owner, uses):
    _uses[id(owner)] = uses
    weakref.finalize(owner, _given_back, id(owner)).atexit = False


def _use(stream, owner):
    """Raises Race if another stream has it, too."""
    stream._given += 1
    uses = _uses.get(id(owner))
    if uses is None:  # not of the card: a test has wrapped a part of an array
        return
    if uses.stream is not None:
        for other, count in uses.items():
            if not stream._follows(other, count):
                raise Race("work on an array that another stream has, and was not waited for")
    uses[stream] = stream._given


def _given_back(key):
    uses = _uses.pop(key, None)
    for stream, count in (uses or {}).items():
        if uses.stream is None:
            if _host.get(stream, 0) < count:
                _faults.append("pinned memory is given back before the copies are over")
        elif not uses.stream._follows(stream, count):
            _faults.append("memory is given back while another stream has work on it")


def _learn(known, other):
    for stream, count in other.items():
        known[stream] = max(known.get(stream, 0), count)
