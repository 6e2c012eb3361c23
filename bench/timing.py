"""Interleaved timing of several ways to compute one thing, and a record of where it ran."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import table
from llvmlite.binding import get_host_cpu_name

from enhance_np.engine.threads import set_threads, threads

ROOT = Path(__file__).parents[1]
PACKAGES = ("numpy", "numba", "onnxruntime", "torch")
WARM_UP = 2  # calls: the first compiles, the second finds its memory
PAUSE = 0.05  # seconds between calls: the workers of one way stop spinning before the next


def arguments(description: str, repeats: int) -> argparse.ArgumentParser:
    """The options that every timing script has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=int, default=threads(), help="all cores (%(default)s)")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    return parser


def clean_start(threads: int) -> None:
    """Run this script with `threads` threads everywhere, in a process free of BLAS overrides."""
    # OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE make NumPy's BLAS run as on another processor. It
    # reads them, and its number of threads, when it is loaded: hence a new process.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    wanted = kept | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)
    set_threads(threads)


def interleaved(ways: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, called in turn (A B C A B C ...): drifts of the machine hit all."""
    for way in ways.values():
        for _ in range(WARM_UP):
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


def cells(found: dict[str, dict[str, float]], names: list[str]) -> list[str]:
    """One line of a table: `0.123 s (1.00)`, or a dash where a way was not timed."""
    return [
        f"{found[name]['seconds']:.3g} s ({found[name]['ratio']:.2f})" if name in found else "–"
        for name in names
    ]


def environment(threads: int) -> dict[str, str | int | float]:
    """Processor, threads, versions, commit; `load` is of the minute before."""
    versions = {}
    for package in PACKAGES:
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


def publish(name: str, record: dict, text: str, readme: bool) -> None:
    """Print the table, write bench/results/`name`.json and, if asked, the table in README.md."""
    print(text)
    results = ROOT / "bench" / "results" / f"{name}.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if readme:
        table.replace(ROOT / "README.md", name, text)


def caption(record: dict) -> str:
    """Where and when, in one line under a table."""
    where = record["environment"]
    versions = ", ".join(f"{name} {where[name]}" for name in PACKAGES if name in where)
    return (
        f"Median of {record['repeats']} interleaved rounds, float32, {where['threads']} thread(s) "
        f"on {where['cpu']}, {versions}; in brackets the time over that of the first column. "
        f"Commit {where['commit']}, {where['date']}."
    )


def _cpu():
    """The name it gives itself, and the one LLVM compiles for: "AMD EPYC (znver4)"."""
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
