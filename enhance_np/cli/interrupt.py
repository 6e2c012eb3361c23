"""Delays Ctrl-C while code runs that must not be interrupted by an exception."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Prefixes of the names of modules in which no exception must be raised. While numba compiles or
# loads code, LLVM's callbacks drop the exception: the process then crashes because the code is
# missing, or numba's lock stays taken and other threads wait for ever. A weak reference's callback
# drops the exception too. A thread that is just starting may never receive its signal to end.
UNSAFE = "numba.", "llvmlite.", "weakref", "concurrent.futures.thread"
AGAIN = 0.005  # seconds


@contextmanager
def deferred() -> Iterator[None]:
    """In this context, SIGINT waits until the main thread has left the modules in UNSAFE.

    It has an effect only if SIGINT has Python's own handler (not under nohup) and the system has
    timers (not on Windows). It uses SIGALRM and its timer.
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
            # a timer and not a thread, because this may run while a thread is starting
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
