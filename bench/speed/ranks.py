"""How long does a training step take if several processes share the batch by MPI?

    python -m bench.speed.ranks [--ranks 1 2] [--batch 32] [--patch 50] [--repeats 9] [--write]

Needs `pip install -e ".[mpi]"`. Processes of one thread each share a batch of pairs; beside them
stands one process with as many threads. The ways take turns in the same processes: those that a way
does not need sleep meanwhile. Before they are timed, loss and gradients are compared with those of
one process. The time that worker 0 spends in sums includes that in which it waits for the others.
Its processor time, beside the time on the clock, hardly depends on what else runs on the machine.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from bench import ROOT
from bench.shared import table, timing, workload
from bench.speed.train import DECAY, LIMIT, LR
from enhance_np import optim, params
from enhance_np._threads import set_threads
from enhance_np.config import DEFAULT, NetworkConfig
from enhance_np.engine import select
from enhance_np.training.step import gradients, step_once
from enhance_np.training.workers import ALONE, part, sharing

CPU = select("cpu")
NETWORKS = {"default": NetworkConfig(5, 32), "the paper's": DEFAULT}
SMALL, LARGE = 400, 40  # sums that are timed, of one batch norm and of a gradient


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=9)
    parser.add_argument("--ranks", type=timing.positive, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=timing.positive, default=32)
    parser.add_argument("--patch", type=timing.positive, default=50)
    parser.add_argument("--work", help="in a process of mpiexec: write what was measured here")
    options = parser.parse_args()
    if options.work:
        return work(options)
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit('ranks: mpiexec must be installed: pip install -e ".[mpi]"')
    environment = timing.environment(1)
    there = options.results / "ranks.part.json"
    options.results.mkdir(parents=True, exist_ok=True)
    command = [mpiexec, "-n", str(max(options.ranks)), sys.executable, *sys.orig_argv[1:]]
    try:
        subprocess.run(
            [*command, "--work", there],
            cwd=ROOT,
            check=True,
            env=os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"),
        )
        measured = json.loads(there.read_text())
    finally:
        there.unlink(missing_ok=True)
    record = {
        "environment": environment,
        "repeats": options.repeats,
        "batch": options.batch,
        "patch": options.patch,
        **measured,
    }
    timing.publish("ranks", record, text, options, "docs/training_on_many.md")


def traffic(config):
    """(sums, bytes) of one step with the statistics of the batch."""
    widths = [shape[0] for kind, _, shape in params.layers(config) if kind == "bn"]
    of_norms = sum(8 * ((c + 1) + c + (2 * c + 1)) for c in widths)
    return 3 * len(widths) + 3, of_norms + 4 * params.count(config)[0] + 8 + 8


class Timed:
    """The workers of an MPI communicator; notes the sums, their bytes and their seconds."""

    def __init__(self, workers):
        self.workers, self.rank, self.size = workers, workers.rank, workers.size
        self.sums = self.bytes = 0
        self.seconds = 0.0

    def total(self, own):
        start = time.perf_counter()
        found = self.workers.total(own)
        self.seconds += time.perf_counter() - start
        self.sums, self.bytes = self.sums + 1, self.bytes + own.nbytes
        return found


def work(options):
    from enhance_np.training.mpi import Mpi, joined

    with joined() as world:
        from mpi4py import MPI

        groups = {}
        for count in options.ranks:
            inside = MPI.COMM_WORLD.Split(int(world.rank < count), world.rank)
            groups[count] = Mpi(inside) if world.rank < count else None
        x, target = workload.batch(options.batch, options.patch)
        found = {
            "networks": {
                name: measured(config, x, target, world, groups, options.repeats)
                for name, config in NETWORKS.items()
            },
            "sums": {count: sums(world, groups[count]) for count in options.ranks if count > 1},
        }
        if world.rank == 0:
            Path(options.work).write_text(json.dumps(found))


def measured(config, x, target, world, groups, repeats):
    """Of worker 0: for every way, seconds of a step and of the sums in it, each repeat."""
    p, _ = params.initial(config, 0)
    adam, most = optim.adam_start(p), max(groups)
    ways = {f"{count} x 1": (groups[count], 1) for count in groups}
    ways[f"1 x {most}"] = (ALONE if world.rank == 0 else None, most)
    compare(p, x, target, config, world, groups)
    noted = {name: {"seconds": [], "processor": [], "in sums": []} for name in ways}
    for done in range(timing.WARM_UP + repeats):
        for name, (group, threads) in ways.items():
            world.total(np.zeros(1))  # all begin together
            if group is None:
                continue
            set_threads(threads)
            timed = Timed(group)
            own, engine = part(group, len(x)), sharing(CPU, timed)
            start, used = time.perf_counter(), time.process_time()
            with CPU.working():
                (engine.step or step_once)(
                    p, adam, x[own], target[own], config, engine.ops, LR, DECAY
                )
            if done >= timing.WARM_UP:
                noted[name]["seconds"].append(time.perf_counter() - start)
                noted[name]["processor"].append(time.process_time() - used)
                noted[name]["in sums"].append(timed.seconds)
            if group.size > 1 and (timed.sums, timed.bytes) != traffic(config):
                raise SystemExit(f"ranks: traffic must be {traffic(config)}, got {vars(timed)}")
    return noted


def compare(p, x, target, config, world, groups):
    """Exits if loss or gradients are not those of one process but for rounding: see train.LIMIT."""
    with CPU.working():
        value, g, _ = gradients(p, x, target, config, CPU.ops)
        exact = np.concatenate([a.ravel() for a in g.values()])
        for group in filter(None, groups.values()):
            own, ops = part(group, len(x)), sharing(CPU, group).ops
            shared, g, _ = gradients(p, x[own], target[own], config, ops, None, group.total)
            found = np.concatenate([a.ravel() for a in g.values()])
            error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
            if not max(error, abs(shared / value - 1)) <= LIMIT:
                raise SystemExit(f"ranks: {group.size} must compute what one does, got {error:.1e}")
            if world.rank == 0:
                print(f"{group.size} rank(s): gradients differ by {error:.1e}", flush=True)


def sums(world, group):
    """Median seconds of the sum of a batch norm and of the largest gradient's."""
    found = {}
    for name, repeats, array in (
        ("small", SMALL, np.zeros(65)),
        ("large", LARGE, np.zeros(params.count(DEFAULT)[0], np.float32)),
    ):
        world.total(np.zeros(1))
        seconds = []
        for _ in range(repeats if group else 0):
            start = time.perf_counter()
            group.total(array)
            seconds.append(time.perf_counter() - start)
        found[name] = median(seconds) if seconds else None
    return found


def text(record):
    rows = []
    for name, noted in record["networks"].items():
        first = noted["1 x 1"]["seconds"]
        for way, found in noted.items():
            ratios = [a / b for a, b in zip(first, found["seconds"], strict=True)]
            rows.append(
                [
                    f"{name} ({NETWORKS[name].filters} filters)",
                    way,
                    f"{median(found['seconds']):.3g} s",
                    f"{median(ratios):.2f}",
                    f"{median(found['processor']):.3g} s",
                    f"{1e3 * median(found['in sums']):.1f} ms",
                    f"{predicted(record, name, way):.3g} s",
                ]
            )
    header = ["network", "processes x threads", "step", "faster by"]
    header += ["processor, of one process", "in sums", "by the model"]
    small, large = (
        ", ".join(f"{1e6 * found[size]:.0f} µs ({n} processes)" for n, found in each)
        for size, each in ((s, record["sums"].items()) for s in ("small", "large"))
    )
    many = [[name, *(f"{n:,}" for n in traffic(config))] for name, config in NETWORKS.items()]
    return "\n\n".join(
        [
            table.markdown(header, rows),
            f"Batches of {record['batch']} patches of {record['patch']} x {record['patch']}; "
            f"medians of {record['repeats']} rounds in turn, ratios in the same round; "
            f"{record['environment']['cores']} cores, load {record['environment']['load']} before; "
            f"{timing.where(record)} One sum of a batch norm: {small}; of the larger gradient: "
            f"{large}.",
            table.markdown(["network", "sums in a step", "bytes in a step"], many),
        ]
    )


def predicted(record, name, way):
    """Seconds of a step by the model: the work divided, and the sums, as they were timed alone."""
    processes, threads = map(int, way.split(" x "))
    computing = median(record["networks"][name]["1 x 1"]["seconds"]) / (processes * threads)
    if processes == 1:
        return computing
    alone = record["sums"][str(processes)]
    count, size = traffic(NETWORKS[name])
    return computing + count * alone["small"] + alone["large"] * size / traffic(DEFAULT)[1]


if __name__ == "__main__":
    main()
