"""Maps many input files to the output files in a folder."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Job(NamedTuple):
    source: str
    target: str
    plot: str | None  # PNG


def into_folder(sources: Sequence[str], output: str) -> bool:
    """Whether `output` is meant to be a folder, decided as `cp` does: if there are several sources
    or a source is a folder, if `output` is a folder, or if it ends in a slash."""
    several = len(sources) > 1 or os.path.isdir(sources[0])
    return several or os.path.isdir(output) or output.endswith("/")


def jobs(sources: Sequence[str], output: str, plot: str | None = None) -> list[Job]:
    """A job for every file, in the order of the sources; missing output folders are made.

    sources : files and folders. A folder stands for the files in it that have names of FITS
    files; its subfolders are not searched.
    output, plot : folders. A target has the name of its source (without .fz, because it is not
    tile-compressed), and its picture has that name with .png added.

    Raises ValueError, before any work, if two files have the same target, if a target is an input,
    or if a folder has no FITS files; OSError if `output` or `plot` cannot be a folder.
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
            raise OSError(f"for several images plot must be a folder, got {plot!r}")
        _make_folder("plot", plot)
    return found


def _files(sources: Sequence[str]) -> Iterator[str]:
    for source in sources:
        if not os.path.isdir(source):
            if not os.path.basename(source):  # a mistyped folder: the target would be the output
                raise FileNotFoundError(f"the file or folder must exist, got {source!r}")
            yield source
            continue
        found = sorted(e.path for e in os.scandir(source) if _is_fits(e.name) and e.is_file())
        if not found:
            raise ValueError(f"a folder must hold *.fits, *.fit or *.fts files, got {source!r}")
        yield from found


def _is_fits(name: str) -> bool:
    # files that a program is still writing have names that begin with a dot
    plain = name.removesuffix(".gz").removesuffix(".fz").lower()
    return plain.endswith((".fits", ".fit", ".fts")) and not name.startswith(".")


def _check_distinct(found: list[Job]) -> None:
    inputs = {os.path.realpath(job.source) for job in found}
    made = {}
    for job in found:
        for path in filter(None, job[1:]):
            place = os.path.realpath(path)
            if place in inputs:
                raise ValueError(f"outputs must not replace inputs, got {path!r} as both")
            if place in made:
                raise ValueError(
                    f"every output must have its own name, got {made[place]!r} and "
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
