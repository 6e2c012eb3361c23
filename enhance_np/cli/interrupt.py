"""Ctrl-C where Python could not pass it on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Beginnings of modules' names where an exception must not be raised. numba compiles and loads:
# LLVM's callbacks drop an exception, the process crashes for want of the code, and numba's lock may
# stay taken, so that other threads wait for ever. A weak reference's callback drops it too, and a
# thread that is just starting may never be told to end.
UNSAFE = "numba.", "llvmlite.", "weakref", "concurrent.futures.thread"
AGAIN = 0.005  # seconds


@contextmanager
def deferred() -> Iterator[None]:
    """Within, SIGINT waits until the main thread has left the modules that are UNSAFE.

    Only where SIGINT has Python's own handler, and there are timers to try it again: not behind
    nohup, not on Windows. Takes SIGALRM and its timer.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (usual and hasattr(signal, "setitimer")):
        yield
        return
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number, frame):
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(UNSAFE):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)  # no thread: this may be one's start
            return
        frame = frame.f_back
    raise KeyboardInterrupt
