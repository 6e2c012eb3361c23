"""Maps many input files to the output files in a folder."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Job(NamedTuple):
    source: str
    target: str
    plot: str | None  # PNG

    def is_done(self) -> bool:
        return all(map(os.path.isfile, filter(None, (self.target, self.plot))))

    def absolute(self) -> "Job":
        return Job(*(path and os.path.abspath(path) for path in self))


class Shard(NamedTuple):
    """A part of a list: every `count`-th job from job `number` on, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "3/10". Raises ValueError unless 1 <= number <= count."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise ValueError(f"a shard must be i/n with 1 <= i <= n, got {text!r}")
        return cls(number, count)

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        return list(jobs[self.number - 1 :: self.count])

    def manifest(self) -> str:
        """Each shard has a file of its own: see Manifest."""
        return f"manifest.{self.number:0{len(str(self.count))}}-of-{self.count}.jsonl"


def into_folder(sources: Sequence[str], output: str) -> bool:
    """Whether `output` is meant to be a folder, decided as `cp` does: if there are several sources
    or a source may be several files, if `output` is a folder, or if it ends in a slash."""
    several = len(sources) > 1 or _may_be_several(sources[0])
    return several or os.path.isdir(output) or output.endswith("/")


def jobs(
    sources: Sequence[str],
    output: str,
    plot: str | None = None,
    *,
    compress: bool = False,
    listed: Iterable[str] = (),
) -> list[Job]:
    """A job for every file, in the order of the sources; missing output folders are made.

    sources : files, folders and patterns. A folder stands for the files in it that have names of
    FITS files; its subfolders are not searched. A pattern (*, ?, [...], and ** for any folders)
    stands for the files that it fits, in the order of their names. "-" stands for `listed`.
    output, plot : folders. A target has the name of its source, without .fz; with `compress`,
    without .gz, .bz2 or .fz, and with .fz added. Its picture has that name with .png added.

    Raises ValueError, before any work, if two files have the same target, if a target is an input,
    or if a folder, a pattern or the list gives no file; OSError if `output` or `plot` cannot be a
    folder.
    """
    found = []
    for source in _files(sources, listed):
        name = _name(os.path.basename(source), compress)
        target = os.path.join(output, name)
        png = None if plot is None else os.path.join(plot, f"{name}.png")
        found.append(Job(source, target, png))
    _check_distinct(found)
    _make_folder("output", output)
    if plot is not None:
        if plot.lower().endswith(".png") and not os.path.isdir(plot):
            raise OSError(f"for several images plot must be a folder, got {plot!r}")
        _make_folder("plot", plot)
    return found


def paths(text: bytes) -> list[str]:
    """The paths of a list: one a line, or separated by NUL as by `find -print0`."""
    lines = text.split(b"\0") if b"\0" in text else text.splitlines()
    return [os.fsdecode(line) for line in lines if line]


def _may_be_several(source: str) -> bool:
    return source == "-" or os.path.isdir(source) or _is_pattern(source)


def _is_pattern(source: str) -> bool:
    return glob.has_magic(source) and not os.path.lexists(source)


def _name(name: str, compress: bool) -> str:
    packed = r"\.(gz|bz2|fz)" if compress else r"\.fz"
    plain = re.sub(packed + "$", "", name, flags=re.IGNORECASE)
    return f"{plain}.fz" if compress else plain


def _files(sources: Sequence[str], listed: Iterable[str]) -> Iterator[str]:
    for source in sources:
        if source == "-":
            found, must = list(listed), "the list must hold paths, got none from"
        elif os.path.isdir(source):
            found = sorted(e.path for e in os.scandir(source) if _is_fits(e.name) and e.is_file())
            must = "a folder must hold *.fits, *.fit or *.fts files, got"
        elif _is_pattern(source):
            found = sorted(filter(os.path.isfile, glob.glob(source, recursive=True)))
            must = "a pattern must fit files, got"
        elif not os.path.basename(source):  # a mistyped folder: the target would be the output
            raise FileNotFoundError(f"the file or folder must exist, got {source!r}")
        else:
            found, must = [source], ""
        if not found:
            raise ValueError(f"{must} {source!r}")
        yield from found if source != "-" else _files(found, ())


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
