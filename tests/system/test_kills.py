"""Predictions that are killed, that meet, or that find no place for their output."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits
from damaged import outcome

from enhance_np import _atomic

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
COUNT = int(os.environ.get("FUZZ_KILLS", "3"))


@pytest.fixture
def image(tmp_path):
    data = 1 + 0.04 * np.random.default_rng(0).standard_normal((64, 64))
    fits.writeto(tmp_path / "in.fits", data.astype("f4"), fits.Header({"BUNIT": "DN/s"}))
    return tmp_path / "in.fits"


@pytest.fixture
def command(image, tiny):
    """The arguments that enhance the image into an output."""

    def command(out, *more):
        fixed = ("predict", image, out, "--weights", tiny, "--device", "cpu", "--quiet")
        return [*map(str, (*fixed, *more))]

    return command


def start(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "enhance_np", *arguments], stderr=subprocess.PIPE, text=True
    )


def left(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith(".part."))


# slow to write, so that kills find it writing
SLOW = """
import sys, time
from enhance_np import _atomic, cli
replace = _atomic.os.replace
_atomic.os.replace = lambda *names: (time.sleep(1), replace(*names))
cli.main(sys.argv[1:])
"""


def test_kill_9_loses_no_output_and_the_next_run_removes_its_files(command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.fits"
    assert outcome(*command(out))[0] == 0
    whole, found = out.read_bytes(), 0
    for wait in np.random.default_rng(0).uniform(0, 0.9, COUNT):
        arguments = [sys.executable, "-c", SLOW, *command(out, "--overwrite")]
        with subprocess.Popen(arguments) as process:
            while not left(folder) and process.poll() is None:
                time.sleep(0.01)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        assert out.read_bytes() == whole
        found += len(left(folder))
        _atomic._swept.clear()  # as in a new process
        assert outcome(*command(out, "--overwrite"))[0] == 0
        assert os.listdir(folder) == ["out.fits"]
        assert out.read_bytes() == whole
    assert found == 2 * COUNT  # a lock and a file of each
    print(f"{COUNT} kills while writing: no output lost, {found} files left and all removed")


def test_processes_with_one_output(command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.fits"
    processes = [start(command(out, "--overwrite")) for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=300)[1] == ""
        assert process.returncode == 0
    assert os.listdir(folder) == ["out.fits"]
    assert fits.getdata(out).shape == (128, 128)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_outputs_that_are_no_files(command, tmp_path):
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "full.fits").symlink_to("/dev/full")
    before = sorted(os.listdir(tmp_path))
    for name in ("pipe.fits", "full.fits"):
        status, said = outcome(*command(tmp_path / name, "--overwrite"))
        assert status == 1
        assert "needs the name of a file, got path=" in said
        assert said.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_output_through_a_link(command, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.fits").symlink_to(tmp_path / "there" / "new.fits")
    assert outcome(*command(tmp_path / "link.fits"))[0] == 0
    assert os.readlink(tmp_path / "link.fits") == str(tmp_path / "there" / "new.fits")
    assert os.listdir(tmp_path / "there") == ["new.fits"]
    assert left(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount on this system")
    if done.returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk(command, small_disk):
    (small_disk / "out.fits").write_bytes(b"earlier")
    for out in (small_disk / "out.fits", small_disk / "new.fits"):
        status, said = outcome(*command(out, "--overwrite"))
        assert status == 1
        assert "space" in said
        assert said.count("\n") == 1
    assert os.listdir(small_disk) == ["out.fits"]
    assert (small_disk / "out.fits").read_bytes() == b"earlier"


def test_read_only_folder(command, small_disk):
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    status, said = outcome(*command(small_disk / "out.fits"))
    assert (status, said.count("\n")) == (1, 1)
    assert "writable" in said or "Read-only" in said
    assert os.listdir(small_disk) == []
