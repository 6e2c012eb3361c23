"""Ends the program by Ctrl-C or SIGTERM: at once, or by an exception if work has begun."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

# Prefixes of the names of modules in which no exception must be raised. While numba compiles or
# loads code, LLVM's callbacks drop the exception: the process then crashes because the code is
# missing, or numba's lock stays taken and other threads wait for ever. A weak reference's callback
# drops the exception too. A thread that is just starting may never receive its signal to end. The
# initialisation of a C extension may replace the exception by another, so imports are completed.
# numpy.fromfile takes an exception in isinstance() for True.
UNSAFE = (
    *("numba.", "llvmlite.", "weakref", "concurrent.futures.thread"),
    *("importlib._bootstrap", "abc"),
)
OUTERMOST = "enhance_np.cli"  # frames below this module's belong to who called the program
AGAIN = 0.005  # seconds
LOST = 2.0  # seconds after which an exception that nobody handles any more has been swallowed


class Terminated(KeyboardInterrupt):
    """SIGTERM. Whatever is cleaned up at Ctrl-C is cleaned up at SIGTERM."""


WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
EXCEPTIONS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_now = SimpleNamespace(pending=signal.SIGINT, raised=False)


def status(error: KeyboardInterrupt) -> int:
    """The exit status of a shell for the signal: 130 or 143."""
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def word(error: KeyboardInterrupt) -> str:
    return WORDS[status(error) - 128]


def end_at_once() -> None:
    """From now on, a signal ends the process with one line. For imports, before there is any work.

    A signal that the caller of the program ignores (nohup, a background job) stays ignored.
    """
    for number in WORDS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def ignore() -> None:
    """From now on, signals have no effect: the work is done, and only Python has to end.

    After an interrupt, its traceback keeps objects alive until then, and some may be half made
    (tqdm's bars). What their finalizers raise is of no use to anybody.
    """
    for number in WORDS:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN)
    if _now.raised:
        sys.unraisablehook = lambda lost: None


@contextmanager
def deferred() -> Iterator[None]:
    """In this context, a signal raises KeyboardInterrupt or Terminated in the main thread.

    It waits until the main thread has left the modules in UNSAFE. An exception that somebody
    swallows (C code that clears all errors, `except:`) is raised again. A second signal, while the
    work is being cleaned up, ends the process at once; `_atomic.sweep` removes what that leaves.
    It has no effect if the caller has its own handlers, or the system has no timers (Windows). It
    uses SIGALRM and its timer.
    """
    usual = (signal.SIG_DFL, signal.default_int_handler, _end)
    handled = [number for number in WORDS if signal.getsignal(number) in usual]
    if not (handled and hasattr(signal, "setitimer")):
        yield
        return
    _now.raised = False
    before = {number: signal.signal(number, _handle) for number in (*handled, signal.SIGALRM)}
    hook, sys.unraisablehook = sys.unraisablehook, _raise_again
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.setitimer(signal.ITIMER_REAL, 0)  # again: a last alarm may have set it


def _handle(number, frame):
    if number != signal.SIGALRM:
        if _now.raised:
            _end(number, frame)
        _now.pending = number
    elif _now.raised and _cleans_up():
        _later(LOST)
        return
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name == OUTERMOST:
            break
        if name.startswith(UNSAFE):
            _later()
            return
        frame = frame.f_back
    _now.raised = True
    _later(LOST)
    raise EXCEPTIONS[_now.pending]


def _cleans_up() -> bool:
    """Whether the main thread is in an except, finally or with that the exception has reached."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _later(seconds=AGAIN):
    # a timer and not a thread, because this may run while a thread is starting
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _raise_again(lost):
    """Python drops an exception that is raised in __del__ or in a callback of C."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        _now.raised = False
        _later()
    else:
        sys.__unraisablehook__(lost)


def _end(number, frame):
    with contextlib.suppress(OSError):
        os.write(2, f"enhance-np: {WORDS[number]}\n".encode())
    os._exit(128 + number)
