"""kernels/ladder/conv3x3: every step gives the right result, compiled by NVRTC and emulated."""

import os
import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cases.ladder import NEW, SIZES, SIZES_OF_NEW, compared
from cudaproof import device, emulator, nvrtc, sass

from bench.gpu import ladder
from bench.gpu.ladder import RUNGS
from enhance_np._kernels import source

PAGE = (Path(__file__).parents[2] / "docs" / "cuda.md").read_text(encoding="utf-8")
WHOLE = os.environ.get("VERIFY_CUDA") == "1"


def sizes_of(rung):
    if rung in NEW:
        return SIZES_OF_NEW if WHOLE else SIZES_OF_NEW[:1]
    return SIZES[: 4 if rung >= "4" else None]


CASES = [(rung, size) for rung in RUNGS for size in sizes_of(rung)]
CASES.append(("6_tile", (1, 3, 53, 8, 64)))

emulated = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
compiled = pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))


@emulated
@pytest.mark.parametrize(("rung", "size"), CASES)
@pytest.mark.parametrize("mode", ["fast", "trace"])
def test_equals_the_reference(rung, size, mode, rng):
    with device.running(mode, "shuffled"):
        compared(device, rung, size, rng)


@emulated
@compiled
@pytest.mark.parametrize("rung", NEW)
@pytest.mark.parametrize("mode", ["ptx", "ptx-trace"] if WHOLE else ["ptx"])
def test_ptx_equals_the_reference(rung, mode, rng):
    """What NVRTC makes of the inline assembly, in the emulator."""
    with device.running(mode, "shuffled"):
        compared(device, rung, SIZES_OF_NEW[0], rng)


@cache
def rms(rung):
    """rms of the error over rms of y, 64 to 64 channels, the same numbers for every rung."""
    with device.running("fast", "forward"):
        y, want = compared(device, rung, (1, 2, 32, 64, 64), np.random.default_rng(5))
    return float(np.sqrt(((y - want) ** 2).mean() / (want**2).mean()))


ROWS = {  # in the table of docs/cuda.md
    "5_buffers": "two buffers, float32",
    "8_tf32": "tensor cores, TF32",
    "9_3xtf32": "three products",
}


@emulated
def test_three_products_of_tf32_have_the_error_of_float32():
    found = {rung: rms(rung) for rung in ROWS}
    assert found["9_3xtf32"] < found["5_buffers"] < 1e-6
    # each factor is rounded to 11 bits, by at most 2^-11
    assert 2.0**-13 < found["8_tf32"] < 2.0**-11
    for rung, row in ROWS.items():
        told = re.search(rf"^\| {row} \|.*\| (\S+e-\d) \|$", PAGE, re.MULTILINE)[1]
        assert float(told) == pytest.approx(found[rung], rel=0.05), rung


@emulated
def test_older_cards_leave_out_what_they_cannot_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", device)
    monkeypatch.setattr(device.Device, "compute_capability", "120")
    assert all(ladder.refusal(rung) is None for rung in RUNGS)
    with pytest.raises(ValueError, match="8_tf32 needs Cin a multiple of 8, got 4"):
        ladder.launcher("8_tf32", (1, 2, 2, 4, 64))
    monkeypatch.setattr(device.Device, "compute_capability", "75")
    with pytest.raises(RuntimeError, match=r"8_tf32 needs .* 8\.0 or later; this one has 7\.5"):
        ladder.launcher("8_tf32", (1, 2, 2, 8, 64))
    monkeypatch.setattr(ladder, "RUNGS", {rung: RUNGS[rung] for rung in ("1_naive", *NEW)})
    assert set(ladder.correct((1, 2, 2, 8, 64))) == {"1_naive"}


@compiled
@pytest.mark.parametrize("rung", RUNGS)
def test_compiles_without_spills(rung):
    text = source(f"ladder/conv3x3/{rung}")
    assert "#include" not in text
    for arch in [a for a in nvrtc.ARCHS if a >= 80] if WHOLE else [80]:
        used = nvrtc.compile(text, arch).resources["conv3x3"]
        assert (used.spilled, used.stack) == (0, 0)
        assert used.shared <= 48 << 10


@compiled
@pytest.mark.skipif(sass.missing() is not None, reason=str(sass.missing()))
@pytest.mark.parametrize(
    ("rung", "instruction", "least"), [("7_async", "FFMA", 0.85), ("8_tf32", "HMMA", 0.1)]
)
def test_machine_code(rung, instruction, least):
    """The copies are one instruction each, LDGSTS, and nothing is stored from registers."""
    code = sass.disassemble(nvrtc.compile(source(f"ladder/conv3x3/{rung}"), 80).cubin)["conv3x3"]
    loop = sass.shares(sass.hottest_loop(code))
    assert loop[instruction] > least
    assert loop["LDGSTS"] > 0
    assert not {"STS", "LDG"} & set(loop)


@compiled
@pytest.mark.skipif(sass.missing() is not None, reason=str(sass.missing()))
def test_the_page_has_the_length_of_the_loops():
    """Instructions for compute capability 8.0."""
    found = [
        len(sass.hottest_loop(sass.disassemble(nvrtc.compile(text, 80).cubin)["conv3x3"]))
        for text in (source(f"ladder/conv3x3/{rung}") for rung in ("9_3xtf32", "8_tf32"))
    ]
    told = re.search(r"has ([\d.]+) times the instructions of TF32, (\d+) and (\d+) for", PAGE)
    expected = [found[0] / found[1], *found]
    assert [float(number) for number in told.groups()] == pytest.approx(expected, rel=0.05)
