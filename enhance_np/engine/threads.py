"""A pool of Python threads for kernels that release the GIL.

numba's own threading layers either abort when two Python threads enter them or break after a
fork; a plain pool does neither. Work is cut by its size alone, never by the number of threads,
and every piece writes its own output, so results do not depend on that number.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

_count: int | None = None


def set_threads(count: int | None) -> None:
    """Use `count` threads from now on; None means one per core this process may run on."""
    if count is not None and count < 1:
        raise ValueError(f"set_threads: needs 1 thread or more, got count={count}")
    global _count
    _count = count


def threads() -> int:
    """Threads in use."""
    if _count is not None:
        return _count
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def parallel(task: Callable, pieces: Iterable) -> list:
    """[task(piece) for piece in pieces], several at a time; the first exception is raised."""
    pieces = list(pieces)
    if threads() == 1 or len(pieces) < 2:
        return [task(piece) for piece in pieces]
    return list(_pool(os.getpid(), threads()).map(task, pieces))


def cut(count: int, most: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of at most `most` items that cover range(count)."""
    return [(i, min(i + most, count)) for i in range(0, count, most)]


@lru_cache(maxsize=1)
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    # keyed by the process: threads do not survive a fork, and the child makes its own
    return ThreadPoolExecutor(count, thread_name_prefix="enhance_np")
