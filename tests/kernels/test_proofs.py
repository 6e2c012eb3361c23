"""Verifies every kernel of kernels/, as far as possible without a card.

Each kernels/<stem>.cu has its cases in support/cases/<stem>.py, which defines

    REGISTERS = {"kernel": 40}    largest number of registers per thread on any card, for each of
                                  its kernels
    CASES = {"odd": case}         case(cupy, rng) runs launchers on CuPy arrays, asserts that the
                                  results agree with enhance_np.layers within a derived bound, and
                                  returns them. Together the cases launch each kernel. The sizes
                                  are odd, and small, because each case runs many times
and optionally
    QUICK = ("odd",)              the cases for `make test`; by default the first two
    SASS = {"kernel": {"FFMA": 0.85, "LDS": 128}}   smallest shares of instructions in the hottest
                                  loop, and smallest widths of its accesses in bits
    CONFLICT_FREE = {"kernel"}    kernels whose loads of shared memory have no bank conflicts
    INEXACT = {"kernel": "exp"}   kernels whose PTX does not give the source's bits, and why
    NEEDS = 80                    compute capability that the kernels need, 80 for 8.0

The cases run on the stand-in for CuPy (cudaproof.device), both the source and the PTX that NVRTC
makes of it. `make verify-cuda` runs all of this; `make test` runs fewer cases, cards and schedules.
Nothing here shows that a kernel runs on a GPU, or how fast.
"""

import importlib
import os
import re
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from cudaproof import device, emulator, nvrtc, sass

from enhance_np._kernels import source
from enhance_np.engine.cuda import launch
from enhance_np.engine.gpu import probe

WHOLE = os.environ.get("VERIFY_CUDA") == "1"
STEMS = sorted(path.stem for path in (Path(__file__).parents[2] / "kernels").glob("*.cu"))
ARCHS = nvrtc.ARCHS if WHOLE else (80, 90)
PTX_ARCHS = nvrtc.ARCHS if WHOLE else (90,)
SCHEDULES = emulator.SCHEDULES if WHOLE else ("shuffled",)  # for trace and PTX
OPTIONS = ("--std=c++17",)  # as in enhance_np.engine.cuda.launch

emulated = pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
compiled = pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
disassembled = pytest.mark.skipif(
    (nvrtc.missing() or sass.missing()) is not None,
    reason=str(nvrtc.missing() or sass.missing()),
)


@cache
def described(stem):
    """The module support/cases/<stem>.py."""
    return importlib.import_module(f"cases.{stem}")


def names(stem):
    """The names of the cases to run."""
    if not (Path(__file__).parents[1] / "support/cases" / f"{stem}.py").exists():
        return []  # test_has_cases then fails
    every = described(stem).CASES
    return list(every) if WHOLE else list(getattr(described(stem), "QUICK", list(every)[:2]))


@cache
def ran(stem, name, mode="fast", schedule="forward", arch=80, contract=False):
    """(digests of the arrays that the case returns, its launches); runs the assertions of the case.

    Digests, because pytest would take minutes to tell how long bits differ.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        device.running(mode, schedule, arch, contract) as launches,
    ):
        launch.forget()
        patch.setitem(sys.modules, "cupy", device)
        try:
            given = described(stem).CASES[name](device, np.random.default_rng(20100604))
        finally:
            launch.forget()
    return tuple(sha256(device.asnumpy(a).tobytes()).hexdigest() for a in given), tuple(launches)


def on(archs, *given):
    """(*each of given, arch) for the architectures that the file of its kernel supports."""
    return [
        (*one, arch)
        for one in given
        for arch in archs
        if arch >= getattr(described(one[0]), "NEEDS", 0)
    ]


each_file = pytest.mark.parametrize("stem", STEMS)
EVERY = [(stem, name) for stem in STEMS for name in names(stem)]
each_case = pytest.mark.parametrize(("stem", "name"), EVERY)
each_case_on_archs = pytest.mark.parametrize(("stem", "name", "arch"), on(PTX_ARCHS, *EVERY))


# ------------------------------------------------------------------------------------- the text
@each_file
def test_has_cases(stem):
    """The file has cases, and REGISTERS has exactly its kernels."""
    assert names(stem), f"kernels/{stem}.cu needs cases/{stem}.py"
    assert set(described(stem).REGISTERS) == set(emulator.kernel_names(source(stem)))


@emulated
@each_file
def test_cases_launch_each_kernel(stem):
    launched = {one.kernel for name in described(stem).CASES for one in ran(stem, name)[1]}
    assert launched >= set(described(stem).REGISTERS)


@each_file
def test_needs_no_header(stem):
    """NVRTC alone, without CUDA's headers, must be enough."""
    assert "#include" not in source(stem)


@compiled
@pytest.mark.parametrize(("stem", "arch"), on(ARCHS, *zip(STEMS)))
def test_compiles(stem, arch):
    """No warnings, no more registers than allowed, no local memory, no atomic sums of floats."""
    result = nvrtc.compile(source(stem), arch, OPTIONS)
    of_the_text = [line for line in result.log.splitlines() if "Architectures prior" not in line]
    assert "warning" not in "\n".join(of_the_text)
    for kernel, most in described(stem).REGISTERS.items():
        used = result.resources[kernel]
        assert used.registers <= most, f"{kernel}: {used}"
        assert (used.spilled, used.stack) == (0, 0), f"{kernel}: {used}"
    assert not re.search(r"\b(atom|red)\.[\w.:]*\.[bf](16|32|64)", result.ptx)
    assert ".local" not in result.ptx


@disassembled
@pytest.mark.parametrize(
    ("stem", "arch"), on([arch for arch in ARCHS if arch >= sass.OLDEST], *zip(STEMS))
)
def test_machine_code(stem, arch):
    kernels = sass.disassemble(nvrtc.compile(source(stem), arch, OPTIONS).cubin)
    for kernel in described(stem).REGISTERS:
        assert sass.local_memory(kernels[kernel]) == 0, kernel
    for kernel, floors in getattr(described(stem), "SASS", {}).items():
        loop = sass.hottest_loop(kernels[kernel])
        for what, least in floors.items():
            if least > 1:  # bits of the accesses
                found = min(sass.widths(loop, what), default=0)
            else:
                found = sass.shares(loop).get(what, 0)
            assert found >= least, f"{kernel} on sm_{arch}: {what} {found}"


# --------------------------------------------------------------------------------- in the emulator
@emulated
@each_case
def test_schedules(stem, name):
    """The bits do not depend on the order of threads and blocks; the case asserts the values."""
    bits = [ran(stem, name, "fast", schedule)[0] for schedule in emulator.SCHEDULES]
    assert bits[0] == bits[1] == bits[2]


@emulated
@each_case
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_trace(stem, name, schedule):
    """No access is out of bounds, misaligned, uninitialised or racing, and none writes to const."""
    assert ran(stem, name, "trace", schedule)[0] == ran(stem, name)[0]


@emulated
@each_case
@pytest.mark.parametrize("mode", ["ubsan", "asan"])
def test_sanitizers(stem, name, mode):
    assert ran(stem, name, mode)[0] == ran(stem, name)[0]


@emulated
@compiled
@each_case_on_archs
def test_ptx_gives_the_bits_of_the_source(stem, name, arch):
    """Without contraction, PTX and source give the same bits; INEXACT kernels only the right
    values."""
    bits, launches = ran(stem, name, "ptx", "forward", arch)
    if not {one.kernel for one in launches} & set(getattr(described(stem), "INEXACT", {})):
        assert bits == ran(stem, name)[0]


@emulated
@compiled
@each_case_on_archs
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ptx_as_it_is_launched(stem, name, arch, schedule):
    """With contraction, as CuPy compiles it: the bounds of the case hold, and every access is
    valid."""
    traced = ran(stem, name, "ptx-trace", schedule, arch, True)[0]
    assert traced == ran(stem, name, "ptx-trace", "forward", arch, True)[0]


@emulated
@each_file
def test_bank_conflicts(stem, monkeypatch):
    """CONFLICT_FREE kernels have none in loads of shared memory, by the widths in the source."""
    free = getattr(described(stem), "CONFLICT_FREE", set())
    seen = {}
    call = emulator.Kernel.__call__

    def recorded(kernel, *arguments, **how):
        call(kernel, *arguments, **how, traffic=2)
        if kernel.name in free:
            seen.setdefault(kernel.name, []).extend(
                line for line in kernel.lines() if line.shared and not line.write
            )

    monkeypatch.setattr(emulator.Kernel, "__call__", recorded)
    for name in names(stem) if free else ():
        ran.__wrapped__(stem, name, "trace", "forward")
    assert set(seen) == set(free)
    for kernel, lines in seen.items():
        assert lines, f"{kernel} loads no shared memory"
        assert all(line.wavefronts == line.least for line in lines), f"{kernel}: {lines}"


# ---------------------------------------------------------------------------------------- on a card
@pytest.mark.gpu
@each_case
def test_on_the_gpu(stem, name, rng):
    """The case on the real CuPy. bench.gpu.on_card runs all cases, twice, in one go."""
    reason = probe()
    if reason is not None:
        pytest.skip(reason)
    import cupy

    if int(cupy.cuda.Device().compute_capability) < getattr(described(stem), "NEEDS", 0):
        pytest.skip("the card is older")
    described(stem).CASES[name](cupy, rng)
