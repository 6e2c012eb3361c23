"""An archive on a cluster of dask: each file is a task, done by whichever worker is free."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from threading import Lock
from time import perf_counter

from .._threads import set_threads
from .archive import Job
from .manifest import written
from .steps import Work

WINDOW = 1000  # tasks that the scheduler knows of at a time: it needs memory for each
_one = Lock()  # a worker may have several threads, but one image uses all of them
_kept: dict[str, Work] = {}  # on a worker: that of the last run, by the name of the run


def finished(
    address: str,
    make: Callable[[], Work],
    jobs: Iterable[tuple[int, Job]],
    *,
    overwrite: bool,
    threads: int | None,
    errors: tuple[type[Exception], ...],
) -> Iterator[tuple[int, dict | Exception]]:
    """(number, the line of its manifest or its error) of each job, in the order of their ends.

    address : of the scheduler.  make : gives every worker its Work; dask takes it there.
    jobs : numbered, with paths that mean the same files on all workers, which read and write them.
    threads : of each worker; None is the number that it was started with.
    errors : those of a file. A task whose worker is lost is given to another one; if more workers
    are lost with it than dask allows (distributed.scheduler.allowed-failures), it is tried once
    more when the others have ended, alone: it may only have waited where another killed them. If
    they are lost again, that is its error.
    Raises ImportError without dask.distributed, OSError if the scheduler does not answer.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise ImportError(
            'a scheduler needs dask.distributed: pip install "enhance_np[scale]"'
        ) from None
    run, jobs, known, lost = secrets.token_hex(8), iter(jobs), {}, []
    with Client(address) as client:

        def submitted(jobs):
            for number, job in jobs:
                task = run, make, job, overwrite, threads, errors
                future = client.submit(_do, *task, pure=False)
                known[future.key] = number, job
                yield future

        waiting = as_completed(list(submitted(islice(jobs, WINDOW))))
        for future in waiting:
            number, job = known.pop(future.key)
            try:
                yield number, future.result()
            except KilledWorker:
                lost.append((number, job))
            waiting.update(list(submitted(islice(jobs, 1))))
        for number, job in lost:
            (future,) = submitted([(number, job)])
            try:
                yield number, future.result()
            except KilledWorker as error:
                yield number, RuntimeError(f"its workers were lost: {error}")


def _do(run, make, job, overwrite, threads, errors) -> dict | Exception:
    """One job, on a worker."""
    from distributed import get_worker

    with _one:
        set_threads(threads or get_worker().state.nthreads)
        begun = perf_counter()
        if not overwrite and job.is_done():  # by a worker that has been lost since
            return {"status": "existed"}
        try:
            work = _work(run, make)
            result = work(job.source, job.target, overwrite=overwrite, plot=job.plot)
        except errors as error:
            return error.with_traceback(None)
        told = written(result, work, job.target, perf_counter() - begun)
        return {"status": "written", **told}


def _work(run: str, make: Callable[[], Work]) -> Work:
    """Made once for a run, with the network that it folds."""
    if run not in _kept:
        _kept.clear()
        _kept[run] = make()
    return _kept[run]
