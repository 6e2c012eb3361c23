"""The loop of `predict` and `deconvolve` over their input files."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from threading import Lock
from time import monotonic, perf_counter

from .. import __version__
from .._atomic import FULL
from .options import advance, progress_bar, report_line
from .terminal import complain

log = logging.getLogger(__name__)

# errors of a single file, after which the next file may still succeed
OF_A_FILE = (ValueError, OSError, ArithmeticError, MemoryError)
MINUTE = 60.0
LOOKED_AT = 1000  # existing outputs whose headers are read, at most
BAR = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"


def for_each(options, make: Callable, **given) -> int:
    """Reads, computes and writes each file of the command; returns the exit status.

    make : called with `given` it returns the prediction.steps.Work of the command.
    With several files, the error of one file is printed and the others are still processed.
    Existing outputs are kept, so the same command can resume where it was stopped.
    """
    from ..prediction import archive

    sources, output = _places(options)
    if options.scheduler:  # its workers may run in another folder
        names = {name: given.get(name) for name in ("weights", "norm_from")}
        given |= {name: os.path.abspath(path) for name, path in names.items() if path}
    make = partial(make, **given)
    work = make()  # before any folder is made: it checks the options
    if not (options.out_dir or archive.into_folder(sources, output)):
        for name in ("shard", "scheduler"):
            if getattr(options, name):
                raise ValueError(f"--{name} needs several files and a folder, got {output!r}")
        if options.compress and not output.endswith(".fz"):
            raise ValueError(f"with --compress the name must end in .fz, got {output!r}")
        jobs = [archive.Job(sources[0], output, options.plot)]
        return _Run(options, make, work, jobs, options.manifest, options.skip_existing).status()
    shard = archive.Shard.parse(options.shard) if options.shard else None
    listed = archive.paths(sys.stdin.buffer.read()) if "-" in sources else ()
    jobs = archive.jobs(sources, output, options.plot, compress=options.compress, listed=listed)
    name = "manifest.jsonl"
    if shard is not None:
        jobs, name = shard.of(jobs), shard.manifest()
    manifest = options.manifest or os.path.join(output, name)
    run = _Run(options, make, work, jobs, manifest, not options.overwrite, several=True)
    status = run.status()
    log.info("%s: %s", output, run.summary())
    return status


def _places(options) -> tuple[list[str], str]:
    """(inputs, output) from IN ... OUT or from IN ... --out-dir DIR."""
    if options.out_dir is not None:
        return options.paths, options.out_dir
    if len(options.paths) < 2:
        raise ValueError(
            "needs an input and an output, or inputs and --out-dir, "
            f"got {' '.join(map(repr, options.paths))}"
        )
    return options.paths[:-1], options.paths[-1]


class _Run:
    """One pass over the files of a command."""

    def __init__(self, options, make, work, jobs, manifest: str | None, skip, several=False):
        self.options, self.make, self.work, self.several = options, make, work, several
        self.path, self.total = manifest, len(jobs)
        self.left = [job for job in jobs if skip and job.is_done()]
        done = set(self.left)
        self.todo = [job for job in jobs if job not in done]
        self.written = self.failed = 0
        self.full = False  # the disk
        self.begun = self.told = monotonic()
        # astropy's warnings are recorded by replacing a function of the whole process
        self.files = Lock()

    def status(self) -> int:
        from ..prediction.manifest import Manifest

        with (
            Manifest(self.path) if self.path else nullcontext() as self.manifest,
            progress_bar(
                self.options, "file", total=len(self.todo), leave=False, bar_format=BAR
            ) as self.bar,
        ):
            self._tell_of_existing()
            self._tell_of_others()
            way = self._on_the_cluster if self.options.scheduler else self._here
            with closing(way()) as ended:
                for job, error in ended:
                    self.written += error is None
                    if error is not None:
                        self._tell(job, error)
                        self.full |= getattr(error, "errno", None) in FULL
                    self._tell_of_the_time()
        return int(self.failed > 0)

    def summary(self) -> str:
        done = self.written + len(self.left) + self.failed
        return (
            f"{self.total} files: {self.written} written, {len(self.left)} existed already"
            f"{' (pass --overwrite to replace them)' if self.left else ''}, {self.failed} failed"
            f"{f', {self.total - done} not begun' if self.total > done else ''}"
            f"{f': {self.path} tells why' if self.failed else ''}"
        )

    def _begun(self):
        for numbered in enumerate(self.todo):
            if self.full:
                return
            yield numbered

    def _here(self):
        from ..prediction.overlap import overlapped

        steps = self._read, self._compute, self._write
        with closing(overlapped(self._begun(), *steps, OF_A_FILE)) as ended:
            for (_, job), error in ended:
                yield job, error

    def _on_the_cluster(self):
        from ..prediction.cluster import finished

        for number, found in finished(
            self.options.scheduler,
            self.make,
            ((number, job.absolute()) for number, job in self._begun()),
            overwrite=self.options.overwrite,
            threads=getattr(self.options, "threads", None),
            errors=OF_A_FILE,
        ):
            job = self.todo[number]
            if isinstance(found, Exception):
                yield job, found
            else:
                if self.manifest is not None:
                    self.manifest.add(**found, source=job.source, target=job.target)
                yield job, None
            advance(self.bar)(self.written + self.failed, len(self.todo))

    def _read(self, numbered):
        from ..prediction.steps import check_outputs

        _, job = numbered
        begun = perf_counter()
        with self.files:
            check_outputs(job.target, job.plot, self.options.overwrite, job.source)
            return self.work.read(job.source), perf_counter() - begun

    def _compute(self, numbered, read):
        (number, _), (image, seconds) = numbered, read
        begun, update = perf_counter(), advance(self.bar)

        def progress(done, total):
            update(number + done / total, len(self.todo))

        result = self.work.compute(image, progress)
        return result, seconds + perf_counter() - begun

    def _write(self, numbered, computed):
        from ..prediction.manifest import written

        (_, job), (result, seconds), begun = numbered, computed, perf_counter()
        with self.files:
            self.work.write(result, job.target, job.plot, self.options.overwrite)
        if self.manifest is not None:
            told = written(result, self.work, job.target, seconds + perf_counter() - begun)
            self.manifest.add("written", source=job.source, target=job.target, **told)

    def _tell(self, job, error):
        self.failed += 1
        named = not self.several or repr(job.source) in str(error)
        line = report_line(self.options.command, error, "" if named else f"{job.source!r}: ")
        self.bar.clear()  # it is drawn again below the line
        complain(line)
        if self.manifest is not None:
            told = {"version": __version__, "options": self.work.options, "error": line}
            self.manifest.add("failed", source=job.source, target=job.target, **told)

    def _tell_of_existing(self):
        if self.manifest is None or not self.left:
            return
        known = self.manifest.targets()
        for job in self.left:
            if job.target not in known:
                self.manifest.add("existed", source=job.source, target=job.target)

    def _tell_of_others(self):
        """Warns of existing outputs that this command would have made otherwise."""
        some = self.left[:: -(-len(self.left) // LOOKED_AT) or 1]
        others = [job.target for job in some if not self.work.would_make(job.target)]
        if others:
            log.warning(
                "%d of %d existing outputs that were looked at were made with other options or "
                "weights, such as %r: pass --overwrite to replace them",
                len(others),
                len(some),
                others[0],
            )

    def _tell_of_the_time(self):
        """One line a minute where there is no bar."""
        done, now = self.written + self.failed, monotonic()
        if not self.bar.disable or now - self.told < MINUTE or done == len(self.todo):
            return
        self.told = now
        hours = (now - self.begun) / done * (len(self.todo) - done) / 3600
        log.info("%d of %d files, about %.1f hours left", done, len(self.todo), hours)
