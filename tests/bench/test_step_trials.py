"""What the trials add to a step of training, and their tables, of tiny networks."""

import numpy as np
import pytest
from trained import pairs

from bench.quality import step_trials
from enhance_np import weights
from enhance_np._threads import threads


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs a trial; returns the rows of its table and the folder of the runs."""
    pairs(tmp_path / "intensity.h5", 1)
    pairs(tmp_path / "intensity_val.h5", 2, n=8)

    def run(*options):
        out = tmp_path / "runs"
        given = [*options, "--pairs", tmp_path, "--out", out, "--filters", 16]
        given += ["--threads", threads(), "--epochs", 2]
        monkeypatch.setattr("sys.argv", ["step_trials", *map(str, given)])
        step_trials.main()
        lines = capsys.readouterr().out.splitlines()[2:]
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines], out

    return run


def test_an_average_without_memory_is_the_last_network(run):
    rows, out = run("average", "--memory", 0.0, 0.9, "--schedule", "constant")
    assert [row[:2] for row in rows] == [["constant", m] for m in ("none", "0.0", "0.9")]
    last, none, long = (
        weights.load(out / f"intensity_average_constant{end}.h5") for end in ("", "_0.0", "_0.9")
    )
    assert rows[0][2] == rows[1][2] != rows[2][2]
    for name, array in last.params.items():
        np.testing.assert_allclose(none.params[name], array, rtol=1e-6, atol=1e-9)
    assert any(np.any(long.params[name] != array) for name, array in last.params.items())
    assert rows == run("average", "--memory", 0.0, 0.9, "--schedule", "constant")[0]  # read again


def test_the_mean_of_known_weights():
    one = step_trials.Average(0.75)
    for value in (1, 5, 9):
        one.after_step({"a": np.float32(value)}, 0.1)
    assert one.params["a"] == 0.75 * (0.75 * 1 + 0.25 * 5) + 0.25 * 9


def test_a_strong_penalty_leaves_fewer_filters(run):
    rows, out = run("sparse", "--strength", 0.1, 1e6)
    live = [int(row[1].split()[0]) for row in rows]
    work = [int(row[2].replace(",", "")) for row in rows]
    assert live[0] == live[1] > live[2]
    assert work[0] == work[1] > work[2]
    dead = weights.load(out / "intensity_sparse_1000000.0.h5").params
    assert all(not array.any() for name, array in dead.items() if name.endswith("/gamma"))


def test_the_step_towards_zero_is_rate_times_strength():
    p = {"bn/gamma": np.array([1, -1, 0.001], np.float32), "conv/w": np.ones(2, np.float32)}
    new = step_trials.Sparse(0.5).after_step(p, 0.01)
    np.testing.assert_allclose(new["bn/gamma"], [0.995, -0.995, 0], rtol=1e-6)
    assert new["conv/w"] is p["conv/w"]
