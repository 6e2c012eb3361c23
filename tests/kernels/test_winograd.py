"""How many cycles of shared memory a stage of kernels/winograd.cu needs."""

import numpy as np
import pytest
from cudaproof import emulator, nvrtc, sass

from enhance_np._kernels import source

SCHEDULERS = 4  # of a multiprocessor, each issues one instruction of a warp per cycle
WARPS = 8


def cycles(cin):
    """(as they are, if loads of pairs of lanes are joined): cycles of one block."""
    n, h, w, cout = 1, 8, 16, 64  # 32 tiles
    x, y = np.zeros((n, h, w, cin), "f4"), np.empty((n, h, w, cout), "f4")
    u, b = np.zeros((cout // 64, cin // 8, 16, 8, 64), "f4"), np.zeros(cout, "f4")
    kernel = emulator.load(source("winograd"), "trace", contract=False)["winograd"]
    sizes = map(np.int32, (n, h, w, cin, cout, 0, 0))
    kernel((1,), (32 * WARPS,), x, u, b, b, y, *sizes, traffic=1)
    lines = [line for line in kernel.lines() if line.shared]
    assert all(line.wavefronts == line.least for line in lines)  # no bank conflict, stores too
    return np.array([[line.wavefronts, line.joined] for line in lines]).sum(axis=0)


@pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
def test_the_loads_of_the_loop_are_in_pairs():
    """64 loads of four floats, 16 stores of one and 8 of four for each warp of a stage."""
    as_they_are, joined = cycles(16) - cycles(8)
    loads, stores = 64 * WARPS, 16 * WARPS + 8 * WARPS * 4
    assert as_they_are == 4 * loads + stores == 2432
    assert joined == 2 * loads + stores == 1408


@pytest.mark.skipif(
    (nvrtc.missing() or sass.missing()) is not None, reason="needs NVRTC and nvdisasm"
)
def test_the_share_of_the_time_of_issue():
    """As in the head of the kernel's file: 60 %, or 103 % if no loads are joined."""
    code = sass.disassemble(nvrtc.compile(source("winograd"), 80).cubin)["winograd"]
    issue = len(sass.hottest_loop(code)) * WARPS / SCHEDULERS
    assert round(1408 / issue, 2) == 0.60
    assert round(2432 / issue, 2) == 1.03
