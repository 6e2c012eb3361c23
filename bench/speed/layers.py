"""How fast is every layer, and what share of the machine's peak is that?

    python -m bench.speed.layers [--shapes 1x400x400 32x50x50] [--repeats 20] [--threads N]
                                 [--write]

The table has each operation of the CPU engine that takes time, forward and backward, in its shapes
in the default network for inputs of N x H x W. Below them is the whole: a prediction (N = 1), which
has its own code, or a training step (N > 1). Every result is compared with the reference in float64
before it is timed; that of a step is compared in train.py.

A convolution counts 2 FLOP for each multiply-add of the direct sum, in forward, dX and dW alike.
Every operation counts the bytes of each input and output activation once. The share is relative to
the peak of the machine measured before and after (machine_peak.py), in FLOP/s or in bytes/s of a
copy, whichever bounds the operation. It can exceed 1, because Winograd's convolutions need fewer
multiplications, and because a cache may have an array. It cannot reach 1 if an array is read twice.
The operations take turns, so that none finds the arrays of its last call in a cache.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.shared import machine_peak, reference64, table, timing, workload
from enhance_np import layers, optim, params
from enhance_np.config import DEFAULT
from enhance_np.engine import select
from enhance_np.engine.tiles import AFTER_UPSAMPLING
from enhance_np.training.options import L2, TrainOptions
from enhance_np.training.step import step_once

# Largest error of a result, in norm: the bars of the whole network and of its gradients. A
# gradient of a kernel is a sum over all pixels, and its rounding grows with their number.
LIMIT = {"forward": reference64.RMS, "backward": reference64.GRADIENT}


class Case(NamedTuple):
    name: str
    call: Callable  # what is timed
    flop: float
    moved: float  # bytes
    error: float  # of its results against float64, in norm


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=20)
    parser.add_argument("--shapes", type=shape, nargs="+", default=[(1, 400, 400), (32, 50, 50)])
    options = parser.parse_args()
    timing.clean_start(options.threads)
    before = machine_peak.measured(options.threads)
    timed = [(size, *measured(size, options.repeats)) for size in options.shapes]
    peaks = machine_peak.highest(before, machine_peak.measured(options.threads))
    record = {
        "environment": timing.environment(options.threads),
        "repeats": options.repeats,
        "peak": peaks,
        "results": {
            "x".join(map(str, size)): [result(case, seconds[case.name], peaks) for case in known]
            for size, known, seconds in timed
        },
    }
    timing.publish("layers", record, text, options, "bench/README.md")


def shape(text: str) -> tuple[int, ...]:
    """32x50x50 -> (32, 50, 50)"""
    numbers = text.split("x")
    if len(numbers) != 3 or not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f"must be NxHxW, such as 32x50x50, got {text!r}")
    return tuple(map(int, numbers))


def measured(size, repeats):
    """The cases of a size, and the seconds of each by name."""
    known = list(cases(size))
    for case in known:
        print(f"{'x'.join(map(str, size))}, {case.name}: error {case.error:.1e}")
        limit = LIMIT["backward" if case.name.endswith("backward") else "forward"]
        if not case.error <= limit:
            raise SystemExit(f"layers: {case.name} must agree within {limit}: not timed")
    seconds = timing.interleaved({case.name: case.call for case in known}, repeats)
    # without the calls, whose arrays the next size has no room for
    return [case._replace(call=None) for case in known], seconds


def result(case, seconds, peaks):
    """(rate, share of the peak) in the unit of the peak that bounds the operation."""
    typical = median(seconds)
    work, limit, unit = max(
        (case.flop, peaks["flops"], "FLOP/s"),
        (case.moved, peaks["copy"], "B/s"),
        key=lambda bound: bound[0] / bound[1],
    )
    return {
        "layer": case.name,
        "median": typical,
        "unit": unit,
        "rate": work / typical,
        "share": round(work / limit / typical, 4),
        "error": case.error,
        "seconds": seconds,
    }


def cases(size) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    kernels = {}  # of one shape and grid -> names of the layers that have them
    for kind, name, kernel in params.layers(DEFAULT):
        if kind == "conv":
            scale = 2 if name in AFTER_UPSAMPLING else 1
            kernels.setdefault((kernel, scale), []).append(name)
    for (kernel, scale), names in kernels.items():
        yield from convolution(rng, names, size, kernel, scale)
    yield from elementwise(rng, size)
    macs = sum(prod(k) * scale**2 * len(names) for (k, scale), names in kernels.items())
    yield whole(rng, size, 2 * macs * prod(size))


def convolution(rng, names, size, kernel, scale) -> Iterator[Case]:
    ops = select("cpu").ops
    n, h, w = size
    cin, cout = kernel[2:]
    doubling = names[0] == "refine/conv"  # its input is on the small grid
    inner = 1 if doubling else scale
    op = "upsample_conv" if doubling else "pad_conv"
    ours = "relu_conv" if names[0] == "head" else op
    name = f"{names[0]}, {cin} → {cout}" + (f", one of {len(names)}" if len(names) > 1 else "")
    x = normal(rng, n, inner * h, inner * w, cin)
    dy = normal(rng, n, scale * h, scale * w, cout)
    weights, bias = params.he_normal(rng, kernel), normal(rng, cout)
    flop = 2 * prod(kernel) * n * h * w * scale**2
    forward = partial(getattr(ops, ours), x, weights, bias)
    y, cache = forward()
    seen = np.maximum(x, 0) if ours == "relu_conv" else x
    error = reference64.relative(y, getattr(reference64, op)(seen, weights, bias))
    yield Case(name, forward, flop, x.nbytes + y.nbytes, error)
    backward = partial(getattr(ops, f"{ours}_backward"), dy, cache)
    dx, *others = getattr(reference64, f"{op}_backward")(dy, seen, weights)
    error = worst(backward(), [np.where(x > 0, dx, 0) if ours == "relu_conv" else dx, *others])
    moved = 2 * x.nbytes + dy.nbytes  # x and dx
    yield Case(f"{name}, backward", backward, 2 * flop, moved, error)


def elementwise(rng, size) -> Iterator[Case]:
    """In the shape of a block's activations."""
    ops = select("cpu").ops
    c = DEFAULT.filters
    x, dy = normal(rng, *size, c), normal(rng, *size, c)
    # name: arguments, and how many activations go in and out, forward and backward
    known = {
        "batchnorm_relu": ((x, normal(rng, c), normal(rng, c)), 2, 3),
        "batchnorm_add": ((x, dy, normal(rng, c), normal(rng, c)), 3, 3),
        "relu": ((x,), 2, 3),
        "add": ((x, dy), 3, None),  # backward hands dy on
    }
    for name, (arguments, moved, moved_back) in known.items():
        forward = partial(getattr(ops, name), *arguments)
        y, *cache = several(forward())
        exact_y, *exact_cache = several(getattr(layers, name)(*(a.astype("f8") for a in arguments)))
        yield Case(name, forward, 0, moved * x.nbytes, reference64.relative(y, exact_y))
        if moved_back is None:
            continue
        if name == "batchnorm_relu":  # rounding decides where its ReLU has 0 to let through
            h, _ = layers.batchnorm(*(a.astype("f8") for a in arguments))
            dy[abs(h) < reference64.RMS] = 0
        backward = partial(getattr(ops, f"{name}_backward"), dy, *cache)
        expected = getattr(layers, f"{name}_backward")(dy.astype("f8"), *exact_cache)
        error = worst(several(backward()), several(expected))
        yield Case(f"{name}, backward", backward, 0, moved_back * x.nbytes, error)


def whole(rng, size, flop) -> Case:
    """The network, forward or in training; flop : of a forward pass."""
    n, h, w = size
    cpu = select("cpu")
    if n == 1:
        weights, x = workload.shipped(), workload.sun(max(h, w))[:h, :w]
        predict = partial(cpu.predictor(weights), x)
        error = reference64.Page(x, weights).errors(predict()).rms
        return Case("whole prediction", predict, flop, 0, error)
    p, _ = params.initial(DEFAULT, 0)
    x, target = normal(rng, n, h, w, 1), normal(rng, n, 2 * h, 2 * w, 1)
    start, lr, decay = optim.adam_start(p), TrainOptions.lr, L2["intensity"]

    def step():
        with cpu.working():
            step_once(p, start, x, target, DEFAULT, cpu.ops, lr, decay)

    return Case("whole training step", step, 3 * flop, 0, 0.0)


def normal(rng, *size):
    return rng.standard_normal(size, np.float32)


def several(result):
    """The result of an operation as a tuple, also if it is one array."""
    return result if isinstance(result, tuple) else (result,)


def worst(found, expected) -> float:
    return max(reference64.relative(a, b) for a, b in zip(found, expected, strict=True))


def text(record):
    columns = [{r["layer"]: r for r in results} for results in record["results"].values()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    names.sort(key=lambda name: name.startswith("whole"))  # last, and else as they are
    rows = ([name, *(_cell(column.get(name)) for column in columns)] for name in names)
    peaks = {name: f"{value / 1e9:.0f}" for name, value in record["peak"].items()}
    return "\n\n".join(
        [
            table.markdown(
                ["layer", *(f"{size}: time, rate (share)" for size in record["results"])], rows
            ),
            f"Medians of {record['repeats']} interleaved rounds. In brackets the share of the "
            f"measured peak: {peaks['flops']} GFLOP/s (multiply-adds in registers "
            f"{peaks['multiply-adds']}, sgemm {peaks['matrix product']}) or {peaks['copy']} GB/s "
            "(copy). Convolutions are counted as direct sums, bytes as one pass over every "
            f"activation; {timing.where(record)}",
        ]
    )


def _cell(found):
    if found is None:
        return "–"
    rate = f"{found['rate'] / 1e9:.0f} G{found['unit']}"
    return f"{1e3 * found['median']:.3g} ms, {rate} ({found['share']:.2f})"


if __name__ == "__main__":
    main()
