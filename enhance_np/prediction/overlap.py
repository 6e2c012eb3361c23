"""Reads the next file and writes the last one while the present one is computed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Job = TypeVar("Job")


def overlapped(
    jobs: Iterable[Job],
    read: Callable[[Job], Any],
    compute: Callable[[Job, Any], Any],
    write: Callable[[Job, Any], None],
    errors: tuple[type[Exception], ...],
) -> Iterator[tuple[Job, Exception | None]]:
    """Calls write(job, compute(job, read(job))) for each job; yields (job, its error or None).

    The jobs are yielded in order, each when it is finished. `compute` runs in the calling thread,
    `read` in a second, one job ahead, and `write` in a third, one job behind: at most three inputs
    and two outputs are in memory.
    errors : those that are yielded, after which the other jobs are done; any other is raised.
    If the iteration ends early, a job that is being written is still finished.
    """

    def attempt(call, *arguments):
        try:
            return call(*arguments), None
        except errors as error:
            return None, error.with_traceback(None)  # which would keep images in memory

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        submitted = ((job, reader.submit(read, job)) for job in jobs)  # by each call of next
        ahead, behind = next(submitted, None), None
        while ahead is not None:
            job, reading = ahead
            value, error = attempt(reading.result)
            del reading  # and the value in it
            ahead = next(submitted, None)
            if error is None:
                value, error = attempt(compute, job, value)
            if behind is not None:
                yield _finished(*behind, attempt)
            behind = job, error, writer.submit(write, job, value) if error is None else None
            del value
        if behind is not None:
            yield _finished(*behind, attempt)


def _finished(job, error, writing, attempt):
    return job, attempt(writing.result)[1] if error is None else error
