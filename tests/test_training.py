import csv
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from enhance_np import checkpoint, layers, optim, params, training
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.weights import load

CONFIG = NetworkConfig(1, 16)
CPU = select("cpu")
OPTIONS = training.TrainOptions(epochs=3, batch_size=4, lr=2e-3, schedule="cosine", seed=7)


def pairs(path, seed, n=24, size=8, spoil=None):
    """Patches whose target is the input upsampled: something to learn."""
    rng = np.random.default_rng(seed)
    x = 1 + 0.1 * rng.standard_normal((n, size, size, 1), dtype=np.float32)
    y = layers.upsample(x)
    if spoil == "nan":
        y[5, 3, 2, 0] = np.nan
    if spoil == "huge":
        y[:] = 3e38
    if spoil == "integers":
        x = x.astype(np.int32)
    with h5py.File(path, "w") as f:
        if spoil != "missing":
            f["imHMI"] = x[..., 0] if spoil == "3-D" else x
        f["imSST"] = y[:, :-1] if spoil == "not x2" else y
    return path


@pytest.fixture
def files(tmp_path):
    """(training data, validation data, weights file)."""
    return pairs(tmp_path / "a.h5", 0), pairs(tmp_path / "b.h5", 1), tmp_path / "w.h5"


def train(files, options=OPTIONS, engine=CPU, **keywords):
    data, validation, output = files
    training.train(data, output, CONFIG, options, engine, validation=validation, **keywords)
    return load(output)


def state(files):
    return checkpoint.load(files[2].with_suffix(".checkpoint.h5"))[0]


def assert_same_bits(one, two):
    assert one.epoch == two.epoch
    assert one.rows == two.rows
    for a, b in (
        (one.params, two.params),
        (one.moving, two.moving),
        (one.adam.m, two.adam.m),
        (one.adam.v, two.adam.v),
    ):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_loss_falls_and_the_best_is_kept(files):
    best = train(files)
    with open(files[2].with_suffix(".csv")) as f:
        rows = list(csv.DictReader(f))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert best.provenance["validation_loss"] == min(float(row["val_loss"]) for row in rows)
    assert best.provenance["type"] == "intensity"
    assert best.provenance["lr"] == 2e-3
    assert best.config == CONFIG
    if best.provenance["epoch"] == 2:
        for name, a in state(files).params.items():
            np.testing.assert_array_equal(best.params[name], a)


def test_best_epoch_outlives_worse_ones(files):
    """lr far too large after a good start: the file keeps the good epoch."""
    train(files, training.TrainOptions(epochs=1, batch_size=4, lr=2e-3))
    good = load(files[2]).provenance
    wild = training.TrainOptions(epochs=22, batch_size=4, lr=2e-3, lr_multiplier=300.0)
    best = train(files, wild, overwrite=True)
    rows = state(files).rows
    assert rows[-1]["val_loss"] > best.provenance["validation_loss"]
    assert best.provenance["epoch"] == min(rows, key=lambda row: row["val_loss"])["epoch"] < 20
    assert best.provenance["validation_loss"] <= good["validation_loss"]


def test_same_seed_same_bits(files):
    train(files)
    first = state(files)
    train(files, overwrite=True)
    assert_same_bits(first, state(files))


def test_other_seed_other_weights(files):
    train(files)
    first = state(files)
    train(files, training.TrainOptions(**{**vars(OPTIONS), "seed": 8}), overwrite=True)
    assert (first.params["head/w"] != state(files).params["head/w"]).any()


def test_continued_run_has_the_bits_of_one_run(files):
    constant = {**vars(OPTIONS), "schedule": "constant"}
    train(files, training.TrainOptions(**constant | {"epochs": 4}))
    whole = state(files)
    log = files[2].with_suffix(".csv").read_text()
    train(files, training.TrainOptions(**constant | {"epochs": 2}), overwrite=True)
    train(files, training.TrainOptions(**constant | {"epochs": 4}), resume=True)
    assert_same_bits(whole, state(files))
    assert files[2].with_suffix(".csv").read_text() == log


@pytest.mark.parametrize("stop", [1, 4, 6, 11, 17])
def test_interrupted_anywhere_it_goes_on_with_the_same_bits(files, stop):
    train(files)
    whole = state(files)
    count = iter(range(100))

    def interrupt(row):
        if "step" in row and next(count) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, overwrite=True, report=interrupt)
    assert state(files).epoch * 6 + state(files).step == stop
    train(files, resume=True)
    assert_same_bits(whole, state(files))


def test_minutely_checkpoints_change_nothing(files, monkeypatch):
    train(files)
    whole = state(files)
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    train(files, overwrite=True)
    assert_same_bits(whole, state(files))


def test_engines_follow_one_curve(files):
    """float32 sums in another order; the losses of the first epochs agree."""
    curves = []
    for engine in (REFERENCE, CPU):
        losses = []
        train(
            files, engine=engine, overwrite=True, report=lambda r, to=losses: to.append(r["loss"])
        )
        curves.append(losses)
    np.testing.assert_allclose(*curves, rtol=2e-3)


def test_fraction_holds_out_the_end(files, tmp_path):
    data, _, output = files
    with h5py.File(data, "r+") as f:
        f["imSST"][-6:] = 100.0  # what is held out costs a lot, and nothing of it is learned
    rows = []
    training.train(data, output, CONFIG, OPTIONS, CPU, validation=0.25, report=rows.append)
    ends = [row for row in rows if "val_loss" in row]
    assert all(row["loss"] < 10 < 1000 < row["val_loss"] for row in ends)
    assert max(row["step"] for row in rows if "step" in row) == 18 // 4 - 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_fractions(files, fraction):
    with pytest.raises(ValueError, match="fraction"):
        training.train(files[0], files[2], CONFIG, OPTIONS, CPU, validation=fraction)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("missing", "dataset imHMI"),
        ("not x2", r"imSST must be \(24, 16, 16, 1\)"),
        ("3-D", r"imHMI must be \(n, h, w, 1\)"),
        ("nan", "imSST must be finite .* in patch 5"),
        ("integers", "imHMI must be float32 .* int32"),
    ],
)
def test_refuses_data(tmp_path, files, spoil, words):
    bad = pairs(tmp_path / "bad.h5", 0, spoil=spoil)
    for data, validation in ((bad, files[1]), (files[0], bad)):
        with pytest.raises(ValueError, match=f"^train: .*{words}"):
            train((data, validation, files[2]))
    assert not list(tmp_path.glob("w*"))


def test_refuses_files(tmp_path, files):
    with pytest.raises(FileNotFoundError, match="must exist"):
        train((tmp_path / "none.h5", *files[1:]))
    broken = tmp_path / "broken.h5"
    broken.write_bytes(files[0].read_bytes()[:3000])
    with pytest.raises(OSError, match="whole HDF5"):
        train((broken, *files[1:]))
    empty = pairs(tmp_path / "empty.h5", 0, n=0)
    with pytest.raises(ValueError, match="one patch or more"):
        train((empty, *files[1:]))
    few = pairs(tmp_path / "few.h5", 0, n=3)
    with pytest.raises(ValueError, match="4 patches or more, got 3"):
        train((few, *files[1:]))
    assert not list(tmp_path.glob("w*"))


def test_an_earlier_run_is_not_overwritten(files):
    train(files)
    before = files[2].read_bytes()
    with pytest.raises(FileExistsError, match="must not exist"):
        train(files)
    assert files[2].read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"lr": 1e-3}, {"noise": 0.5}, {"seed": 1}, {"batch_size": 8}, {"epochs": 5}]
)
def test_continue_refuses_other_options_by_name(files, change):
    train(files)
    before = files[2].read_bytes()
    with pytest.raises(ValueError, match=rf"{next(iter(change))} was .*, is "):
        train(files, training.TrainOptions(**{**vars(OPTIONS), **change}), resume=True)
    assert files[2].read_bytes() == before


def test_continue_refuses_other_data_and_another_network(files, tmp_path):
    train(files)
    other = pairs(tmp_path / "other.h5", 5)
    with pytest.raises(ValueError, match="data was "):
        train((other, *files[1:]), resume=True)
    with pytest.raises(ValueError, match="network was "):
        training.train(
            files[0],
            files[2],
            NetworkConfig(2, 16),
            OPTIONS,
            CPU,
            validation=files[1],
            resume=True,
        )


def test_files_of_others_are_not_overwritten(files):
    log = files[2].with_suffix(".csv")
    log.write_text("mine")
    with pytest.raises(FileExistsError, match="w.csv must not exist"):
        train(files)
    assert log.read_text() == "mine"


@pytest.mark.parametrize("name", ["w.hdf5", "w.weights.h5", "nowhere/w.h5"])
def test_refuses_outputs_before_any_work(files, tmp_path, name):
    started = []
    with pytest.raises((ValueError, FileNotFoundError)):
        train((*files[:2], tmp_path / name), report=started.append)
    assert not started


def test_refuses_pairs_of_the_other_type(files):
    for path in files[:2]:
        with h5py.File(path, "r+") as f:
            f.attrs["type"] = "blos"
        with pytest.raises(ValueError, match="must be of intensity, got blos"):
            train(files)
        with h5py.File(path, "r+") as f:
            f.attrs["type"] = "intensity"
    train(files)


def test_validation_file_beside_the_data_is_taken(files, tmp_path):
    data, validation, output = files
    validation.rename(tmp_path / "a_val.h5")
    rows = []
    training.train(data, output, CONFIG, OPTIONS, CPU, report=rows.append)
    assert max(row["step"] for row in rows if "step" in row) == 24 // 4 - 1
    training.train(data, output, CONFIG, OPTIONS, CPU, validation=0.5, overwrite=True)
    assert rows[-1]["val_loss"] != state(files).rows[-1]["val_loss"]


def test_continue_without_a_checkpoint_starts_anew_and_says_so(files, caplog):
    train(files, resume=True)
    assert "starting anew" in caplog.text
    assert state(files).epoch == 3


def test_broken_checkpoint_is_one_line(files):
    train(files)
    saved = files[2].with_suffix(".checkpoint.h5")
    saved.write_bytes(saved.read_bytes()[:4000])
    with pytest.raises(OSError, match="must be a checkpoint"):
        train(files, resume=True)


def test_divergence_names_step_and_tensor_and_changes_nothing(tmp_path, files):
    train(files)
    before = {path: path.read_bytes() for path in tmp_path.glob("w*")}
    bad = pairs(tmp_path / "huge.h5", 0, spoil="huge")
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError) as error:
        train((bad, *files[1:]), overwrite=True)
    message = str(error.value)
    assert "epoch 0, step 0" in message
    assert "\n" not in message
    assert {path: path.read_bytes() for path in tmp_path.glob("w*")} == before


@pytest.mark.parametrize("name", ["block0/conv1/w", "tail/bn/gamma"])
def test_divergence_names_the_tensor(name):
    p, _ = params.initial(CONFIG, 0)
    p[name] = p[name] * np.float32(np.nan)
    x, target = np.ones((2, 4, 4, 1), np.float32), np.ones((2, 8, 8, 1), np.float32)
    with pytest.raises(FloatingPointError, match=f"^{name}$"):
        training.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "velocity"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"epochs": 0},
        {"schedule": "x"},
        {"noise": -1.0},
        {"seed": -1},
        {"batch_size": 0},
    ],
)
def test_refuses_options(change):
    with pytest.raises(ValueError, match="train: "):
        training.TrainOptions(**change).resolved()


def test_paper_values_are_the_defaults():
    blos = training.TrainOptions(type="blos").resolved()
    assert (blos.noise, blos.l2, blos.lr, blos.batch_size, blos.epochs) == (
        1e-2,
        1e-5,
        1e-4,
        32,
        20,
    )
    intensity = training.TrainOptions().resolved()
    assert (intensity.noise, intensity.l2) == (1e-3, 1e-6)


def test_rates():
    late = training.TrainOptions(lr=1.0, lr_multiplier=0.5)
    assert [late.rate(epoch, 0, 10) for epoch in (0, 19, 20, 30)] == [1, 1, 0.5, 0.5]
    falling = training.TrainOptions(lr=1.0, epochs=2, schedule="cosine")
    assert falling.rate(0, 0, 10) == 1
    assert falling.rate(1, 0, 10) == pytest.approx(0.5)
    assert falling.rate(1, 9, 10) < 0.01


def test_l2_pulls_on_kernels():
    p, _ = params.initial(CONFIG, 0)
    x = np.ones((2, 4, 4, 1), np.float32)
    target = np.ones((2, 8, 8, 1), np.float32)
    free, *_ = training.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)
    held, *_ = training.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 1e3)
    assert abs(held["tail/conv/w"]).sum() < abs(free["tail/conv/w"]).sum()
    np.testing.assert_array_equal(held["head/b"], free["head/b"])


def command(files, *more):
    data, validation, output = files
    sizes = ("--depth", "1", "--filters", "16", "--batchsize", "4", "--epochs", "40")
    fixed = ("--data", data, "--validation", validation, "--output", output, "--device", "cpu")
    return [sys.executable, "-m", "enhance_np", "train", *map(str, (*fixed, *sizes, *more))]


def test_killed_and_interrupted_runs_lose_nothing(files, tmp_path):
    """Two kills and a Ctrl-C at random moments, then to the end: the bits of one run."""
    subprocess.run(command(files), check=True, capture_output=True, timeout=300)
    whole = state(files)
    again = (*files[:2], tmp_path / "again.h5")
    rng = np.random.default_rng(3)
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        run = subprocess.Popen(command(again, "--continue"), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        saved = again[2].with_suffix(".checkpoint.h5")
        while not saved.exists() and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5 * rng.random())
        run.send_signal(how)
        _, errors = run.communicate(timeout=60)
        assert "Traceback" not in errors
        if saved.exists():
            state(again)  # readable at any moment
        if again[2].exists():
            load(again[2])
    subprocess.run(command(again, "--continue"), check=True, capture_output=True, timeout=300)
    assert_same_bits(whole, state(again))
    for name, a in load(files[2]).params.items():
        np.testing.assert_array_equal(a, load(again[2]).params[name])
