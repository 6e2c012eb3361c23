"""bench.gpu.on_card on the stand-in for CuPy, with an invented card and times, on small sizes."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cudaproof import device, emulator

from bench.gpu import card_table, ladder, on_card, results
from bench.gpu.sizes import Sizes
from enhance_np.config import NetworkConfig
from enhance_np.engine import gpu, select
from enhance_np.engine.cuda import convolution, folded, launch, methods


class Small(Sizes):
    config = NetworkConfig(1, 4)
    patches = (2, 6), (1, 5)
    images = (20,)
    mixed = (7, 5), (12, 9), (7, 5)
    large = 1, 34, 50, 64, 64
    shapes = ((1, 5, 6, 64, 64),)
    copied, blocks, loops = 1 << 10, 2, 3
    warm_up, repeats = 1, 3


@pytest.fixture
def engine(card, monkeypatch):
    if (reason := emulator.missing()) is not None:
        pytest.skip(reason)
    launch.forget()
    monkeypatch.setattr(results, "STEMS", ("mse", "reflect_pad"))
    monkeypatch.setattr(on_card.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu, "probe", lambda: None)
    yield select("gpu")
    launch.forget()


def test_the_whole(engine, tmp_path):
    lines = []
    with device.running("fast"):
        found = on_card.run(engine, tmp_path / "report.json", Small, 500, lines.append)
    assert found["errors"].keys() <= {"torch"}  # which the tests do not install
    assert found["passed"]
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is True
    assert {name.split(":")[0] for name in found["cases"]} == {"mse", "reflect_pad"}
    assert found["ceilings"]["flops"] > 0
    assert found["graphs"] == {"recorded": True, "same_bits": True}
    more = len(methods.options())
    # of two batches and by graphs, of a prediction, of one shape
    assert len(found["times"]) == 2 * (3 + more) + 2 + (1 + more) + (3 + more)
    page = card_table.text(json.loads((tmp_path / "report.json").read_text()))
    assert page.startswith("**A100**")
    assert "all results right" in page
    assert "| training step, 2 x 6 x 6 |" in page
    assert "| training step, 2 x 6 x 6, by graphs |" in page
    assert "were recorded" in page


@pytest.mark.parametrize(
    ("section", "name"),
    [("large convolution", "conv"), ("archive", "elu_conv"), ("same bits", "step")],
)
def test_a_wrong_card_does_not_pass(section, name, engine, monkeypatch, tmp_path):
    """A convolution that is off by 1e-3, an activation too large, sums that differ every time."""
    calls = iter(range(10**6))
    if name == "conv":
        right = convolution.conv
        wrong = lambda *a, **k: right(*a, **k) * np.float32(1.001)  # noqa: E731
        monkeypatch.setattr(convolution, "conv", wrong)
    elif name == "elu_conv":
        right = folded.relu_conv
        monkeypatch.setattr(
            folded, "relu_conv", lambda *a: (right(*a)[0] * np.float32(1.001), None)
        )
    else:
        right = engine.step

        def step(p, *rest):
            new, *others = right(p, *rest)
            new.buffer[0] = np.float32(next(calls))
            return new, *others

        engine = engine._replace(step=step)
    with device.running("fast"):
        found = on_card.run(engine, None, Small, 500, lambda line: None)
    assert not found["passed"]
    assert section in found, found["errors"]
    said = found[section]
    if section == "same bits":
        assert said[0] != said[1]
    else:
        assert max(said.values() if isinstance(said, dict) else said) > 1


def test_without_time_sections_are_left_out(engine, tmp_path):
    found = on_card.run(engine, tmp_path / "report.json", Small, 20, lambda line: None)
    assert found["left_out"][0] == "machine"
    assert not found["passed"]


def test_a_case_that_fails_is_named(engine, monkeypatch):
    def broken(cupy, rng):
        raise AssertionError("too large")

    def random(cupy, rng):
        return (cupy.asarray(np.random.default_rng().standard_normal(3)),)

    fake = SimpleNamespace(CASES={"broken": broken, "random": random})
    monkeypatch.setitem(sys.modules, "cases.mse", fake)
    found = results.cases()
    assert found["mse: broken"]["error"] == "AssertionError: too large"
    assert not found["mse: broken"]["right"]
    assert found["mse: random"]["right"]
    assert not found["mse: random"]["same_bits"]


def test_the_fastest_peer_is_taken_with_and_without_tf32():
    ways = {"a": 3.0, "b": 2.0, "b, TF32": 1.0, "broken": "RuntimeError: no"}
    found = card_table._fastest({"step": {"2 x 6 x 6": ways}})
    name = "training step, 2 x 6 x 6"
    assert found == {(name, False): ("b", 2.0), (name, True): ("b, TF32", 1.0)}


def test_a_peer_that_failed_does_not_spoil_the_table():
    shape = ladder.text(ladder.SHAPES[0])
    ways = {"y, a": "RuntimeError: no", "y, b": 4e-4, "y, a, TF32": 1e-4, "dW, a": 1.0}
    found = {
        "machine": dict.fromkeys(("name", "driver", "nvrtc", "cupy", "enhance_np"), ""),
        "passed": True,
        "errors": {},
        "ladder times": {shape: dict.fromkeys((*ladder.RUNGS, "conv3x3.cu"), 1e-3)},
        "torch": {"convolution": {shape: ways}},
    }
    assert card_table.text(found).count("(0.40 of cuDNN)") == len(ladder.RUNGS) + 1
    found["torch"]["convolution"][shape] = {"y, a": "RuntimeError: no"}
    assert "of cuDNN" not in card_table.text(found)


def test_the_ladder_says_its_share_of_cudnn():
    shape = ladder.SHAPES[0]
    seconds = dict.fromkeys((*ladder.RUNGS, "conv3x3.cu"), 1e-3)
    page = ladder.markdown({ladder.text(shape): seconds}, {ladder.text(shape): 5e-4}, [shape])
    assert page.count("5,898 GFLOP/s (0.50 of cuDNN)") == len(ladder.RUNGS) + 1
