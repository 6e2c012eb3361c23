"""Runs one measurement in its own process, so that the peak memory is only that of it.

    python -m bench.shared.own_process predict '{"size": 1024, "calls": 3, "threads": 2}'
    python -m bench.shared.own_process train '{"batch": 32, "patch": 50, "steps": 5, "threads": 2}'

It prints JSON: "seconds" of each call, "peak" in bytes (with imports and compiled kernels), and
other values of the kind of measurement.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from bench import ROOT


def measure(kind: str, **options) -> dict:
    """The measurement `kind` in a new process. Raises RuntimeError with its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.shared.own_process", kind, json.dumps(options)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"own_process: {kind} {options} must succeed, got: {lines[-1]}")
    return json.loads(done.stdout)


def predict(size, calls, threads, check=False):
    """An image of noise through the default network.  check : finally compare with float64.

    Raises ValueError if the check fails.
    """
    from bench.shared import reference64, workload
    from enhance_np._threads import set_threads
    from enhance_np.engine import select

    set_threads(threads)
    weights = workload.shipped()
    predict = select("cpu").predictor(weights)
    x = workload.noise(size)
    # not timed; a corner is enough to load the kernels
    predict(x[:1024, :1024])
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        y = predict(x)
        seconds.append(time.perf_counter() - start)
    found = {"seconds": seconds, "peak": peak()}
    if check:
        errors = reference64.Page(x, weights).errors(y)
        if not errors.small():
            raise ValueError(f"own_process: {size} x {size} must keep the bars, got {errors}")
        found["errors"] = errors._asdict()
    return found


def train(batch, patch, steps, threads):
    """Steps of the default network one after another, as in training."""
    from bench.shared import workload
    from enhance_np import optim, params
    from enhance_np._threads import set_threads
    from enhance_np.config import DEFAULT
    from enhance_np.engine import select
    from enhance_np.training.options import L2, TrainOptions
    from enhance_np.training.step import step_once

    set_threads(threads)
    x, target = workload.batch(batch, patch)
    before = peak()
    p, _ = params.initial(DEFAULT, 0)
    adam, cpu = optim.adam_start(p), select("cpu")
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        with cpu.working():
            p, adam, _, tape = step_once(
                p, adam, x, target, DEFAULT, cpu.ops, TrainOptions.lr, L2["intensity"]
            )
        seconds.append(time.perf_counter() - start)
        del tape
    return {"seconds": seconds, "before": before, "peak": peak()}


def peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # not ru_maxrss: Linux starts that with the size of the process that started this one
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


KINDS = {"predict": predict, "train": train}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("options", type=json.loads, help="JSON, as above")
    options = parser.parse_args()
    print(json.dumps(KINDS[options.kind](**options.options)))


if __name__ == "__main__":
    main()
