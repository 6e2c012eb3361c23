"""Checkpoints that are damaged or made by hand: refused with one line, before any file changes."""

import json

import h5py
import numpy as np
import pytest
from trained import OPTIONS, state, train

from enhance_np.training import checkpoint


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Files of a run of one epoch."""
    from trained import pairs

    folder = tmp_path_factory.mktemp("run")
    files = pairs(folder / "a.h5", 0), pairs(folder / "b.h5", 1), folder / "w.h5"
    train(files, ONE)
    return files


ONE = type(OPTIONS)(**vars(OPTIONS) | {"epochs": 1, "schedule": "constant"})
TWO = type(OPTIONS)(**vars(OPTIONS) | {"epochs": 2, "schedule": "constant"})


@pytest.fixture
def unchanged(finished):
    """The run's files; afterwards all but the checkpoint must be as they were."""
    folder = finished[2].parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    yield finished
    saved = finished[2].with_suffix(".checkpoint.h5")
    after = {path: path.read_bytes() for path in folder.iterdir()}
    saved.write_bytes(before[saved])
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in before if path != saved)


def set_state(file, change):
    about = json.loads(file["state"][()])
    about = change(about) or about
    del file["state"]
    file["state"] = json.dumps(about)


def put(*keys, value):
    def change(about):
        for key in keys[:-1]:
            about = about[key]
        about[keys[-1]] = value

    return change


def drop(*keys):
    def change(about):
        for key in keys[:-1]:
            about = about[key]
        del about[keys[-1]]

    return change


def replace(name, values):
    def change(file):
        del file[name]
        if values is not None:
            file[name] = values

    return change


ROW = {"epoch": 0, "lr": 1e-3, "loss": 0.1, "val_loss": 0.1, "live_filters": 3}
OF_THE_STATE = {
    "a list": (lambda about: [1], "state must be a dict, got list"),
    "no run": (drop("run"), "state must have run, got"),
    "no numbers": (drop("numbers"), "state must have numbers, got"),
    "run is null": (put("run", value=None), "run must be a dict, got NoneType"),
    "run is a list": (put("run", value=[]), "run must be a dict, got list"),
    "numbers is an int": (put("numbers", value=3), "numbers must be a dict, got int"),
    "epoch missing": (drop("numbers", "epoch"), "numbers must have epoch"),
    "random missing": (drop("numbers", "random"), "numbers must have random"),
    "adam_step missing": (drop("numbers", "adam_step"), "numbers must have adam_step"),
    "epoch text": (put("numbers", "epoch", value="1"), "epoch must be an integer >= 0, got 1"),
    "epoch bool": (put("numbers", "epoch", value=True), "epoch must be an integer >= 0"),
    "step < 0": (put("numbers", "step", value=-1), "step must be an integer >= 0, got -1"),
    "adam_step null": (put("numbers", "adam_step", value=None), "adam_step must be an integer"),
    "adam_step huge": (put("numbers", "adam_step", value=2**70), "adam_step must be an integer"),
    "loss NaN": (put("numbers", "loss", value=float("nan")), "loss must be a finite number"),
    "loss list": (put("numbers", "loss", value=[0]), "loss must be a finite number"),
    "rows a dict": (put("numbers", "rows", value={}), "rows must be a list"),
    "rows too few": (put("numbers", "rows", value=[]), "rows must be 1, one per epoch done, got 0"),
    "row a list": (put("numbers", "rows", value=[[1]]), "a row must be a dict, got list"),
    "row empty": (put("numbers", "rows", value=[{}]), "a row must have epoch, loss, lr, val_loss"),
    "row of more": (put("numbers", "rows", value=[ROW | {"x": 1}]), "live_filters.* only, got x"),
    "row of text": (put("numbers", "rows", value=[ROW | {"val_loss": "0"}]), "val_loss of a row"),
    "random text": (put("numbers", "random", value="PCG64"), "random must be the state of a PCG64"),
    "random dict": (put("numbers", "random", value={"state": 1}), "random must be the state of a"),
    "random of others": (
        put("numbers", "random", value=np.random.SFC64().state | {"state": 1}),
        "random must be the state of a PCG64",
    ),
    "within an epoch without random": (put("numbers", "step", value=2), "random must be the state"),
    "beyond the epoch": (
        lambda about: about["numbers"].update(step=7, random=np.random.PCG64(0).state),
        "must be at step 6 or less of an epoch, got 7",
    ),
}
OF_THE_FILE = {
    "state missing": (replace("state", None), "state must be in the file, got"),
    "state a number": (replace("state", 5), "must be one text"),
    "state many": (replace("state", ["{}", "{}"]), "must be one text"),
    "state no JSON": (replace("state", "{"), "Expecting property name"),
    "state deep": (replace("state", "[" * 100_000), "recursion"),
    "no parameters": (replace("params", None), "depth must be that of the tensors"),
    "parameter missing": (replace("params/head/b", None), "params must be .* none for head/b"),
    "moment missing": (replace("m/head/b", None), "m must be those of .* got none for head/b"),
    "unknown tensor": (lambda f: f.update({"v/x": np.zeros(1, "f4")}), "an unknown tensor for x"),
    "shape": (replace("m/head/b", np.zeros(2, "f4")), r"m/head/b must be \(1,\), got \(2,\)"),
    "type": (replace("m/head/b", np.zeros(1, "f8")), "m/head/b must be float32, got float64"),
    "NaN": (replace("params/head/b", np.full(1, np.nan, "f4")), "params/head/b must be finite"),
    "v < 0": (replace("v/head/b", np.full(1, -1, "f4")), "v/head/b must be >= 0, got -1.0"),
    "variance < 0": (replace("moving/tail/bn/var", np.full(16, -1, "f4")), "must be >= 0, got -1"),
}


@pytest.mark.parametrize("fault", OF_THE_STATE)
def test_faults_of_the_state(unchanged, fault):
    change, words = OF_THE_STATE[fault]
    assert_refused(unchanged, lambda file: set_state(file, change), words)


@pytest.mark.parametrize("fault", OF_THE_FILE)
def test_faults_of_the_file(unchanged, fault):
    change, words = OF_THE_FILE[fault]
    assert_refused(unchanged, change, words)


def assert_refused(files, change, words):
    saved = files[2].with_suffix(".checkpoint.h5")
    with h5py.File(saved, "r+") as file:
        change(file)
    with pytest.raises(OSError, match=words) as error:
        train(files, TWO, resume=True)
    message = str(error.value)
    assert message.startswith(f"train: {saved} must be ")
    assert "\n" not in message


@pytest.mark.parametrize("network", [{}, {"depth": 10**9}, {"depth": "1"}, {"x": 1}, [], None])
def test_a_network_that_cannot_be_is_refused_without_a_run_to_compare(unchanged, network):
    saved = unchanged[2].with_suffix(".checkpoint.h5")
    given = (network | {"filters": 16, "refine_filters": 16}) if network else network
    with h5py.File(saved, "r+") as file:
        set_state(file, put("run", "network", value=given))
    with pytest.raises(OSError, match="must be a checkpoint of train"):
        checkpoint.load(saved)
    with pytest.raises(ValueError, match="nothing may change, got network was "):
        train(unchanged, TWO, resume=True)


def test_a_row_of_earlier_versions_is_read(unchanged):
    saved = unchanged[2].with_suffix(".checkpoint.h5")
    with h5py.File(saved, "r+") as file:
        set_state(file, lambda about: about["numbers"]["rows"][0].pop("live_filters") and None)
    assert "live_filters" not in state(unchanged).rows[0]
