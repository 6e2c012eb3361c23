"""Everything that the commands write to a terminal goes through this module.

File names, header cards and HDF5 attributes come from others and may hold escape sequences, which a
terminal would obey.
"""

import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# control characters, formats (they reverse the direction of text), halves of surrogate pairs (bytes
# of a file name that are not UTF-8), line and paragraph separators
RAW = {"Cc", "Cf", "Cs", "Zl", "Zp"}
log = logging.getLogger(__name__)


def printable(text: str, keep: str = "\n\t") -> str:
    r"""`text` with every character escaped that a terminal would not show: \x1b, \udcff.

    keep : control characters that stay.
    """
    return "".join(
        c if c in keep or unicodedata.category(c) not in RAW else ascii(c)[1:-1] for c in text
    )


def say(text: str, end: str = "\n") -> None:
    """Write text to standard output. Raises OSError if that is closed or full."""
    if sys.stdout is None:
        raise OSError("standard output must be open, got a closed one")
    try:
        print(printable(text), end=end, flush=True)
    except OSError as error:
        with suppress(OSError):  # otherwise Python fails again on the rest of the text, at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(f"standard output cannot be written ({error.strerror})") from None


def complain(line: str) -> None:
    """Write one line to standard error, unless that is closed or full: nothing else is left."""
    with suppress(OSError):
        if sys.stderr is not None:
            print(printable(line, keep=""), file=sys.stderr, flush=True)


def reserve_descriptors() -> None:
    """Open the null device for standard streams that the caller closed.

    Otherwise the next file that is opened gets the number of one, and receives what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, it stays open to the end


class Formatter(logging.Formatter):
    """Every record of the log is one printable line."""

    def format(self, record):
        return printable(" ".join(super().format(record).split("\n")), keep="")


@contextmanager
def warnings_logged() -> Iterator[None]:
    """In this context, a warning of Python or of a library is a line of the log."""

    def show(message, category, *where, **more):
        log.warning("%s: %s", category.__name__, message)

    usual, warnings.showwarning = warnings.showwarning, show
    try:
        yield
    finally:
        warnings.showwarning = usual
