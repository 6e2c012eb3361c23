"""Workers that are threads of one process: the arithmetic of many, without an MPI."""

from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from threading import Barrier, BrokenBarrierError, Lock

WAIT = 120  # seconds until a worker that never comes is an error


class Threaded:
    """See training.workers.Workers. They take turns, so that what they call need not be safe."""

    def __init__(self, rank, size, barrier, turn, given):
        self.rank, self.size, self.calls = rank, size, 0
        self.barrier, self.turn, self.given = barrier, turn, given

    def total(self, own):
        self.calls += 1
        self.given[self.rank] = own
        self.turn.release()
        try:
            self.barrier.wait(WAIT)
            found = reduce(add, self.given)  # in the same order by all
            self.barrier.wait(WAIT)  # before one gives its next
        finally:
            self.turn.acquire()
        return found


def together(size, work):
    """[work(worker) for each of `size` workers]. The error of one ends all, and is raised."""
    barrier, turn, given = Barrier(size), Lock(), [None] * size

    def run(rank):
        with turn:
            try:
                return work(Threaded(rank, size, barrier, turn, given))
            except BaseException:
                barrier.abort()
                raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
    errors = [future.exception() for future in futures]
    causes = [e for e in errors if e and not isinstance(e, BrokenBarrierError)]
    for error in (*causes, *errors):
        if error:
            raise error
    return [future.result() for future in futures]
