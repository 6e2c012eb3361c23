"""kernels/ladder/conv3x3: every step gives the right result, compiled by NVRTC and emulated."""

import numpy as np
import pytest
from cudaproof import emulator, nvrtc

from bench.gpu.ladder import RUNGS
from enhance_np import layers
from enhance_np._kernels import source

# N, H, W, Cin, Cout; step 4 and those after it do not support the last two
SIZES = [
    (1, 2, 2, 4, 64),
    (3, 3, 2, 8, 64),
    (2, 5, 33, 4, 128),
    (1, 9, 11, 20, 64),
    (2, 5, 9, 3, 5),
    (1, 3, 17, 17, 33),
]
CASES = [(rung, size) for rung in RUNGS for size in SIZES[: 4 if rung >= "4" else None]]
CASES.append(("6_tile", (1, 3, 53, 8, 64)))


emulated = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))


@emulated
@pytest.mark.parametrize(("rung", "size"), CASES)
@pytest.mark.parametrize("mode", ["fast", "trace"])
def test_equals_the_reference(rung, size, mode, rng):
    compared(source(f"ladder/conv3x3/{rung}"), rung, size, mode, rng)


def compared(text, rung, size, mode, rng):
    """Exact on integers; on floats within (9 Cin + 1) u of the sum of absolute values."""
    n, h, w, cin, cout = size
    blocks, threads = RUNGS[rung].blocks(n, h, w, cout), RUNGS[rung].threads
    kernel = emulator.load(text, mode)["conv3x3"]
    shapes = (n, h, w, cin), (3, 3, cin, cout), (cout,)
    for terms, draw in (
        (0, lambda shape: rng.integers(-4, 5, shape)),
        (9 * cin + 1, rng.standard_normal),
    ):
        data = [np.asarray(draw(shape), np.float32) for shape in shapes]
        y = np.full((n, h, w, cout), np.nan, np.float32)
        kernel((blocks,), (threads,), *data, y, *map(np.int32, size), schedule="shuffled")
        want, _ = layers.pad_conv(*(a.astype("f8") for a in data))
        sizes, _ = layers.pad_conv(*(abs(a.astype("f8")) for a in data))
        assert (abs(y - want) <= terms * 2.0**-24 * sizes).all()


# (rung, fault, before, after)
FAULTS = [
    (
        "5_buffers",
        "barrier of the loop removed",
        "barrier\n            __syncthreads();",
        "barrier",
    ),
    ("5_buffers", "one buffer instead of two", "c0 / CK % 2", "0"),
    ("5_buffers", "first stage for all", "fetch(c0 + CK)", "fetch(0)"),
    ("6_tile", "rows of shared memory overlap", "#define STRIDE 54", "#define STRIDE 50"),
    ("6_tile", "last pixel of a thread left out", "col + k >= W)", "col + k >= W || k == 12)"),
    ("6_tile", "barrier of the loop removed", "barrier\n            __syncthreads();", "barrier"),
]


@emulated
@pytest.mark.parametrize(
    ("rung", "before", "after"),
    [pytest.param(r, b, a, id=f"{r}: {fault}") for r, fault, b, a in FAULTS],
)
def test_a_planted_fault_is_seen(rung, before, after, rng):
    text = source(f"ladder/conv3x3/{rung}")
    assert text.count(before) == 1
    with pytest.raises((AssertionError, emulator.Fault)):
        compared(text.replace(before, after), rung, (1, 3, 53, 8, 64), "fast", rng)


@pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
@pytest.mark.parametrize("rung", RUNGS)
def test_compiles_without_spills(rung):
    text = source(f"ladder/conv3x3/{rung}")
    assert "#include" not in text
    used = nvrtc.compile(text, 80).resources["conv3x3"]
    assert (used.spilled, used.stack) == (0, 0)
    assert used.shared <= 48 << 10
