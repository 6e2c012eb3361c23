"""Compares a trace with another engine's, or its gradients with central differences."""

import numpy as np

from .. import loss, network
from ..engine import REFERENCE, select
from ..weights import Weights
from .trace import Trace, aligned, trace

STEP = 1e-7  # of the central difference; along a direction of rms 1
LARGEST = 64  # pixels on a side for central differences, each of which costs two forward passes
SEED = 0


def table(way: str, found: Trace, weights: Weights) -> str:
    """One line for every tensor of `found`.

    way : "reference", "cpu" or "gpu" compares with that engine, the reference in float64;
    "numerical" compares the gradients with central differences.
    """
    if way == "numerical":
        return numerical(found, weights)
    if way == "reference":
        exact = found.x.astype(np.float64), found.target.astype(np.float64)
        other = trace(weights, *exact, mode=found.mode, engine=REFERENCE)
    else:
        other = trace(weights, found.x, found.target, mode=found.mode, engine=select(way))
    title = f"{other.engine}, {other.x.dtype}"
    lines = [["tensor", "rms", "largest difference", "over the largest value", "equal bits"]]
    theirs = other.tensors()
    for name, a in found.tensors().items():
        b = theirs[name]
        off = float(abs(a.astype(np.float64) - b).max())
        size = float(abs(b).max())
        rms = float(np.sqrt(np.mean(np.square(a, dtype=np.float64))))
        share = f"{off / size:.1e}" if size else "-"
        lines.append([name, f"{rms:.3g}", f"{off:.1e}", share, "yes" if off == 0 else "no"])
    return f"compared with the engine {title}\n\n{aligned(lines)}"


def numerical(found: Trace, weights: Weights) -> str:
    """The derivative of the loss along one random direction of each tensor, activations included,
    from the gradient and from two forward passes, in float64.

    An image of more than LARGEST x LARGEST pixels is cut to its middle. The direction has rms 1.
    Where the input of a ReLU crosses zero within the step, the central difference mixes the two
    slopes; the column `kinks` counts these inputs.
    """
    x, target = (a.astype(np.float64) for a in (found.x, found.target))
    rows, columns = (
        slice((n - LARGEST) // 2, (n + LARGEST) // 2) if n > LARGEST else slice(0, n)
        for n in x.shape[1:3]
    )
    x = x[:, rows, columns]
    target = target[:, 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop]
    exact = trace(weights, x, target, mode=found.mode, engine=REFERENCE)
    p, moving = (
        {n: a.astype(np.float64) for n, a in group.items()}
        for group in (weights.params, weights.moving)
    )
    rng = np.random.default_rng(SEED)

    def run(changed, change):
        """The loss if `change` is added to the tensor of that name, and the signs at all ReLUs."""
        signs = []

        def observe(name, h):
            if name.endswith(("act", "bn1")):
                signs.append(h > 0)  # behind the ReLU, where `change` crosses nothing
            if name == changed:
                h += change  # the page goes on with this array
            if name == "refine/conv":
                signs.append(h > 0)  # its ReLU comes next

        y, _ = network.forward(
            p | ({changed: p[changed] + change} if changed in p else {}),
            x + change if changed == "x" else x,
            weights.config,
            moving=moving if found.mode == "prediction" else None,
            observe=observe,
        )
        return loss.mse(y, target)[0], signs

    lines = [["derivative in", "from the gradient", "central difference", "difference", "kinks"]]
    gradients = {"x": exact.dx} | {name: step.dh for name, step in exact.steps.items()}
    gradients |= {name: parameter.gradient for name, parameter in exact.parameters.items()}
    for name, gradient in gradients.items():
        v = rng.standard_normal(gradient.shape)
        analytic = float(np.vdot(gradient, v))
        above, up = run(name, STEP * v)
        below, down = run(name, -STEP * v)
        measured = (above - below) / (2 * STEP)
        kinks = sum(int((a != b).sum()) for a, b in zip(up, down, strict=True))
        off = abs(measured - analytic)
        lines.append([name, f"{analytic:.6e}", f"{measured:.6e}", f"{off:.1e}", str(kinks)])
    cut = f"the middle {x.shape[2]} x {x.shape[1]} pixels, " if x.shape != found.x.shape else ""
    return f"compared with central differences, {cut}float64\n\n{aligned(lines)}"
