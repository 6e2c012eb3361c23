"""A whole archive: which files are taken, what is recorded, and a run that ends early."""

import contextlib
import hashlib
import io
import json
import logging
import os
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import __version__, cli, params, weights
from enhance_np.cli import files
from enhance_np.config import NetworkConfig
from enhance_np.observation import storage
from enhance_np.prediction import archive
from enhance_np.weights import Weights

NAMES = [f"{letter}.fits" for letter in "abcde"]


@pytest.fixture
def folder(tmp_path, rng):
    made = tmp_path / "in"
    made.mkdir()
    for name in NAMES:
        data = (1 + 0.1 * rng.standard_normal((14, 12))).astype(np.float32)
        data[0, :3] = np.nan
        fits.writeto(made / name, data, fits.Header({"CONTENT": "CONTINUUM INTENSITY"}))
    return made


@pytest.fixture
def predict(tiny, capsys):
    """predict(...) -> (exit status, lines of errors)."""

    def run(*arguments):
        given = ["predict", "--weights", tiny, "--device", "cpu", *arguments]
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in given])
        said = capsys.readouterr().err
        if isinstance(ended.value.code, str):
            return 1, (said + ended.value.code).splitlines()
        return ended.value.code, said.splitlines()

    return run


def lines(folder, name="manifest.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def images(folder):
    return sorted(path.name for path in folder.glob("[!.]*.f*"))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_out_dir(predict, folder, tmp_path):
    out = tmp_path / "out"
    assert predict(folder / "a.fits", folder / "c.fits", "--out-dir", out)[0] == 0
    assert images(out) == ["a.fits", "c.fits"]
    one = tmp_path / "one"
    assert predict("--out-dir", one, folder / "b.fits")[0] == 0
    assert images(one) == ["b.fits"]


def test_an_output_is_needed(predict, folder):
    status, said = predict(folder)
    assert (status, len(said)) == (1, 1)
    assert "needs an input and an output" in said[0]


def test_options_stand_anywhere(predict, folder, tmp_path):
    a, b, c = (folder / name for name in NAMES[:3])
    out = tmp_path / "out"
    assert predict(a, "--norm", "max", b, c, "--quiet", out) == (0, [])
    assert images(out) == NAMES[:3]
    for word in ("--misspelt", "-x"):
        status, said = predict(a, "--quiet", b, word, out)
        assert (status, len(said)) == (2, 1)
        assert f"unrecognized arguments: {b} {word}" in said[0]


def test_patterns(predict, folder, tmp_path):
    deep = folder / "2014" / "07"
    deep.mkdir(parents=True)
    (folder / "e.fits").rename(deep / "e.fits")
    out = tmp_path / "out"
    assert predict(f"{folder}/**/*.fits", "--out-dir", out)[0] == 0
    assert images(out) == NAMES
    assert predict(f"{folder}/[ab].fits", tmp_path / "two")[0] == 0
    assert images(tmp_path / "two") == ["a.fits", "b.fits"]
    status, said = predict(f"{folder}/x*.fits", tmp_path / "none")
    assert (status, len(said)) == (1, 1)
    assert "must fit files" in said[0]
    (folder / "[1].fits").write_bytes((folder / "a.fits").read_bytes())
    assert predict(folder / "[1].fits", tmp_path / "a file.fits")[0] == 0  # the file, no pattern


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_a_list_on_stdin(predict, folder, tmp_path, monkeypatch, end):
    odd = folder / "sol\u00e9il *.fits"
    (folder / "b.fits").rename(odd)
    text = "".join(f"{path}{end}" for path in (folder / "d.fits", odd))
    stdin = SimpleNamespace(buffer=io.BytesIO(os.fsencode(text)))
    monkeypatch.setattr(sys, "stdin", stdin)
    out = tmp_path / "out"
    assert predict("-", "--out-dir", out)[0] == 0
    assert [line["source"] for line in lines(out)] == [str(folder / "d.fits"), str(odd)]
    status, said = predict("-", "--out-dir", out)  # at its end
    assert (status, len(said)) == (1, 1)
    assert "must hold paths" in said[0]


def test_manifest(predict, folder, tmp_path, tiny):
    (folder / "bb.fits").write_bytes(b"not FITS")
    out = tmp_path / "out"
    assert predict(folder, "--out-dir", out, "--norm", "max", "--quiet")[0] == 1
    found = lines(out)
    assert [os.path.basename(line["source"]) for line in found] == sorted([*NAMES, "bb.fits"])
    for line in found:
        name = os.path.basename(line["source"])
        assert line["target"] == str(out / name)
        assert line["version"] == __version__
        assert line["options"] == {"weights": tiny.name, "norm": "max", "device": "cpu"}
        if name == "bb.fits":
            assert line["status"] == "failed"
            assert "bb.fits" in line["error"]
            assert "whole FITS file" in line["error"]
            continue
        assert line["status"] == "written"
        assert line["source_sha256"] == sha256(folder / name)
        assert line["target_sha256"] == sha256(out / name)
        assert line["weights"] == sha256(tiny)
        assert line["pixels"] == [28, 24]
        assert line["missing"] == 3
        assert line["type"] == "intensity"
        assert line["norm"] == pytest.approx(fits.getheader(out / name)["ENHNORM"])
        assert line["seconds"] > 0
        assert f"sha256 {line['source_sha256']}" in fits.getheader(out / name)["HISTORY"]


def test_manifest_of_one_image(predict, folder, tmp_path):
    path = tmp_path / "m.jsonl"
    assert predict(folder / "a.fits", tmp_path / "o.fits", "--manifest", path)[0] == 0
    (tmp_path / "bad.fits").touch()
    status, said = predict(
        tmp_path / "bad.fits", tmp_path / "p.fits", "--manifest", path, "--quiet"
    )
    assert (status, len(said)) == (1, 1)
    assert [line["status"] for line in lines(tmp_path, "m.jsonl")] == ["written", "failed"]
    assert predict(folder / "a.fits", tmp_path / "q.fits")[0] == 0
    assert sorted(p.name for p in tmp_path.glob("*.jsonl")) == ["m.jsonl"]


def test_a_manifest_never_replaces_an_image(predict, folder, tmp_path):
    before = (folder / "a.fits").read_bytes()
    status, said = predict(folder, tmp_path / "out", "--manifest", folder / "a.fits", "--quiet")
    assert (status, len(said)) == (1, 1)
    assert "must be a manifest" in said[0]
    assert (folder / "a.fits").read_bytes() == before
    assert images(tmp_path / "out") == []


def test_skip_existing(predict, folder, tmp_path):
    out = tmp_path / "o.fits"
    out.write_text("mine")
    assert predict(folder / "a.fits", out, "--skip-existing", "--quiet") == (0, [])
    assert out.read_text() == "mine"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.fits").write_text("mine")
    assert predict(folder, tmp_path / "out", "--skip-existing", "--quiet") == (0, [])
    assert (tmp_path / "out" / "b.fits").read_text() == "mine"
    for _ in range(2):  # said once
        by_name = {os.path.basename(e["source"]): e["status"] for e in lines(tmp_path / "out")}
        assert by_name == dict.fromkeys(NAMES, "written") | {"b.fits": "existed"}
        assert len(lines(tmp_path / "out")) == len(NAMES)
        assert predict(folder, tmp_path / "out", "--quiet") == (0, [])
    status, said = predict(folder, out, "--skip-existing", "--overwrite")
    assert status == 2
    assert "not allowed with" in said[-1]


def test_existing_outputs_of_other_options_are_told(predict, folder, tmp_path, tiny, caplog):
    out = tmp_path / "out"
    assert predict(folder / "a.fits", "--out-dir", out, "--norm", "max") == (0, [])
    assert not warnings(caplog)
    for seen, tile in ((1, 4), (5, 8)):  # --tile changes no bit
        assert predict(folder, "--out-dir", out, "--tile", tile)[0] == 0
        (told,) = warnings(caplog)
        assert told.startswith(f"1 of {seen} existing outputs that were looked at were made with o")
        assert repr(str(out / "a.fits")) in told
    assert predict(folder / "b.fits", "--out-dir", out)[0] == 0
    assert predict(folder, "--out-dir", out, "--overwrite")[0] == 0
    assert not warnings(caplog)
    config = NetworkConfig(1, 4)
    fresh = Weights(config, *params.initial(config, 1), {"type": "intensity"})
    weights.save(tiny, fresh, overwrite=True)  # of the same name
    assert predict(folder, "--out-dir", out)[0] == 0
    assert warnings(caplog)[0].startswith("5 of 5 existing")


def test_existing_outputs_that_lie(predict, folder, tmp_path, caplog):
    out = tmp_path / "out"
    assert predict(folder / "a.fits", "--out-dir", out) == (0, [])
    for type in ("velocity", ""):
        fits.setval(out / "a.fits", "ENHTYPE", value=type)
        fits.setval(out / "a.fits", "ENHWGT", value="0123")
        assert predict(folder / "a.fits", "--out-dir", out)[0] == 0
    assert not warnings(caplog)


def test_some_of_many_existing_outputs_are_looked_at(
    predict, folder, tmp_path, monkeypatch, caplog
):
    out = tmp_path / "out"
    assert predict(folder, "--out-dir", out, "--norm", "max") == (0, [])
    monkeypatch.setattr(files, "LOOKED_AT", 3)
    assert predict(folder, "--out-dir", out)[0] == 0
    assert warnings(caplog)[0].startswith("3 of 3 existing")


def warnings(caplog):
    """Those since the last call."""
    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    return found


def test_shards_share_the_files(predict, folder, tmp_path):
    out = tmp_path / "out"
    for number in (1, 2, 3):
        assert predict(folder, "--out-dir", out, "--shard", f"{number}/3", "--quiet") == (0, [])
    assert images(out) == NAMES
    parts = [
        [os.path.basename(e["source"]) for e in lines(out, f"manifest.{i}-of-3.jsonl")]
        for i in (1, 2, 3)
    ]
    assert parts == [["a.fits", "d.fits"], ["b.fits", "e.fits"], ["c.fits"]]
    assert archive.Shard.parse("3/100").manifest() == "manifest.003-of-100.jsonl"
    for bad in ("0/3", "4/3", "1", "a/b", "1/0", "-1/3"):
        status, said = predict(folder, "--out-dir", out, f"--shard={bad}")
        assert (status, len(said)) == (1, 1)
        assert "1 <= i <= n" in said[0]
    status, said = predict(folder / "a.fits", tmp_path / "o.fits", "--shard", "1/2")
    assert "--shard needs several files" in said[0]


def test_compressed_archive(predict, folder, tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    assert predict(folder, plain)[0] == 0
    assert predict(folder, packed, "--compress", "--plot", tmp_path / "png")[0] == 0
    assert images(packed) == [f"{name}.fz" for name in NAMES]
    assert images(tmp_path / "png") == [f"{name}.fz.png" for name in NAMES]
    for name in NAMES:
        one, other = (fits.getdata(f) for f in (plain / name, packed / f"{name}.fz"))
        assert np.isnan(one).sum() == 12
        np.testing.assert_array_equal(one.astype(">f4").view("u4"), other.astype(">f4").view("u4"))
    status, said = predict(folder / "a.fits", tmp_path / "a.fits", "--compress")
    assert (status, len(said)) == (1, 1)
    assert "must end in .fz" in said[0]
    assert predict(folder / "a.fits", tmp_path / "a.fits.fz", "--compress")[0] == 0


def test_compressed_confidence(predict, folder, tmp_path):
    """Every HDU keeps its bits and has checksums."""
    for name in ("o.fits", "o.fits.fz"):
        assert predict(folder / "a.fits", tmp_path / name, "--confidence")[0] == 0
    with (
        fits.open(tmp_path / "o.fits", checksum=True) as plain,
        fits.open(tmp_path / "o.fits.fz", checksum=True) as packed,
    ):
        assert [hdu.name for hdu in packed[2:]] == ["SPREAD", "RESIDUAL"]
        for one, other in zip(plain, packed[1:], strict=True):
            np.testing.assert_array_equal(one.data, other.data)
            assert "CHECKSUM" in one.header


@pytest.mark.parametrize(
    ("name", "plain", "packed"),
    [
        ("a.fits", "a.fits", "a.fits.fz"),
        ("a.fits.gz", "a.fits.gz", "a.fits.fz"),
        ("a.fits.bz2", "a.fits.bz2", "a.fits.fz"),
        ("A.FITS.FZ", "A.FITS", "A.FITS.fz"),
    ],
)
def test_names(tmp_path, name, plain, packed):
    for compress, wanted in ((False, plain), (True, packed)):
        (job,) = archive.jobs([name], str(tmp_path), compress=compress)
        assert os.path.basename(job.target) == wanted


KILLED = """
import os, signal, sys
from enhance_np import _atomic, cli
renamed = 0
def replace(*names, actual=os.replace):
    global renamed
    renamed += 1
    if renamed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    actual(*names)
_atomic.os.replace = replace
cli.main(sys.argv[1:])
"""


def test_a_killed_run_goes_on(predict, folder, tmp_path, tiny):
    """The process is killed before it renames its third output."""
    out = tmp_path / "out"
    words = ["predict", folder, "--out-dir", out, "--weights", tiny, "--device", "cpu"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], capture_output=True)
    assert killed.returncode == -9
    assert images(out) == NAMES[:2]
    assert [line["status"] for line in lines(out)] == ["written"] * 2
    kept = {name: (out / name).stat().st_mtime_ns for name in NAMES[:2]}
    assert predict(folder, "--out-dir", out)[0] == 0
    assert images(out) == NAMES
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert [os.path.basename(line["target"]) for line in lines(out)] == NAMES
    for line in lines(out):
        assert line["target_sha256"] == sha256(out / os.path.basename(line["target"]))


def test_a_full_disk_ends_the_run(predict, folder, tmp_path, monkeypatch, caplog):
    """astropy hides NumPy's error, which hides the system's."""
    caplog.set_level("INFO")

    def full(hdus, path):
        if ".b.fits" not in os.fspath(path):
            return actual(hdus, path)
        fits.PrimaryHDU().writeto(path)
        try:
            raise OSError("40000 requested and 15664 written")  # NumPy's
        except OSError as error:
            raise OSError(f"Not enough space on disk: requested 160000. {error}")  # noqa: B904

    actual = storage.write
    monkeypatch.setattr(storage, "write", full)
    status, said = predict(folder, "--out-dir", tmp_path / "out")
    assert status == 1
    (line,) = (line for line in said if "No space left on device" in line)
    assert repr(str(tmp_path / "out" / "b.fits")) in line
    # two others were read or computed when it was seen
    assert "5 files: 3 written, 0 existed already, 1 failed, 1 not begun" in caplog.text
    assert images(tmp_path / "out") == ["a.fits", "c.fits", "d.fits"]
    assert [line["status"] for line in lines(tmp_path / "out")].count("failed") == 1


def test_time_left_is_logged_where_there_is_no_bar(predict, folder, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(files, "MINUTE", 0)
    assert predict(folder, "--out-dir", tmp_path / "out")[0] == 0
    told = [text for text in caplog.messages if "hours left" in text]
    assert [text.split(",")[0] for text in told] == [f"{i} of 5 files" for i in range(1, 5)]


def test_the_bar_of_the_archive_is_apart_from_the_errors(folder, tmp_path, tiny):
    """On a terminal of 100 columns."""
    pty = pytest.importorskip("pty")
    import fcntl
    import termios

    (folder / "bb.fits").touch()
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    words = ["predict", folder, "--out-dir", tmp_path / "out", "--weights", tiny]
    process = subprocess.Popen(
        [sys.executable, "-m", "enhance_np", *map(str, words)], stderr=theirs, stdout=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux's end of a terminal
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 1
    lines = shown.decode().replace("\r", "\n").splitlines()
    assert any("6.0/6 files" in line for line in lines)
    (error,) = (line for line in lines if "bb.fits" in line)
    assert error.startswith("enhance-np predict: ")
