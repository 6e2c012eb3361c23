"""A file with one line of JSON for every file of an archive: what was made of what, or why not."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

from .. import __version__
from ..weights import digest
from .steps import Result, Work

BEGINS = b'{"status": "'  # every line


class Manifest:
    """In a `with`, appends lines to the file `path`, which is made if it is missing.

    Every line is one object and is written by one call of the system, so that a run that is killed
    leaves whole lines. A line that a power cut or a full disk cut short is removed when the file
    is opened again. For two processes that write at once, give each its own file: on network file
    systems, lines of several writers may be lost.
    Raises OSError with the path if the file cannot be opened or written, ValueError if it exists
    and is no manifest.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)

    def add(self, status: str, **entry) -> None:
        """Append one line. NaN is refused, because JSON has none."""
        entry = {"status": status, "time": datetime.now(UTC).isoformat(timespec="seconds")} | entry
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        try:
            while line:  # a full disk may take a part
                line = line[self._file.write(line) :]
        except OSError as error:
            raise self._error(error) from error

    def targets(self) -> set[str]:
        """The targets of the lines that tell of no error."""
        return {e["target"] for e in entries(self.path) if e["status"] != "failed"}

    def __enter__(self):
        try:
            with ExitStack() as opened:
                self._file = opened.enter_context(open(self.path, "a+b", buffering=0))
                self._check()
                self._remove_part_of_a_line()
                self._opened = opened.pop_all()
        except OSError as error:
            raise self._error(error) from None
        return self

    def __exit__(self, *_):
        self._opened.close()

    def _check(self):
        self._file.seek(0)
        start = self._file.read(len(BEGINS))
        if not BEGINS.startswith(start):
            raise ValueError(f"the file {self.path!r} must be a manifest, got {start!r} in it")

    def _remove_part_of_a_line(self):
        end = keep = self._file.seek(0, os.SEEK_END)
        while keep:
            self._file.seek(keep - 1)
            if self._file.read(1) == b"\n":
                break
            keep -= 1
        if keep < end:
            self._file.truncate(keep)

    def _error(self, error):
        return OSError(error.errno, f"the manifest {self.path!r} cannot be written", error.strerror)


def written(result: Result, work: Work, target: str | os.PathLike, seconds: float) -> dict:
    """What the line of an output tells beside its source and target."""
    return {
        "version": __version__,
        "options": work.options,
        "source_sha256": result.image.sha256,
        "target_sha256": digest(target),
        "seconds": round(seconds, 3),
        **result.figures(),
    }


def entries(path: str | os.PathLike) -> Iterator[dict]:
    """The lines of a manifest. Raises ValueError for a file that is none."""
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                entry["status"], entry["target"]
            except (ValueError, LookupError, TypeError):
                raise ValueError(
                    f"a manifest must hold lines of JSON with status and target, got {line[:40]!r} "
                    f"in line {number} of {os.fspath(path)!r}"
                ) from None
            yield entry
