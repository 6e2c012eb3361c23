"""The tiles of machines with narrower registers, run on this one."""

import os
import subprocess
import sys

import pytest

from enhance_np.engine import microkernel

CODE = """
import sys
import llvmlite.binding as llvm
features = llvm.get_host_cpu_features()
absent = {"16": (), "8": ("avx512",), "4": ("avx", "fma", "f16c", "vaes", "vpclmul")}[sys.argv[1]]
for name in features:
    if name.startswith(absent):
        features[name] = False
llvm.get_host_cpu_features = lambda: features  # numba's own code generator asks it too

import numpy as np
from enhance_np import layers
from enhance_np.engine import cpu, microkernel
assert microkernel.LANES == int(sys.argv[1])
rng = np.random.default_rng(0)
seen = set()
for cin, cout in ((5, 64), (64, 32), (32, 16), (8, 8), (3, 4), (6, 1), (12, 12)):
    seen.add(microkernel.block_shape(cout))
    x, w = (rng.integers(-3, 4, s).astype("f4") for s in ((2, 4, 21, cin), (3, 3, cin, cout)))
    b, dy = (rng.integers(-3, 4, s).astype("f4") for s in ((cout,), (2, 4, 21, cout)))
    y, cache = cpu.pad_conv(x, w, b)
    want, reference = layers.pad_conv(x, w, b)
    np.testing.assert_array_equal(y, want)
    for got, exact in zip(
        cpu.pad_conv_backward(dy, cache), layers.pad_conv_backward(dy, reference), strict=True
    ):
        np.testing.assert_array_equal(got, exact)
assert seen == {*microkernel.SHAPES, (0, 0)}, seen
"""


@pytest.mark.parametrize("lanes", [16, 8, 4])
def test_every_width_and_tile_is_exact_on_integers(lanes, tmp_path):
    """Sums of small integers are exact in float32, whatever the order."""
    if lanes > microkernel.LANES:
        pytest.skip(f"this processor has {microkernel.LANES} lanes")
    subprocess.run(
        [sys.executable, "-c", CODE, str(lanes)],
        check=True,
        # a cache of its own: the usual one is not for the processor played here
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
