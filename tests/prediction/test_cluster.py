"""An archive and a dask array on a cluster of two processes."""

import json
import os

import numpy as np
import pytest
from astropy.io import fits

import enhance_np
from enhance_np import cli
from enhance_np.prediction import file

distributed = pytest.importorskip("distributed")

NAMES = [f"{letter}.fits" for letter in "abcdefgh"]


@pytest.fixture
def mark(tmp_path, monkeypatch):
    path = tmp_path / "killed"
    monkeypatch.setenv("DYING", str(path))
    return path


@pytest.fixture
def cluster(mark):
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


@pytest.fixture
def folder(tmp_path, rng):
    made = tmp_path / "in"
    made.mkdir()
    for name in NAMES:
        data = (1 + 0.1 * rng.standard_normal((14, 12))).astype(np.float32)
        fits.writeto(made / name, data, fits.Header({"CONTENT": "CONTINUUM INTENSITY"}))
    (made / "bad.fits").write_bytes(b"not FITS")
    return made


def run(*words):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_archive_of_which_a_worker_is_killed(
    cluster, mark, folder, tiny, tmp_path, monkeypatch, capsys
):
    """The others do its files; each output has the bytes of the serial run."""
    from dying import enhancer_that_is_killed

    words = ["predict", folder, "--weights", tiny, "--device", "cpu", "--quiet", "--out-dir"]
    serial, shared = tmp_path / "serial", tmp_path / "shared"
    assert run(*words, serial) == 1
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)  # the workers run elsewhere
    monkeypatch.setattr(file, "enhancer", enhancer_that_is_killed)
    words[1], words[3] = "in", os.path.relpath(tiny, tmp_path)
    assert run(*words, "shared", "--scheduler", cluster.scheduler_address) == 1
    assert int(mark.read_text()) != os.getpid()
    told = [line for line in capsys.readouterr().err.splitlines() if "enhance-np" in line]
    assert len(told) == 1
    assert "bad.fits" in told[0]
    for name in NAMES:
        assert (shared / name).read_bytes() == (serial / name).read_bytes()
    by_name = {os.path.basename(e["source"]): e for e in lines(shared / "manifest.jsonl")}
    assert by_name.keys() == {*NAMES, "bad.fits"}
    assert by_name.pop("bad.fits")["status"] == "failed"
    assert {entry["status"] for entry in by_name.values()} <= {"written", "existed"}
    wanted = {os.path.basename(e["source"]): e for e in lines(serial / "manifest.jsonl")}
    for name, entry in by_name.items():
        assert entry["target"] == f"shared/{name}"
        if entry["status"] == "written":  # not by the worker that was killed
            same = ("target_sha256", "source_sha256", "norm", "options", "weights", "pixels")
            assert {key: entry[key] for key in same} == {key: wanted[name][key] for key in same}


@pytest.fixture
def strict():
    """Dask gives up the tasks of a worker at its first death, those that only waited there too."""
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        yield


def test_a_file_that_kills_every_worker_has_failed(
    strict, cluster, mark, folder, tiny, tmp_path, monkeypatch, capsys
):
    """The others are enhanced, also those that waited for the same workers."""
    from dying import enhancer_that_is_always_killed

    monkeypatch.setattr(file, "enhancer", enhancer_that_is_always_killed)
    out = tmp_path / "out"
    words = ["predict", folder, "--weights", tiny, "--device", "cpu", "--quiet", "--out-dir", out]
    assert run(*words, "--scheduler", cluster.scheduler_address) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "enhance-np" in line]
    assert len(told) == 2
    assert any(str(folder / "c.fits") in line and "workers were lost" in line for line in told)
    by_name = {os.path.basename(e["source"]): e["status"] for e in lines(out / "manifest.jsonl")}
    assert by_name.pop("c.fits") == by_name.pop("bad.fits") == "failed"
    assert sorted(by_name) == sorted({*NAMES} - {"c.fits"})
    assert set(by_name.values()) <= {"written", "existed"}
    assert sorted(p.name for p in out.glob("*.fits")) == sorted(by_name)


def test_a_dask_array(cluster, tiny, rng):
    """Chunks go to both processes, with the pixels around them that their bits depend on."""
    da = pytest.importorskip("dask.array")
    image = (1 + 0.1 * rng.standard_normal((300, 260))).astype(np.float32)
    image[100:110, 90:140] = np.nan
    wanted = enhance_np.enhance(image, "intensity", weights=tiny, device="cpu")
    with distributed.Client(cluster) as client:
        lazy = da.from_array(image, chunks=(100, 130))
        found = enhance_np.enhance(lazy, "intensity", weights=tiny, device="cpu")
        future = client.compute(found)
        np.testing.assert_array_equal(future.result(), wanted)
        assert found.numblocks == (3, 2)


def test_a_scheduler_is_for_many_files(tiny, folder, tmp_path, capsys):
    words = ["predict", folder / "a.fits", tmp_path / "a.fits", "--weights", tiny]
    assert "--scheduler needs several files" in run(*words, "--scheduler", "tcp://127.0.0.1:1")
