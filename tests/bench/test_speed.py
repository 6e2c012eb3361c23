"""What is timed is compared first; times themselves are not tested."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from threaded import together

from bench import ROOT
from bench.shared import reference64, timing, workload
from bench.speed import (
    archive,
    peers,
    predict,
    ranks,
    scaling,
    train,
    train_curves,
    train_operations,
    winograd_blocks,
    winograd_points,
)
from bench.speed import layers as layer_times
from enhance_np import layers, params
from enhance_np._threads import threads
from enhance_np.config import DEFAULT, NetworkConfig
from enhance_np.engine import REFERENCE
from enhance_np.engine.cpu import subnormal
from enhance_np.prediction.steps import read


@pytest.fixture
def spot(monkeypatch, rng):
    """Noise in place of the timings' sunspot, which takes seconds to make."""
    low, high = (1 + 0.1 * rng.standard_normal((n, n)) for n in (128, 256))
    monkeypatch.setattr(workload, "degraded", lambda type="intensity": (low, high))


@pytest.mark.parametrize(
    ("question", "arguments", "message"),
    [
        ("layers", ["--shapes", "400x400"], "must be NxHxW"),
        ("predict", ["--peers", "theano"], "invalid choice: 'theano'"),
        ("scaling", ["--sizes", "256"], "--sizes must hold 1024"),
        ("train", ["--repeats", "0"], "must be 1 or more, got 0"),
    ],
)
def test_refuses(question, arguments, message):
    done = script(question, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def script(question, *arguments):
    command = [sys.executable, "-m", f"bench.speed.{question}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_peers_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: name in ("torch", "onnxruntime"))
    assert peers.chosen(None, peers.PREDICT) == ["torch"]  # ONNX Runtime needs onnx
    assert peers.chosen([], peers.PREDICT) == []
    with pytest.raises(SystemExit, match="to run torch, onnxruntime, install onnx$"):
        peers.chosen(["torch", "onnxruntime"], peers.PREDICT)


def test_steps_are_compared_and_told(spot):
    """From each start, and the loss curves of a tiny network on every engine."""
    x, target = workload.batch(1, 8)
    p = train.start("fresh")
    seconds = {"enhance_np": [1.0], "a peer": [2.0]}
    record = {
        "environment": timing.environment(threads()),
        "repeats": 1,
        "batch": 1,
        "patch": 8,
        "errors": train.checked({"enhance_np": train.ours(p, x, target)}, p, x, target),
        "summary": timing.summary(seconds),
        "fastest peer": ("a peer", 2.0),
        "starts": train.starts(x, target, 1),
        "memory": {"peak": 2e9},
        "loss curves": train_curves.deviations(NetworkConfig(depth=1, filters=3), 2, 1, 8),
    }
    limit = reference64.GRADIENT
    assert record["starts"]["errors"].keys() == {"intensity", "blos"}
    assert 0 < max(e["gradient"] for e in record["starts"]["errors"].values()) <= limit
    assert list(record["starts"]["summary"]) == ["fresh", "intensity", "blos"]
    text = train.text(record)
    assert "Fastest peer: a peer. 2 steps of the small network on 1 patches of 8 x 8" in text
    assert "| one step from | fresh | intensity | blos |" in text


def test_a_curve_that_leaves_the_reference_is_refused(spot, monkeypatch):
    faulty = SimpleNamespace(**vars(layers) | {"relu": lambda x: layers.relu(1.01 * x)})
    monkeypatch.setattr(train_curves, "select", lambda device: REFERENCE._replace(ops=faulty))
    with pytest.raises(SystemExit, match="the loss curve must stay within 10 x"):
        train_curves.deviations(NetworkConfig(depth=1, filters=3), 2, 1, 8)


@pytest.mark.parametrize("size", [(1, 9, 10), (2, 6, 7)])
def test_layers_are_compared_and_told(spot, size):
    """A prediction's and a training's; test_refuses_a_wrong_layer has one that is wrong."""
    known, seconds = layer_times.measured(size, 1)
    whole = "whole prediction" if size[0] == 1 else "whole training step"
    assert known[-1].name == whole
    assert max(case.error for case in known) <= reference64.GRADIENT
    peaks = {"multiply-adds": 2e9, "matrix product": 1e9, "flops": 2e9, "copy": 1e9}
    results = [layer_times.result(case, seconds[case.name], peaks) for case in known]
    name = "x".join(map(str, size))
    environment = timing.environment(threads())
    record = {"environment": environment, "repeats": 1, "peak": peaks, "results": {name: results}}
    assert f"| layer | {name}: time, rate (share) |" in layer_times.text(record)


def test_refuses_a_wrong_layer(monkeypatch):
    wrong = layer_times.Case("a layer", None, 1.0, 1.0, 2e-5)
    monkeypatch.setattr(layer_times, "cases", lambda size: [wrong])
    with pytest.raises(SystemExit, match="a layer must agree within 1e-05: not timed"):
        layer_times.measured((1, 8, 8), 1)


def test_scaling_is_compared_and_told(spot, monkeypatch):
    """Predictions in processes of their own, and threads and networks in this one."""
    monkeypatch.setattr(scaling, "BASE", 16)
    monkeypatch.setattr(scaling, "CALLS", 1)
    count = threads()
    record = {
        "environment": timing.environment(count),
        "repeats": 1,
        "pixels": scaling.pixels([16], 1, count),
        "threads and network": {12: scaling.compared(12, 1, count)},
    }
    assert record["pixels"][0]["throughput"] == 1
    assert 0 < record["pixels"][0]["errors"]["rms"] < reference64.RMS
    assert threads() == count
    text = scaling.text(record)
    assert "| 16 x 16 | " in text
    assert "| 12 x 12 | " in text


def test_blocks_are_timed(monkeypatch):
    from enhance_np.engine.cpu import winograd_kernels

    for name in ("BLOCK", "GRADIENT_BLOCK"):  # put back behind it
        monkeypatch.setattr(winograd_kernels, name, getattr(winograd_kernels, name))
    monkeypatch.setattr(winograd_blocks, "REPEATS", 1)
    monkeypatch.setattr(winograd_blocks, "SHAPE", (1, 9, 8, 64))
    assert min(winograd_blocks.measured(24, 12)) > 0
    assert (winograd_kernels.BLOCK, winograd_kernels.GRADIENT_BLOCK) == (24, 12)


def test_winograd_points_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(winograd_points, "CHANNELS", 4)
    monkeypatch.setattr(winograd_points, "TILES", 6)
    monkeypatch.setattr("sys.argv", [""])
    winograd_points.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 1 + 5 * 6 - 1  # F(2x2, 3x3); 1 is in both lists but not 1 beside 1
    assert sum("(chosen)" in row for row in rows) == 1
    rms = [float(row.split(" | ")[1]) for row in rows]
    assert rms == sorted(rms)
    assert 0 < rms[0] < 1e-6 < rms[-1] < 1e-3


def test_winograd_points_convolve(rng):
    """What is compared is a convolution: of 6 x 6 pixels, 4 x 4 by the definition."""
    d, g = rng.standard_normal((2, 6, 6, 3)), rng.standard_normal((3, 3, 3, 2))
    y = sum(np.tensordot(d[:, i : i + 4, j : j + 4], g[i, j], 1) for i, j in np.ndindex(3, 3))
    found = winograd_points.convolve(d, g, winograd_points.POINTS, 4, np.float64)
    np.testing.assert_allclose(found, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("errors", [(np.nan, 0.0), (0.0, np.nan), (2e-5, 0.0), (0.0, 6e-5)])
def test_does_not_time_what_is_wrong(errors):
    accepted, errors = predict.accepted, reference64.Errors(*errors)
    with pytest.raises(SystemExit, match="new engine must keep rms 1e-05 and largest 5e-05"):
        accepted("new engine", errors)


def test_training_steps_are_checked(rng):
    """Before they are timed, beside float64; also with the same side of 0 at every ReLU."""
    p, _ = params.initial(DEFAULT, 0)
    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    errors = train.checked({"enhance_np": train.ours(p, x, target)}, p, x, target)
    assert errors["same ReLUs"]["gradient"] <= reference64.GRADIENT
    assert errors["same ReLUs"]["inputs"] == 5 * 64 * 64 + 64 * 64 + 64 * 256


def test_profile_names_the_operations_of_the_page(rng):
    """Each layer forward and backward, and what has no parameters; their sum is within the step."""
    p = train.start("fresh")
    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    found = train_operations.profile(train.stepping(p, x, target), train.CPU.ops, p, 1)
    names = {name.rsplit("/", 1)[0] for name in p}
    ways = ("forward", "backward")
    layered = {(name, way) for name in (*names, "relu") for way in ways}
    assert found.keys() == layered | {("add", "forward"), "step"}
    assert 0 < sum(s for key, s in found.items() if key != "step") < found["step"]
    last, step = train_operations.text(found).splitlines()[-2:]
    assert last.startswith("| sum | ")
    assert step.endswith(" | 1.000 |")


def test_a_step_flushes_subnormal_numbers(rng):
    """As the training's loop does, also where NumPy computes between the operations."""
    seen = []

    def relu(x):
        seen.append(subnormal.control() & subnormal.FLUSH)
        return train.CPU.ops.relu(x)

    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    step = train.stepping(train.start("fresh"), x, target)
    step(SimpleNamespace(**vars(train.CPU.ops) | {"relu": relu}))
    assert seen == [subnormal.FLUSH]


def test_predictions_are_compared_and_told(spot):
    """Each way in small, and what the text says of the ratios; no figure is looked at."""
    options = SimpleNamespace(threads=threads(), repeats=1, large_repeats=1)
    networks = [predict.by_weights("blos", "small", 12, 1)]
    record = {
        "environment": timing.environment(options.threads),
        "repeats": 1,
        "large repeats": 1,
        "accuracy": predict.accuracy(12),
        "results": [predict.measured(12, [], options)],
        "weights": {"size": 12, "networks": networks},
    }
    networks[0]["summary"]["a third subnormal"]["ratio"] = 60.0
    text = predict.text(record)
    assert "| 12 x 12 | " in text
    assert text.endswith("The largest ratio is 60.00, of blos small, a third subnormal.")
    assert max(e["rms"] for e in networks[0]["errors"].values()) < reference64.RMS


def test_ranks_are_compared_and_told(rng):
    """Two threads in place of two processes; what they send is what the page says."""
    x, target = (rng.standard_normal((3, n, n, 1), dtype=np.float32) for n in (6, 12))
    config = NetworkConfig(1, 4)

    def work(worker):
        timed = ranks.Timed(worker)
        p, _ = params.initial(config, 0)
        ranks.compare(p, x, target, config, worker, {2: timed})
        return timed.sums, timed.bytes, ranks.sums(worker, worker)

    sums, sent, of_sums = together(2, work)[0]
    assert (sums, sent) == ranks.traffic(config)
    noted = {"seconds": [1.0, 2.0], "processor": [0.5, 0.6], "in sums": [0.0, 0.1]}
    record = {
        "environment": timing.environment(1),
        "repeats": 2,
        "batch": 3,
        "patch": 6,
        "networks": {"default": dict.fromkeys(("1 x 1", "2 x 1", "1 x 2"), noted)},
        "sums": {"2": of_sums | {"small": 0.01, "large": 1.0}},
    }
    text = ranks.text(record)
    assert "| default (32 filters) | 1 x 2 | 1.5 s | 1.00 | 0.55 s | 50.0 ms | 0.75 s |" in text
    count, size = ranks.traffic(ranks.NETWORKS["default"])
    model = 1.5 / 2 + 0.01 * count + size / ranks.traffic(DEFAULT)[1]
    assert f"| 2 x 1 | 1.5 s | 1.00 | 0.55 s | 50.0 ms | {model:.3g} s |" in text


def test_wrong_ranks_are_not_timed(rng, monkeypatch):
    x, target = (rng.standard_normal((2, n, n, 1), dtype=np.float32) for n in (6, 12))
    config = NetworkConfig(1, 4)
    p, _ = params.initial(config, 0)

    class Wrong:
        rank, size = 0, 2

        def total(self, own):
            return own

    with pytest.raises(SystemExit, match="2 must compute what one does"):
        ranks.compare(p, x, target, config, Wrong(), {2: Wrong()})


def test_disks_of_the_archive_are_those_of_a_continuum_image(tmp_path):
    archive.disk(tmp_path / "a.fits", 64, seed=0)
    frame, type = read(tmp_path / "a.fits")
    assert type == "intensity"
    assert frame.data.shape == (64, 64)
    # the disc fills pi (944 / (2048 * 0.5043))^2 / 4 of the square
    assert np.isnan(frame.data).mean() == pytest.approx(1 - 0.656, abs=0.01)
    assert frame.data[32, 32] == pytest.approx(archive.QUIET_SUN, rel=0.2)
