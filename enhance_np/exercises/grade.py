"""Grades a file of exercises, each exercise in a process of its own with a time limit."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import enhance_np

from .checks import EXERCISES
from .child import NETWORK

NAMES = (*EXERCISES, NETWORK)
LONGEST = 86_400  # seconds
SHOWN = 10_000  # bytes kept of what the file prints


class Grade(NamedTuple):
    name: str  # the exercise, or "network"
    state: str  # "right", "wrong", "not begun", "not loaded"
    holds: tuple[str, ...]  # the properties that hold
    problem: str | None  # what is wrong, in one sentence
    printed: str  # what the file wrote to its output


def grade(file: str, only: str | None = None, seconds: float = 20) -> Iterator[Grade]:
    """The grades in the order of the file; the network last, if everything else is right.

    only : one exercise.  seconds : limit for each.  A file that cannot be loaded gives one grade.
    Raises ValueError for another name or limit, and OSError if the file cannot be read.
    """
    if only is not None and only not in NAMES:
        raise ValueError(f"grade: the exercise must be one of {', '.join(NAMES)}, got {only!r}")
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"grade: seconds must be above 0 and at most {LONGEST}, got {seconds}")
    path = Path(file).resolve()
    if path.suffix != ".py":
        raise ValueError(f"grade: the file must end in .py, got {file!r}")
    try:
        path.read_bytes()
    except OSError as error:
        raise OSError(f"{file} cannot be read ({error.strerror})") from None
    return _each(str(path), only, seconds)


def _each(file, only, seconds):
    right = True
    for name in NAMES if only is None else (only,):
        if name == NETWORK and only is None and not right:
            return
        found = _run(file, name, seconds)
        right &= found.state == "right"
        yield found
        if found.state == "not loaded":
            return


def _run(file, name, seconds):
    root = str(Path(enhance_np.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        report, said = Path(folder) / "report.json", Path(folder) / "printed.txt"
        command = [sys.executable, "-m", "enhance_np.exercises.child", file, name]
        command += [str(report), str(seconds)]
        with said.open("wb") as out:  # a file, because a pipe would fill our memory
            try:
                ran = subprocess.run(
                    command, cwd=folder, env=environment, timeout=seconds,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                ran = None
        with said.open("rb") as out:
            printed = out.read(SHOWN).decode("utf-8", "replace")
        if ran is None:
            problem = f"time: must end within {seconds:g} s; is there a loop without end?"
            return Grade(name, "wrong", (), problem, printed)
        try:
            found = json.loads(report.read_text(encoding="utf-8"))
        except ValueError:
            problem = f"ended: the process ended with status {ran.returncode}, without a result"
            return Grade(name, "wrong", (), problem, printed)
    return Grade(name, found["state"], tuple(found["holds"]), found["problem"], printed)
