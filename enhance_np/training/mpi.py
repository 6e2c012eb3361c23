"""Workers that talk by MPI: the processes that `mpiexec` started, on one machine or on many.

Any MPI does; `pip install "enhance_np[mpi]"` brings mpi4py and MPICH.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .. import _signals
from .._array import Array, array_module
from .._errors import one_line

SPIN, PAUSE = 1e-3, 1e-4  # seconds: wait without sleeping so long, then sleep so long at a time
PATIENCE = 5.0  # seconds for which an error of worker 0 is waited for, to print it alone
CORES = 4096  # numbers of cores are below


class Mpi:
    """See workers.Workers.  comm : an mpi4py communicator."""

    def __init__(self, comm):
        self.rank, self.size, self._comm = comm.rank, comm.size, comm

    def total(self, own: Array) -> Array:
        """MPI requires of Allreduce that all get identical results (MPI 4.1, section 6.9.6)."""
        from mpi4py import MPI

        found = own.get() if hasattr(own, "get") else np.array(own, order="C")  # of a GPU, or here
        request = self._comm.Iallreduce(MPI.IN_PLACE, found)
        spin_until = time.monotonic() + SPIN
        # not the call that waits: no signal could end it, if the other workers do not come
        while not request.Test():
            time.sleep(0 if time.monotonic() < spin_until else PAUSE)
        return array_module(own).asarray(found)

    def cores(self) -> int:
        """The cores that this worker may use, divided among the workers that may use them too."""
        from mpi4py import MPI

        affinity = getattr(os, "sched_getaffinity", None)
        own = sorted(affinity(0)) if affinity else range(os.cpu_count() or 1)
        users = np.zeros(CORES, np.int32)
        users[own] = 1
        self._comm.Split_type(MPI.COMM_TYPE_SHARED).Allreduce(MPI.IN_PLACE, users)
        return max(1, int((1 / users[own]).sum()))


@contextmanager
def joined() -> Iterator[Mpi]:
    """All processes that mpiexec started with this one. They are joined until Python ends.

    If the body raises, this process ends all the others when it exits, so that none waits for it
    for ever. An error that all of them have is told by worker 0: the others wait a moment for it.
    Raises ImportError without mpi4py or without an MPI.
    """
    MPI = _imported()
    world = MPI.COMM_WORLD
    try:
        yield Mpi(world)
    except BaseException as error:
        if world.size > 1:
            interrupted = isinstance(error, KeyboardInterrupt)
            atexit.register(_end_all, world, _signals.status(error) if interrupted else 1)
            if world.rank:
                time.sleep(PATIENCE)
        raise


def _imported():
    """mpi4py.MPI, whose import joins the processes.

    It waits for all of them, in C: meanwhile signals have their usual effect, or nothing could end
    it if another process does not come.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f'mpi: needs mpi4py and an MPI ({one_line(error)}): pip install "enhance_np[mpi]"'
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return MPI


def _end_all(world, status):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the error has been told; MPI would add a line
    world.Abort(status)
