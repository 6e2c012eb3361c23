import csv

import h5py
import numpy as np
import pytest

from enhance_np import layers, params, training
from enhance_np.config import NetworkConfig
from enhance_np.engine import REFERENCE, select
from enhance_np.weights import load

CONFIG = NetworkConfig(1, 16)
CPU = select("cpu")


def pairs(path, seed, n=24, size=8, spoil=None):
    """Patches whose target is the input sharpened by a fixed rule: something to learn."""
    rng = np.random.default_rng(seed)
    x = 1 + 0.1 * rng.standard_normal((n, size, size, 1), dtype=np.float32)
    y = layers.upsample(x)
    if spoil == "nan":
        y[:] = np.nan
    with h5py.File(path, "w") as f:
        if spoil != "missing":
            f["imHMI"] = x
        f["imSST"] = y[:, :-1] if spoil == "shape" else y
    return path


@pytest.fixture
def files(tmp_path):
    return pairs(tmp_path / "a.h5", 0), pairs(tmp_path / "b.h5", 1), tmp_path / "w.h5"


OPTIONS = training.TrainOptions(epochs=3, batch_size=4, lr=2e-3, schedule="cosine", seed=7)


def test_loss_falls_and_the_best_is_kept(files):
    *_, output = files
    best = training.train(*files, CONFIG, OPTIONS, CPU)
    with open(output.with_suffix(".csv")) as f:
        rows = list(csv.DictReader(f))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    losses = [float(row["val_loss"]) for row in rows]
    assert best.provenance["validation_loss"] == min(losses)
    saved = load(output)
    assert saved.config == CONFIG
    assert saved.provenance["type"] == "intensity"
    assert saved.provenance["lr"] == 2e-3
    for name, a in best.params.items():
        np.testing.assert_array_equal(saved.params[name], a)


def test_same_seed_same_bits(files):
    one = training.train(*files, CONFIG, OPTIONS, CPU)
    two = training.train(*files, CONFIG, OPTIONS, CPU)
    for name, a in one.params.items():
        np.testing.assert_array_equal(a, two.params[name], err_msg=name)


def test_engines_follow_one_curve(files):
    """float32 sums in another order; the losses of the first epochs agree."""
    curves = []
    for engine in (REFERENCE, CPU):
        losses = []
        training.train(
            *files, CONFIG, OPTIONS, engine, lambda row, to=losses: to.append(row["loss"])
        )
        curves.append(losses)
    np.testing.assert_allclose(*curves, rtol=2e-3)


@pytest.mark.parametrize(("spoil", "words"), [("missing", "imHMI"), ("shape", r"2h, 2w")])
def test_refuses_data(tmp_path, spoil, words):
    data = pairs(tmp_path / "a.h5", 0, spoil=spoil)
    with pytest.raises(ValueError, match=words):
        training.train(data, data, tmp_path / "w.h5", CONFIG, OPTIONS, CPU)
    assert not (tmp_path / "w.h5").exists()


def test_divergence_is_said_and_nothing_is_written(tmp_path):
    data = pairs(tmp_path / "a.h5", 0, spoil="nan")
    with pytest.raises(FloatingPointError, match="epoch 0, step 0"):
        training.train(data, data, tmp_path / "w.h5", CONFIG, OPTIONS, CPU)
    assert not (tmp_path / "w.h5").exists()


@pytest.mark.parametrize(
    "change", [{"type": "velocity"}, {"lr": 0.0}, {"epochs": 0}, {"schedule": "x"}, {"noise": -1.0}]
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


def test_l2_pulls_on_kernels(files):
    p, _ = params.initial(CONFIG, 0)
    x = np.ones((2, 4, 4, 1), np.float32)
    target = np.ones((2, 8, 8, 1), np.float32)
    from enhance_np import optim

    free, *_ = training.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)
    held, *_ = training.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 1e3)
    assert abs(held["tail/conv/w"]).sum() < abs(free["tail/conv/w"]).sum()
    np.testing.assert_array_equal(held["head/b"], free["head/b"])
