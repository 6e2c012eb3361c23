"""kernels/conv3x3_3xtf32.cu: its error beside that of float32, and what its loop consists of."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cudaproof import device, emulator, nvrtc, sass

from bench.gpu import roofline
from enhance_np import layers
from enhance_np._kernels import source
from enhance_np.engine.cuda import launch
from enhance_np.engine.cuda.convolution import conv

PAGE = (Path(__file__).parents[2] / "docs" / "cuda.md").read_text(encoding="utf-8")


def told(row):
    """The last two cells of a row of the page, those of conv3x3.cu and of this kernel."""
    section = PAGE.split("## Three products of TF32")[1]
    return re.search(rf"^\| {row}[^|]*\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE).groups()


@pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing()))
def test_the_error_is_smaller_than_that_of_float32(monkeypatch):
    """rms of the error over rms of y, of normally distributed numbers, 64 to 64 channels."""
    rng, found = np.random.default_rng(5), []
    x, w, b = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((1, 2, 32, 64), (3, 3, 64, 64), (64,))
    )
    want, _ = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
    launch.forget()
    monkeypatch.setitem(sys.modules, "cupy", device)
    with device.running("fast"):
        for method in ("float32", "3xtf32"):
            y = device.asnumpy(conv(*map(device.asarray, (x, w, b)), method=method))
            found.append(float(np.sqrt(((y - want) ** 2).mean() / (want**2).mean())))
    launch.forget()
    assert found[1] < found[0] < 1e-6
    np.testing.assert_allclose(
        [float(cell) for cell in told("rms rounding error")], found, rtol=0.05
    )


@pytest.mark.skipif(
    (nvrtc.missing() or sass.missing()) is not None, reason="needs NVRTC and nvdisasm"
)
def test_the_loop_of_the_estimates():
    """As the page and bench.gpu.roofline have it, for compute capability 8.0 and 9.0."""
    loops = {}
    for arch in (80, 90):
        cubin = nvrtc.compile(source("conv3x3_3xtf32"), arch).cubin
        loops[arch] = sass.hottest_loop(sass.disassemble(cubin)["conv3x3_3xtf32_64"])
        products = round(sass.shares(loops[arch])["HMMA"] * len(loops[arch]))
        # three for one, each 16 x 8 x 8
        assert products * 16 * 8 * 8 == 3 * roofline.OF_LOOP
    assert len(loops[90]) == pytest.approx(roofline.LOOP, rel=0.05)
    lengths = [len(loops[80]), products]
    _, cell = told("instructions of the hottest loop")
    numbers = [float(n) for n in re.match(r"(\d+), (\d+) of them", cell).groups()]
    assert numbers == pytest.approx(lengths, rel=0.05)
