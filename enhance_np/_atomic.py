"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`, moved onto `path` if all went well.

    os.replace is atomic within a file system: readers see the old file or the new one, and
    an error or Ctrl-C leaves neither a part nor the temporary file. The data are on the disk
    before the name is, so a power cut cannot leave an empty file under it. After a kill the
    temporary file stays, and the next one overwrites it: its name does not change.
    """
    path = Path(os.path.realpath(path))  # through a link: replace what it points to
    temporary = path.with_name(f".part.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
