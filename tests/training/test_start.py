"""The initial weights of a training."""

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from trained import CONFIG, CPU, OPTIONS, assert_same_bits, state, train

from enhance_np import params
from enhance_np._random import stream
from enhance_np.cli import main
from enhance_np.config import NetworkConfig
from enhance_np.training import checkpoint, loop
from enhance_np.training.options import TrainOptions
from enhance_np.weights import load, save

STILL = replace(OPTIONS, epochs=1, lr=1e-30)  # leaves the initial weights unchanged


@pytest.fixture
def further(files, tmp_path):
    """(files of a second training, weights of a first one from which it may start)."""
    train(files)
    return (*files[:2], tmp_path / "further.h5"), files[2]


def test_contrast_is_where_training_starts(files):
    """With a tiny learning rate the weights stay params.contrasted, for the first patches."""
    options = TrainOptions(epochs=1, batch_size=4, lr=1e-30, noise=0.05, seed=7, start="contrast")
    train(files, options)
    with h5py.File(files[0]) as f:
        x = f["imHMI"][()]
        x = x + np.float32(0.05) * stream(7, "start").standard_normal(x.shape, dtype=np.float32)
    want = params.contrasted(params.initial(CONFIG, 7)[0], x)
    for name, a in state(files).params.items():
        np.testing.assert_allclose(a, want[name], rtol=0, atol=1e-20, err_msg=name)


def test_starts_with_the_weights_of_a_file(further):
    """Kernels, statistics and loss are those of the file; training keeps the statistics."""
    files, first = further
    before = load(first)
    after = train(files, replace(STILL, start=str(first)))
    for name, a in (before.params | before.moving).items():
        found = (after.params | after.moving)[name]
        np.testing.assert_allclose(found, a, rtol=0, atol=1e-20, err_msg=name)
    assert after.provenance["validation_loss"] == before.provenance["validation_loss"]
    trained = train(files, replace(OPTIONS, start=str(first)), overwrite=True)
    assert trained.provenance["validation_loss"] < before.provenance["validation_loss"]
    for name, a in before.moving.items():
        np.testing.assert_array_equal(trained.moving[name], a, err_msg=name)


def test_a_run_from_weights_is_continued_with_their_content(further):
    """The file may be moved, but its content must be the same."""
    files, first = further
    start = str(first)
    train(files, replace(OPTIONS, start=start))
    whole, name = state(files), load(files[2]).provenance["start"]
    assert re.fullmatch("w.h5, sha256 [0-9a-f]{64}", name)

    def interrupt(row):
        if row.get("epoch") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, replace(OPTIONS, start=start), overwrite=True, report=interrupt)
    (first.parent / "elsewhere").mkdir()
    moved = first.rename(first.parent / "elsewhere" / "w.h5")
    with pytest.raises(FileNotFoundError, match="an existing weights file, got .*w.h5"):
        train(files, replace(OPTIONS, start=start), resume=True)
    train(files, replace(OPTIONS, start=str(moved)), resume=True)
    assert_same_bits(whole, state(files))
    with h5py.File(moved, "r+") as file:
        file["conv2d_1/conv2d_1/bias:0"][0] += 1
    with pytest.raises(ValueError, match="nothing may change, got start was 'w.h5, sha256"):
        train(files, replace(OPTIONS, start=str(moved)), resume=True)


def test_refuses_weights_of_another_type(further):
    files, first = further
    with pytest.raises(ValueError, match="w.h5 must hold weights for blos, got intensity"):
        train(files, replace(OPTIONS, type="blos", start=str(first)))


def test_the_weights_to_start_from_are_never_the_output(further):
    files, first = further
    before = first.read_bytes()
    with pytest.raises(OSError, match="the output must not be the weights to start from, got"):
        train((*files[:2], first), replace(OPTIONS, start=str(first)), overwrite=True)
    assert first.read_bytes() == before


@pytest.mark.parametrize("start", ["he", "contrast"])
def test_a_fresh_run_says_how_it_began(files, start):
    """The weights always store it; the checkpoint omits "he", as older versions did."""
    assert train(files, replace(STILL, start=start)).provenance["start"] == start
    _, run = checkpoint.load(files[2].with_suffix(".checkpoint.h5"))
    assert run.get("start") == {"he": None, "contrast": "contrast"}[start]


def test_starts_in_float32(further):
    files, first = further
    given = load(first)
    p, moving = ({k: a.astype(float) for k, a in d.items()} for d in (given.params, given.moving))
    save(first, replace(given, params=p, moving=moving), overwrite=True)
    train(files, replace(STILL, start=str(first)))
    assert {a.dtype for a in state(files).params.values()} == {np.dtype(np.float32)}


def test_activation_of_a_file_that_does_not_say_is_the_networks(further):
    (data, validation, output), first = further
    elu = replace(CONFIG, activation="elu")
    with h5py.File(first, "r+") as file:
        del file.attrs["enhance_np"]
    options = replace(STILL, start=str(first))
    loop.train(data, output, elu, options, CPU, validation=validation)
    assert load(output).config == elu


def test_refuses_weights_of_another_network(further):
    (data, validation, output), first = further
    options = replace(OPTIONS, start=str(first))
    with pytest.raises(ValueError, match=r"w.h5 must hold weights of NetworkConfig\(depth=2"):
        loop.train(data, output, NetworkConfig(2, 16), options, CPU, validation=validation)
    assert not output.exists()
    spelled = replace(CONFIG, refine_filters=CONFIG.filters)  # this is the default
    loop.train(data, output, spelled, options, CPU, validation=validation)


def test_start_is_a_name():
    with pytest.raises(ValueError, match="start must be text, got (Posix|Windows)Path"):
        TrainOptions(start=Path("w.h5")).resolved()


def test_statistics_of_a_start_are_not_taken_anew():
    with pytest.raises(ValueError, match="freeze must not be set with a start from weights.*got 0"):
        TrainOptions(start="w.h5", freeze=0).resolved()


def test_command_takes_the_network_of_the_file(further):
    (data, validation, output), first = further
    rest = ["--validation", str(validation), "--output", str(output), "--epochs", "1"]
    command = ["train", "--data", str(data), *rest, "--batchsize", "4", "--lr", "1e-3"]

    def run(*more):
        with pytest.raises(SystemExit) as end:
            main([*command, "--overwrite", *more])
        return end.value.code  # for a text, sys.exit prints it and the status is 1

    assert run("--start", str(first)) is None
    assert load(output).config == CONFIG
    assert "must hold weights of NetworkConfig(depth=3" in run(
        "--start", str(first), "--depth", "3"
    )
    assert "an existing weights file, got contrats" in run("--start", "contrats")
    wrong = run("--start", "small", "--type", "blos", "--depth", "3")
    assert re.search(r"blos_small.h5 must hold .*got NetworkConfig\(depth=1, filters=32", wrong)
