"""A report in sections, written after each one, so that an error or a time limit loses only one."""

import json
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from .._atomic import write_bytes
from .._errors import one_line


class Report:
    """`found` holds the results, and in `found["errors"]` what the sections raised.

    path : JSON file to write, None for none.  progress : called with each line about an error.
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ):
        self.path, self.progress = path, progress
        self.found: dict = {"errors": {}, "section_seconds": {}}

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Keeps an error of the block instead of raising it, and writes the file at its end.

        Ctrl-C and SIGTERM are passed on, after the file is written.
        """
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            said = f"{type(error).__name__} at {place}: {one_line(error)}"
            self.found["errors"][name] = said
            self.progress(f"FAILED {name}: {said}")
        finally:
            self.found["section_seconds"][name] = round(time.perf_counter() - started, 3)
            self.write()

    def write(self) -> None:
        if self.path is not None:
            text = json.dumps(in_json(self.found), indent=1, allow_nan=False)
            write_bytes(self.path, text.encode() + b"\n")


def in_json(value):
    """The value for JSON, with numbers that are not finite as text: "nan", "inf"."""
    if isinstance(value, dict):
        return {name: in_json(a) for name, a in value.items()}
    if isinstance(value, list):
        return [in_json(a) for a in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
