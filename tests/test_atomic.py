"""Temporary files: what a killed process leaves is removed, what a living one writes is not."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from enhance_np import _atomic
from enhance_np._atomic import replacing, sweep, write_all, write_bytes

WRITES = """
import sys, time
from enhance_np._atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(flush=True)
    time.sleep(60)
"""
needs_locks = pytest.mark.skipif(_atomic.fcntl is None, reason="no fcntl on this system")


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Every test is like a new process."""
    monkeypatch.setattr(_atomic, "_swept", set())


@pytest.fixture
def writing(tmp_path):
    """A process that is writing out.bin."""
    command = [sys.executable, "-c", WRITES, tmp_path / "out.bin"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def names(folder):
    return sorted(os.listdir(folder))


@needs_locks
def test_what_a_killed_process_left_is_removed_by_the_next(writing, tmp_path):
    assert len(names(tmp_path)) == 2  # the lock and the file
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    assert len(names(tmp_path)) == 2
    write_bytes(tmp_path / "other.bin", b"whole")
    assert names(tmp_path) == ["other.bin"]


@needs_locks
def test_what_a_living_process_writes_stays_even_if_it_is_old(writing, tmp_path):
    before = names(tmp_path)
    for name in before:
        os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path) == 0
    write_bytes(tmp_path / "out.bin", b"the output of both")
    assert names(tmp_path) == [*before, "out.bin"]


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_age_decides(tmp_path, monkeypatch, error):
    """As on some network file systems."""

    def flock(*_):
        raise OSError(error, os.strerror(error))

    if _atomic.fcntl is not None:
        monkeypatch.setattr(_atomic.fcntl, "flock", flock)
    for key in ("00000001", "00000002"):
        for name in (f".part.{key}", f".part.{key}.out.fits"):
            (tmp_path / name).write_bytes(b"half")
            if key == "00000001":
                os.utime(tmp_path / name, (0, 0))
    write_bytes(tmp_path / "out.bin", b"whole")
    assert names(tmp_path) == [".part.00000002", ".part.00000002.out.fits", "out.bin"]


def test_only_files_of_this_kind_are_removed(tmp_path):
    kept = [".part", ".part.0123", ".part.0123abcd.new.fits", ".part.xyzxyzxy.a", "part.01234567.a"]
    for name in kept:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".part.01234567.old.fits").write_bytes(b"half")  # of versions without locks
    for name in names(tmp_path):
        if name != ".part.0123abcd.new.fits":
            os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path) == 1
    assert names(tmp_path) == sorted(kept)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_or_a_link_with_the_name_of_a_lock_does_no_harm(tmp_path):
    os.mkfifo(tmp_path / ".part.01234567")
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".part.76543210").symlink_to(tmp_path / "mine")
    write_bytes(tmp_path / "out.bin", b"whole")  # does not wait for the pipe
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_many_threads_with_one_output(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]

    def write(content):
        for _ in range(20):
            write_bytes(tmp_path / "out.bin", content)
            assert (tmp_path / "out.bin").read_bytes() in contents
            sweep(tmp_path)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() in contents


def test_a_sweep_that_wins_the_race_for_a_new_lock_makes_no_difference(tmp_path, monkeypatch):
    """A sweep may take a lock between its creation and its locking, and remove it."""
    real, stolen = _atomic._locked, []

    def locked(descriptor):
        if not stolen:
            (lock,) = names(tmp_path)
            stolen.append(lock)
            (tmp_path / lock).unlink()
        return real(descriptor)

    monkeypatch.setattr(_atomic, "_locked", locked)
    with replacing(tmp_path / "out.bin") as temporary:
        assert stolen[0] not in temporary.name
        temporary.write_bytes(b"whole")
    assert names(tmp_path) == ["out.bin"]


def test_a_folder_that_cannot_be_written_is_named_with_the_output(tmp_path, monkeypatch):
    def denied(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", denied)  # root may write everywhere
    with pytest.raises(OSError, match=r"out.bin cannot be written \(Permission denied\)"):
        write_bytes(tmp_path / "out.bin", b"")
    with pytest.raises(PermissionError, match=r"'.*/out.bin'$"), replacing(tmp_path / "out.bin"):
        pass


def numpy_s(path):
    raise OSError("40000 requested and 15664 written")


def hidden(path):
    try:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    except OSError:
        raise RuntimeError("a library's own") from None


def as_another(path):
    try:
        hidden(path)
    except RuntimeError as error:
        raise OSError("Not enough space") from error


@pytest.mark.parametrize(("write", "number"), [(numpy_s, errno.ENOSPC), (as_another, errno.EDQUOT)])
def test_a_full_disk_is_told_with_the_path(tmp_path, write, number):
    path = tmp_path / "a"
    with pytest.raises(OSError, match=re.escape(repr(str(path)))) as error, replacing(path):
        write(path)
    assert error.value.errno == number
    assert not list(tmp_path.iterdir())


def test_another_error_is_left_as_it_is(tmp_path):
    with pytest.raises(OSError, match="^read: b is damaged$"), replacing(tmp_path / "a"):
        raise OSError("read: b is damaged")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is missing")
def test_the_system_s_own_error(tmp_path):
    """Of the file that is full, which may be on another disk than one that is written with it."""

    def write():
        with replacing(tmp_path / "a") as one, replacing(tmp_path / "b") as temporary:
            one.touch()
            temporary.symlink_to("/dev/full")
            with open(temporary, "wb", buffering=0) as file:
                file.write(b"x")

    with pytest.raises(OSError, match="/b'$") as error:
        write()
    assert error.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_several_files_are_written_all_or_none(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    write_all([(path, path.name.encode()) for path in paths])
    assert [path.read_text() for path in paths] == ["a", "b", "c"]
    with pytest.raises(OSError, match="absent"):
        write_all([(paths[0], b"new"), (paths[1], b"new"), (tmp_path / "absent" / "d", b"new")])
    assert sorted(tmp_path.iterdir()) == paths
    assert [path.read_text() for path in paths] == ["a", "b", "c"]
