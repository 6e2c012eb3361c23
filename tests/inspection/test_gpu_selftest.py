"""gpu-selftest on the stand-in for CuPy, with an invented card and invented times."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from cudaproof import device, emulator

import enhance_np
from enhance_np import cli
from enhance_np.config import DEFAULT, NetworkConfig
from enhance_np.engine import REFERENCE, Engine, cuda, gpu
from enhance_np.engine.cuda import training
from enhance_np.inspection import accuracy, gpu_selftest


@pytest.fixture
def small(monkeypatch, card):
    """Sizes with which the whole test takes a second."""
    if (reason := emulator.missing()) is not None:
        pytest.skip(reason)
    monkeypatch.setattr(gpu_selftest, "DEFAULT", NetworkConfig(1, 4))
    monkeypatch.setattr(accuracy, "SIZES", ((1, 3, 4),))
    monkeypatch.setattr(accuracy, "CHANNELS", ((2, 3),))
    for name, value in {"BATCH": 2, "PATCH": 6, "IMAGE": 20, "REPEATS": 3}.items():
        monkeypatch.setattr(gpu_selftest, name, value)

    def uses(ops):
        one = Engine("gpu", ops, card.asarray, card.asnumpy)
        monkeypatch.setattr(gpu_selftest, "select", lambda name: one)

    uses(cuda)
    return uses


def test_the_peak_of_an_a100(card):
    found = gpu_selftest.device()
    assert found["peak_flops"] == 108 * 64 * 2 * 1410e6  # 19.5 TFLOP/s, as its data sheet says
    assert found["compute_capability"] == "8.0"


def test_an_unknown_card_has_no_peak(card, monkeypatch):
    monkeypatch.setattr(device.Device, "compute_capability", "999")
    found = gpu_selftest.device()
    assert found["peak_flops"] is None
    assert "peak not known" in gpu_selftest._title(found)
    assert gpu_selftest._timed([1.0], 10, None)["share_of_peak"] is None


def test_work_is_that_of_the_summary():
    """There are 553,792 multiply-adds per input pixel; the stem has 576 of them, and needs no
    dx."""
    assert gpu_selftest.work(DEFAULT) == {"forward": 2 * 553792, "backward": 4 * 553792 - 2 * 576}


def test_medians_after_a_warm_up(card):
    calls = []
    measured = gpu_selftest.seconds(lambda: calls.append(1), warm_up=2, repeats=5)
    assert len(calls) == 7
    np.testing.assert_allclose(measured, [0.001, 0.002, 0.003, 0.004, 0.005])
    found = gpu_selftest._timed(measured, 6e9, 1e13)
    np.testing.assert_allclose(found["median"], 0.003)
    np.testing.assert_allclose(found["share_of_peak"], 0.2)
    assert (found["least"], found["most"]) == (measured[0], measured[-1])


def test_the_whole(small, tmp_path, capsys):
    report = tmp_path / "report.json"
    with device.running("fast"), pytest.raises(SystemExit) as done:
        cli.main(["gpu-selftest", "--json", str(report)])
    lines = capsys.readouterr().out.splitlines()
    assert done.value.code == 0, lines
    assert lines[0].startswith("A100 (compute capability 8.0), peak 19.5 TFLOP/s = 108 multi")
    results = len(json.loads(report.read_text())["operations"])
    assert lines[1].startswith(f"operations: {results} of {results} results within their bound")
    assert lines[2].startswith("page: ")
    assert [line.split("  ")[0] for line in lines[3:]] == [
        "forward, 2 x 6 x 6",
        "backward, 2 x 6 x 6",
        "training step, 2 x 6 x 6",
        "prediction, 20 x 20, from and to NumPy",
        "3x3, 64 to 64, 20 x 20",
        "training step, 2 x 6 x 6, winograd",
        "prediction, 20 x 20, winograd",
        "3x3, 64 to 64, 20 x 20, winograd",
        "training step, 2 x 6 x 6, 3xtf32",
        "prediction, 20 x 20, 3xtf32",
        "3x3, 64 to 64, 20 x 20, 3xtf32",
    ]
    found = json.loads(report.read_text())
    assert found["passed"] is True
    assert found["device"]["enhance_np"] == enhance_np.__version__
    assert {"name", "driver", "runtime", "nvrtc", "cupy"} < set(found["device"])
    # the median of 1, 2, 3 ms, then of 4, 5, 6
    medians = [one["median"] for one in found["seconds"].values()]
    np.testing.assert_allclose(medians, 0.002 + 0.003 * np.arange(len(lines) - 3))
    for one in found["seconds"].values():
        share = one["flop"] / one["median"] / found["device"]["peak_flops"]
        np.testing.assert_allclose(one["share_of_peak"], share)

    with pytest.raises(SystemExit) as done:
        cli.main(["gpu-selftest", "--json", str(report)])
    assert "must not exist, unless overwrite is set (see --overwrite)" in done.value.code


@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_a_wrong_result_is_a_failure(small, factor, tmp_path, capsys):
    def upsample(x):
        return cuda.upsample(x) * np.float32(factor)

    names = {name: getattr(cuda, name) for name in (*enhance_np.layers.__all__, "conv")}
    small(SimpleNamespace(**names | {"upsample": upsample}))
    report = tmp_path / "report.json"
    with device.running("fast"), pytest.raises(SystemExit) as done:
        cli.main(["gpu-selftest", "--json", str(report)])
    assert done.value.code == 1
    assert "  FAILED upsample (1, 3, 4) 2: y: error " in capsys.readouterr().out
    found = json.loads(report.read_text(), parse_constant=pytest.fail)  # NaN would not be JSON
    assert found["passed"] is False


@pytest.mark.parametrize(
    ("what", "section"),
    [("beside_torch", "torch"), ("ways", "preparation"), ("page", "page"), ("device", "device")],
)
def test_an_error_loses_only_its_section(what, section, small, tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("cuDNN is missing")

    monkeypatch.setattr(gpu_selftest, what, broken)
    report = tmp_path / "report.json"
    with device.running("fast"), pytest.raises(SystemExit) as done:
        cli.main(["gpu-selftest", "--json", str(report)])
    assert f"FAILED {section}: RuntimeError at test_gpu_selftest.py:" in capsys.readouterr().out
    found = json.loads(report.read_text())
    assert found["errors"].keys() == {section}
    assert found["errors"][section].endswith("cuDNN is missing")
    assert found["operations"]
    assert bool(found["seconds"]) == (what != "ways")
    assert done.value.code == int(what == "page")  # nothing is said to be right that was not seen


def test_the_report_is_written_after_every_section(small, tmp_path, monkeypatch):
    report, seen = tmp_path / "report.json", []

    def killed(*_):
        seen.append(json.loads(report.read_text()))
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_selftest, "page", killed)
    with device.running("fast"), pytest.raises(KeyboardInterrupt):
        gpu_selftest.run(report)
    assert seen[0]["operations"]
    assert seen[0]["device"]["name"] == "A100"


def test_the_timed_step_goes_on_from_the_last_one(small, card):
    """Its parameters then lie in one buffer, so only the first step copies every tensor."""
    engine = Engine("gpu", cuda, card.asarray, card.asnumpy, step=training.step)
    found = gpu_selftest.ways(engine, NetworkConfig(1, 4), 2, 6, 20)
    step, _ = found["training step, 2 x 6 x 6"]
    given, before = [], training.flattened

    def flattened(tensors, layout):
        given.append(isinstance(tensors, training.Flat))
        return before(tensors, layout)

    with device.running("fast"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "flattened", flattened)
        for _ in range(3):
            step()
    # p, m and v of each step, and p once more
    assert given == [False] * 3 + [True] * 9


def test_the_real_cupy_has_these_names():
    cupy = pytest.importorskip("cupy")
    for name in ("Event", "Device", "get_elapsed_time", "nvrtc"):
        assert hasattr(cupy.cuda, name)
    for name in ("getDeviceProperties", "driverGetVersion", "runtimeGetVersion"):
        assert callable(getattr(cupy.cuda.runtime, name))
    for name in ("attributes", "compute_capability", "mem_info"):
        assert hasattr(cupy.cuda.Device, name)
    for name in (
        "ClockRate",
        "MultiProcessorCount",
    ):  # Device.attributes has these names without their prefix
        assert hasattr(cupy.cuda.runtime, f"cudaDevAttr{name}")
    for name in ("record", "synchronize"):
        assert hasattr(cupy.cuda.Event, name)


def test_without_a_card(capsys, monkeypatch):
    monkeypatch.setattr(gpu, "probe", lambda: "no NVIDIA driver is installed")
    with pytest.raises(SystemExit) as done:
        cli.main(["gpu-selftest"])
    assert done.value.code == (
        "enhance-np gpu-selftest: device: gpu must be usable, but no NVIDIA driver is installed"
    )
    assert capsys.readouterr().out == ""


def test_the_page_in_torch_is_the_page(rng):
    """On the CPU, the network that peer_torch times computes the same."""
    torch = pytest.importorskip("torch")
    from enhance_np import network, params
    from enhance_np.inspection import peer_torch

    for config in (NetworkConfig(1, 4), NetworkConfig(1, 4, "elu")):
        p, moving = params.initial(config, 0)
        x = rng.standard_normal((2, 7, 6, 1)).astype(np.float32)
        for statistics in (None, moving):
            want, _ = network.forward(p, x, config, REFERENCE.ops, statistics)
            given = statistics and peer_torch.tensors(statistics)
            tensors, image = peer_torch.tensors(p), peer_torch.images(x)
            with torch.no_grad():
                y, _ = network.forward(tensors, image, config, peer_torch.OPS, given)
            np.testing.assert_allclose(
                y.permute(0, 2, 3, 1).numpy(), want, atol=1e-5 * np.ptp(want)
            )
    for way in peer_torch.ways(NetworkConfig(1, 4), 2, 6, 8, "cpu").values():
        way()
