"""Stands in for CuPy where there is no GPU: kernels run in the emulator, the rest in NumPy.

    monkeypatch.setitem(sys.modules, "cupy", device)

Launchers then run unchanged. Faults that CuPy does not notice are errors here: a wrong number or
wrong types of a kernel's arguments, arrays that are not in C order, overlapping arrays of which one
is written, launches that no card can do. NumPy and device arrays do not mix, `empty` is full of
NaN, and every launch is recorded. Asynchronous copies happen as late as CUDA allows, and a missing
wait is an error: see `streams`. `running`, `limited`, `counted`, `launches` and `streams` do not
exist in CuPy; `OURS` lists the names that do.

    with device.running("ptx", "reverse"):  # how kernels run; by default "trace", "shuffled"
        ...

Besides the emulator's modes there are `ptx` and `ptx-trace`, which run the PTX that NVRTC makes for
`arch`. This cannot show that CuPy's own launch works, that streams do overlap, or the time.
"""

import re
import sys
import weakref
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from . import emulator, nvrtc, streams
from .streams import Event, Stream

# limits of all cards from compute capability 7.0 on; a T4 has no more than 64 KB
GRID_MOST = 2**31 - 1, 65535, 65535
SHARED, SHARED_ON_REQUEST = 48 << 10, 64 << 10
MODES = (*emulator.MODES, "ptx", "ptx-trace")


class Launch(NamedTuple):
    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    arguments: tuple  # shapes of arrays, values of numbers


class How(NamedTuple):
    mode: str = "trace"
    schedule: str = "shuffled"
    arch: int = 80  # of the PTX
    contract: bool = True  # whether a * b + c may become one operation


launches: list[Launch] = []
_how = How()


@contextmanager
def running(mode: str = "trace", schedule: str = "shuffled", arch: int = 80, contract: bool = True):
    """Sets how kernels run within the block; yields the list of the launches made there."""
    global _how
    if mode not in MODES or schedule not in emulator.SCHEDULES:
        raise ValueError(f"no mode {mode!r} or schedule {schedule!r}")
    before, first = _how, len(launches)
    _how = How(mode, schedule, arch, contract)
    made = []
    try:
        yield made
        streams.check()
    finally:
        _how = before
        made.extend(launches[first:])


# --------------------------------------------------------------------------------------- arrays
class OutOfMemoryError(MemoryError):
    """Stands for cupy.cuda.memory.OutOfMemoryError."""


_memory = SimpleNamespace(used=0, limit=None, most=0)


@contextmanager
def limited(nbytes: int):
    """A card with this much memory; an array that does not fit raises OutOfMemoryError."""
    _memory.limit, _memory.most = _memory.used + nbytes, _memory.used
    try:
        yield _memory
    finally:
        _memory.limit = None


def _release(nbytes):
    _memory.used -= nbytes


class ndarray:
    """Stands for cupy.ndarray: on the device, so NumPy can only read it through `get`."""

    __array_ufunc__ = None  # np.add(x, y) is refused, and x + y with a NumPy array

    def __init__(self, host: np.ndarray):
        self._host = host
        if host.base is None:
            if _memory.limit is not None and _memory.used + host.nbytes > _memory.limit:
                raise OutOfMemoryError(f"Out of memory allocating {host.nbytes:,} bytes")
            _memory.used += host.nbytes
            _memory.most = max(_memory.most, _memory.used)
            weakref.finalize(host, _release, host.nbytes).atexit = False
            pool = getattr(_allocators[-1], "__self__", None)
            if pool is not None and streams.captured() is not None:
                streams.captured().take(host)
            else:
                streams.taken(host)
                if pool is not None:
                    pool._take(host)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    ndim = property(lambda self: self._host.ndim)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))

    @property
    def base(self):
        return None if self._host.base is None else ndarray(self._host.base)

    @property
    def data(self):
        return SimpleNamespace(ptr=self._host.ctypes.data)

    def get(self, stream=None, order="C", out=None, blocking=True):
        if out is None:
            out = np.empty(self.shape, self.dtype, order)
        elif out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError("get: needs an array of this shape and dtype")
        streams.copy(out, self._host, up=False, stream=stream)
        if blocking:
            (stream or streams.current()).synchronize()
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray) or arr.shape != self.shape or arr.dtype != self.dtype:
            raise TypeError("set: needs a NumPy array of this shape and dtype")
        streams.copy(self._host, arr, up=True, stream=stream)

    def item(self):
        return _waited(self).item()

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed: use .get()")

    def __getitem__(self, index):
        return _given(self._host[_host(index)])

    def __setitem__(self, index, value):
        _count("copy")
        value, index, target = _host(value), _host(index), _host(self)
        if (recording := streams.captured()) is not None:
            recording.add(np.ndarray.__setitem__, target, index, value)
            return
        target[index] = value

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __len__(self):
        return len(self._host)

    def __bool__(self):
        return bool(_waited(self))

    def __int__(self):
        return int(_waited(self))

    def __float__(self):
        return float(_waited(self))

    def __index__(self):
        return _waited(self).__index__()

    def __repr__(self):
        return f"device {self._host!r}"


def _host(value):
    """The NumPy array of a device array. Raises TypeError for NumPy arrays, as CuPy does."""
    if isinstance(value, ndarray):
        streams.operation(value._host)
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(map(_host, value))
    return value


def _waited(value):
    streams.waiting()
    return _host(value)


def _recorded(result, again, *arguments):
    """The result again(*arguments); if the stream is captured, only the graph computes it."""
    recording = streams.captured()
    if recording is not None and isinstance(result, np.ndarray | np.generic):
        result = np.array(result)
        recording.add(lambda out, *given: np.copyto(out, again(*given)), result, *arguments)
        np.ndarray(result.nbytes, np.uint8, result)[...] = 0xFF
    return result


def _given(value):
    """A result of NumPy as a device array; a number becomes an array without axes."""
    if isinstance(value, tuple | list):
        return type(value)(map(_given, value))
    if isinstance(value, np.generic):
        value = np.array(value)
    return ndarray(value) if isinstance(value, np.ndarray) else value


_counts: list[Counter] = []


@contextmanager
def counted():
    """Counts the operations of CuPy's own that need a kernel or a clearing of memory, by name."""
    _counts.append(Counter())
    try:
        yield _counts[-1]
    finally:
        _counts.pop()


def _count(name):
    for counts in _counts:
        counts[name] += 1


def _through(function):
    def on_device(*arguments, **named):
        named = {name: _host(value) for name, value in named.items()}
        host = [_host(value) for value in arguments]
        result = function(*host, **named)
        if not any(isinstance(a, np.ndarray) and np.may_share_memory(result, a) for a in host):
            _count(function.__name__)  # else a view
            result = _recorded(result, lambda *given: function(*given, **named), *host)
        return _given(result)

    on_device.__name__ = function.__name__
    return on_device


def _method(name):
    def on_device(self, *arguments, **named):
        named = {key: _host(value) for key, value in named.items()}
        streams.operation()
        host = [_host(value) for value in arguments]

        def again(own, *given):
            return getattr(own, name)(*given, **named)

        recording = streams.captured()
        if recording is not None and (name == "fill" or name in _IN_PLACE):
            recording.add(again, self._host, *host)
            return self
        result = again(self._host, *host)
        if result is self._host or not np.may_share_memory(result, self._host):  # else a view of it
            streams.operation(self._host)
            _count(name)
            if result is not self._host:
                result = _recorded(result, again, self._host, *host)
        return self if result is self._host else _given(result)

    on_device.__name__ = name
    return on_device


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor".split()
_METHODS = (
    [f"__{prefix}{name}__" for name in _BINARY for prefix in ("", "r", "i")]
    + "__lt__ __le__ __gt__ __ge__ __eq__ __ne__ __neg__ __pos__ __abs__ __invert__".split()
    + "all any argmax argmin astype clip copy dot fill flatten max mean min prod ravel".split()
    + "repeat reshape squeeze std sum swapaxes transpose var view".split()
)
for _name in _METHODS:
    setattr(ndarray, _name, _method(_name))
ndarray.__hash__ = None
_IN_PLACE = {f"__i{name}__" for name in _BINARY}

_FUNCTIONS = """abs add all any arange broadcast_to clip concatenate einsum equal exp expand_dims
    expm1 flip full full_like greater isfinite isnan less log matmul max maximum mean min minimum
    moveaxis multiply negative ones ones_like pad prod ravel repeat reshape roll sqrt square squeeze
    stack subtract sum swapaxes tensordot tile transpose vdot where zeros zeros_like""".split()
_SAME = """bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 dtype
    inf nan newaxis pi""".split()
_NUMPY = {name: _through(getattr(np, name)) for name in _FUNCTIONS}
_NUMPY |= {name: getattr(np, name) for name in _SAME}


def __getattr__(name):  # so that any, all, max, ... stay Python's in this file
    try:
        return _NUMPY[name]
    except KeyError:
        raise AttributeError(f"the stand-in for CuPy has no {name!r}") from None


def empty(shape, dtype=float, order="C"):
    """All bits are set, which is NaN, so that a read before the first write shows."""
    host = np.empty(shape, dtype, order)
    np.ndarray(host.nbytes, np.uint8, host)[...] = 0xFF
    return ndarray(host)


def empty_like(prototype, dtype=None):
    return empty(prototype.shape, dtype or prototype.dtype)


def array(object, dtype=None, copy=True, order="K"):
    host = _host(object) if isinstance(object, ndarray) else object
    return ndarray(np.array(host, dtype, order=order))


def asarray(a, dtype=None, order=None):
    """A device array is returned as it is, anything else is copied."""
    if isinstance(a, ndarray) and dtype in (None, a.dtype):
        return a
    return array(a, dtype, order=order or "K")


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    if a.flags.c_contiguous:
        return a
    _count("copy")
    host = np.array(a._host, order="C")
    return ndarray(_recorded(host, lambda given: given, a._host))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*arguments):
    return sys.modules[__name__] if any(isinstance(a, ndarray) for a in arguments) else np


def shares_memory(a, b):
    return np.shares_memory(a._host, b._host)


# -------------------------------------------------------------------------------------- kernels
class RawModule:
    """Stands for cupy.RawModule: the source is compiled when a kernel is first requested."""

    def __init__(self, *, code, options=(), backend="nvrtc", name_expressions=None):
        if not isinstance(options, tuple):
            raise TypeError("compiler options must be a tuple")
        if backend != "nvrtc" or name_expressions is not None:
            raise ValueError("the stand-in has the backend nvrtc, and kernels by their names")
        self.code, self.options = code, options

    def get_function(self, name):
        if name not in emulator.kernel_names(self.code):
            raise cuda.driver.CUDADriverError(f"CUDA_ERROR_NOT_FOUND: no kernel {name}")
        return RawKernel(self.code, name, self.options)


class RawKernel:
    """Stands for cupy.RawKernel."""

    def __init__(self, code, name, options=()):
        self.code, self.name, self.options = code, name, options
        self._shared_most = SHARED

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._shared_most

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, nbytes):
        if nbytes > SHARED_ON_REQUEST:
            raise cuda.driver.CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {nbytes} bytes")
        self._shared_most = nbytes

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if not isinstance(grid, tuple) or not isinstance(block, tuple):
            raise TypeError(f"{self.name}: grid and block must be tuples")
        grid, block = ((*map(_whole, sizes), 1, 1)[:3] for sizes in (grid, block))
        self._check_sizes(grid, block, shared_mem)
        kernel = _kernel(self.code, self.name, self.options, _how)
        self._check_arguments(kernel.parameters, args)
        host = [_host(a) for a in args]
        seen = tuple(a.shape if isinstance(a, ndarray) else a.item() for a in args)

        def run(*host):
            launches.append(Launch(self.name, grid, block, shared_mem, seen))
            seed = len(launches)
            kernel(grid, block, *host, shared=shared_mem, schedule=_how.schedule, seed=seed)

        recording = streams.captured()
        if recording is None:
            run(*host)
        else:
            recording.add(run, *host)

    def _check_sizes(self, grid, block, shared):
        most, static = 1024, 0
        if nvrtc.missing() is None:
            compiled = nvrtc.compile(self.code, _how.arch, self.options)
            static = compiled.resources[self.name].shared
            bound = re.search(rf"\.entry {self.name}\([^)]*\)\s*\.maxntid (\d+)", compiled.ptx)
            most = int(bound[1]) if bound else most
        threads = block[0] * block[1] * block[2]
        if min(block) < 1 or threads > most or block[2] > 64:
            raise ValueError(f"{self.name}: {block} threads, but a block has 1 to {most}")
        if any(not 1 <= n <= limit for n, limit in zip(grid, GRID_MOST, strict=True)):
            raise ValueError(f"{self.name}: {grid} blocks, but no more than {GRID_MOST}")
        if static + shared > max(SHARED, self._shared_most):
            raise ValueError(
                f"{self.name}: {static} + {shared} bytes of shared memory, more than "
                f"{self._shared_most}: set max_dynamic_shared_size_bytes"
            )

    def _check_arguments(self, parameters, arguments):
        """Checks that each has the type of its parameter. CuPy passes on anything."""
        if len(arguments) != len(parameters):
            raise TypeError(
                f"{self.name}: {len(arguments)} arguments for {len(parameters)} parameters"
            )
        arrays = []
        for i, (value, wanted) in enumerate(zip(arguments, parameters, strict=True)):
            number = isinstance(value, np.generic)
            fits = number if not wanted.pointer else isinstance(value, ndarray)
            if not fits or value.dtype != wanted.dtype:
                kind = f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip()
                raise TypeError(f"{self.name}: argument {i} is {kind}, must be {wanted}")
            if number:
                continue
            if not value.flags.c_contiguous:
                raise TypeError(f"{self.name}: argument {i} must be in C order")
            for j, other, const in arrays:
                if not (const and wanted.const) and np.shares_memory(value._host, other._host):
                    raise ValueError(
                        f"{self.name}: arguments {j} and {i} overlap, and one is written"
                    )
            arrays.append((i, value, wanted.const))


def _whole(size):
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"a size of a launch must be an integer, got {size!r}")
    return int(size)


def _kernel(code, name, options, how):
    defines = tuple(o for o in options if o.startswith("-D"))
    if not how.mode.startswith("ptx"):
        return emulator.load(code, how.mode, defines, how.contract)[name]
    from . import ptx

    mode = "trace" if how.mode == "ptx-trace" else "fast"
    return ptx.load(code, mode, how.arch, options, how.contract)[name]


# ------------------------------------------------------------------------------------ cupy.cuda
class Device:
    compute_capability = "80"
    attributes = {"MultiProcessorCount": 132}  # noqa: RUF012

    def __init__(self, device=0):
        self.id = device

    @property
    def mem_info(self):
        return _memory_info()

    def synchronize(self):
        streams.synchronize()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


_allocators = [None]  # None is the default pool


@contextmanager
def using_allocator(allocator=None):
    """Stands for cupy.cuda.using_allocator."""
    _allocators.append(allocator)
    try:
        yield
    finally:
        _allocators.pop()


class MemoryPool:
    """Stands for cupy.cuda.MemoryPool: a pool that arrays come from within `using_allocator`.

    What a capture takes is not counted, because the stand-in cannot know what it gives back.
    """

    def __init__(self):
        self._used = self._most = 0

    def malloc(self, size):
        raise NotImplementedError("only arrays take memory from a pool of the stand-in")

    def _take(self, host):
        self._used += host.nbytes
        self._most = max(self._most, self._used)
        weakref.finalize(host, self._release, host.nbytes).atexit = False

    def _release(self, nbytes):
        self._used -= nbytes

    def free_all_blocks(self):
        pass

    def used_bytes(self):
        return self._used

    def total_bytes(self):
        return self._most


class _DefaultPool(MemoryPool):
    def used_bytes(self):
        return _memory.used

    total_bytes = used_bytes


def _memory_info():
    total = _memory.limit if _memory.limit is not None else _memory.used + (8 << 30)
    return total - _memory.used, total


def get_default_memory_pool():
    return _DefaultPool()


def get_default_pinned_memory_pool():
    return _DefaultPool()


class CUDARuntimeError(RuntimeError):
    def __init__(self, status):
        super().__init__(f"CUDA error {status}")
        self.status = status


class CUDADriverError(RuntimeError):
    pass


cuda = SimpleNamespace(
    Stream=Stream,
    Event=Event,
    Graph=streams.Graph,
    using_allocator=using_allocator,
    Device=Device,
    MemoryPool=MemoryPool,
    alloc_pinned_memory=streams.alloc_pinned_memory,
    is_available=lambda: True,
    get_current_stream=streams.current,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    driver=SimpleNamespace(CUDADriverError=CUDADriverError),
    runtime=SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: 1,
        memGetInfo=_memory_info,
        deviceSynchronize=streams.synchronize,
        runtimeGetVersion=lambda: 12090,
        driverGetVersion=lambda: 12090,
    ),
)
# the names of this module that exist in CuPy
OURS = (
    list(_NUMPY)
    + "ndarray empty empty_like array asarray ascontiguousarray asnumpy get_array_module".split()
    + "shares_memory RawModule RawKernel cuda get_default_memory_pool".split()
    + ["get_default_pinned_memory_pool"]
)
