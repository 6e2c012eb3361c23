"""The benchmarks' tables, comparisons and errors; timings are not tested."""

import hashlib
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from enhance_np import layers, params
from enhance_np._threads import threads
from enhance_np.config import DEFAULT, SMALL, TYPES, NetworkConfig
from enhance_np.engine import REFERENCE
from enhance_np.engine.cpu import subnormal
from enhance_np.weights import Weights, save

BENCH = Path(__file__).parents[1] / "bench"
RECORDED = ("predict", "scaling", "train")  # in README.md
CARD = ("files", "sources", "intensity", "blos", "known", "real")
PAGE = "Å\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nb <!-- bench:b --><!-- /bench:b -->\n"


@pytest.fixture
def bench(monkeypatch):
    """bench(name) imports a module of bench/, whose scripts import each other by name."""
    monkeypatch.syspath_prepend(BENCH)
    return import_module


@pytest.fixture
def replace(bench):
    return bench("table").replace


def test_replaces_only_what_is_between_the_markers(tmp_path, replace):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    replace(path, "a", r"new \1")
    once = path.read_text(encoding="utf-8")
    assert once == PAGE.replace("\nold\n", "\n\nnew \\1\n\n")
    replace(path, "a", r"new \1")
    assert path.read_text(encoding="utf-8") == once


@pytest.mark.parametrize(
    "text", ["", "<!-- bench:a -->", "<!-- /bench:a --><!-- bench:a -->", 2 * PAGE]
)
def test_markers_must_be_there_once_in_order(tmp_path, replace, text):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md must hold <!-- bench:a -->"):
        replace(path, "a", "new")
    assert path.read_text(encoding="utf-8") == text


def test_markdown(bench):
    markdown = bench("table").markdown
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        markdown(["a", "b"], [["1"]])


@pytest.mark.parametrize(
    ("name", "page"),
    [
        *((name, "README.md") for name in RECORDED),
        ("layers", "bench/README.md"),
        *((name, "enhance_np/models/README.md") for name in CARD),
        *((f"reliability_{type}", "docs/confidence.md") for type in TYPES),
    ],
)
def test_the_pages_have_the_markers(name, page):
    text = (BENCH.parent / page).read_text(encoding="utf-8")
    assert text.count(f"<!-- bench:{name} -->") == text.count(f"<!-- /bench:{name} -->") == 1


def test_regions_of_the_card(bench, monkeypatch):
    scenes = bench("scenes")
    monkeypatch.setattr(scenes, "LIMB_SHAPE", (64, 72))
    recipe = bench("enhance_np.pairs.recipe").read("blos")
    assert scenes.noises("blos") == {"45 s": 10.2e-3, "720 s": 6.3e-3}
    assert scenes.mean_square_noise("blos") == pytest.approx(np.sqrt((10.2**2 + 6.3**2) / 2) / 1e3)
    monkeypatch.setattr(scenes, "read", lambda type: _Recipe((), recipe.optics))
    (region,) = scenes.regions("blos", "test", None, 1)
    assert region.high.shape == (2 * region.low.shape[0], 2 * region.low.shape[1])
    assert list(region.classes("blos")) == ["limb"]
    seen = region.seen(0.01)
    np.testing.assert_array_equal(seen, region.seen(0.01))
    assert np.std(seen - region.low) == pytest.approx(0.01, rel=0.2)


class _Recipe(NamedTuple):
    sources: tuple
    optics: object

    def on(self, folder):
        return self


def test_first_steps_are_compared_bit_for_bit(bench):
    first_steps = bench("first_steps")
    losses = [0.1, 1 / 3]
    assert first_steps.compared(losses, losses) == ("the same bits", "0.0e+00")
    assert first_steps.compared([0.1, np.nextafter(1 / 3, 1)], losses) == ("differ", "1.7e-16")


def test_first_steps_of_a_training_that_went_on_from_another(bench, monkeypatch, tmp_path):
    first_steps = bench("first_steps")
    p, moving = params.initial(SMALL, 0)
    first, ships = tmp_path / "intensity_small.h5", tmp_path / "ships.h5"
    save(first, Weights(SMALL, p, moving, {"start": "contrast"}))
    start = f"{first.name}, sha256 {hashlib.sha256(first.read_bytes()).hexdigest()}"
    save(ships, Weights(SMALL, p, moving, {"start": start}))
    monkeypatch.setattr(first_steps.models, "path", lambda type, model: ships)
    monkeypatch.setattr(first_steps.models, "MODELS", ("small",))
    made = dict(first_steps.trainings(tmp_path, ("intensity",)))
    assert [(name, before) for name, (_, _, before) in made.items()] == [
        ("intensity_small from intensity_small", first),
        ("intensity_small", None),
    ]
    monkeypatch.setattr(first_steps, "CURVES", tmp_path / "none.csv")
    monkeypatch.setattr(first_steps, "losses", None)  # the error comes before anything is trained
    monkeypatch.setattr("sys.argv", ["first_steps", "--pairs", str(tmp_path), "--type", "blos"])
    with pytest.raises(SystemExit, match=r"none.csv must hold blos_small from intensity_small"):
        first_steps.main()
    save(first, Weights(SMALL, p, moving, {"start": "he"}), overwrite=True)
    with pytest.raises(SystemExit, match=r"intensity_small.h5 must have sha256 \w+, got \w+"):
        list(first_steps.trainings(tmp_path, ("intensity",)))


def test_the_card_has_a_column_for_every_method_and_network(bench, monkeypatch, rng):
    """On one small region, with one baseline, the table has the error of each method."""
    card, scenes = bench("model_card"), bench("scenes")
    low, high = 1 + 0.1 * rng.standard_normal((8, 9)), 1 + 0.1 * rng.standard_normal((16, 18))
    region = scenes.Region("made", "made 0", low, high, None, limb=True)
    monkeypatch.setattr(scenes, "regions", lambda *_: [region])
    flat = {"flat": lambda image: np.ones((16, 18)), "linear": lambda image: np.ones((16, 18))}
    monkeypatch.setattr(card.baselines, "methods", lambda *_: dict(flat))
    options = SimpleNamespace(fields=None, scenes=1)
    errors, _, apart = card.scored("intensity", options, None)
    header, _, *rows = errors.splitlines()
    assert header == "| test pixels | number | flat | linear | default | small |"
    assert rows[0].startswith(f"| **limb** | {2 * high.size} | {np.mean((high - 1) ** 2):.3g} |")
    assert "(" in rows[0].split("|")[5]
    assert "| limb |" in apart


def test_known_truth_is_a_mean_over_the_regions_that_have_it(bench):
    known_truth = bench("known_truth")
    name = "darkest of the umbra over the input's"
    darkest = {name: known_truth.MEASURES["intensity"][name]}
    regions = [
        {name: {"umbra_minimum": value} for name, value in row.items()}
        for row in (
            {"input": 0.2, "default": 0.12, "truth": 0.1},
            {"input": 0.2, "default": 0.14, "truth": 0.1},
        )
    ]
    quiet = {name: {"umbra_minimum": None} for name in regions[0]}
    assert list(known_truth._cells([*regions, quiet], darkest)) == ["0.65", "0.50"]
    assert list(known_truth._cells([quiet], darkest)) == ["–", "–"]


@pytest.mark.parametrize("question", ["layers", "predict", "scaling", "train"])
def test_help(question):
    done = script(question, "--help")
    assert done.returncode == 0, done.stderr
    assert "--readme" in done.stdout


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
    path = BENCH / f"bench_{question}.py"
    return subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True)


def test_peers_that_are_not_installed(bench, monkeypatch):
    peers = bench("peers")
    monkeypatch.setattr(peers, "find_spec", lambda name: name in ("torch", "onnxruntime"))
    assert peers.chosen(None, peers.PREDICT) == ["torch"]  # ONNX Runtime also needs onnx
    assert peers.chosen([], peers.PREDICT) == []
    with pytest.raises(SystemExit, match="to run torch, onnxruntime, install onnx$"):
        peers.chosen(["torch", "onnxruntime"], peers.PREDICT)


def test_summary_and_fastest_peer(bench):
    timing = bench("timing")
    found = timing.summary({"ours": [1.0, 2.0, 4.0], "a": [3.0, 3.0, 3.0], "b": [2.0, 4.0, 9.0]})
    assert found["a"] == {"seconds": 3.0, "ratio": 1.5}
    assert timing.fastest(found, ["a", "b"]) == ("a", 1.5)
    assert timing.fastest(found, ["c"]) is None
    assert timing.cells(found, ["b", "c"]) == ["4 s (2.00)", "–"]


def test_publish(bench, monkeypatch, tmp_path, capsys):
    timing = bench("timing")
    options = timing.arguments("", 3).parse_args(["--results", str(tmp_path / "new")])
    record = {"environment": timing.environment(2, ["numpy"]), "repeats": options.repeats}
    assert f"numpy {np.__version__}, " in timing.caption(record)
    monkeypatch.setattr(timing, "get_host_cpu_name", lambda: "znver9")
    timing.publish("a", record, lambda record: "| table |", options)
    assert capsys.readouterr().out == "| table |\n"
    assert '"repeats": 3' in (tmp_path / "new" / "a-znver9.json").read_text()


def test_one_table_per_processor(bench, monkeypatch, tmp_path):
    """A new record replaces only that of the same processor."""
    timing = bench("timing")
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(timing, "ROOT", tmp_path)
    arguments = ["--readme", "--results", str(tmp_path)]
    options = timing.arguments("", 3).parse_args(arguments)
    for cpu, figure in (("new", 1), ("old", 2), ("new", 3)):
        monkeypatch.setattr(timing, "get_host_cpu_name", lambda cpu=cpu: cpu)
        record = {"environment": {"cpu": cpu, "commit": "c" + cpu}, "figure": figure}
        timing.publish("a", record, lambda record: str(record["figure"]), options, page.name)
    both = "**new, commit cnew**\n\n3\n\n**old, commit cold**\n\n2"
    assert page.read_text(encoding="utf-8") == PAGE.replace("\nold\n", f"\n\n{both}\n\n")


@pytest.mark.parametrize(
    ("name", "page"), [(n, "README.md") for n in RECORDED] + [("layers", "bench/README.md")]
)
def test_the_pages_show_the_records(bench, name, page):
    """The page shows the records of all processors, and nothing else."""
    text = (BENCH.parent / page).read_text(encoding="utf-8")
    shown = text.split(f"<!-- bench:{name} -->")[1].split(f"<!-- /bench:{name} -->")[0]
    made = bench("timing").processors(name, bench(f"bench_{name}").text, BENCH / "results")
    assert made
    assert shown == f"\n\n{made}\n\n"


def test_steps_are_compared_and_told(bench, spot):
    """Steps from each start are compared, and the loss curves of a tiny network on every engine."""
    train, timing = bench("bench_train"), bench("timing")
    x, target = bench("inputs").batch(1, 8)
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
        "loss curves": bench("curves").deviations(NetworkConfig(depth=1, filters=3), 2, 1, 8),
    }
    limit = bench("exact").GRADIENT
    assert record["starts"]["errors"].keys() == {"intensity", "blos"}
    assert 0 < max(e["gradient"] for e in record["starts"]["errors"].values()) <= limit
    assert list(record["starts"]["summary"]) == ["fresh", "intensity", "blos"]
    text = train.text(record)
    assert "Fastest peer: a peer. 2 steps of the small network on 1 patches of 8 x 8" in text
    assert "| one step from | fresh | intensity | blos |" in text


def test_a_curve_that_leaves_the_reference_is_refused(bench, spot, monkeypatch):
    curves = bench("curves")
    faulty = SimpleNamespace(**vars(layers) | {"relu": lambda x: layers.relu(1.01 * x)})
    monkeypatch.setattr(curves, "select", lambda device: REFERENCE._replace(ops=faulty))
    with pytest.raises(SystemExit, match="the loss curve must stay within 10 x"):
        curves.deviations(NetworkConfig(depth=1, filters=3), 2, 1, 8)


@pytest.mark.parametrize("size", [(1, 9, 10), (2, 6, 7)])
def test_layers_are_compared_and_told(bench, spot, size):
    """The layers of a prediction and of a training; see also test_refuses_a_wrong_layer."""
    layers_ = bench("bench_layers")
    known, seconds = layers_.measured(size, 1)
    whole = "whole prediction" if size[0] == 1 else "whole training step"
    assert known[-1].name == whole
    assert max(case.error for case in known) <= bench("exact").GRADIENT
    peaks = {"multiply-adds": 2e9, "matrix product": 1e9, "flops": 2e9, "copy": 1e9}
    results = [layers_.result(case, seconds[case.name], peaks) for case in known]
    name = "x".join(map(str, size))
    environment = bench("timing").environment(threads())
    record = {"environment": environment, "repeats": 1, "peak": peaks, "results": {name: results}}
    assert f"| layer | {name}: time, rate (share) |" in layers_.text(record)


def test_refuses_a_wrong_layer(bench, monkeypatch):
    layers_ = bench("bench_layers")
    wrong = layers_.Case("a layer", None, 1.0, 1.0, 2e-5)
    monkeypatch.setattr(layers_, "cases", lambda size: [wrong])
    with pytest.raises(SystemExit, match="a layer must agree within 1e-05: not timed"):
        layers_.measured((1, 8, 8), 1)


def test_scaling_is_compared_and_told(bench, spot, monkeypatch):
    """Large predictions run in separate processes; threads and networks are compared in this
    one."""
    scaling = bench("bench_scaling")
    monkeypatch.setattr(scaling, "BASE", 16)
    monkeypatch.setattr(scaling, "CALLS", 1)
    count = threads()
    record = {
        "environment": bench("timing").environment(count),
        "repeats": 1,
        "pixels": scaling.pixels([16], 1, count),
        "threads and network": {12: scaling.compared(12, 1, count)},
    }
    assert record["pixels"][0]["throughput"] == 1
    assert 0 < record["pixels"][0]["errors"]["rms"] < bench("exact").RMS
    assert threads() == count
    text = scaling.text(record)
    assert "| 16 x 16 | " in text
    assert "| 12 x 12 | " in text


def test_blocks_are_timed(bench, monkeypatch):
    from enhance_np.engine.cpu import winograd_kernels

    for name in ("BLOCK", "GRADIENT_BLOCK"):  # restored afterwards
        monkeypatch.setattr(winograd_kernels, name, getattr(winograd_kernels, name))
    blocks = bench("bench_blocks")
    monkeypatch.setattr(blocks, "REPEATS", 1)
    monkeypatch.setattr(blocks, "SHAPE", (1, 9, 8, 64))
    assert min(blocks.measured(24, 12)) > 0
    assert (winograd_kernels.BLOCK, winograd_kernels.GRADIENT_BLOCK) == (24, 12)


def test_pairs_are_scored(bench, monkeypatch, tmp_path, capsys, rng):
    """A network and the linear filter get scores by noise and by source."""
    pairs = bench("bench_pairs")
    high = 1 + 0.1 * rng.standard_normal((6, 40, 40, 1)).astype(np.float32)
    low = high.reshape(6, 20, 2, 20, 2, 1).mean((2, 4))
    data, weights = tmp_path / "pairs.h5", tmp_path / "weights.h5"
    with h5py.File(data, "w") as file:
        file.update({"imHMI": low, "imSST": high, "noise": np.repeat([1e-3, 0.01], [4, 2])})
        file["source"] = np.array([0, 0, 0, 0, 0, 1])
        file.attrs["sources"] = json.dumps([{"name": "spots"}, {"name": "grains"}])
    save(weights, Weights(SMALL, *params.initial(SMALL, 0)))
    monkeypatch.setattr("sys.argv", ["", *map(str, (data, data, weights)), "--linear", "6"])
    pairs.main()
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == f"| pairs | number | bicubic | linear | {weights} |"
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [row[:2] for row in cells] == [
        ["all", "6"], ["noise 0.001", "4"], ["noise 0.01", "2"], ["spots", "5"], ["grains", "1"],
    ]  # fmt: skip
    every, _, _, spots, grains = np.array([row[2:] for row in cells], float)
    np.testing.assert_allclose(every, (5 * spots + grains) / 6, rtol=2e-3)
    assert every.argmax() == 2  # the error of untrained weights is the largest


def test_simulation_is_held_against_fields(bench, monkeypatch, tmp_path, capsys, rng):
    """Noise takes the place of MURaM's fields, Hinode's spot and the synthetic scenes.

    Twice the contrast shows in the spectrum and in the exit status.
    """
    fits = pytest.importorskip("astropy.io.fits")
    pytest.importorskip("matplotlib")
    simulation = bench("bench_simulation")

    def noise(shape, size=0.05):
        return 1 + size * rng.standard_normal(shape)

    quiet = noise((200, 220))
    np.save(tmp_path / "muram_quiet_continuum.npy", quiet)
    fits.writeto(tmp_path / "muram_030G_ic.fits", noise((90, 96)))
    fits.writeto(tmp_path / "muram_030G_bz.fits", 30 * noise((90, 96), 2))
    y, x = np.mgrid[:240, :240] - 120
    spot = 188 * (1 - 0.85 * np.exp(-(np.hypot(y, x) ** 2) / 40**2))
    fits.writeto(tmp_path / "hinode_sp_sunspot_continuum.fits", spot)
    monkeypatch.setattr(
        simulation, "scene", lambda *arguments: (quiet * noise(quiet.shape, 5e-3), None)
    )
    monkeypatch.setattr(simulation, "spot_pair", lambda fields: (spot / 188, spot / 188))
    plane = simulation.Plane
    monkeypatch.setattr(simulation, "Plane", lambda shape, spacing: plane((64, 64), spacing))
    figure = tmp_path / "figure.png"
    options = ["--fields", str(tmp_path), "--scenes", "2", "--figure", str(figure)]
    monkeypatch.setattr("sys.argv", ["bench_simulation", *options])
    with pytest.raises(SystemExit) as ended:
        simulation.main()
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "| mean unsigned, G | " in told
    assert "| umbra over spot, area | " in told
    assert figure.stat().st_size > 1000
    assert not simulation.quiet_tables(quiet, [(1 + 2 * (quiet - 1), None)])


def test_winograd_points_are_compared(bench, monkeypatch, capsys):
    points = bench("winograd_points")
    monkeypatch.setattr(points, "CHANNELS", 4)
    monkeypatch.setattr(points, "TILES", 6)
    points.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 1 + 5 * 6 - 1  # F(2x2, 3x3); 1 is in both lists but not 1 beside 1
    assert sum("(chosen)" in row for row in rows) == 1
    rms = [float(row.split(" | ")[1]) for row in rows]
    assert rms == sorted(rms)
    assert 0 < rms[0] < 1e-6 < rms[-1] < 1e-3


def test_winograd_points_convolve(bench, rng):
    """The tiles are compared with a direct convolution: 6 x 6 pixels give 4 x 4."""
    points = bench("winograd_points")
    d, g = rng.standard_normal((2, 6, 6, 3)), rng.standard_normal((3, 3, 3, 2))
    y = sum(np.tensordot(d[:, i : i + 4, j : j + 4], g[i, j], 1) for i, j in np.ndindex(3, 3))
    found = points.convolve(d, g, points.POINTS, 4, np.float64)
    np.testing.assert_allclose(found, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("errors", [(np.nan, 0.0), (0.0, np.nan), (2e-5, 0.0), (0.0, 6e-5)])
def test_does_not_time_what_is_wrong(bench, errors):
    accepted, errors = bench("bench_predict").accepted, bench("exact").Errors(*errors)
    with pytest.raises(SystemExit, match="new engine must keep rms 1e-05 and largest 5e-05"):
        accepted("new engine", errors)


def test_training_steps_are_checked(bench, rng):
    """Before the timing, gradients are compared with float64, also with the same signs at ReLUs."""
    train = bench("bench_train")
    p, _ = params.initial(DEFAULT, 0)
    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    errors = train.checked({"enhance_np": train.ours(p, x, target)}, p, x, target)
    assert errors["same ReLUs"]["gradient"] <= bench("exact").GRADIENT
    assert errors["same ReLUs"]["inputs"] == 5 * 64 * 64 + 64 * 64 + 64 * 256


def test_profile_names_the_operations_of_the_page(bench, rng):
    """It has every layer forward and backward, and the other operations; their sum is below the
    time of the step."""
    train, operations = bench("bench_train"), bench("operations")
    p = train.start("fresh")
    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    found = operations.profile(train.stepping(p, x, target), train.CPU.ops, p, 1)
    names = {name.rsplit("/", 1)[0] for name in p}
    ways = ("forward", "backward")
    layered = {(name, way) for name in (*names, "relu") for way in ways}
    assert found.keys() == layered | {("add", "forward"), "step"}
    assert 0 < sum(s for key, s in found.items() if key != "step") < found["step"]
    last, step = operations.text(found).splitlines()[-2:]
    assert last.startswith("| sum | ")
    assert step.endswith(" | 1.000 |")


def test_a_step_flushes_subnormal_numbers(bench, rng):
    """Like the training loop, also in NumPy's work between the operations."""
    train, seen = bench("bench_train"), []

    def relu(x):
        seen.append(subnormal.control() & subnormal.FLUSH)
        return train.CPU.ops.relu(x)

    x, target = (rng.standard_normal((1, n, n, 1), dtype=np.float32) for n in (8, 16))
    step = train.stepping(train.start("fresh"), x, target)
    step(SimpleNamespace(**vars(train.CPU.ops) | {"relu": relu}))
    assert seen == [subnormal.FLUSH]


def test_a_third_of_the_kernels_is_subnormal(bench):
    """The weights differ from the fresh ones only where they are subnormal."""
    inputs = bench("inputs")
    random, weights = inputs.random(SMALL).params, inputs.subnormal(SMALL).params
    for name, a in weights.items():
        tiny = (a != 0) & (abs(a) < np.finfo(np.float32).tiny)
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a[~tiny], random[name][~tiny])
        if name.endswith("/w") and a.size > 1000:
            assert tiny.mean() == pytest.approx(1 / 3, abs=0.05)
        elif not name.endswith("/w"):
            assert not tiny.any()


@pytest.fixture
def spot(bench, monkeypatch, rng):
    """Noise instead of the benchmarks' sunspot, which takes seconds to make."""
    low, high = (1 + 0.1 * rng.standard_normal((n, n)) for n in (128, 256))
    monkeypatch.setattr(bench("inputs"), "degraded", lambda type="intensity": (low, high))


def test_predictions_are_compared_and_told(bench, spot):
    """Every program runs on a small image, and the text gives the ratios; times are not tested."""
    predict = bench("bench_predict")
    options = SimpleNamespace(threads=threads(), repeats=1, large_repeats=1)
    networks = [predict.by_weights("blos", "small", 12, 1)]
    record = {
        "environment": bench("timing").environment(options.threads),
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
    assert max(e["rms"] for e in networks[0]["errors"].values()) < bench("exact").RMS


def test_pieces_of_the_exact_page(bench, monkeypatch, rng):
    exact = bench("exact")
    monkeypatch.setattr(exact, "WHOLE", 30)
    monkeypatch.setattr(exact, "PIECE", 8)
    config = NetworkConfig(depth=1, filters=3)
    weights = Weights(config, *params.initial(config, 0))
    x = rng.standard_normal((40, 37)).astype(np.float32)
    y = REFERENCE.predictor(weights)(x)
    page = exact.Page(x, weights)
    assert len(page.pieces) == 5
    assert 0 < page.errors(y).rms < 1e-6
    y[40, 36] += np.ptp(y)  # in the middle one of three
    assert page.errors(y).largest > 0.5


def test_exact_convolutions_in_strips(bench, monkeypatch, rng):
    exact = bench("exact")
    monkeypatch.setattr(exact, "COLUMNS", 700)  # two lines at a time
    x, w, b, dy = (
        rng.standard_normal(size).astype(np.float32)
        for size in [(2, 5, 6, 3), (3, 3, 3, 2), (2,), (2, 5, 6, 2)]
    )
    y, cache = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
    np.testing.assert_allclose(exact.pad_conv(x, w, b), y, rtol=1e-12)
    found = exact.pad_conv_backward(dy, x, w)
    for a, expected in zip(found, layers.pad_conv_backward(dy.astype("f8"), cache), strict=True):
        np.testing.assert_allclose(a, expected, rtol=1e-12, atol=1e-12)


def test_measurement_alone_says_why_it_failed(bench):
    with pytest.raises(RuntimeError, match="alone: predict .* must succeed, got: .*TypeError"):
        bench("alone").measure("predict", size=8)


def test_header_kinds(bench, tmp_path):
    """Every kind except the full disc, which is large, is treated as the page says."""
    pytest.importorskip("sunpy")
    kinds, page = bench("kinds"), bench("header_kinds")
    full_disc, *others = (*kinds.made(), *kinds.shipped())
    assert "full disc" in full_disc.what
    for i, kind in enumerate(others):
        (tmp_path / f"{i}").mkdir()
        found = page.tried(kind, tmp_path / f"{i}")
        assert not page.fault(kind, found), kind.what


def test_header_kinds_sees_faults(bench):
    kinds = bench("header_kinds")
    kind = kinds.Kind("a", "a.fits", None, {}, "warned", "has been")
    found = kinds.Tried("warned", "has been deconvolved", shifts=(0.0, 1e-9))
    assert kinds.fault(kind, found) == ""
    assert kinds.fault(kind, found._replace(outcome="enhanced"))
    assert kinds.fault(kind, found._replace(said="has pixels"))
    for shifts in ((2e-6, None), (0.0, 2e-6), (np.nan, 0.0)):
        assert "the sky moved" in kinds.fault(kind, found._replace(shifts=shifts))


def test_header_cards(bench):
    text = bench("header_kinds").cards()
    row = next(line for line in text.splitlines() if line.startswith("| hmi.sharp_720s | changed"))
    assert row == "| hmi.sharp_720s | changed | CRPIX1 CRPIX2 CDELT1 CDELT2 CRSIZE1 CRSIZE2 |"


@pytest.fixture
def pixels(bench, rng):
    """Normal errors of variance (2 s)^2 + 0.3^2, where s is the spread."""
    reliability = bench("reliability")
    spread = rng.gamma(1.0, 0.5, 400_000)
    error = np.hypot(0.3, 2 * spread) * rng.standard_normal(spread.size)
    group = np.where(spread < 0.1, 0, 3).astype(np.int8)
    noise = np.zeros(spread.size, np.int8)
    return reliability.Pixels(error, 2 * error, error, spread, np.abs(error), group, noise)


def test_error_bars_from_a_spread(bench, pixels):
    """To the accuracy of 400,000 pixels: a bin has 40,000, and its rms is known to 0.35 %."""
    reliability = bench("reliability")
    bar = reliability.fitted(pixels)
    assert bar.factor == pytest.approx(np.sqrt(4 + 0.09 / np.mean(pixels.spread**2)), rel=0.01)
    assert bar.floor == pytest.approx(0.3, rel=0.02)
    assert bar.slope == pytest.approx(2, rel=0.02)
    assert np.mean(np.abs(pixels.error) <= bar.floored(pixels.spread)) == pytest.approx(
        0.6827, abs=0.005
    )
    x, y = reliability.curve(pixels.spread, pixels.error)
    np.testing.assert_allclose(y, np.hypot(0.3, 2 * x), rtol=0.02)


def test_correlation_with_a_spread(bench, pixels, rng):
    """If the spread is sigma, the correlation has the value given as the best."""
    reliability = bench("reliability")
    error = 3 * pixels.spread * rng.standard_normal(pixels.spread.size)
    best = reliability.best_correlation(pixels.spread)
    assert reliability.correlation(pixels.spread, error) == pytest.approx(best, abs=0.01)
    assert reliability.correlation(pixels.spread, rng.permutation(error)) == pytest.approx(
        0, abs=0.01
    )


def test_where_an_error_bar_fails(bench, pixels):
    reliability = bench("reliability")
    parts = reliability.groups("intensity", pixels)
    assert list(parts) == ["all", "45 s, all", "**quiet**", "**umbra**"]
    plain, floored = reliability.failures(parts, reliability.fitted(pixels))
    assert plain.startswith("Factor times spread is too small for **quiet** (")
    assert "umbra" not in plain
    assert floored == "The bar with a floor is right within 1.25 for every row."
