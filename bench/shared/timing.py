"""Interleaved timing of several ways to compute one thing, and a record of where it ran."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from llvmlite.binding import get_host_cpu_name

from bench import ROOT
from bench.shared import table
from enhance_np._threads import set_threads, threads

PACKAGES = ("numpy", "numba", "openvino", "onnxruntime", "torch", "tensorflow", "keras")
WARM_UP = 2  # calls: the first compiles, the second finds its memory
PAGE = "docs/speed.md"  # of the tables of `speed/`, but for those beside what they measure
PAUSE = 0.05  # seconds between calls: the workers of one way stop spinning before the next


def arguments(description: str, repeats: int) -> argparse.ArgumentParser:
    """The options that every timing script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=positive, default=repeats, help="rounds (%(default)s)")
    parser.add_argument(
        "--threads", type=positive, default=threads(), help="all cores (%(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="write the tables into their page")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "bench" / "results", help="folder of the record"
    )
    return parser


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def clean_start(threads: int) -> None:
    """Run this script with `threads` threads everywhere, in a process free of BLAS overrides."""
    # OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE make NumPy's BLAS run as on another processor. It
    # reads them, and its number of threads, when it is loaded: hence a new process.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    wanted = kept | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)
    set_threads(threads)


def interleaved(
    ways: dict[str, Callable], repeats: int, warm_up: int = WARM_UP
) -> dict[str, list[float]]:
    """Seconds of each way, called in turn (A B C A B C ...), so that drifts affect all alike."""
    for way in ways.values():
        for _ in range(warm_up):
            way()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            way()
            seconds[name].append(round(time.perf_counter() - start, 6))
    return seconds


def summary(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median seconds of each way, and its median ratio to the first way in the same round."""
    base = next(iter(seconds.values()))
    return {
        name: {
            "seconds": round(median(own), 6),
            "ratio": round(median(b / a for a, b in zip(base, own, strict=True)), 4),
        }
        for name, own in seconds.items()
    }


def fastest(found: dict[str, dict[str, float]], peers: Iterable[str]) -> tuple[str, float] | None:
    """(name, ratio) of the fastest timed one of `peers`; None if none was timed."""
    timed = [name for name in peers if name in found]
    name = min(timed, key=lambda name: found[name]["ratio"], default=None)
    return None if name is None else (name, found[name]["ratio"])


def cells(found: dict[str, dict[str, float]], names: list[str]) -> list[str]:
    """One line of a table: `0.123 s (1.00)`, or a dash where a way was not timed."""
    return [
        f"{found[name]['seconds']:.3g} s ({found[name]['ratio']:.2f})" if name in found else "–"
        for name in names
    ]


def environment(threads: int, peers: Iterable[str] = ()) -> dict[str, str | int | float]:
    """Processor, threads, commit, versions (of `peers` too), and `load` of the last minute."""
    versions = {}
    for package in ("numpy", "numba", *peers, *(("keras",) if "tensorflow" in peers else ())):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else "unknown",
        "python": platform.python_version(),
        **versions,
        "commit": _commit(),
    }


def publish(
    name: str,
    record: dict,
    text: Callable[[dict], str],
    options: argparse.Namespace,
    page: str,
) -> None:
    """Print the record's text, write it to `name`-<processor>.json and, if `options` say so, the
    text of every processor's record in `page`.
    """
    print(text(record))
    options.results.mkdir(parents=True, exist_ok=True)
    results = options.results / f"{name}-{get_host_cpu_name()}.json"
    results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.write:
        table.replace(ROOT / page, name, processors(name, text, options.results))


def processors(name: str, text: Callable[[dict], str], results: Path) -> str:
    """The text of each processor's record in the folder `results`, below its name and commit."""
    found = []
    for path in sorted(results.glob(f"{name}-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        ran = record["environment"]
        found.append(f"**{ran['cpu']}, commit {ran['commit']}**\n\n{text(record)}")
    return "\n\n".join(found)


def where(record: dict) -> str:
    """Machine, versions, commit and date, for the line under a table."""
    found = record["environment"]
    versions = ", ".join(f"{name} {found[name]}" for name in PACKAGES if name in found)
    return (
        f"float32, {found['threads']} thread(s) on {found['cpu']}, {versions}; "
        f"commit {found['commit']}, {found['date']}."
    )


def caption(record: dict) -> str:
    """Method, machine and date in one line, for under a table of ways."""
    return (
        f"Median of {record['repeats']} interleaved rounds; in brackets the time over that of the "
        f"first column; {where(record)}"
    )


def _cpu():
    """The name of the processor, and LLVM's name for it: "AMD EPYC (znver4)"."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.processor()])[0]} ({get_host_cpu_name()})"


def _commit():
    def git(*command):
        # no locks: looking must not disturb another git at work here
        return subprocess.run(
            ["git", "--no-optional-locks", *command],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    try:
        changed = git("status", "--porcelain", "--", "enhance_np")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
