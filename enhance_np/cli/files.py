"""The loop of `predict` and `deconvolve` over their input files."""

import logging
import os
from collections.abc import Callable

from .options import advance, one_line, progress_bar
from .terminal import complain

log = logging.getLogger(__name__)

# errors of a single file, after which the next file may still succeed
OF_A_FILE = (ValueError, OSError, ArithmeticError, MemoryError)


def for_each(options, work: Callable, unit: str, **looks) -> int:
    """Calls work(source, target, overwrite=, plot=, progress=) for each file; returns the status.

    With several files, the error of one file is printed and the others are still processed.
    Existing outputs are kept, so the same command can resume where it was stopped.
    """
    from ..prediction.archive import into_folder, jobs

    def do(source, target, plot, **its_looks):
        with progress_bar(options, unit, leave=False, **looks, **its_looks) as bar:
            work(source, target, overwrite=options.overwrite, plot=plot, progress=advance(bar))

    if not into_folder(options.input, options.output):
        do(options.input[0], options.output, options.plot)
        return 0
    todo = jobs(options.input, options.output, options.plot)
    left = failed = 0
    for number, (source, target, plot) in enumerate(todo, 1):
        if not options.overwrite and all(map(os.path.isfile, filter(None, (target, plot)))):
            left += 1
            continue
        try:
            do(source, target, plot, desc=f"{number}/{len(todo)}")
        except OF_A_FILE as error:
            failed += 1
            about = "" if repr(source) in str(error) else f"{source!r}: "
            complain(one_line(options.command, error, about))
    log.info(
        "%s: %d files: %d written, %d existed already%s, %d failed",
        options.output,
        len(todo),
        len(todo) - left - failed,
        left,
        " (pass --overwrite to replace them)" if left else "",
        failed,
    )
    return int(failed > 0)
