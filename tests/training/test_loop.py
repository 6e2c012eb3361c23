import csv
from dataclasses import replace

import h5py
import numpy as np
import pytest
from trained import CONFIG, CPU, OPTIONS, assert_same_bits, pairs, state, train

from enhance_np import loss, network, optim, params
from enhance_np._random import stream
from enhance_np.engine import REFERENCE
from enhance_np.optics.degrade import Optics
from enhance_np.training import checkpoint, loop
from enhance_np.training.loop import step_once
from enhance_np.training.options import TrainOptions
from enhance_np.weights import load


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
    """After a good start the learning rate is far too large; the file keeps the best epoch."""
    train(files, TrainOptions(epochs=1, batch_size=4, lr=2e-3))
    good = load(files[2]).provenance
    wild = TrainOptions(epochs=22, batch_size=4, lr=2e-3, lr_multiplier=300.0)
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
    train(files, TrainOptions(**{**vars(OPTIONS), "seed": 8}), overwrite=True)
    assert (first.params["head/w"] != state(files).params["head/w"]).any()


@pytest.mark.parametrize("tamed", [False, True])
def test_the_loop_is_what_a_reader_would_write(files, tamed):
    """Two epochs written out: shuffling, noise, network, L2, Adam, moving statistics, validation.

    tamed : with warm-up, clipped gradients, and batch norm frozen in the second epoch.
    """
    more = {"warmup": 9, "clip": 0.05, "freeze": 1} if tamed else {}
    options = TrainOptions(epochs=2, batch_size=4, lr=2e-3, noise=0.05, l2=1e-3, seed=7, **more)
    train(files, options)
    with h5py.File(files[0]) as f, h5py.File(files[1]) as g:
        x, y, vx, vy = f["imHMI"][()], f["imSST"][()], g["imHMI"][()], g["imSST"][()]

    def noise(rng, like):
        return np.float32(0.05) * rng.standard_normal(like.shape, dtype=np.float32)

    p, moving = params.initial(CONFIG, 7)
    adam, clips = optim.adam_start(p), 0
    for epoch in range(2):
        frozen = tamed and epoch == 1
        rng = stream(7, "epoch", epoch)
        order = rng.permutation(24)
        batches = [np.sort(order[4 * step : 4 * step + 4]) for step in range(6)]
        if frozen:
            other = stream(7, "statistics")
            seen = [x[batch] + noise(other, x[batch]) for batch in batches]
            tapes = [network.forward(p, a, CONFIG, CPU.ops)[1] for a in seen]
            moving = params.pooled(moving, tapes)
        total = 0.0
        for step, batch in enumerate(batches):
            noisy = x[batch] + noise(rng, x[batch])
            prediction, tape = network.forward(
                p, noisy, CONFIG, CPU.ops, moving if frozen else None
            )
            value, dy = loss.mse(prediction, y[batch])
            _, g = network.backward(dy, tape, CONFIG, CPU.ops)
            _, decay = loss.l2(p, 1e-3)
            for name, a in decay.items():
                g[name] = g[name] + a
            rate = 2e-3
            if tamed:
                clipped = optim.clipped(g, 0.05)
                clips, g = clips + (clipped is not g), clipped
                rate *= min(1, (6 * epoch + step + 1) / 9)
            p, adam = optim.adam(p, g, adam, rate)
            if not frozen:
                moving = params.update_moving(moving, tape)
            total += value
        rng = stream(7, "validation noise")
        noisy = vx + noise(rng, vx)
        prediction, _ = network.forward(p, noisy, CONFIG, CPU.ops, moving)
        row = state(files).rows[epoch]
        assert row["loss"] == total / 6
        assert row["val_loss"] == loss.mse(prediction, vy)[0]
    found = state(files)
    for name, a in p.items():
        np.testing.assert_array_equal(found.params[name], a, err_msg=name)
    for name, a in moving.items():
        np.testing.assert_array_equal(found.moving[name], a, err_msg=name)
    assert (clips > 0) == tamed


def test_frozen_statistics_are_those_of_all_images(files):
    """Epoch 1 begins with the statistics of all images, and keeps them."""
    once = TrainOptions(epochs=1, batch_size=4, lr=2e-3, noise=0.0, seed=7)
    train(files, once)
    first = state(files)
    frozen = TrainOptions(**{**vars(once), "epochs": 3, "freeze": 1})
    train(files, frozen, overwrite=True)
    with h5py.File(files[0]) as f:
        x, y = f["imHMI"][()], f["imSST"][()]
    _, tape = network.forward(first.params, x, CONFIG)
    found = state(files)
    for statistic in ("mean", "var"):  # of the first layer; later ones depend on the batches
        want = getattr(tape["block0/bn1"], statistic)
        np.testing.assert_allclose(found.moving[f"block0/bn1/{statistic}"], want, rtol=1e-5)
    p, adam = first.params, first.adam
    batch = np.sort(stream(7, "epoch", 1).permutation(24)[:4])
    prediction, tape = network.forward(p, x[batch], CONFIG, CPU.ops, found.moving)
    value, dy = loss.mse(prediction, y[batch])
    _, g = network.backward(dy, tape, CONFIG, CPU.ops)
    _, decay = loss.l2(p, 1e-6)
    want, _ = optim.adam(p, {n: a + decay.get(n, 0) for n, a in g.items()}, adam, 2e-3)
    got, _, again, _ = loop.step_once(
        p, adam, x[batch], y[batch], CONFIG, CPU.ops, 2e-3, 1e-6, found.moving
    )
    assert again == value
    for name, a in want.items():
        np.testing.assert_array_equal(got[name], a, err_msg=name)


def test_validation_loss_is_the_mean_over_all_patches(files, monkeypatch):
    """The last batch is smaller, and every patch has the same weight."""
    train(files, TrainOptions(epochs=1, batch_size=4, noise=0.0))
    whole = state(files).rows[0]["val_loss"]
    monkeypatch.setattr(loop, "VALIDATION_BATCH", 7)
    train(files, TrainOptions(epochs=1, batch_size=4, noise=0.0), overwrite=True)
    assert state(files).rows[0]["val_loss"] == pytest.approx(whole, rel=1e-6)


def test_engines_follow_one_curve(files):
    """The engines add in another order, but the losses of the first epochs agree."""
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
        f["imSST"][-6:] = 100.0  # the validation loss is large, and none of it is learned
    rows = []
    loop.train(data, output, CONFIG, OPTIONS, CPU, validation=0.25, report=rows.append)
    ends = [row for row in rows if "val_loss" in row]
    assert all(row["loss"] < 10 < 1000 < row["val_loss"] for row in ends)
    assert max(row["step"] for row in rows if "step" in row) == 18 // 4 - 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_fractions(files, fraction):
    with pytest.raises(ValueError, match="fraction"):
        loop.train(files[0], files[2], CONFIG, OPTIONS, CPU, validation=fraction)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("missing", "dataset imHMI"),
        ("not x2", r"imSST must be \(24, 16, 16, 1\)"),
        ("3-D", r"imHMI must be \(n, h, w, 1\)"),
        ("nan", "imSST must be finite .* in patch 5"),
        ("integers", "imHMI must be floating point .* int32"),
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
    loop.train(data, output, CONFIG, OPTIONS, CPU, report=rows.append)
    assert max(row["step"] for row in rows if "step" in row) == 24 // 4 - 1
    loop.train(data, output, CONFIG, OPTIONS, CPU, validation=0.5, overwrite=True)
    assert rows[-1]["val_loss"] != state(files).rows[-1]["val_loss"]


def test_divergence_in_validation_is_said(files):
    wild = TrainOptions(epochs=2, batch_size=24, lr=1e12)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="epoch 0"):
        train(files, wild)
    assert not files[2].exists()


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
        loop.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "velocity"},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"epochs": 0},
        {"schedule": "x"},
        {"start": None},
        {"noise": -1.0},
        {"seed": -1},
        {"batch_size": 0},
        {"batch_size": 4.0},
        {"epochs": 2.5},
        {"freeze": -1},
        {"freeze": 0.5},
        {"warmup": -1},
        {"clip": 0.0},
        {"decay": -0.1},
    ],
)
def test_refuses_options(change):
    with pytest.raises(ValueError, match="train: "):
        TrainOptions(**change).resolved()


def test_paper_values_are_the_defaults():
    blos = TrainOptions(type="blos").resolved()
    assert (blos.noise, blos.l2, blos.lr, blos.batch_size, blos.epochs) == (
        1e-2,
        1e-5,
        1e-4,
        32,
        20,
    )
    intensity = TrainOptions().resolved()
    assert (intensity.noise, intensity.l2) == (1e-3, 1e-6)


def test_rates():
    late = TrainOptions(lr=1.0, lr_multiplier=0.5)
    assert [late.rate(epoch, 0, 10) for epoch in (0, 19, 20, 30)] == [1, 1, 0.5, 0.5]
    falling = TrainOptions(lr=1.0, epochs=2, schedule="cosine")
    assert falling.rate(0, 0, 10) == 1
    assert falling.rate(1, 0, 10) == pytest.approx(0.5)
    assert falling.rate(1, 9, 10) < 0.01
    rising = TrainOptions(lr=1.0, warmup=15)
    assert [rising.rate(*at, 10) for at in ((0, 0), (0, 9), (1, 4), (1, 5))] == [
        1 / 15,
        10 / 15,
        1,
        1,
    ]


def test_clip_bounds_the_gradient_that_adam_sees():
    p, _ = params.initial(CONFIG, 0)
    x = np.ones((2, 4, 4, 1), np.float32)
    target = np.ones((2, 8, 8, 1), np.float32)
    step = (p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)
    _, free, *_ = loop.step_once(*step)
    _, held, *_ = loop.step_once(*step, clip=1e-3)
    # the first moments after one step are a tenth of the gradient
    size = np.sqrt(sum((m.astype("f8") ** 2).sum() for m in held.m.values()))
    assert size == pytest.approx(1e-4, rel=1e-5)
    for name, m in free.m.items():
        scaled = m * (np.abs(held.m[name]).max() / np.abs(m).max())
        np.testing.assert_allclose(held.m[name], scaled, rtol=1e-6)  # a few roundings


def test_l2_pulls_on_kernels():
    p, _ = params.initial(CONFIG, 0)
    x = np.ones((2, 4, 4, 1), np.float32)
    target = np.ones((2, 8, 8, 1), np.float32)
    free, *_ = loop.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 0.0)
    held, *_ = loop.step_once(p, optim.adam_start(p), x, target, CONFIG, CPU.ops, 1e-3, 1e3)
    assert abs(held["tail/conv/w"]).sum() < abs(free["tail/conv/w"]).sum()
    np.testing.assert_array_equal(held["head/b"], free["head/b"])


def test_decay_is_decoupled_from_the_gradient(files):
    """A run with decay gives the bits of one that shrinks the kernels after each step of Adam."""
    options = replace(OPTIONS, epochs=1, l2=0.0, decay=0.5, schedule="constant", warmup=2)
    train(files, options)
    got, rates = state(files).params, []

    def step(old, *arguments):
        p, adam, value, tape = step_once(old, *arguments)
        rates.append(lr := arguments[5])
        shrunk = {n: p[n] - lr * 0.5 * old[n] for n in p if n.endswith("/w")}
        return p | shrunk, adam, value, tape

    train(files, replace(options, decay=0.0), CPU._replace(step=step), overwrite=True)
    assert len(set(rates)) > 1
    for name, want in state(files).params.items():
        np.testing.assert_array_equal(got[name], want, err_msg=name)


def test_the_log_counts_live_filters(files):
    train(files)
    assert [row["live_filters"] for row in state(files).rows] == [5 * 16 + 1] * 3
    with open(files[2].with_suffix(".csv")) as log:
        assert log.readline().strip() == "epoch,lr,loss,val_loss,live_filters"


def test_a_run_of_an_older_version_goes_on(files):
    """The log of the older version has a column less."""
    train(files, replace(OPTIONS, schedule="constant", epochs=1))
    saved = files[2].with_suffix(".checkpoint.h5")
    before, run = checkpoint.load(saved)
    rows = tuple({k: v for k, v in row.items() if k != "live_filters"} for row in before.rows)
    checkpoint.save(saved, before._replace(rows=rows), run)
    train(files, replace(OPTIONS, schedule="constant", epochs=2), resume=True)
    with open(files[2].with_suffix(".csv")) as log:
        rows = list(csv.DictReader(log))
    assert [row["live_filters"] for row in rows] == ["", "81"]


def test_weights_hold_the_optics_of_their_data(files):
    """The optics that `degrade` stores in the data are copied; without them the weights have
    none."""
    assert Optics.stored(train(files).provenance) is None
    optics = Optics("airy", 4.0, 0.6, 1.2, 5250e-10, 0.14)
    with h5py.File(files[0], "r+") as file:
        file.attrs.update(optics.attributes() | {"recipe": "something"})
    made = train(files, overwrite=True)
    assert Optics.stored(made.provenance) == optics
    assert made.provenance.keys() & optics.attributes().keys() == optics.attributes().keys()
    assert "recipe" not in made.provenance
