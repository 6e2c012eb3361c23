"""Everything that only a card can show, in one run of less than 9 minutes, unattended.

    python -m bench.gpu.on_card --json report.json       on a machine with a card
    python -m bench.gpu.on_card --publish report.json    its table into docs/cuda.md

The report is written after every section, and a section that fails or for which no time is left
loses only itself. In this order: the machine and its measured ceilings; whether results are right;
our own times; PyTorch's; compute-sanitizer and the profiler's counters, if they are there.

Needs NumPy, numba, pytest and CuPy, and PyTorch for its times; astropy is not needed.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.gpu import ladder, results, times
from bench.gpu.card_table import text
from bench.gpu.sizes import Sizes
from bench.shared import table
from enhance_np.engine import Engine, select
from enhance_np.engine.cuda import convolution, methods
from enhance_np.inspection import gpu_selftest
from enhance_np.inspection.gpu_report import Report

SECONDS = 520  # of the whole run
PAGE = ROOT / "docs" / "cuda.md"


def run(engine: Engine, path, sizes=Sizes, seconds: float = SECONDS, progress=print) -> dict:
    """The report. A section is left out, and said, when less time is left than it may need."""
    started = time.perf_counter()
    report = Report(path, progress)
    found = report.found

    def left():
        return seconds - (time.perf_counter() - started)

    def section(name, make, needs=30.0):
        if left() < needs:
            found.setdefault("left_out", []).append(name)
            return
        progress(f"[{time.perf_counter() - started:5.0f} s] {name}")
        with report.section(name):
            found[name] = make()

    section("machine", machine)
    section("ceilings", lambda: times.ceilings(sizes))
    section("cases", results.cases)
    section("step", lambda: results.step_errors(engine, sizes))
    section("same bits", lambda: results.same_bits(engine, sizes))
    section("graphs", lambda: results.by_graphs(engine, sizes))
    section("large convolution", lambda: results.large_convolution(engine, sizes))
    section("archive", lambda: results.archive(engine, sizes))
    section("ladder", ladder.correct)
    section("times", lambda: times.own(engine, sizes, progress), 60)
    section("ladder times", lambda: ladder.times(sizes.shapes, sizes.repeats))
    section("torch", lambda: times.torch(sizes, left, progress), 90)
    if shutil.which("compute-sanitizer"):
        section("compute-sanitizer", lambda: sanitized(left), 60)
    if shutil.which("ncu"):
        section("counters", lambda: counters(left), 40)
    found["passed"] = results.passed(found)
    report.write()
    return found


def machine() -> dict:
    """The card's properties, and what nvidia-smi says of clocks and power."""
    found = gpu_selftest.device()
    if shutil.which("nvidia-smi"):
        query = "name,driver_version,clocks.max.sm,clocks.max.mem,power.limit,memory.total"
        ran = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        found["nvidia_smi"] = ran.stdout.strip() or ran.stderr.strip()
    return found


def sanitized(left: Callable[[], float]) -> dict[str, dict]:
    """compute-sanitizer's four tools on the smallest case of each kernel."""
    found = {}
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        limit = min(60.0, left() - 30)
        if limit < 15:
            break
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable]
        found[tool] = _run([*command, "-m", "bench.gpu.on_card", "--smallest"], limit)
    return found


def counters(left: Callable[[], float]) -> dict:
    """Nsight Compute's counters of y by each method, and of dW, at each shape."""
    metrics = (
        "sm__throughput.avg.pct_of_peak_sustained_elapsed,"
        "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active,"
        "l1tex__data_pipe_lsu_wavefronts_mem_shared.avg.pct_of_peak_sustained_elapsed,"
        "dram__throughput.avg.pct_of_peak_sustained_elapsed,"
        "sm__warps_active.avg.pct_of_peak_sustained_active,gpu__time_duration.sum"
    )
    command = ["ncu", "--csv", "--clock-control", "none", "--metrics", metrics]
    command += ["--kernel-name", "regex:conv3x3|winograd", "--launch-count", "10", sys.executable]
    return _run([*command, "-m", "bench.gpu.on_card", "--launches"], min(90.0, left() - 15))


def _run(command, limit):
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
    return {"status": ran.returncode, "output": (ran.stdout + ran.stderr)[-4000:]}


def launches(sizes=Sizes) -> None:
    """What the profiler looks at."""
    engine = select("gpu")
    rng = np.random.default_rng(3)
    for n, h, w, cin, cout in sizes.shapes:
        x, k, b, dy = (
            engine.asarray(rng.standard_normal(size, np.float32))
            for size in ((n, h, w, cin), (3, 3, cin, cout), (cout,), (n, h, w, cout))
        )
        _, cache = engine.ops.pad_conv(x, k, b)
        for method in methods.options():
            convolution.conv(x, k, b, method=method)
        engine.ops.pad_conv_gradient(dy, cache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="report to write, after every section")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the run (%(default)s)")
    parser.add_argument(
        "--publish", type=Path, metavar="JSON", help="write its table to docs/cuda.md"
    )
    parser.add_argument("--smallest", action="store_true", help="the smallest case of each kernel")
    parser.add_argument("--launches", action="store_true", help="some launches, for a profiler")
    options = parser.parse_args()
    if options.publish:
        table.replace(PAGE, "on_card", text(json.loads(options.publish.read_text("utf-8"))))
        return
    engine = select("gpu")  # one line if there is none
    if options.smallest:
        wrong = [name for name, case in results.cases(smallest=True).items() if not case["right"]]
        raise SystemExit(f"wrong: {wrong}" if wrong else 0)
    if options.launches:
        launches()
        return
    found = run(engine, options.json, seconds=options.seconds)
    print(text(found))
    raise SystemExit(0 if found["passed"] else 1)


if __name__ == "__main__":
    main()
