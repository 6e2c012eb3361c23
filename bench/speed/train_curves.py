"""Does a training on the CPU engine follow the loss curve of one on the reference layers?

Float32 trainings drift apart: rounding decides on which side of 0 a ReLU's input falls, and Adam
makes full steps for gradients that are zero except for rounding. Therefore the reference is also
run in float64, and a deviation is compared with that of the float32 reference from the float64 one.
"""

import time

import numpy as np

from bench.shared import workload
from enhance_np import optim, params
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.training.options import L2
from enhance_np.training.step import step_once

# How much farther the engine may be: Winograd F(4x4,3x3) rounds 3 times as much as a direct sum
# (1.7e-6 and 5e-7 of a layer's rms), and 3 more for chance: what float32 alone makes in 200 steps
# was 2e-3 to 8e-3 of the loss in trials. A planted fault, the padding's gradient cropped instead of
# folded back, made 0.2 in 60 steps.
FARTHER = 10
LR = 1e-3  # ten times the paper's, so that the loss falls far in a few hundred steps


def deviations(config: NetworkConfig, steps: int, batch: int, patch: int) -> dict:
    """Curves of the three trainings, and their largest deviations relative to the other's loss."""
    runs = {
        "enhance_np": (select("cpu"), np.float32),
        "reference": (REFERENCE, np.float32),
        "reference, float64": (REFERENCE, np.float64),
    }
    curves, seconds = {}, {}
    for name, (engine, dtype) in runs.items():
        start = time.perf_counter()
        curves[name] = curve(config, steps, batch, patch, engine, dtype)
        seconds[name] = round(time.perf_counter() - start, 3)
        print(f"{steps} steps, {name}: {seconds[name]:.0f} s, last loss {curves[name][-1]:.3e}")
    found = _largest(curves["enhance_np"], curves["reference"])
    alone = _largest(curves["reference"], curves["reference, float64"])
    print(f"{steps} steps: {found:.1e} from the reference, float32 alone makes {alone:.1e}")
    if not found <= FARTHER * alone:
        raise SystemExit(
            f"train: the loss curve must stay within {FARTHER} x {alone:.1e} of the "
            f"reference's, got {found:.1e}"
        )
    return {
        "steps": steps,
        "batch": batch,
        "patch": patch,
        "depth": config.depth,
        "filters": config.filters,
        "from the reference": found,
        "reference from float64": alone,
        "seconds": seconds,
        "curves": curves,
    }


def curve(config, steps, batch, patch, engine, dtype):
    """Losses of `steps` steps, each on fresh patches of the synthetic sunspot."""
    p, _ = params.initial(config, 0, dtype)
    adam, losses = optim.adam_start(p), []
    for step in range(steps):
        x, target = (a.astype(dtype) for a in workload.batch(batch, patch, seed=step))
        with engine.working():
            p, adam, value, _ = step_once(
                p, adam, x, target, config, engine.ops, LR, L2["intensity"]
            )
        losses.append(value)
    return losses


def _largest(found, expected):
    found, expected = np.array(found), np.array(expected)
    return float(np.max(np.abs(found - expected) / expected))
