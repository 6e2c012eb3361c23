"""What the commands write: nothing that a terminal would obey, and nothing that gets lost."""

import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from astropy.io import fits

from enhance_np import cli
from enhance_np.cli.terminal import Formatter, printable, say, warnings_logged

RED = "\x1b[31mred\x1b[0m"


def program(*arguments, **streams):
    command = [sys.executable, "-m", "enhance_np", *map(os.fsencode, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(command, timeout=300, **streams)


def test_printable():
    assert printable(f"{RED}\tµ\n") == "\\x1b[31mred\\x1b[0m\tµ\n"
    assert printable("a\r\x9b\u202eb\u2028\udcff", keep="") == "a\\r\\x9b\\u202eb\\u2028\\udcff"
    assert printable("\n", keep="") == "\\n"


def write(path, **cards):
    data = 1 + 0.04 * np.random.default_rng(0).standard_normal((8, 8))
    fits.writeto(path, data.astype("f4"), fits.Header({"BUNIT": "DN/s"} | cards))


@pytest.mark.parametrize("name", [f"in{RED}.fits", os.fsdecode(b"in\xff.fits"), "in\nput.fits"])
def test_any_name_of_a_file_is_shown_and_not_obeyed(name, tiny, tmp_path):
    source, folder = tmp_path / name, tmp_path / "out"
    folder.mkdir()
    write(source)
    (tmp_path / f"not {name}").write_bytes(b"not FITS")
    fixed = ("--weights", tiny, "--device", "cpu")
    done = program("predict", tmp_path / f"not {name}", source, f"{folder}/", *fixed)
    assert done.returncode == 1  # of the file that is not FITS
    assert sorted(os.listdir(folder)) == sorted([name, "manifest.jsonl"])
    lines = done.stderr.decode("ascii").splitlines()
    assert len(lines) >= 3
    assert all(line.isprintable() for line in lines)
    again = program("predict", source, folder / name, *fixed)  # exists
    assert again.returncode == 1
    (line,) = again.stderr.decode("ascii").splitlines()
    assert line.isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        (RED,),
        ("summary", RED),
        ("summary", "--weights", RED),
        ("predict", RED, "out.fits"),
        ("predict", "in.fits", RED),
        ("predict", "in.fits", "out.fits", "--norm", RED),
        ("train", "--data", RED, "--output", f"{RED}.h5"),
    ],
    ids=range(7),
)
def test_arguments(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        cli.main(list(arguments))
    said = capsys.readouterr().err + (done.value.code if isinstance(done.value.code, str) else "")
    assert said.strip("\n").isprintable()
    assert "red" in said
    assert os.listdir(tmp_path) == []


def test_log_and_warnings_are_printable_lines(capsys):
    formatter = Formatter("%(message)s")
    record = logging.LogRecord("a", logging.INFO, "f", 1, "%s: %s", ("a\x1b", "b\nc"), None)
    assert formatter.format(record) == "a\\x1b: b c"
    logger = logging.getLogger("enhance_np.cli.terminal")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(), warnings_logged():
            warnings.simplefilter("always")
            warnings.warn(f"of {RED}", stacklevel=1)
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err == "UserWarning: of \\x1b[31mred\\x1b[0m\n"


OUTPUTS = [("--help",), ("--version",), ("predict", "--help"), ("summary",)]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_full_output(arguments):
    with open("/dev/full", "wb") as full:
        done = program(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"enhance-np")
    assert done.stderr.endswith(b"standard output cannot be written (No space left on device)\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a shell of POSIX")
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_closed_output(arguments):
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "enhance_np", *arguments]
    done = subprocess.run(shell, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(b"enhance-np")
    assert done.stderr.endswith(b"standard output must be open, got a closed one\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a shell of POSIX")
def test_no_stream_is_needed_to_write_a_file(tiny, tmp_path):
    """A file that is opened gets no number of a standard stream, and thus no other output."""
    write(tmp_path / "in.fits")
    fixed = ("predict", tmp_path / "in.fits", tmp_path / "out.fits", "--weights", tiny)
    program = [sys.executable, "-m", "enhance_np", *fixed]
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *program]
    assert subprocess.run(shell, timeout=300).returncode == 0
    assert fits.getdata(tmp_path / "out.fits").shape == (16, 16)


def test_say_needs_an_open_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="standard output must be open"):
        say("text")
