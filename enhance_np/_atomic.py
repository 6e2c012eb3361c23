"""Writes files whole or not at all.

While a process writes, it holds a lock on an empty file `.part.KEY`, and its temporary files are
`.part.KEY.NAME` in the same folder. The system releases the lock when the process ends, however it
ends. A later process that can take the lock therefore removes the files of that key.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

OURS = re.compile(r"\.part\.([0-9a-f]{8})(\..+)?")
# seconds after which a file that no lock can speak for is taken for a leftover
OLD = 86_400
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or the user's share of it
SHORT = re.compile(r"\d+ requested and \d+ written")  # NumPy's tofile, which drops the errno
_swept: set[str] = set()  # folders; once a process is enough, because a folder may hold many files


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; on success the file is moved onto `path`.

    The caller creates the file. os.replace is atomic within a file system, so readers see the old
    file or the new one. An error, Ctrl-C or SIGTERM leaves neither a partial file nor the temporary
    file. After kill -9, the next process that writes into the folder removes it (`sweep`). The data
    reach the disk before the name does, so a power cut cannot leave an empty file.
    If the disk is full, the error has its errno and the path, whatever the caller's library made
    of it.
    """
    wanted, path = path, Path(os.path.realpath(path))  # replace the target of a link, not the link
    if str(path.parent) not in _swept:
        _swept.add(str(path.parent))
        sweep(path.parent)
    with _key(path) as key:
        temporary = path.with_name(f".part.{key}.{path.name[-40:]}")  # its ending may mean .gz
        try:
            yield temporary
            with open(temporary, "rb+") as written:
                os.fsync(written.fileno())
            if path.exists():
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        except OSError as error:
            number = _full(error)
            if number is None or _names_a_file(error):
                raise
            raise OSError(number, os.strerror(number), os.fspath(wanted)) from None
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file whole or not at all. Raises OSError with the path."""
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror})") from None


def write_all(contents: Sequence[tuple[str | os.PathLike, bytes]]) -> None:
    """Write several files, all of them or none. Raises OSError."""
    if not contents:
        return
    (path, content), *rest = contents
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        write_all(rest)


def _full(error: BaseException | None) -> int | None:
    """The errno of a full disk, if that is why something was not written."""
    while error is not None:
        if getattr(error, "errno", None) in FULL:
            return error.errno
        if SHORT.search(str(error)):
            return errno.ENOSPC
        error = error.__cause__ or error.__context__
    return None


def _names_a_file(error: OSError) -> bool:
    """Whether it tells of another file than a temporary one, which no user knows."""
    name = os.path.basename(str(error.filename or ""))
    return bool(name) and OURS.fullmatch(name) is None


def sweep(folder: str | os.PathLike) -> int:
    """Remove the temporary files of processes that were killed; returns how many.

    A file stays while any process, on this machine or on another that shares the folder, holds its
    lock. Without a lock, or on a file system without locks, it stays for a day after its last
    change. Files that may not be opened or removed stay.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if OURS.fullmatch(entry.name)]
    except OSError:
        return 0
    removed = 0
    for key in {OURS.fullmatch(name)[1] for name in found}:
        lock = os.path.join(folder, f".part.{key}")
        its = [os.path.join(folder, name) for name in found if OURS.fullmatch(name)[1] == key]
        with _opened(lock) as descriptor:
            free = None if descriptor is None else _locked(descriptor)
            if free is False:
                continue
            # the lock goes last: as long as it is there, another sweep finds the rest
            for name in sorted(its, key=lambda name: name == lock):
                removed += _removed(name, even_if_new=free is True)
    return removed


@contextmanager
def _key(path: Path) -> Iterator[str]:
    """A key of which this process holds the lock."""
    while True:
        key = secrets.token_hex(4)
        lock = path.with_name(f".part.{key}")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        try:
            # a sweep may have taken and removed the lock since its creation
            if _locked(descriptor) is False or not _names(lock, descriptor):
                continue
            yield key
            return
        finally:
            # removed while it is held; a sweep that opened it before finds nothing to remove
            lock.unlink(missing_ok=True)
            os.close(descriptor)


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def _opened(lock: str) -> Iterator[int | None]:
    """A descriptor of the lock; None if there is none, or it may not be opened."""
    try:
        # not to wait, if somebody put a named pipe there
        descriptor = os.open(lock, os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | _NO_FOLLOW)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Whether the lock was taken; None if the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _removed(path: str, even_if_new: bool) -> bool:
    try:
        if not even_if_new and time.time() - os.lstat(path).st_mtime < OLD:
            return False
        os.unlink(path)
    except OSError:
        return False
    return True
