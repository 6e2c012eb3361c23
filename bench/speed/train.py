"""How long does one training step take, compared with PyTorch's modes and tf.keras?

    python -m bench.speed.train [--batch 32] [--patch 50] [--repeats 20] [--steps 200]
                                [--peers NAME ...] [--data FILE.h5] [--threads N] [--write]
    python -m bench.speed.train --profile [fresh | intensity | blos]

A step is the forward pass with batch statistics, the loss, the backward pass and Adam, with L2 on
the kernels, of the default network on `batch` patches of 50x50 -> 100x100 of a synthetic sunspot.
Loss and gradients are compared with network.py in float64 before anything is timed. All installed
peers take part (see speed/peers), each with its own backward pass and its own Adam.

Then the script compares our step from the shipped default weights with one from fresh weights,
because a training may start from any weights, and trained weights have once had numbers too small
for a processor's fast path. It measures the peak memory of our steps in a separate process. Finally
it trains the small network for --steps steps on the CPU engine and on the reference; see
train_curves.py (0 leaves this out).

--profile prints the times of the operations of our step, and times nothing else.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np

from bench.shared import own_process, reference64, table, timing, workload
from bench.speed import peers, train_curves, train_operations
from enhance_np import layers, loss, network, optim, params
from enhance_np.config import DEFAULT, SMALL
from enhance_np.engine import select
from enhance_np.training.options import L2, TrainOptions
from enhance_np.training.step import step_once

# Largest error of a tensor's gradient, in norm, for a way to be timed. Rounding moves some of the
# millions of ReLUs' inputs across 0, and each takes its gradient with it, in whatever way float32
# is computed: 100 of 50 million make 2e-4 to 4e-4. The bar reference64.GRADIENT is therefore kept
# beside a float64 page whose ReLUs let through what ours do: then sums and products differ alone.
LIMIT = 1e-3
CPU = select("cpu")
LR, DECAY = TrainOptions.lr, L2["intensity"]
STARTS = ("fresh", "intensity", "blos")  # weights of our steps; the peers' are fresh
MEMORY_STEPS = 3  # after the second nothing grows
CURVE = {"batch": 8, "patch": 32}  # the reference is slow


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=20)
    parser.add_argument("--batch", type=timing.positive, default=32)
    parser.add_argument("--patch", type=timing.positive, default=50)
    parser.add_argument("--steps", type=int, default=200, help="of the loss curves (%(default)s)")
    parser.add_argument("--data", help="HDF5 file of training pairs (default: a sunspot)")
    parser.add_argument(
        "--profile", nargs="?", const="fresh", choices=STARTS, help="from these weights (fresh)"
    )
    peers.add_option(parser, peers.TRAIN)
    options = parser.parse_args()
    packages = peers.chosen(options.peers, peers.TRAIN)
    timing.clean_start(options.threads)
    batch, patch, threads = options.batch, options.patch, options.threads
    p = start("fresh")
    if options.data:
        x, target = workload.pairs(options.data, batch)
        patch = x.shape[1]
    else:
        x, target = workload.batch(batch, patch)
    if options.profile:
        p = start(options.profile)
        found = train_operations.profile(stepping(p, x, target), CPU.ops, p, options.repeats)
        return print(train_operations.text(found))
    record = {
        "environment": timing.environment(threads, packages),
        "repeats": options.repeats,
        "batch": batch,
        "patch": patch,
    }
    ways = {"enhance_np": ours(p, x, target)}
    ways |= peers.trainers(packages, p, x, target, DEFAULT, LR, DECAY, threads)
    record["errors"] = checked(ways, p, x, target)
    seconds = timing.interleaved({name: step for name, (step, _) in ways.items()}, options.repeats)
    summary = timing.summary(seconds)
    record |= {
        "summary": summary,
        "fastest peer": timing.fastest(summary, list(ways)[1:]),
        "starts": starts(x, target, options.repeats),
        "memory": own_process.measure(
            "train", batch=batch, patch=patch, steps=MEMORY_STEPS, threads=threads
        ),
        "seconds": seconds,
    }
    if options.steps:
        record["loss curves"] = train_curves.deviations(SMALL, options.steps, **CURVE)
    timing.publish("train", record, text, options, timing.PAGE)


def start(name):
    """Params from which to make a step: fresh ones, or those of a shipped default network."""
    return params.initial(DEFAULT, 0)[0] if name == "fresh" else workload.shipped(type=name).params


def ours(p, x, target):
    """(step, gradients): one step from p; (loss, g) at p."""
    step = stepping(p, x, target)
    return partial(step, CPU.ops), lambda: page(p, x, target, CPU.ops)


def stepping(p, x, target):
    """step(ops): one step from p, as the training's loop makes it."""
    adam = optim.adam_start(p)

    def step(ops):
        with CPU.working():
            step_once(p, adam, x, target, DEFAULT, ops, LR, DECAY)

    return step


def starts(x, target, repeats):
    """Seconds of our step from each of STARTS on one batch; shipped ones are compared with float64.

    The gradients of trained weights are small sums of large terms, on which ReLUs whose inputs
    rounding moves across 0 have more influence. Only gradients with the same ReLUs are compared.
    """
    # fresh ones of the same sizes; the peers' comparison is on the paper's network
    known = {"fresh": params.initial(workload.shipped().config, 0)[0]}
    known |= {name: start(name) for name in STARTS[1:]}
    errors = {name: same_relus(name, known[name], x, target) for name in STARTS[1:]}
    ways = {name: ours(p, x, target)[0] for name, p in known.items()}
    seconds = timing.interleaved(ways, repeats)
    return {"errors": errors, "summary": timing.summary(seconds), "seconds": seconds}


def page(p, x, target, ops):
    with CPU.working():
        y, tape = network.forward(p, x, DEFAULT, ops)
        value, dy = loss.mse(y, target)
        return value, network.backward(dy, tape, DEFAULT, ops)[1]


def checked(ways, p, x, target):
    """Errors of loss and gradients relative to network.py in float64; exits if one is large."""
    exact_loss, exact_g = page(doubled(p), x.astype("f8"), target.astype("f8"), layers)
    errors = {"same ReLUs": same_relus("enhance_np", p, x, target)}
    for way, (_, gradients) in ways.items():
        value, g = gradients()
        found = relative(g, exact_g)
        worst = max(found, key=found.get)
        of_loss = abs(value - exact_loss) / exact_loss
        errors[way] = {"loss": of_loss, "gradient": found[worst], "of": worst}
        print(
            f"{way}: error of the loss {of_loss:.1e}, of the gradients {found[worst]:.1e} "
            f"({worst}), median {np.median(list(found.values())):.1e}",
            flush=True,
        )
        if not max(of_loss, *found.values()) <= LIMIT:
            raise SystemExit(f"train: {way} must agree within {LIMIT}: not timed")
    return errors


def doubled(p):
    return {name: a.astype("f8") for name, a in p.items()}


def relative(g, exact_g):
    """{tensor: relative error in norm}; a bias counts with its kernel.

    The gradient of a bias is one sum for each channel, whose terms may cancel almost completely.
    """
    names, found = compared(g), {}
    for name in names:
        if name.endswith("/b"):
            continue
        group = [n for n in (name, f"{name.removesuffix('/w')}/b") if n in names]
        ours, exactly = (np.concatenate([a[n].ravel() for n in group]) for a in (g, exact_g))
        found[name] = reference64.relative(ours, exactly)
    return found


def compared(p):
    """The tensors whose gradient is not zero in theory; the others' gradients are only rounding."""
    zero = {"tail/conv/b"}
    for k in range(DEFAULT.depth):
        zero |= {f"block{k}/{tensor}" for tensor in ("conv1/b", "conv2/b", "bn2/beta")}
    return p.keys() - zero


def same_relus(what, p, x, target):
    """The largest error of our gradients, if float64 uses the same side of 0 at every ReLU."""
    ops, sides = CPU.ops, []

    def noted(name, side):
        def operation(*arguments, **keywords):
            y, cache = getattr(ops, name)(*arguments, **keywords)
            sides.append(side(arguments[0], y) > 0)
            return y, cache

        return operation

    ours = {
        "relu": noted("relu", lambda x, y: y),
        "batchnorm_relu": noted("batchnorm_relu", lambda x, y: y),
        "relu_conv": noted("relu_conv", lambda x, y: x),
    }
    _, g = page(p, x, target, SimpleNamespace(**vars(ops) | ours))
    kept, moved = iter(sides), 0

    def told(h):
        nonlocal moved
        side = next(kept)
        moved += np.count_nonzero((h > 0) != side)
        return h * side, side

    def told_behind(h, *parameters, **keywords):
        h, cache = layers.batchnorm(h, *parameters, **keywords)
        y, side = told(h)
        return y, (side, cache)

    def told_before(h, *parameters):
        h, side = told(h)
        y, cache = layers.pad_conv(h, *parameters)
        return y, (side, cache)

    def behind_backward(dy, cache):
        side, cache = cache
        return layers.batchnorm_backward(dy * side, cache)

    def before_backward(dy, cache):
        side, cache = cache
        dh, dw, db = layers.pad_conv_backward(dy, cache)
        return dh * side, dw, db

    exactly = {
        "relu": told,
        "relu_backward": lambda dh, side: dh * side,
        "batchnorm_relu": told_behind,
        "batchnorm_relu_backward": behind_backward,
        "relu_conv": told_before,
        "relu_conv_backward": before_backward,
    }
    told_ops = SimpleNamespace(**vars(layers) | exactly)
    _, exact_g = page(doubled(p), x.astype("f8"), target.astype("f8"), told_ops)
    found = relative(g, exact_g)
    worst = max(found, key=found.get)
    count = sum(side.size for side in sides)
    print(
        f"{what}: {moved} of {count} inputs of ReLUs across 0; with those on one side, error "
        f"of the gradients {found[worst]:.1e} ({worst})",
        flush=True,
    )
    if not max(found.values()) <= reference64.GRADIENT:
        raise SystemExit(f"train: gradients must agree within {reference64.GRADIENT}: not timed")
    return {"gradient": found[worst], "of": worst, "moved": int(moved), "inputs": count}


def text(record):
    names = list(record["summary"])
    size = f"{record['batch']} patches of {record['patch']} x {record['patch']}"
    gradient = {way: errors["gradient"] for way, errors in record["errors"].items()}
    same = record["errors"]["same ReLUs"]
    lines = [
        timing.caption(record),
        "Largest relative error of a tensor's gradient against float64, in norm: "
        f"{gradient['enhance_np']:.1e}, of all ways {max(gradient.values()):.1e}; ours is "
        f"{same['gradient']:.1e} where float64 takes the same side at the {same['moved']} of "
        f"{same['inputs'] / 1e6:.0f} million inputs of ReLUs that rounding moves across 0.",
        f"Peak memory of a process of {MEMORY_STEPS} steps: "
        f"{record['memory']['peak'] / 1e9:.2f} GB.",
    ]
    if record["fastest peer"]:
        lines.append(f"Fastest peer: {record['fastest peer'][0]}.")
    if found := record.get("loss curves"):
        lines.append(
            f"{found['steps']} steps of the small network on {found['batch']} patches of "
            f"{found['patch']} x {found['patch']}: the losses are within "
            f"{found['from the reference']:.1e} of the reference layers', those within "
            f"{found['reference from float64']:.1e} of their own in float64."
        )
    found = [
        table.markdown(["one step", *names], [[size, *timing.cells(record["summary"], names)]]),
        " ".join(lines),
    ]
    if ours := record.get("starts"):  # of older records it is not known
        cells = timing.cells(ours["summary"], list(ours["summary"]))
        found += [
            "Our step from the default weights that ship, and from fresh ones of their size:",
            table.markdown(["one step from", *ours["summary"]], [[size, *cells]]),
        ]
    return "\n\n".join(found)


if __name__ == "__main__":
    main()
