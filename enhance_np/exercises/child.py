"""Runs one exercise in a process of its own: python -m enhance_np.exercises.child FILE NAME REPORT
SECONDS.

Writes to REPORT what was found, as JSON. The file may not use the network, start programs or write
files. This protects a teacher's machine from mistakes; it is not a prison for hostile code.
"""

import importlib.util
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from .checks import EXERCISES
from .network import train
from .properties import NotBegun, raised

with suppress(ImportError):  # Windows
    import resource

NETWORK = "network"
LARGEST = 10_000_000  # bytes of what a file may print
FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.kill", "os.chmod", "os.chown", "os.mkfifo", "shutil.", "ctypes.dlopen", "sqlite3.connect",
)  # fmt: skip


class Forbidden(PermissionError):
    """What an exercise must not do."""


def load(file: str):
    """The module of the file. Whatever it raises is raised."""
    spec = importlib.util.spec_from_file_location("student", file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses ask
    spec.loader.exec_module(module)
    return module


def examined(file: str, name: str) -> dict:
    """{"state": "right", "wrong", "not begun" or "not loaded", "holds": names, "problem": text}."""
    holds: list[str] = []

    def result(state, problem=None):
        return {"state": state, "holds": list(dict.fromkeys(holds)), "problem": problem}

    try:
        student = load(file)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        return result("not loaded", where + error.msg)
    except BaseException as error:
        return result("not loaded", raised(error, file))
    rng = np.random.default_rng(7)
    try:
        if name == NETWORK:
            findings = train(student, rng)
        elif not callable(getattr(student, name, None)):
            return result("wrong", f"the file must define the function {name}")
        else:
            findings = EXERCISES[name](getattr(student, name), rng)
        for found in findings:
            if found.problem:
                return result("wrong", f"{found.name}: {found.problem}")
            holds.append(found.name)
    except NotBegun:
        return result("not begun")
    except BaseException as error:
        return result("wrong", f"runs: {raised(error, file)}")
    return result("right")


def _watch(event: str, arguments: tuple) -> None:
    if event == "open":
        path, _, flags = arguments
        writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writing and path != os.devnull:
            raise Forbidden(f"an exercise must not write files, tried {path!r}")
    elif event.startswith(FORBIDDEN):
        raise Forbidden(f"an exercise needs NumPy only, tried {event}")


def main() -> None:
    file, name, report, seconds = sys.argv[1:]
    if hasattr(signal, "alarm"):  # if the grader is killed, this process ends too
        signal.alarm(int(float(seconds)) + 5)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    with Path(report).open("w", encoding="utf-8") as out:
        sys.addaudithook(_watch)
        json.dump(examined(file, name), out)


if __name__ == "__main__":
    main()
