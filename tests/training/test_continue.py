"""Runs that are stopped and continued, and that never use the files of another run."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from trained import CPU, OPTIONS, assert_same_bits, pairs, state, train

from enhance_np.config import NetworkConfig
from enhance_np.training import checkpoint, loop
from enhance_np.training.options import TrainOptions
from enhance_np.weights import load


def test_continued_run_has_the_bits_of_one_run(files):
    constant = {**vars(OPTIONS), "schedule": "constant"}
    train(files, TrainOptions(**constant | {"epochs": 4}))
    whole = state(files)
    log = files[2].with_suffix(".csv").read_text()
    train(files, TrainOptions(**constant | {"epochs": 2}), overwrite=True)
    train(files, TrainOptions(**constant | {"epochs": 4}), resume=True)
    assert_same_bits(whole, state(files))
    assert files[2].with_suffix(".csv").read_text() == log


@pytest.mark.parametrize("freeze", [None, 1])
@pytest.mark.parametrize("stop", [1, 4, 6, 11, 17])
def test_interrupted_anywhere_it_goes_on_with_the_same_bits(files, stop, freeze):
    options = replace(OPTIONS, freeze=freeze)
    train(files, options)
    whole = state(files)
    count = iter(range(100))

    def interrupt(row):
        if "step" in row and next(count) == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(files, options, overwrite=True, report=interrupt)
    assert state(files).epoch * 6 + state(files).step == stop
    train(files, options, resume=True)
    assert_same_bits(whole, state(files))


def test_checkpoints_within_an_epoch_are_written_and_change_nothing(files, monkeypatch):
    train(files)
    whole = state(files)
    steps = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint,
        "save",
        lambda path, s, run: (steps.append((s.epoch, s.step)), save(path, s, run)),
    )
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    train(files, overwrite=True)
    assert_same_bits(whole, state(files))
    assert {(epoch, step) for epoch in range(3) for step in range(1, 7)} <= set(steps)


def test_the_checkpoint_is_written_last(files, monkeypatch):
    """A run that is killed between the files of an epoch's end writes them again."""
    written = []
    for module, name in ((loop, "save"), (loop, "write_log"), (checkpoint, "save")):
        original = getattr(module, name)

        def record(*args, original=original, what=(module.__name__, name), **keywords):
            written.append(what[0].split(".")[-1] + "." + what[1])
            return original(*args, **keywords)

        monkeypatch.setattr(module, name, record)
    train(files, TrainOptions(epochs=1, batch_size=4))
    assert written == ["checkpoint.save", "loop.save", "loop.write_log", "checkpoint.save"]


def test_killed_after_the_weights_of_a_new_run_it_goes_on_with_that_run(files, monkeypatch):
    """The checkpoint of the overwritten run must not be taken for that of the new run."""
    train(files)
    whole = state(files)
    best = load(files[2]).provenance

    def killed(*args):
        raise SystemExit

    monkeypatch.setattr(loop, "write_log", killed)
    with pytest.raises(SystemExit):
        train(files, overwrite=True)
    monkeypatch.undo()
    assert train(files, resume=True).provenance == best
    assert_same_bits(whole, state(files))


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
        train(files, TrainOptions(**{**vars(OPTIONS), **change}), resume=True)
    assert files[2].read_bytes() == before


def test_continue_refuses_other_data_and_another_network(files, tmp_path):
    train(files)
    other = pairs(tmp_path / "other.h5", 5)
    with pytest.raises(ValueError, match="data was "):
        train((other, *files[1:]), resume=True)
    with pytest.raises(ValueError, match="network was "):
        loop.train(
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


@pytest.mark.parametrize("flag", ["resume", "overwrite"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_data_are_never_the_output(files, which, flag):
    before = files[which].read_bytes()
    with pytest.raises(OSError, match="must not"):
        train((files[0], files[1], files[which]), **{flag: True})
    assert files[which].read_bytes() == before


def test_continue_replaces_nothing_that_is_not_its_own(files):
    train(files)
    before = files[2].read_bytes()
    files[2].with_suffix(".checkpoint.h5").unlink()
    with pytest.raises(FileExistsError, match="no checkpoint to continue"):
        train(files, resume=True)
    assert files[2].read_bytes() == before


def test_continue_wants_its_weights(files):
    train(files)
    files[2].unlink()
    with pytest.raises(FileNotFoundError, match="must exist, got no such file"):
        train(files, resume=True)


def test_continue_without_a_checkpoint_starts_anew_and_says_so(files, caplog):
    train(files, resume=True)
    assert "starting from the beginning" in caplog.text
    assert state(files).epoch == 3


def test_broken_checkpoint_is_one_line(files):
    train(files)
    saved = files[2].with_suffix(".checkpoint.h5")
    saved.write_bytes(saved.read_bytes()[:4000])
    with pytest.raises(OSError, match="must be a checkpoint"):
        train(files, resume=True)


def command(files, *more):
    data, validation, output = files
    sizes = ("--depth", "1", "--filters", "16", "--batchsize", "4", "--epochs", "40")
    fixed = ("--data", data, "--validation", validation, "--output", output, "--device", "cpu")
    return [sys.executable, "-m", "enhance_np", "train", *map(str, (*fixed, *sizes, *more))]


def test_killed_and_interrupted_runs_lose_nothing(files, tmp_path):
    """Two kills, a Ctrl-C and a SIGTERM at random moments change no bit of the result."""
    subprocess.run(command(files), check=True, capture_output=True, timeout=300)
    whole = state(files)
    again = (*files[:2], tmp_path / "again.h5")
    rng = np.random.default_rng(3)
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        run = subprocess.Popen(command(again, "--continue"), stderr=subprocess.PIPE, text=True)
        # before this line, Python is still importing and handles Ctrl-C itself
        assert run.stderr.readline()
        deadline = time.monotonic() + 60
        saved = again[2].with_suffix(".checkpoint.h5")
        while not saved.exists() and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5 * rng.random())
        run.send_signal(how)
        try:
            _, errors = run.communicate(timeout=60)
        finally:
            run.kill()  # has no effect on one that has ended
        assert "Traceback" not in errors
        if run.returncode != 0:  # it had not finished
            assert run.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -how)
        if saved.exists():
            state(again)  # readable at any moment
        if again[2].exists():
            load(again[2])
    subprocess.run(command(again, "--continue"), check=True, capture_output=True, timeout=300)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".part.")]
    assert_same_bits(whole, state(again))
    for name, a in load(files[2]).params.items():
        np.testing.assert_array_equal(a, load(again[2]).params[name])
