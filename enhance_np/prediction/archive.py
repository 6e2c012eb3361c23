"""Many files in, a folder of files out: what becomes what."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Job(NamedTuple):
    source: str
    target: str
    plot: str | None  # PNG


def into_folder(sources: Sequence[str], output: str) -> bool:
    """Whether `output` is meant to be a folder, as `cp` decides it: where there are several
    sources or a folder among them, where it is a folder, and where it ends in a slash."""
    several = len(sources) > 1 or os.path.isdir(sources[0])
    return several or os.path.isdir(output) or output.endswith("/")


def jobs(sources: Sequence[str], output: str, plot: str | None = None) -> list[Job]:
    """A job for every file, in the order of the sources; the folders are made if they are missing.

    sources : files, and folders, of which those are meant whose names end as FITS files' do, but
    not those in folders therein.
    output, plot : folders. A target has the name of its source (without .fz: it is not
    tile-compressed), its picture that name and .png.

    Raises ValueError, before anything is done, if two files would become one, or an input would
    be replaced, or a folder holds none; OSError if `output` or `plot` cannot be a folder.
    """
    found = []
    for source in _files(sources):
        name = os.path.basename(source)
        target = os.path.join(output, name[:-3] if name.lower().endswith(".fz") else name)
        png = None if plot is None else os.path.join(plot, f"{os.path.basename(target)}.png")
        found.append(Job(source, target, png))
    _check_distinct(found)
    _make_folder("output", output)
    if plot is not None:
        if plot.lower().endswith(".png") and not os.path.isdir(plot):
            raise OSError(f"for several images --plot must be a folder, got {plot!r}")
        _make_folder("--plot", plot)
    return found


def _files(sources: Sequence[str]) -> Iterator[str]:
    for source in sources:
        if not os.path.isdir(source):
            if not os.path.basename(source):  # mistyped, the target would be the output folder
                raise FileNotFoundError(f"the file or folder must exist, got {source!r}")
            yield source
            continue
        found = sorted(e.path for e in os.scandir(source) if _is_fits(e.name) and e.is_file())
        if not found:
            raise ValueError(f"a folder must hold *.fits, *.fit or *.fts files, got {source!r}")
        yield from found


def _is_fits(name: str) -> bool:
    # files that a program is still writing have names with a dot in front
    plain = name.removesuffix(".gz").removesuffix(".fz").lower()
    return plain.endswith((".fits", ".fit", ".fts")) and not name.startswith(".")


def _check_distinct(found: list[Job]) -> None:
    inputs = {os.path.realpath(job.source) for job in found}
    made = {}
    for job in found:
        for path in filter(None, job[1:]):
            place = os.path.realpath(path)
            if place in inputs:
                raise ValueError(f"outputs must not replace inputs, got {path!r} for both")
            if place in made:
                raise ValueError(
                    f"every file must have a name of its own, got {made[place]!r} and "
                    f"{job.source!r}, which both become {path!r}"
                )
            made[place] = job.source


def _make_folder(which: str, path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"for several images {which} must be a folder, got {path!r} ({error.strerror})"
        ) from None
