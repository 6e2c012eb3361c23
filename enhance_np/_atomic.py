"""Writes files whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; on success the file is moved onto `path`.

    The caller creates the file. os.replace is atomic within a file system, so readers see the old
    file or the new one. An error or Ctrl-C leaves neither a partial file nor the temporary file;
    only kill -9 leaves the latter, as .part.*. The data reach the disk before the name does, so a
    power cut cannot leave an empty file.
    """
    path = Path(os.path.realpath(path))  # replace the target of a link, not the link
    # a unique name, because two processes may write to one path; its ending may mean .gz
    temporary = path.with_name(f".part.{secrets.token_hex(4)}.{path.name[-40:]}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file whole or not at all. Raises OSError with the path."""
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror})") from None
