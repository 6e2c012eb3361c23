"""Writes HDF5 files whole, and opens those of others: datasets are checked before they are read.

A small HDF5 file can name other files (external links, external and virtual storage), and can
declare arrays of any size. Both are checked on the file's own structure, without following a link
and without taking memory.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ._atomic import write_bytes
from ._errors import one_line

EXPANSION = 1100  # no HDF5 filter stores more bytes in one: deflate reaches 1032
OBJECTS = 100_000  # groups and datasets; a Keras model has hundreds


def not_a_file(path: str | os.PathLike) -> str | None:
    """What `path` is instead of a regular file, or None. Opening a named pipe would wait."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "no such file"
    if stat.S_ISREG(mode):
        return None
    return "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"


def open_file(path: str | os.PathLike, content: bytes | None = None):
    """The h5py.File, open for reading, all of whose data are in the file itself.

    content : the bytes of the file, if they have been read already.
    Raises OSError if it is not a regular file, not HDF5 or damaged; ValueError if it has an
    external link, or a dataset that is in other files or larger than the file. Each message is one
    line that does not name the path.
    """
    import h5py

    if (found := not_a_file(path)) is not None:
        raise OSError(f"must be a file, got {found}")
    try:
        file = h5py.File(path if content is None else io.BytesIO(content), "r")
    except OSError as error:
        raise OSError(one_line(error)) from None
    try:
        _check_group(h5py, file, os.path.getsize(path) if content is None else len(content))
    except ValueError:
        file.close()
        raise
    except (OSError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        # h5py raises all of these for damaged files, with messages of the HDF5 library
        file.close()
        raise OSError(one_line(error)) from None
    return file


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator:
    """An h5py.File to fill; it is then written to `path`, whole or not at all.

    It is filled in memory, because HDF5 on a full disk fails again when the file is closed.
    Raises as _atomic.write_bytes.
    """
    import h5py

    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        yield file
    # a view that an error keeps would be collected after its owner, of which Python 3.13 complains
    with image.getbuffer() as content:
        write_bytes(path, content)


def _check_group(h5py, file, size):
    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"must not link to other files, got {name} in {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue  # a soft link: its target is in this file, so it is found by a hard link
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > OBJECTS:
                raise ValueError(f"must hold {OBJECTS} groups and datasets or less, got more")
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_dataset(item, size)


def _check_dataset(dataset, size):
    """The data are in this file, and not more than it can hold."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"must not read other files, got {dataset.name}")
    if dataset.shape is None:  # HDF5's null dataspace
        return
    declared = dataset.size * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    filtered = dataset.id.get_create_plist().get_nfilters() > 0
    possible = min(stored, size) * (EXPANSION if filtered else 1)
    if declared > possible:
        raise ValueError(
            f"must hold what it declares, got {declared:,} bytes declared and {stored:,} stored "
            f"for {dataset.name}"
        )


def text(dataset) -> str:
    """The text of a scalar dataset. Raises ValueError for another kind."""
    import h5py

    found = getattr(dataset, "dtype", None)
    if found is None or h5py.check_string_dtype(found) is None or dataset.shape != ():
        raise ValueError("must be one text")
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else str(value)
