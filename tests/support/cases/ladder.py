"""kernels/ladder/conv3x3: each rung against float64; see tests/kernels/test_ladder.py."""

import numpy as np
from cases.conv3x3 import drawn

from bench.gpu.ladder import RUNGS
from enhance_np import layers
from enhance_np.engine.cuda import launch

# N, H, W, Cin, Cout; from rung 4 on, Cin and Cout are multiples, and for tensor cores of 8 and 64
SIZES = [
    (1, 2, 2, 4, 64),
    (3, 3, 2, 8, 64),
    (2, 5, 33, 4, 128),
    (1, 9, 11, 20, 64),
    (2, 5, 9, 3, 5),
    (1, 3, 17, 17, 33),
]
NEW = [rung for rung in RUNGS if RUNGS[rung].needs]  # by compute capability 8.0
SIZES_OF_NEW = [(1, 5, 34, 16, 64), (3, 3, 2, 24, 64), (1, 9, 11, 40, 128), (1, 2, 2, 8, 64)]


def compared(cupy, rung, size, rng):
    """Exact on integers; on floats within the bound of the rung. Returns the last y, and y in
    float64."""
    n, h, w, cin, cout = size
    text = launch.source(f"ladder/conv3x3/{rung}")
    kernel = cupy.RawModule(code=text, options=("--std=c++17",)).get_function("conv3x3")
    grid, block = (RUNGS[rung].blocks(n, h, w, cout),), (RUNGS[rung].threads,)
    for integers in (True, False):
        data = drawn(rng, integers, (n, h, w, cin), (3, 3, cin, cout), (cout,))
        y = cupy.asarray(np.full((n, h, w, cout), np.nan, np.float32))
        kernel(grid, block, (*map(cupy.asarray, data), y, *map(np.int32, size)))
        found = cupy.asnumpy(y)
        want, _ = layers.pad_conv(*(a.astype("f8") for a in data))
        sizes, _ = layers.pad_conv(*(abs(a.astype("f8")) for a in data))
        bound = 0 if integers else RUNGS[rung].bound(cin)
        assert (abs(found - want) <= bound * sizes).all()
    return found, want


def cases(rung):
    """{name: case(cupy, rng)} of a rung, for planted faults."""
    size = (1, 3, 53, 16 if rung in NEW else 8, 64)  # more stages than buffers
    return {str(size): lambda cupy, rng: compared(cupy, rung, size, rng)}
