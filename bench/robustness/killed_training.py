"""Checks that a training loses nothing when it is killed at random moments.

    python -m bench.robustness.killed_training [--kills 25] [--seed 0]

Trains a tiny network without a break, then again with kill -9 at random moments, and continues each
time with --continue. After every kill the existing checkpoint, weights and log must be readable; at
the end all must have the bits of the first run.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from enhance_np import layers, weights
from enhance_np.training import checkpoint


def make_pairs(path, seed, n):
    rng = np.random.default_rng(seed)
    x = 1 + 0.1 * rng.standard_normal((n, 16, 16, 1), dtype=np.float32)
    with h5py.File(path, "w") as f:
        f["imHMI"], f["imSST"] = x, layers.upsample(x)


def command(folder, output):
    fixed = "--depth 1 --filters 16 --batchsize 4 --epochs 60 --device cpu --quiet --continue"
    files = {"--data": "a.h5", "--validation": "b.h5", "--output": output}
    paths = [str(x) for key, name in files.items() for x in (key, folder / name)]
    return [sys.executable, "-m", "enhance_np", "train", *paths, *fixed.split()]


def readable(folder, output):
    """Problems of the existing files, by name."""
    found = []
    for name, read in (
        (f"{output}.h5", weights.load),
        (f"{output}.checkpoint.h5", checkpoint.load),
        (f"{output}.csv", lambda path: path.read_text()[-1] == "\n" or 1 / 0),
    ):
        path = folder / name
        try:
            if path.exists():
                read(path)
        except Exception as error:
            found.append(f"{name}: {error}")
    return found


def report(kill, moment, folder, name):
    """Print one line of the table; return what was lost."""
    problems = readable(folder, name)
    saved = folder / f"{name}.checkpoint.h5"
    at = "nothing saved yet"
    if saved.exists() and not problems:
        state, _ = checkpoint.load(saved)
        at = f"epoch {state.epoch}, step {state.step} saved"
    print(f"{kill:2d}: {name} killed after {moment:.1f} s, {at}", *problems)
    return problems


def compare(folder, name):
    """Files of a finished run that differ from those of the first run."""
    differ = [
        f"{name}{suffix}"
        for suffix in (".h5", ".csv")
        if (folder / f"whole{suffix}").read_bytes() != (folder / f"{name}{suffix}").read_bytes()
    ]
    print(f"    {name} ended:", f"DIFFERENT {differ}" if differ else "the bytes of the whole run")
    return differ


def timed(arguments):
    start = time.monotonic()
    subprocess.run(arguments, check=True)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_pairs(folder / "a.h5", 0, 160)
        make_pairs(folder / "b.h5", 1, 16)
        undisturbed = timed(command(folder, "whole.h5"))
        startup = timed(command(folder, "whole.h5"))  # there is nothing left to do
        print(f"undisturbed: {undisturbed:.1f} s, of which {startup:.1f} s to start")
        lost, kills, runs = [], 0, 1
        while kills < options.kills:
            name = f"killed{runs}"
            run = subprocess.Popen(command(folder, f"{name}.h5"))
            moment = rng.uniform(0.5 * startup, startup + undisturbed / 4)
            try:
                run.wait(moment)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
                kills += 1
                lost += report(kills, moment, folder, name)
                continue
            lost += compare(folder, name)
            runs += 1
        subprocess.run(command(folder, f"killed{runs}.h5"), check=True)
        lost += compare(folder, f"killed{runs}")
    print(f"outputs lost: {len(lost)}")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
