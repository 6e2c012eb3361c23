"""Streams, events and pinned memory of the stand-in for CuPy: copies are as late as CUDA allows.

Kernels and NumPy's operations run immediately, in the current stream. A copy between the card and
pinned memory is delayed until something waits for it: a later event, its stream, or the next
operation in the same stream. Code that reads or overwrites the host's side too early gets wrong
numbers.

On the card's memory, immediate execution would hide a missing wait, so accesses are checked by
vector clocks: each stream, and the host, counts its own work, and stores how far it has waited for
the work of every other stream. Race is raised

* if a stream gets work on an array on which another stream had work, without having waited for it,
  even if both only read it;
* if memory of the card is released while a stream has work on it for which neither the host nor the
  stream that allocated it, and may get it again, has waited;
* if pinned memory is released before the host has waited for the copies.

The last two are found when an array is released, and raised by the next copy or by `check`.

A stream that is captured runs nothing: kernels and NumPy's operations are recorded and run by each
launch of the graph. Raised are CaptureError, if the host waits or copies meanwhile, and Race, if a
graph is launched whose arrays were released. An array that is made during the capture must come
from a memory pool of the graph's own (`using_allocator`); it stays reserved, and is full of NaN
before each launch, because other graphs of that pool use the same memory.
Source: Lamport 1978, CACM 21, 558, for the clocks; for the waits the CUDA C++ Programming Guide,
"Asynchronous Concurrent Execution", and cupy/cuda/memory.pyx, whose pool has an arena per stream.
"""

import ctypes
import weakref
from collections import deque

import numpy as np


class Race(RuntimeError):
    """Memory is used or released before the work of another stream on it is done."""


class CaptureError(RuntimeError):
    """What no stream may do while it is captured. CuPy raises CUDARuntimeError."""


class Recording:
    """What a captured stream was given."""

    def __init__(self):
        self.work, self.own = [], []  # own: arrays of the graph's pool

    def add(self, run, *values):
        """run(*values) is work of the graph. Arrays among the values are kept as addresses."""
        kept = [_Address(one) if isinstance(one, np.ndarray) else one for one in values]
        self.work.append((run, kept))

    def take(self, host):
        self.own.append(host)


class Graph:
    """Stands for cupy.cuda.Graph."""

    def __init__(self, recording):
        self._recording = recording

    def launch(self, stream=None):
        if stream is not None and stream is not current():
            raise NotImplementedError("the stand-in launches graphs in the current stream")
        if current()._captured is not None:
            raise CaptureError("a graph within a capture")
        for one in self._recording.own:
            _bytes(one)[...] = 0xFF
        for run, kept in self._recording.work:
            values = [one.array() if isinstance(one, _Address) else one for one in kept]
            operation(*(one for one in values if isinstance(one, np.ndarray)))
            run(*values)

    def upload(self, stream=None):
        pass


class _Address:
    """An array as a graph knows it: it is not kept alive."""

    def __init__(self, array):
        owner = _owner(array)
        self._owner = weakref.ref(owner)
        self._offset = array.ctypes.data - owner.ctypes.data
        self._view = array.shape, array.dtype, array.strides

    def array(self):
        owner, (shape, dtype, strides) = self._owner(), self._view
        if owner is None:
            raise Race("the graph uses memory that was given back")
        return np.ndarray(shape, dtype, _bytes(owner), self._offset, strides)


def _bytes(array):
    """The memory of an array that has no gaps."""
    return array.ravel("K").view(np.uint8)


class Stream:
    """Stands for cupy.cuda.Stream."""

    null = None

    def __init__(self, null=False, non_blocking=False):
        self._captured = None  # the Recording under way
        self._null, self._alone = null, non_blocking
        self._queue = deque()  # delayed copies and waits
        self._over = 0  # number of those that were carried out
        self._given = 0  # number of operations and copies
        self._knows = _Clocks()  # work of other streams that is done before the next work here
        (_alone if non_blocking else _blocking).add(self)

    def __enter__(self):
        _current.append(self)
        return self

    def __exit__(self, *_):
        _current.pop()

    def synchronize(self):
        self.record().synchronize()

    def begin_capture(self, mode=None):
        if self._null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._captured is not None:
            raise CaptureError("the stream is captured already")
        self._captured = Recording()

    def end_capture(self):
        if self._captured is None:
            raise CaptureError("the stream is not captured")
        recording, self._captured = self._captured, None
        return Graph(recording)

    def is_capturing(self):
        return self._captured is not None

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        if event._stream is not None:  # waiting for an event never recorded does nothing
            _learn(self._knows, event._knows)
            stream, place = event._stream, event._place
            self._queue.append(lambda: stream._carry_out(place))

    def _carry_out(self, place=None):
        """Carries out the delayed work up to `place`."""
        place = self._over + len(self._queue) if place is None else place
        while self._over < place:
            self._over += 1
            self._queue.popleft()()

    def _follows(self, stream, count):
        """Whether the next work here comes after the first `count` of `stream`."""
        ordered = self is stream or any(
            a._null and not b._alone for a, b in ((self, stream), (stream, self))
        )
        return ordered or max(self._knows.get(stream, 0), _host.get(stream, 0)) >= count


class Event:
    """Stands for cupy.cuda.Event."""

    def __init__(self, block=False, disable_timing=False):
        self._stream = None

    def record(self, stream=None):
        self._stream = stream = stream or current()
        self._place = stream._over + len(stream._queue)
        self._knows = {**stream._knows, stream: stream._given}
        _learn(self._knows, _host)

    def synchronize(self):
        waiting()
        if self._stream is not None:
            self._stream._carry_out(self._place)
            _learn(_host, self._knows)


class PinnedMemory(bytearray):
    """Stands for cupy.cuda.PinnedMemoryPointer: a buffer."""


class _Uses(dict):
    """Stream -> its count of work when it last got work on this memory."""

    stream = None  # the stream that allocated it and may get it again; None is the host


_Clocks = weakref.WeakKeyDictionary  # stream -> count
_host = _Clocks()  # work for which the host has waited
# streams that wait for the null stream, as it does for them; and non-blocking streams
_blocking, _alone = weakref.WeakSet(), weakref.WeakSet()
_uses: dict[int, _Uses] = {}  # by the id of what owns the memory
_faults: list[str] = []
Stream.null = Stream(null=True)
_current = [Stream.null]


def current():
    return _current[-1]


def captured():
    """The Recording of the current stream, or None."""
    return current()._captured


def waiting():
    """Called where the host waits for the card."""
    if captured() is not None:
        raise CaptureError("the host must not wait or copy while the stream is captured")


def check():
    """Raises Race if memory was released too early."""
    if _faults:
        said = _faults[0]
        _faults.clear()
        raise Race(said)


def forget():
    """Clears the faults that `check` would raise."""
    _faults.clear()


def synchronize():
    """Waits for all streams."""
    for stream in [*_blocking, *_alone]:
        stream.synchronize()


def alloc_pinned_memory(nbytes):
    memory = PinnedMemory(b"\xff" * nbytes)
    _watch(memory, _Uses())
    return memory


def taken(host: np.ndarray) -> None:
    """Registers `host`, which has no base, as memory of the card."""
    uses = _Uses()
    uses.stream = current()
    _watch(host, uses)
    operation(host)


def operation(*arrays: np.ndarray) -> None:
    """Registers an operation on the card's memory, in the current stream."""
    stream = current()
    if stream._captured is not None:
        return
    stream._carry_out()
    if not stream._alone:
        for other in list(_blocking) if stream._null else [Stream.null]:
            other._carry_out()
    for array in arrays:
        _use(stream, _owner(array))


def copy(target: np.ndarray, source: np.ndarray, up: bool, stream: Stream | None) -> None:
    """Copies from the host if `up`, else from the card; delayed if the host's side is pinned."""
    check()
    waiting()
    stream = stream or current()
    device, host = (target, source) if up else (source, target)
    _use(stream, _owner(device))
    pinned = _owner(host)
    if not isinstance(pinned, PinnedMemory):  # CUDA then waits for the copy itself
        stream._carry_out()
        target[...] = source
        return
    if not (target.flags.c_contiguous and source.flags.c_contiguous):
        raise RuntimeError("a copy beside other work needs both sides in C order")
    _use(stream, pinned)
    # the copy must not keep memory that is released, unless it belongs to this stream
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
    """Counts the work; raises Race if another stream has work on the memory too."""
    stream._given += 1
    uses = _uses.get(id(owner))
    if uses is None:  # not registered: a test has wrapped a part of an array
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
