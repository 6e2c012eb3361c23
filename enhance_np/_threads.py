"""A pool of Python threads for kernels that release the GIL.

numba's own threading layers either abort when two Python threads enter them or break after a
fork; a plain pool does neither. Work is divided by its size and never by the number of threads,
and every piece writes its own output, so results do not depend on the number of threads.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

_count: int | None = None


def set_threads(count: int | None) -> None:
    """Use `count` threads from now on; None means one per core available to this process."""
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


def parallel(
    task: Callable,
    pieces: Iterable,
    within: Callable[[], AbstractContextManager] = nullcontext,
) -> list:
    """[task(piece) for piece in pieces], several at a time; the first exception is raised.

    The calling thread works too, so n threads need a pool of n - 1.
    within : context that every thread enters while it works.
    """
    pieces = list(pieces)
    all_threads = threads()
    count = min(all_threads, len(pieces))
    if count < 2:
        with within():
            return [task(piece) for piece in pieces]
    results, left = [None] * len(pieces), deque(enumerate(pieces))

    def work():
        with within():
            while True:
                try:
                    i, piece = left.popleft()  # atomic: no two threads get the same piece
                except IndexError:
                    return
                try:
                    results[i] = task(piece)
                except BaseException:
                    left.clear()
                    raise

    pool = _pool(os.getpid(), all_threads - 1)
    helpers = [pool.submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        # do not wait for a helper that never began: its thread may be waiting for this one
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
        # cancelled helpers stay in the queue of a busy thread: drop their references to the arrays
        found, results, task = results, None, None
    for helper in begun:
        helper.result()
    return found


def cut(count: int, most: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of at most `most` items that cover range(count)."""
    return [(i, min(i + most, count)) for i in range(0, count, most)]


@lru_cache(maxsize=1)
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    # keyed by the process: threads do not survive a fork, so a child makes its own pool
    return ThreadPoolExecutor(count, thread_name_prefix="enhance_np")
