"""How many tiles should Winograd's kernels take at a time?

    python -m bench.speed.winograd_blocks [--blocks 12 24 48] [--gradient-blocks 6 12 24]

V and M of a block must fit into L2 beside U, or beside dU in the gradient, so the best number
depends on the processor. Each setting is compiled in its own process and cache. A layer of 64
channels is timed on 32 patches of 50x50, forward and backward.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from bench import ROOT
from bench.shared import table, timing

REPEATS = 15
SHAPE = 32, 50, 50, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, nargs="+", default=[12, 24, 36, 48])
    parser.add_argument("--gradient-blocks", type=int, nargs="+", default=[6, 12, 16, 24])
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return print(json.dumps(measured(*options.one)))
    settings = [(b, 12) for b in options.blocks] + [(24, g) for g in options.gradient_blocks]
    rows = []
    for setting in dict.fromkeys(settings):
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-m", "bench.speed.winograd_blocks", "--one", *map(str, setting)],
                cwd=ROOT,
                env=os.environ | {"NUMBA_CACHE_DIR": cache},
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        rows.append([*map(str, setting), *(f"{1e3 * s:.2f} ms" for s in json.loads(done.stdout))])
    print(table.markdown(["block", "gradient block", "forward", "backward"], rows))


def measured(block, gradient_block):
    """Median seconds of a layer forward and backward."""
    from enhance_np.engine.cpu import memory, winograd, winograd_kernels

    # read when the kernels are compiled, which is at their first call
    winograd_kernels.BLOCK, winograd_kernels.GRADIENT_BLOCK = block, gradient_block
    rng = np.random.default_rng(0)
    x, dy = (memory.empty(SHAPE) for _ in range(2))
    x[:], dy[:] = rng.standard_normal((2, *x.shape))
    w, b = rng.standard_normal((3, 3, 64, 64)).astype("f4"), np.zeros(64, np.float32)
    ways = {
        "forward": lambda: winograd.conv(x, w, b, 1, "reflect"),
        "backward": lambda: winograd.conv_backward(dy, x, w, 1, "reflect"),
    }
    seconds = timing.interleaved(ways, REPEATS)
    return [float(np.median(seconds[name])) for name in ways]


if __name__ == "__main__":
    main()
